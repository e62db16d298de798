#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Packets that wait in an NFQUEUE: the first ones of new connections, whose entries are
# not confirmed, and later ones of established connections; while the module is loaded,
# and while it is loaded and unloaded. Then they are accepted, also the newest first,
# dropped, or the program goes away. Unloading drops what waits; the verdicts that come
# later find nothing.
#
# Two differences are there, and heal: packets that wait between conntrack and ctxstat,
# until they go on, or an audit if they do not; and entries changed by a verdict
# (NFQA_CT), until an audit.
# shellcheck disable=SC2154,SC2016,SC2317 # $here and $tmp are set by lib.sh; awk's $1; check calls

# shellcheck source=selftests/scene.sh
. "$(dirname "$(realpath "$0")")/scene.sh"

COUNT=20
NEW=$((4 * COUNT))	# tcp and udp, IPv4 and IPv6
REPLIES=$((2 * COUNT))	# udp
LOADS=2
# One behind conntrack, as in packet.c
BETWEEN=-199

require python3
require_module
# the program, and what it is told

queue_open() {
	{ coproc QUEUE { exec ip netns exec "$GATEWAY" python3 "$here/queue/hold.py" 2>"$tmp/queue.err"; }; } 2>/dev/null
	program=$QUEUE_PID
	read -rt $((60 * patience)) -u "${QUEUE[0]}" reply && [ "$reply" = ready ] || { cat "$tmp/queue.err"; return 1; }
}
queue_close() {
	kill "$program"
	wait "$program" 2>/dev/null
	return 0
}
# tell COMMAND ANSWER: a pattern
tell() {
	echo "$1" >&"${QUEUE[1]}"
	read -rt $((90 * patience)) -u "${QUEUE[0]}" reply || { cat "$tmp/queue.err"; return 1; }
	# shellcheck disable=SC2053
	[[ $reply == $2 ]] || { echo "$1: $reply, not $2"; return 1; }
}

# queued HOOK PRIORITY MATCH: what goes to the queue, and nothing else any more
queued() {
	on "$GATEWAY" nft -f - <<-RULES
	table inet queued {}
	delete table inet queued
	table inet queued {
		chain queued {
			type filter hook $1 priority $2;
			$3 queue num 0
		}
	}
	RULES
}

# Connections to ports where nobody answers: nothing is sent again.
new_sent() {
	flush
	on "$CLIENT" "$TRAFFIC" spray $COUNT 10.2.0.2 30000 fd02::2 30000 &&
		on "$CLIENT" "$TRAFFIC" knock $COUNT 10.2.0.2 30000 fd02::2 30000 &&
		tell "hold $NEW" "holds $NEW"
}
new_wait() { new_sent && entries_are 0; }
new_given() { tell "$1" "gave $NEW" && entries_are "$2"; }

# The answers to datagrams sent at once
asking=''
replies_wait() {
	flush
	traffic_in "$CLIENT" ask $COUNT 10.2.0.2 7 fd02::2 7
	asking=$!
	tell "hold $REPLIES" "holds $REPLIES"
}
answered() {
	traffic_ended "$asking"
	wait "$asking"
}
not_answered() {
	traffic_ended "$asking"
	kill "$asking"
	wait "$asking" 2>/dev/null
	(($? == 143))
}
replies_given() { tell "$1" "gave $REPLIES" && answered; }

# The FINs of connections that are all closed at once. They are sent again, and conntrack
# takes the second one for the other side's. On a slow machine they wait for so long that
# the next one comes half a minute later, and longer than the kernel of who closed tries.
closing_are() {
	local now
	now=$(states_of "$GATEWAY" | awk '$2 == "tcp" && /FIN_WAIT|LAST_ACK/ { n += $4 } END { print n + 0 }')
	[ "$now" = "$1" ] || { echo "$now are closing, not $1"; return 1; }
}
fins_wait() {
	local holding
	tell pass passes && flush
	resets_before=$(server_resets)
	: >"$tmp/traffic"
	traffic_in "$CLIENT" hold $COUNT 10.2.0.2 7 fd02::2 7
	holding=$!
	wait_for 30 traffic_ready 1 && tell "hold 0" "holds 0" && kill "$holding" &&
		traffic_ended "$holding" && tell "hold $REPLIES" "holds *" && wait_for 20 closing_are $REPLIES
}
fins_go_on() { tell pass passes && wait_for 120 closed_are $REPLIES "$resets_before"; }

# lists "ENTRIES UNREPLIED ASSURED": what conntrack says of udp
lists() {
	local now
	now=$(truth "$GATEWAY" | awk '$2 == "udp" { n += $4; unreplied += $5; assured += $6 }
		END { print n + 0, unreplied + 0, assured + 0 }')
	[ "$now" = "$1" ] || { echo "$now are listed, not $1"; return 1; }
}
# differs COUNTED LISTED
differs() { has udp - "$1" && lists "$2" && ! exact "$GATEWAY"; }
kernel_waits() {
	on "$GATEWAY" awk -v expected="$1" '{ n += $3 } END { exit n != expected }' /proc/net/netfilter/nfnetlink_queue
}

# The kernel drops what waited a moment later.
nothing_tracked() { [ "$(ct -C)" = 0 ]; }
program_gone() { queue_close && entries_are 0 && wait_for 20 nothing_tracked && queue_open; }

# The kernel drops what waits as a hook goes away, and the program does not know.
unloaded() {
	kernel_waits "$1" || { echo "they do not wait"; return 1; }
	module_unload && kernel_waits 0 && tell accept "gave 0" && module_load
}
new_unloaded() { new_wait && unloaded $NEW && entries_are 0; }
replies_unloaded() { replies_wait && unloaded $REPLIES && not_answered && entries_are $REPLIES; }

new_loaded() { module_unload && new_sent && module_load && exact "$GATEWAY" $NEW && new_given accept $NEW; }
new_moved() {
	module_unload && new_sent && module_load && tell pass passes && wait_for 20 entries_are $NEW &&
		tell "hold 0" "holds 0"
}
replies_loaded() {
	module_unload && replies_wait && module_load && exact "$GATEWAY" && replies_given accept &&
		[ "$(value adopted)" = $REPLIES ]
}
# More of them come meanwhile.
fins_reloaded() { module_unload && tell accept "gave *" && module_load && fins_go_on; }

replies_dropped() { tell drop "gave $REPLIES" && not_answered; }

passing_flows() { tell pass passes && traffic_churn 40 && traffic_flows 40; }
reloads() {
	local i
	for ((i = 0; i < LOADS; i++)); do
		module_unload && module_load && traffic_flows 20 || return
	done
}

traffic_serve
for ns in "$CLIENT" "$SERVER"; do
	on "$ns" sysctl -qw net.ipv4.tcp_orphan_retries=15 net.ipv4.tcp_fin_timeout=$((60 * patience))
done
on "$SERVER" nft -f - <<-RULES
table inet silence {
	chain prerouting {
		type filter hook prerouting priority raw;
		meta l4proto { tcp, udp } th dport 30000-39999 drop
	}
}
RULES
plan $((18 * STEP + 20))

check "a program takes the queue" queue_open

# Behind ctxstat
queued forward 0 'meta l4proto { tcp, udp } ct state new'
check "first packets wait" new_wait
check "first packets wait: they have entries, and none is counted" exact "$GATEWAY" $NEW
step "first packets, accepted" new_given accept $NEW
check "first packets wait again" new_wait
step "first packets, dropped" new_given drop 0
check "and again" new_wait
step "first packets, accepted, the newest first" new_given backwards $NEW
check "first packets wait for a program" new_wait
step "first packets, the program goes away" program_gone
step "first packets, unloaded meanwhile: they are dropped" new_unloaded
step "first packets, loaded meanwhile, accepted" new_loaded
# ctxstat's hook moves theirs: the kernel has them wait again.
queued prerouting 0 'meta l4proto { tcp, udp } ct state new'
step "first packets, loaded meanwhile, its hook before theirs" new_moved

queued forward 0 'udp sport 7'
step "replies wait" replies_wait
step "replies, accepted" replies_given accept
step "replies, unloaded meanwhile: they are dropped" replies_unloaded
step "replies, loaded meanwhile, accepted" replies_loaded

queued forward 0 'tcp flags & fin == fin'
step "FINs wait" fins_wait
step "FINs, accepted" fins_go_on
note "$closed"
check "FINs wait again" fins_wait
step "FINs, loaded and unloaded meanwhile" fins_reloaded
note "$closed"
queued forward 0 'udp sport 7'
check "replies wait for another verdict" replies_wait
check "replies change the entries, by verdict" replies_given assured
check "replies change the entries, by verdict: not seen at once" differs "$REPLIES 0 0" "$REPLIES 0 $REPLIES"
step "replies change the entries, by verdict: an audit heals" heals $REPLIES

# Between conntrack and ctxstat
queued prerouting $BETWEEN 'udp sport 7'
check "replies wait before ctxstat" replies_wait
check "replies wait before ctxstat: not seen yet" differs "$REPLIES $REPLIES 0" "$REPLIES 0 0"
step "replies wait before ctxstat: accepted, they heal it" replies_given accept
check "replies wait before ctxstat again" replies_wait
check "replies before ctxstat, dropped" replies_dropped
check "replies before ctxstat, dropped: never seen" differs "$REPLIES $REPLIES 0" "$REPLIES 0 0"
step "replies before ctxstat, dropped: an audit heals" heals $REPLIES
step "replies before ctxstat, unloaded meanwhile" replies_unloaded

queued forward 0 'meta l4proto { tcp, udp }'
check "all of the traffic passes a queue" passing_flows
check "all of the traffic passes a queue: loaded and unloaded" reloads
traffic_pause
check "all of the traffic passes a queue: exact, audit finds nothing" exact_and_audited "$GATEWAY"
traffic_end
queue_close
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
