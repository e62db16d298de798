#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# nft's synproxy in front of a server: the gateway answers each SYN with a cookie and keeps
# nothing of it; when the cookie comes back it opens the connection to the server itself,
# and that is the entry. Every cell is exact with connections that stay, are closed, and
# begin and end in the same ports, to a port that is open and one that is not; with a flood
# of SYNs whose cookies never come back, which leaves nothing; with both at once, while the
# module is loaded and unloaded.
# shellcheck disable=SC2154,SC2016,SC2317 # $here and $tmp are set by lib.sh; awk's $1; check calls

# shellcheck source=selftests/scene.sh
. "$(dirname "$(realpath "$0")")/scene.sh"

COUNT=10
BOTH=$((2 * COUNT))	# IPv4 and IPv6
FLOOD=2000		# ports, from 30000 on
LOADS=3
TARGETS=(10.2.0.2 7 fd02::2 7)

modprobe nft_synproxy 2>"$tmp/modprobe" || skip_all "$(<"$tmp/modprobe")"
require_module

synproxy() {
	# What does not begin with a SYN is invalid, as synproxy's manual asks for.
	on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 &&
		on "$GATEWAY" nft -f - <<-RULES
	table inet cookies {
		chain prerouting {
			type filter hook prerouting priority raw;
			iifname to-client tcp flags & (fin | syn | rst | ack) == syn notrack
		}
		chain forward {
			type filter hook forward priority 0;
			iifname to-client meta l4proto tcp ct state { invalid, untracked } synproxy mss 1460 wscale 7 timestamp sack-perm
			ct state invalid drop
		}
	}
	RULES
}
# Cookies that come from these ports are not even heard.
never_back() {
	on "$CLIENT" nft -f - <<-RULES
	table inet deaf {
		chain prerouting {
			type filter hook prerouting priority raw;
			tcp sport >= 30000 drop
		}
	}
	RULES
}

# counter COLUMN: of synproxy's own
SYN_RECEIVED=2 COOKIE_VALID=4
counter() {
	local sum=0 n
	for n in $(on "$GATEWAY" awk -v i="$1" 'NR > 1 { print $i }' /proc/net/stat/synproxy); do
		sum=$((sum + 16#$n))
	done
	echo "$sum"
}
# gains COLUMN N COMMAND...: it has N more afterwards, or even more
gains() {
	local column=$1 n=$2 before now
	shift 2
	before=$(counter "$column")
	"$@" || return
	now=$(counter "$column")
	((now >= before + n)) || { echo "synproxy's column $column was $before and is $now"; return 1; }
}

opened() {
	synproxy && never_back && gains $COOKIE_VALID $BOTH talk $COUNT "${TARGETS[@]}" &&
		has tcp ESTABLISHED "$BOTH 0 $BOTH" && entries_are $((2 * BOTH))
}
reloaded() { module_unload && module_load && talk_again && has tcp ESTABLISHED "$BOTH 0 $BOTH"; }
closed() { talk_closes $BOTH; }

flood() { on "$CLIENT" "$TRAFFIC" knock $FLOOD 10.2.0.2 30000 fd02::2 30000; }
leaves_nothing() {
	local created
	flush
	created=$(value created)
	gains $SYN_RECEIVED $((2 * FLOOD)) flood && entries_are 0 && [ "$(value created)" = "$created" ] && return
	echo "created was $created, is $(value created)"
	on "$GATEWAY" cat $PROC/{transitions,ends}
	return 1
}

# To an open port, and one where the server refuses what the gateway has promised
churning() {
	traffic_in "$CLIENT" -c 0 churn 80 "${TARGETS[@]}" 10.2.0.2 500 fd02::2 500
	traffic_churning+=($!)
	gains $COOKIE_VALID 100 traffic_flows 300
}
flooded() { gains $SYN_RECEIVED $((2 * FLOOD)) flood && traffic_flows 50; }
flooded_and_reloaded() {
	local i
	for ((i = 0; i < LOADS; i++)); do
		flood &
		{ module_unload && module_load && traffic_flows 50 && wait $!; } || return
	done
}
traffic_stops() { traffic_pause && exact_and_audited "$GATEWAY"; }

traffic_serve
plan $((4 * STEP + 2 + 2 + 2 + 2))

step "connections are opened" opened
step "loaded meanwhile, they go on" reloaded
step "they are closed" closed
step "a flood of SYNs leaves nothing" leaves_nothing
check "traffic" churning
check "traffic stops: exact, audit finds nothing" traffic_stops
traffic_go
check "traffic and a flood" flooded
check "traffic and a flood stop: exact, audit finds nothing" traffic_stops
traffic_go
check "traffic and a flood, loaded and unloaded" flooded_and_reloaded
check "all stops: exact, audit finds nothing" traffic_stops
note "$(states_of "$GATEWAY" | awk 'NR > 1 && $4 { print $1, $2, $3, $4 }')"
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
