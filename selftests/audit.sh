#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# audit finds a difference when there is one. One is made on purpose: a chain of
# ctxstat's own priority, but registered after it, is run before it, right behind
# conntrack. A packet dropped there has changed its entry, and ctxstat has not seen
# it. Audit names the two cells and heals them; so does the entry's next packet.
#
# Also: nothing to find in a large quiet table; what audits under traffic leave
# behind.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

QUIET=3000
# One behind conntrack, as in packet.c
PRIORITY=-199

[ -x "$TRAFFIC" ] || skip_all "$TRAFFIC is not built: make -C selftests"
require_module
topology_up || skip_all "no namespaces can be made"

# unseen MATCH: what is dropped unseen. One packet of it: if it is sent again, it
# does not get as far as conntrack.
unseen() {
	on "$GATEWAY" nft -f - <<-RULES
	table inet unseen {
		chain again {
			type filter hook prerouting priority raw;
			$1 numgen inc mod 1000000 != 0 drop
		}
		chain prerouting {
			type filter hook prerouting priority $PRIORITY;
			$1 counter drop
		}
	}
	RULES
}
seen_again() { on "$GATEWAY" nft delete table inet unseen; }
unseen_dropped() {
	on "$GATEWAY" nft list table inet unseen | grep -q 'counter packets [1-9]'
}

entries_in() { states_of "$GATEWAY" | awk -v row="$1 $2 $3" '$1 " " $2 " " $3 == row { print $4 }'; }
has() { [ "$(entries_in "$1" "$2" "$3")" = "$4" ]; }
lists() { ct -L -f "$1" 2>/dev/null | grep -E "$2"; }

# ctxstat has an entry where conntrack no longer has it
counts_wrongly() {
	has "$1" "$2" "$3" 1 && lists "$1" "^$2 .*$4" || return
	! exact "$GATEWAY"
}

# found SEEN LINE...: a report with these differences, two cells for each entry, and
# "port LINE" for those of ports, all healed
found() {
	local seen=$1 line cells=() ports=()
	shift
	for line; do
		case $line in
		port\ *) ports+=("${line#port }") ;;
		*) cells+=("$line") ;;
		esac
	done
	on "$GATEWAY" cat "$PROC/audit" >"$tmp/audit" || return
	{
		printf '%s\n' "entries_seen $seen" "entries_counted $seen" "cells_differ ${#cells[@]}" \
			"entries_healed $((${#cells[@]} / 2))" "cells_left 0" "count $seen" \
			"ports_differ ${#ports[@]}" "ports_left 0" "entries_not_in_ports 0"
		((${#cells[@]} == 0)) || printf 'difference %s\n' "${cells[@]}"
		((${#ports[@]} == 0)) || printf 'port_difference %s\n' "${ports[@]}"
	} | diff -u --label expected - --label audit "$tmp/audit"
}

# connections, one at a time: what is written to $connection is sent

listening() { on "$SERVER" ss -Hln "$1" | grep -q ":$2 "; }
echo_servers() {
	ip netns exec "$SERVER" socat TCP-LISTEN:8000,reuseaddr,fork PIPE 2>"$tmp/tcp.err" &
	ip netns exec "$SERVER" socat UDP6-LISTEN:8000,reuseaddr,fork PIPE 2>"$tmp/udp.err" &
	wait_for 10 listening -t 8000 && wait_for 10 listening -u 8000
}

# open ADDRESS: of socat
open() {
	rm -f "$tmp/fifo"
	mkfifo "$tmp/fifo" || return
	ip netns exec "$CLIENT" socat -t 60 - "$1" <"$tmp/fifo" >"$tmp/reply" 2>"$tmp/client.err" &
	talker=$!
	exec {connection}>"$tmp/fifo"
}
shut() { exec {connection}>&-; }
gone() {
	kill "$talker"
	{ wait "$talker"; ct -F; } 2>/dev/null
	exact "$GATEWAY"
}

tcp_open() { open TCP:10.2.0.2:8000 && wait_for 10 has ipv4 tcp ESTABLISHED 1; }
fin_unseen() {
	unseen 'iifname "to-client" tcp flags & fin == fin' && shut && wait_for 10 unseen_dropped
}

udp_open() {
	unseen 'iifname "to-server" udp sport 8000' &&
		open 'UDP6:[fd02::2]:8000' && echo hello >&"$connection" && wait_for 10 unseen_dropped
}
replied() { grep -q "$1" "$tmp/reply"; }
next_packet() {
	seen_again && echo again >&"$connection" && wait_for 10 replied again
}

# The FIN is sent again until it is acknowledged. No packet follows the last one.
tcp_closed() { seen_again && wait_for 30 closed; }
closed() { lists ipv4 '^tcp .*(TIME_WAIT|CLOSE) '; }

quiet_table() {
	awk -v n="$QUIET" 'BEGIN { for (i = 1; i <= n; i++)
		print "-A -t 900 -u", i % 2 ? "SEEN_REPLY,ASSURED" : "UNSET", "-s 10.1.0.2 -d 10.2.0.2 -r 10.2.0.2 -q 10.1.0.2 -p tcp --sport", i, "--dport 80 --reply-port-src 80 --reply-port-dst", i, "--state", i % 3 ? "ESTABLISHED" : "FIN_WAIT" }' >"$tmp/restore"
	ct -R "$tmp/restore"
}

traffic_stops() {
	traffic_pause
	exact "$GATEWAY"
}
cleanup_more() { traffic_end; }

# Cells differ while entries move. One that moves between conntrack and ctxstat
# may be healed in its place, a microsecond early; none stays wrong.
audits_under_traffic() {
	local i created differ=0 healed=0 left=0
	created=$(value created)
	for ((i = 0; i < 30; i++)); do
		on "$GATEWAY" cat "$PROC/audit" >"$tmp/audit" || return
		differ=$((differ + $(awk '$1 == "cells_differ" { print $2 }' "$tmp/audit")))
		healed=$((healed + $(awk '$1 == "entries_healed" { print $2 }' "$tmp/audit")))
		left=$((left + $(awk '$1 == "cells_left" { print $2 }' "$tmp/audit")))
	done
	under_traffic="connections $(($(value created) - created)), cells_differ $differ, entries_healed $healed, cells_left $left"
	echo "$under_traffic"
	(($(value created) > created + 30))
}

plan 29

check "servers listen" echo_servers
check "a connection is open" tcp_open
check "audit finds nothing yet" found 1
check "a FIN is dropped unseen" fin_unseen
check "states differs from conntrack" counts_wrongly ipv4 tcp ESTABLISHED FIN_WAIT
check "audit names both cells and heals them" found 1 \
	"ipv4 tcp ESTABLISHED replied assured snat - counted 1 found 0" \
	"ipv4 tcp FIN_WAIT replied assured snat - counted 0 found 1"
check "healed: audit finds nothing" found 1
check "healed: exact" exact "$GATEWAY"
check "the connection is closed" tcp_closed
check "the connection is gone" gone

check "a connection is open again" tcp_open
check "its FIN is dropped unseen" fin_unseen
check "states differs again" counts_wrongly ipv4 tcp ESTABLISHED FIN_WAIT
check "the next packets arrive" tcp_closed
check "healed by a packet: exact" exact "$GATEWAY"
check "healed by a packet: audit finds nothing" found 1
check "the connection is gone" gone

check "a reply is dropped unseen" udp_open
check "audit names the cells, and the port" found 1 \
	"ipv6 udp - unreplied - snat - counted 1 found 0" \
	"ipv6 udp - replied - snat - counted 0 found 1" \
	"port udp 8000 counted 1 1 found 1 0"
check "the reply is dropped no more" next_packet
shut
check "the flow is gone" gone

check "$QUIET entries" quiet_table
check "audit finds nothing in a large table" found "$QUIET"

check "traffic" traffic_up 400
check "audits under traffic" audits_under_traffic
note "${under_traffic:-}"
check "traffic stops: exact" traffic_stops
check "audits under traffic left nothing behind" audit_clean "$GATEWAY"
traffic_end
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
