#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What happened to entries: transitions, ends, ports and the failed insertions of
# summary, as whole tables, after each of: closed, refused, silent, reset, left to
# expire, reopened, deleted, flushed, older than the module, evicted, without a free
# port for SNAT, torn down with their namespace. Each with a known number of
# connections, IPv4 and IPv6, through every kind of NAT.
#
# The numbers come from the packets that are sent (states/peer.py sends them); which
# entries are evicted or cannot be inserted, and how many packets and bytes they had,
# from "conntrack -E" and -L.
#
# Changes nf_conntrack_max and the number of buckets, which are the machine's, and
# sets them back.
# shellcheck disable=SC2154,SC2016,SC2317 # $here and $tmp are set by lib.sh; awk's $1; check calls what is "unreachable"

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
require python3

TRAFFIC=${TRAFFIC:-$here/traffic}
HASHSIZE=/sys/module/nf_conntrack/parameters/hashsize
MAX=/proc/sys/net/netfilter/nf_conntrack_max
TORN=$TOPOLOGY_PREFIX-torn

FULL=500	# entries that fit while evictions are wanted
FLOWS=1000	# of each family, for them
LATE=100	# of each family, for the gc to evict others
CLASHES=20	# of each family, for four ports

require_module
[ -x "$TRAFFIC" ] || skip_all "$TRAFFIC is not built: make -C selftests"
{ [ -w "$MAX" ] && [ -w "$HASHSIZE" ]; } || skip_all "must be run in the initial network namespace"
max=$(cat "$MAX") hashsize=$(cat "$HASHSIZE")
peer='' listener=''
cleanup_more() {
	[ -z "$peer" ] || kill "$peer" 2>/dev/null
	[ -z "$listener" ] || kill "$listener" 2>/dev/null
	! ip netns list | grep -qw -- "$TORN" || ip netns del "$TORN"
	echo "$max" >"$MAX"
	echo "$hashsize" >"$HASHSIZE"
}
topology_up || skip_all "no namespaces can be made"

sysctls=$(on "$GATEWAY" ls /proc/sys/net/netfilter)
tracked() { [[ $sysctls == *nf_conntrack_$1_* ]]; }

# What is expected. It begins anew with the module.

accounted=
: >"$tmp/expected"
expect() { cat >>"$tmp/expected"; }

# The events of entries that ended, since there were "first" of them
ended() { awk '$1 == "[DESTROY]"' "$tmp/events" | tail -n +$((first_ended + 1)); }
first_ended=0 ended_before=0
: >"$tmp/events"

expected_ends() {
	awk '$1 == "ends" { n += $6 * ($2 == "both" ? 2 : 1) } END { print n + 0 }' "$tmp/expected"
}
events_came() { [ "$(ended | wc -l)" = "$1" ]; }

look() {
	local ends
	if [ -n "$accounted" ]; then
		ends=$(($(expected_ends) - ended_before))
		wait_for 30 events_came "$ends" ||
			note "$(ended | wc -l) events of ends, not $ends"
	fi
	mkdir -p "$tmp/now"
	on "$GATEWAY" sh -c 'for file in transitions ends ports summary states; do
		cat /proc/net/ctxstat/$file >"$1/$file" || exit
	done' - "$tmp/now" &&
		awk -f "$here/events/actual.awk" "$tmp"/now/{transitions,ends,ports,summary} | sort >"$tmp/actual" &&
		ended | awk -v accounted="$accounted" -f "$here/events/expected.awk" "$tmp/expected" - | sort >"$tmp/wanted"
}

# same FILE: all of it, when last looked
same() {
	grep "^$1 " "$tmp/wanted" >"$tmp/wanted.$1"
	grep "^$1 " "$tmp/actual" >"$tmp/actual.$1"
	diff -u --label expected "$tmp/wanted.$1" --label ctxstat "$tmp/actual.$1"
}

# For each protocol that has ports, all ports together are all states together.
sums_agree() {
	awk '
		FNR == 1 {
			file++
			split("", at)
			for (i = 1; i <= NF; i++)
				at[$i] = i
			next
		}
		$at["l4proto"] !~ /^(tcp|udp|udplite|sctp|dccp)$/ { next }
		{
			l4proto[$at["l4proto"]]
			entries[file, $at["l4proto"]] += $at["entries"]
			unreplied[file, $at["l4proto"]] += $at["unreplied"]
		}
		END {
			for (p in l4proto)
				if (entries[1, p] + 0 != entries[2, p] + 0 || unreplied[1, p] + 0 != unreplied[2, p] + 0) {
					print p ": ports", entries[1, p] + 0, unreplied[1, p] + 0, "states", entries[2, p] + 0, unreplied[2, p] + 0
					bad = 1
				}
			exit bad || file != 2
		}' "$tmp/now/ports" "$tmp/now/states"
}

# step NAME COMMAND...: do it; then all is as was expected
step() {
	local name=$1
	shift
	check "$name" "$@"
	check "$name: every cell equals the listing" exact "$GATEWAY"
	look
	check "$name: transitions" same transitions
	check "$name: ends" same ends
	check "$name: ports" same ports
	check "$name: summary" same summary
	check "$name: all ports together are all states" sums_agree
}
STEP=7

# Packets: the part before the bar with timeouts that do not matter; the packets
# after it, one each, with timeouts of a second.

answer() {
	read -rt 120 -u "${PEER[0]}" word reply && [ "$word" = "$1" ]
}

tell() {
	echo "$1" >&"${PEER[1]}"
	answer moved && return
	echo "$word $reply"
	return 1
}

peer_stop() {
	local in=${PEER[1]}
	exec {in}>&-
	wait "$peer"
	peer=
}

# The connections are on stdin.
play_hold() {
	local packets i
	cat >"$tmp/connections"
	timeouts 1000 || return
	coproc PEER { exec python3 "$here/states/peer.py" "$TOPOLOGY_PREFIX" "$tmp/predicted" "$tmp/connections"; }
	peer=$PEER_PID
	answer ready || return
	read -r packets _ <<<"$reply"
	for ((i = 0; i < packets; i++)); do
		tell step || return
	done
}

# The listing has the kernel collect them.
left() {
	ct -L >/dev/null 2>&1
	[ "$(ct -C)" = "$1" ]
}

# play_end LEFT: so many entries are not to expire
play_end() {
	timeouts 1 && tell next && tell step && peer_stop && wait_for 30 left "$1"
}

play() { play_hold && play_end 0; }

# A namespace counts in another way, per CPU, once it is busy (counters.h): then what
# comes in on the last CPU is on the last line of lnstat's file.
BUSY=400
counts_per_cpu() {
	tries=$((tries + 1))
	on "$CLIENT" "$TRAFFIC" -c $(($(nproc) - 1)) spray "$BUSY" 10.2.0.2 40000 && ct -F &&
		on "$GATEWAY" awk 'END { exit $2 ~ /^0*$/ }' /proc/net/stat/ctxstat
}
busy() {
	tries=0
	on "$CLIENT" nft insert rule inet silence output udp dport 40000-$((40000 + BUSY - 1)) accept &&
		wait_for 30 counts_per_cpu || return
	{
		echo "ends ipv4 udp - deleted $((BUSY * tries))"
		seq -f "ports udp %.0f opened=$tries failed=$tries" 40000 $((40000 + BUSY - 1))
	} | expect
}

# The listener: ctnetlink.sh says why the size of the buffer

listener_ready() { on "$GATEWAY" awk '$2 == 12 && $4 !~ /^0*$/ { n++ } END { exit !n }' /proc/net/netlink; }

accounting() {
	local rmem
	on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_acct=1 || return
	rmem=$(sysctl -n net.core.rmem_default) && sysctl -qw net.core.rmem_default=67108864 || return
	ip netns exec "$GATEWAY" conntrack -E -e NEW,DESTROY -o extended >"$tmp/events" 2>"$tmp/events.err" &
	listener=$!
	wait_for 10 listener_ready
	sysctl -qw net.core.rmem_default="$rmem"
	accounted=1 ended_before=$(expected_ends)
	listener_ready
}

listener_lost() { on "$GATEWAY" awk '$2 == 12 { n += $9 } END { exit !n }' /proc/net/netlink; }
listener_sound() { ! listener_lost && kill -0 "$listener" && ! grep -i enobufs "$tmp/events.err"; }

# deleted

delete_some() {
	ct -D -f ipv4 -p tcp --orig-port-dst 8080 && ct -D -f ipv6 -p tcp --orig-port-dst 8080
}

# older than the module

reload() {
	module_unload && module_load || return
	first_ended=$(($(ended | wc -l) + first_ended)) ended_before=0
	: >"$tmp/expected"
}

# evicted: which ones, the events tell. New ones were not answered, as nobody does.

seen() { awk -v kind="[$1]" '$1 == kind' "$tmp/events" | wc -l; }
both_seen() { [ "$(seen NEW)" = "$1" ] && [ "$(seen DESTROY)" = "$2" ]; }

# expect_from_events REASON LINE: those after this line
expect_from_events() {
	tail -n +$(($2 + 1)) "$tmp/events" | awk -v reason="$1" '
		{
			dport = ""
			for (i = 2; i <= NF; i++) {
				if ($i ~ /^ipv[46]$/)
					family = $i
				if ($i ~ /^dport=/ && dport == "")
					dport = substr($i, 7)
			}
		}
		$1 == "[NEW]" { print "ports udp", dport, "opened=1 unreplied=1" }
		$1 == "[DESTROY]" {
			print "ports udp", dport, "failed=1 unreplied=-1"
			print "ends", family, "udp -", reason, 1
		}' | expect
}

# spray COUNT PORT: datagrams to the server, from one port to each of so many
spray() { on "$CLIENT" "$TRAFFIC" spray "$1" 10.2.0.2 "$2" fd02::2 "$2"; }

# evicting COUNT PORT COMMAND: spray, and wait for the command. All that is missing
# then was evicted; how many the kernel counted is in $early_drop and $dropped.
evicting() {
	local line new destroyed early drop before
	timeouts 1000 || return
	line=$(wc -l <"$tmp/events") new=$(seen NEW) destroyed=$(seen DESTROY)
	early=$(value kernel_early_drop) drop=$(value kernel_drop)
	before=$(ct -C)
	spray "$1" "$2" && "$3" || return
	early=$(($(value kernel_early_drop) - early)) drop=$(($(value kernel_drop) - drop))
	evicted=$((before + 2 * $1 - drop - $(ct -C)))
	evictions="evicted $evicted: by early_drop $early, the rest by the gc; dropped $drop"
	echo "$evictions"
	early_drop=$early dropped=$drop
	wait_for 60 both_seen $((new + 2 * $1 - drop)) $((destroyed + evicted)) || {
		echo "events: NEW $(($(seen NEW) - new)), DESTROY $(($(seen DESTROY) - destroyed))"
		return 1
	}
	expect_from_events evicted "$line"
}

# Few buckets: next to where a new one belongs there always is another to be evicted.
evict() {
	echo 512 >"$HASHSIZE" && echo "$FULL" >"$MAX" || return
	evicting "$FLOWS" 10000 true &&
		((dropped == 0 && evicted == early_drop && evicted >= 2 * FLOWS - FULL - 10))
}

# Many buckets: there seldom is, and so the packet is dropped and the gc told. It
# evicts what is above 95%, and does not count it.
gc_has_run() { (($(ct -C) < FULL * 95 / 100)); }
wait_for_gc() { wait_for 150 gc_has_run; }
evict_by_gc() {
	echo 65536 >"$HASHSIZE" || return
	evicting "$LATE" 20000 wait_for_gc && ((dropped > 0 && evicted > early_drop))
}

flush_of_new() {
	local line new destroyed
	line=$(wc -l <"$tmp/events") new=$(seen NEW) destroyed=$(($(seen DESTROY) + $(ct -C)))
	ct -F && wait_for 60 both_seen "$new" "$destroyed" && expect_from_events deleted "$line"
}

# failed at insertion

clash() {
	on "$GATEWAY" nft -f - <<-RULES || return
	insert rule inet gateway prerouting ip daddr 10.2.0.2 udp dport 30000-$((30000 + CLASHES - 1)) dnat ip to 10.2.0.2:7
	insert rule inet gateway prerouting ip6 daddr fd02::2 udp dport 30000-$((30000 + CLASHES - 1)) dnat ip6 to [fd02::2]:7
	insert rule inet gateway postrouting udp dport 7 masquerade to :1000-1003
	RULES
	spray "$CLASHES" 30000 || return
	{ ct -L -f ipv4 -o extended && ct -L -f ipv6 -o extended; } >"$tmp/survivors" || return
	awk -v n="$CLASHES" '
		{
			for (i = 1; i <= NF; i++)
				if ($i ~ /^dport=/) {
					left[substr($i, 7)]++
					break
				}
			total[$1]++
		}
		END {
			for (port = 30000; port < 30000 + n; port++)
				print "ports udp", port, "opened=2 unreplied=" left[port] + 0, "failed=" 2 - left[port]
			print "summary insert_failed_udp", 2 * n - 8
			exit total["ipv4"] != 4 || total["ipv6"] != 4
		}' "$tmp/survivors" >"$tmp/clashes" || { cat "$tmp/survivors"; return 1; }
	expect <"$tmp/clashes"
}

# torn down with a namespace

torn_entries() {
	awk '
		function entries(n, a, b, l4proto, dport, rest) {
			while (n--) {
				sport++
				print "-A -t 900 -u", (rest ~ /EST/ ? "SEEN_REPLY,ASSURED" : "UNSET"), "-s", a, "-d", b, "-r", b, "-q", a, "-p", l4proto, "--sport", sport, "--dport", dport, "--reply-port-src", dport, "--reply-port-dst", sport, rest
			}
		}
		BEGIN {
			entries(7, "10.1.0.2", "10.2.0.2", "tcp", 80, "--state ESTABLISHED")
			entries(3, "10.1.0.2", "10.2.0.2", "tcp", 81, "--state SYN_SENT")
			entries(2, "fd01::2", "fd02::2", "tcp", 80, "--state ESTABLISHED")
			entries(5, "10.1.0.2", "10.2.0.2", "udp", 53, "")
			entries(4, "fd01::2", "fd02::2", "udp", 53, "")
		}'
}

netns_rows() {
	awk 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		$at["reason"] == "netns" { print $at["family"], $at["l4proto"], $at["state"], $at["count"] }' "$PROC/ends"
}
netns_difference() {
	netns_rows | awk 'NR == FNR { before[$1 " " $2 " " $3] = $4; next }
		{ n = $4 - before[$1 " " $2 " " $3]; if (n) print $1, $2, $3, n }' "$tmp/netns.before" - | sort >"$tmp/netns.rose"
}
netns_gone() { netns_difference && [ -s "$tmp/netns.rose" ]; }

# One is deleted before: that is not the namespace's end.
tear_down() {
	ip netns add "$TORN" && torn_entries >"$tmp/torn" && on "$TORN" conntrack -R "$tmp/torn" &&
		on "$TORN" conntrack -D -p tcp --orig-port-src 1 || return
	[ "$(on "$TORN" conntrack -C)" = 20 ] || return
	{ echo "x x x 0"; netns_rows; } >"$tmp/netns.before"
	ip netns del "$TORN" && wait_for 60 netns_gone || return
	diff -u --label expected - --label "what rose" "$tmp/netns.rose" <<-ROWS
	ipv4 tcp ESTABLISHED 6
	ipv4 tcp SYN_SENT 3
	ipv4 udp - 5
	ipv6 tcp ESTABLISHED 2
	ipv6 udp - 4
	ROWS
}

no_netns_in_gateway() { ! on "$GATEWAY" grep -w netns "$PROC/ends"; }

for ns in "$CLIENT" "$CLIENT2" "$SERVER" "$GATEWAY"; do
	silence "$ns" || skip_all "nft cannot filter"
done
# As in states.sh: a right checksum of UDP-Lite's is taken for a wrong one.
on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_checksum=0 net.netfilter.nf_conntrack_acct=0
timeouts 1000 || skip_all "no timeout can be set"

steps=20
for l4proto in sctp dccp; do
	if tracked "$l4proto"; then
		steps=$((steps + 1))
	else
		note "this kernel does not track $l4proto"
	fi
done
plan $((steps * STEP + 8))

expect <<-ROWS
path both tcp 7 - SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT
ends both tcp TIME_WAIT closed 7
ports tcp 80 opened=10 answered=10 closed=10
ports tcp 8080 opened=2 answered=2 closed=2
ports tcp 8081 opened=2 answered=2 closed=2
ROWS
step "closed, without accounting" play <<-CONNECTIONS
tcp all  >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ >fin=FIN_WAIT <ack=CLOSE_WAIT <fin=LAST_ACK | >ack=TIME_WAIT
tcp none >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ <fin=FIN_WAIT >ack=CLOSE_WAIT >fin=LAST_ACK | <ack=TIME_WAIT
CONNECTIONS

# From here on, until the module is loaded again
step "busy" busy

check "accounting on, and a listener" accounting

expect <<-ROWS
path both tcp 6 - SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT LAST_ACK TIME_WAIT
ends both tcp TIME_WAIT closed 6
ports tcp 80 opened=8 answered=8 closed=8
ports tcp 8080 opened=2 answered=2 closed=2
ports tcp 8081 opened=2 answered=2 closed=2
ROWS
step "closed" play <<-CONNECTIONS
tcp all  >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ >data <data >fin=FIN_WAIT <fin=LAST_ACK | >ack=TIME_WAIT
CONNECTIONS

expect <<-ROWS
path both tcp 7 - SYN_SENT CLOSE
ends both tcp CLOSE reset 7
ports tcp 80 opened=10 failed=10
ports tcp 8080 opened=2 failed=2
ports tcp 8081 opened=2 failed=2
ROWS
step "refused, and given up" play <<-CONNECTIONS
tcp all  >syn=SYN_SENT | <refuse=CLOSE!
tcp none >syn=SYN_SENT >syn | >rst=CLOSE!
CONNECTIONS

# A SYN that is answered makes no connection, yet.
expect <<-ROWS
path both tcp 6 - SYN_SENT
path both tcp 1 - SYN_SENT SYN_RECV
ends both tcp SYN_SENT timeout 6
ends both tcp SYN_RECV timeout 1
ports tcp 80 opened=10 failed=10
ports tcp 8080 opened=2 failed=2
ports tcp 8081 opened=2 failed=2
ROWS
step "silent" play <<-CONNECTIONS
tcp all  | >syn=SYN_SENT
tcp none >syn=SYN_SENT | <synack=SYN_RECV
CONNECTIONS

expect <<-ROWS
path both tcp 8 - SYN_SENT SYN_RECV ESTABLISHED CLOSE
ends both tcp CLOSE reset 8
ports tcp 80 opened=12 answered=12 closed=12
ports tcp 8080 opened=2 answered=2 closed=2
ports tcp 8081 opened=2 answered=2 closed=2
ROWS
step "reset" play <<-CONNECTIONS
tcp all  >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ >data <data | >rst=CLOSE
tcp none >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ >data <data | <rst=CLOSE
tcp none >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ >rst=CLOSE | <rst!
CONNECTIONS

# Picked up in the middle: established, if not answered.
expect <<-ROWS
path both tcp 6 - SYN_SENT SYN_RECV ESTABLISHED
path both tcp 2 - ESTABLISHED
ends both tcp ESTABLISHED timeout 8
ports tcp 80 opened=12 answered=12 closed=12
ports tcp 8080 opened=2 answered=2 closed=2
ports tcp 8081 opened=2 answered=2 closed=2
ROWS
step "established, left to expire" play <<-CONNECTIONS
tcp all  >syn=SYN_SENT <synack=SYN_RECV | >ack=ESTABLISHED+
tcp none | >ack=ESTABLISHED
tcp none >ack=ESTABLISHED | <ack
CONNECTIONS

expect <<-ROWS
path both tcp 1 - SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT LAST_ACK TIME_WAIT
path both tcp 1 - SYN_SENT SYN_RECV ESTABLISHED
path both tcp 1 - SYN_SENT SYN_RECV ESTABLISHED CLOSE
path both tcp 1 - SYN_SENT
ends both tcp TIME_WAIT closed 1
ends both tcp ESTABLISHED timeout 1
ends both tcp CLOSE reset 1
ends both tcp SYN_SENT timeout 1
ports tcp 80 opened=8 answered=6 closed=6 failed=2
ROWS
step "reopened" play <<-CONNECTIONS
tcp none >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ >fin=FIN_WAIT <fin=LAST_ACK >ack=TIME_WAIT >syn=SYN_SENT* <synack=SYN_RECV | >ack=ESTABLISHED+
tcp none >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ >rst=CLOSE | >syn=SYN_SENT*
CONNECTIONS

expect <<-ROWS
ends both udp - timeout 13
ends both udplite - timeout 2
ends ipv4 icmp - timeout 1
ends ipv6 icmpv6 - timeout 1
ends both gre - timeout 1
ends both other - timeout 1
ports udp 80 opened=18 answered=10 closed=10 failed=8
ports udp 8080 opened=4 answered=2 closed=2 failed=2
ports udp 8081 opened=4 answered=2 closed=2 failed=2
ports udplite 80 opened=4 answered=2 closed=2 failed=2
ROWS
step "udp and others" play <<-CONNECTIONS
udp all      >data | <data
udp none     >data <data | >data
udp all      | >data
udplite none >data | <data
udplite none | >data
icmp none    >echo | <echo
gre none     | >data
other none   | >data
CONNECTIONS

if tracked sctp; then
	expect <<-ROWS
	path both sctp 6 - CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED
	path both sctp 1 - CLOSED
	path both sctp 1 - HEARTBEAT_SENT
	ends both sctp ESTABLISHED timeout 6
	ends both sctp CLOSED timeout 1
	ends both sctp HEARTBEAT_SENT timeout 1
	ports sctp 80 opened=12 answered=8 closed=8 failed=4
	ports sctp 8080 opened=2 answered=2 closed=2
	ports sctp 8081 opened=2 answered=2 closed=2
	ROWS
	step "sctp" play <<-CONNECTIONS
	sctp all  >init=CLOSED <init_ack=COOKIE_WAIT >cookie_echo=COOKIE_ECHOED | <cookie_ack=ESTABLISHED+
	sctp none | >init=CLOSED
	sctp none | >heartbeat=HEARTBEAT_SENT
	CONNECTIONS
fi

# Unlike tcp's, a refusal is an answer: it is a reply.
if tracked dccp; then
	expect <<-ROWS
	ends both dccp OPEN timeout 6
	ends both dccp REQUEST reset 1
	ends both dccp REQUEST timeout 1
	ports dccp 80 opened=12 answered=10 closed=10 failed=2
	ports dccp 8080 opened=2 answered=2 closed=2
	ports dccp 8081 opened=2 answered=2 closed=2
	ROWS
	step "dccp" play <<-CONNECTIONS
	dccp all  >request=REQUEST <response=RESPOND >ack=PARTOPEN+ | <ack=OPEN
	dccp none >request=REQUEST | <reset!
	dccp none | >request=REQUEST
	CONNECTIONS
fi

expect <<-ROWS
path both tcp 6 - SYN_SENT SYN_RECV ESTABLISHED
path both tcp 1 - SYN_SENT
ports tcp 80 opened=10 answered=8 unreplied=2
ports tcp 8080 opened=2 answered=2
ports tcp 8081 opened=2 answered=2
ports udp 80 opened=10 answered=8 unreplied=2
ports udp 8080 opened=2 answered=2
ports udp 8081 opened=2 answered=2
ROWS
step "held" play_hold <<-CONNECTIONS
tcp all  >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+
tcp none >syn=SYN_SENT
udp all  >data <data
udp none >data
CONNECTIONS
peer_stop

expect <<-ROWS
ends both tcp ESTABLISHED deleted 1
ports tcp 8080 closed=2
ROWS
step "deleted" delete_some

expect <<-ROWS
ends both tcp ESTABLISHED deleted 5
ends both tcp SYN_SENT deleted 1
ends both udp - deleted 7
ports tcp 80 closed=8 failed=2 unreplied=-2
ports tcp 8081 closed=2
ports udp 80 closed=8 failed=2 unreplied=-2
ports udp 8080 closed=2
ports udp 8081 closed=2
ROWS
step "flushed" ct -F

check "entries from before the module is loaded" play_hold <<-CONNECTIONS
tcp all  >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ | >fin=FIN_WAIT
tcp none >syn=SYN_SENT <synack=SYN_RECV | >ack=ESTABLISHED+
tcp none >syn=SYN_SENT <synack=SYN_RECV >ack=ESTABLISHED+ >fin=FIN_WAIT <fin=LAST_ACK | >ack=TIME_WAIT
tcp none >syn=SYN_SENT
udp none >data <data
udp none >data | <data
tcp none | >syn=SYN_SENT
CONNECTIONS
reloaded() {
	reload && expect <<-ROWS
	ports tcp 80 adopted=14 unreplied=2
	ports tcp 8080 adopted=2
	ports tcp 8081 adopted=2
	ports udp 80 adopted=4 unreplied=2
	ROWS
}
step "unloaded and loaded" reloaded

expect <<-ROWS
path both tcp 6 ESTABLISHED FIN_WAIT
path both tcp 1 SYN_RECV ESTABLISHED
path both tcp 1 LAST_ACK TIME_WAIT
path both tcp 1 - SYN_SENT
ends both tcp FIN_WAIT timeout 6
ends both tcp ESTABLISHED timeout 1
ends both tcp TIME_WAIT closed 1
ends both tcp SYN_SENT timeout 1
ends both udp - timeout 1
ports tcp 80 opened=2 answered=2 closed=12 failed=2
ports tcp 8080 closed=2
ports tcp 8081 closed=2
ports udp 80 answered=2 closed=2 unreplied=-2
ROWS
step "older than the module, going on" play_end 4

expect <<-ROWS
ends both tcp SYN_SENT deleted 1
ends both udp - deleted 1
ports tcp 80 failed=2 unreplied=-2
ports udp 80 closed=2
ROWS
step "older than the module, flushed" ct -F

on "$CLIENT" nft delete table inet silence
step "evicted" evict
note "${evictions:-}"
step "evicted by the gc" evict_by_gc
note "${evictions:-}"
echo "$max" >"$MAX"
echo "$hashsize" >"$HASHSIZE"
step "flush after evictions" flush_of_new

step "SNAT without a free port" clash
step "flush after clashes" flush_of_new

check "the listener lost nothing" listener_sound
check "torn down with a namespace: the initial one has them" tear_down
check "torn down with a namespace: not in another" no_netns_in_gateway

check "audit finds nothing" audit_clean "$GATEWAY"
check "module as it was" module_restore
check "the kernel is clean" kernel_is_clean
finish
