#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Conntrack zones: the same tuples in several of them. First two clients that have the same
# address and use the same ports, each in a zone of its own in the original direction
# ("ct original zone set"), translated into one zone in the other. Then connections that
# change their zone ("ct zone set"), so that each has an entry in every zone it was in.
# Ports and states are exact over all zones, also after what is in one zone was deleted,
# and after the module was loaded meanwhile.
# shellcheck disable=SC2154,SC2016,SC2317 # $here and $tmp are set by lib.sh; awk's $1; check calls

# shellcheck source=selftests/scene.sh
. "$(dirname "$(realpath "$0")")/scene.sh"

COUNT=10
ALL=$((4 * COUNT))	# connections of talk: IPv4 and IPv6, tcp and udp
CHURN=80		# source ports
TARGETS=(10.2.0.2 7 fd02::2 7)

require_module

# zones RULE...: what decides on them, before conntrack
zones() {
	on "$GATEWAY" nft -f - <<-RULES
	table inet zones {}
	delete table inet zones
	table inet zones {
		chain before {
			type filter hook prerouting priority raw;
			$(printf '%s;' "$@")
		}
		chain behind {
			type filter hook prerouting priority mangle;
			iifname to-client ct mark set 1
			iifname to-client2 ct mark set 2
			iifname to-server meta mark set ct mark
		}
	}
	RULES
}

# Both clients are 10.7.0.2 and fd07::2 now; the entry's mark tells the gateway which.
same_address() {
	local n ns=("$CLIENT" "$CLIENT2") subnet=(1 3) link=(to-client to-client2)

	for n in 0 1; do
		ip -n "${ns[n]}" -batch - <<-COMMANDS || return
		addr add 10.7.0.2/32 dev eth0
		addr add fd07::2/128 dev eth0 nodad
		route replace default via 10.${subnet[n]}.0.1 src 10.7.0.2
		route replace ::/0 via fd0${subnet[n]}::1 src fd07::2
		COMMANDS
		ip -n "$GATEWAY" -batch - <<-COMMANDS || return
		rule add fwmark $((n + 1)) lookup $((n + 101))
		route add 10.7.0.2 dev ${link[n]} table $((n + 101))
		route add fd07::2 dev ${link[n]} table $((n + 101))
		COMMANDS
		ip -6 -n "$GATEWAY" rule add fwmark $((n + 1)) lookup $((n + 101)) || return
	done
}

# tuples_in N: how many original tuples are in N zones
tuples_in() {
	listing "$GATEWAY" | awk -v n="$1" '
		match($0, / src=[^ ]+ dst=[^ ]+ sport=[0-9]+ dport=[0-9]+/) {
			tuple = $3 substr($0, RSTART, RLENGTH)
			zone = match($0, / zone(-orig)?=[0-9]+/) ? substr($0, RSTART, RLENGTH) : 0
			if (!seen[tuple, zone]++)
				zones[tuple]++
		}
		END { for (tuple in zones) found += zones[tuple] == n; print found + 0 }'
}
tuples_are() {
	local now
	now=$(tuples_in "$1")
	[ "$now" = "$2" ] || { echo "$now tuples are in $1 zones, not $2"; return 1; }
}
many_tuples() {
	local now
	now=$(tuples_in "$1")
	many="$now tuples in $1 zones, $(tuples_in 1) in one"
	echo "$many"
	((now > CHURN))
}

deleted() { on "$GATEWAY" awk '$4 == "deleted" { n += $5 } END { print n + 0 }' $PROC/ends; }
in_zone() { listing "$GATEWAY" | grep -c "$1 "; }
# deletes ZONE OPTION...: all in the zone, and nothing else
deletes() {
	local zone=$1 before entries n
	shift
	before=$(deleted) entries=$(value entries) n=$(in_zone "$zone")
	{ ct -D -f ipv4 "$@" && ct -D -f ipv6 "$@"; } >/dev/null || return
	echo "$n in $zone"
	((n > 0)) && [ "$(in_zone "$zone")" = 0 ] && entries_are $((entries - n)) &&
		[ "$(deleted)" = $((before + n)) ]
}

# Two clients

churning() {
	local ns
	for ns in "$CLIENT" "$CLIENT2"; do
		traffic_in "$ns" churn $CHURN "${TARGETS[@]}"
		traffic_churning+=($!)
	done
	# One of them may have most of the CPU for a while.
	traffic_flows $((6 * CHURN)) && wait_for 60 many_tuples 2 && traffic_pause
}
goes_on() { traffic_go; traffic_flows $CHURN && traffic_pause; }
reloaded() { module_unload && module_load && many_tuples 2; }

# One that changes

opened() { zones "ct zone set 5" && talk $COUNT "${TARGETS[@]}" && tuples_are 1 $ALL; }
# The module comes anew before the last one.
changes() { zones "ct zone set $1" && talk_again && tuples_are "$2" $ALL && entries_are $(($2 * ALL)); }
changes_reloaded() { module_unload && module_load && changes "$@"; }
closed() { talk_closes $((ALL / 2)); }

traffic_serve
same_address || skip_all "no routes can be made"
plan $((5 * STEP + 1 + 6 * STEP + 2))

zones 'iifname to-client ct original zone set 1' 'iifname to-client2 ct original zone set 2'
step "two clients with the same address" churning
check "two clients with the same address: the same tuples in two zones" many_tuples 2
note "${many:-}"
step "loaded meanwhile" reloaded
step "what is in one zone is deleted" deletes zone-orig=2 --orig-zone 2
step "traffic goes on" goes_on
step "flush" flush
traffic_end

traffic_serve
step "in one zone" opened
step "in a second one" changes 6 2
step "in a third one, loaded meanwhile" changes_reloaded 0 3
step "what is in one zone is deleted" deletes zone=6 -w 6
step "closed in one zone" closed
step "flush" flush
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
