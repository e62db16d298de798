#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# How long entries live and wait for an answer: answers that are delayed on their
# way, and lifetimes that are known, are in the bucket where they belong, and only
# for entries that conntrack gives a timestamp. "conntrack -E" listens all the
# time: the lifetimes are, bucket by bucket, those of the events that it has seen.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

MANY=2000	# in a second: enough for counters per CPU

require tc
modprobe sch_netem 2>/dev/null || skip_all "no packet can be delayed: there is no sch_netem"
[ -x "$TRAFFIC" ] || skip_all "$TRAFFIC is not built: make -C selftests"
require_module

cleanup_more() {
	[ -z "${listener:-}" ] || kill "$listener" 2>/dev/null
	traffic_end
}

histograms() { on "$GATEWAY" cat $PROC/histograms; }
timestamps() { on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_timestamp="$1"; }
client() { on "$CLIENT" "$TRAFFIC" "$@"; }

# delay NAMESPACE MILLISECONDS: what it sends
delay() { tc -n "$1" qdisc replace dev eth0 root netem delay "$2ms" limit 20000; }

# neighbour NAMESPACE INTERFACE ADDRESS... OF NAMESPACE INTERFACE: nobody has to ask
# for it, as the answer would be delayed, too
neighbours() {
	local ns=$1 interface=$2 of=$3 address mac
	mac=$(ip -n "$of" -br link show "$4" | awk '{ print $3 }') || return
	shift 4
	for address; do
		ip -n "$ns" neigh replace "$address" lladdr "$mac" dev "$interface" nud permanent || return
	done
}

# The listener: the events' nanoseconds, which only XML shows

listener_ready() { on "$GATEWAY" awk '$2 == 12 && $4 !~ /^0*$/ { n++ } END { exit !n }' /proc/net/netlink; }
listener_lost() { on "$GATEWAY" awk '$2 == 12 { n += $9 } END { exit !n }' /proc/net/netlink; }

# The buffer's size is set from outside, as conntrack 1.4.7's own option (-b) sets it
# for another socket.
listener_start() {
	local rmem
	rmem=$(sysctl -n net.core.rmem_default) && sysctl -qw net.core.rmem_default=67108864 || return
	ip netns exec "$GATEWAY" conntrack -E -e DESTROY -o xml,ktimestamp \
		>"$tmp/events" 2>"$tmp/events.err" &
	listener=$!
	wait_for 10 listener_ready
	sysctl -qw net.core.rmem_default="$rmem"
	listener_ready
}

destroyed() { grep -c '<flow type="destroy">' "$tmp/events"; }
events_are() { [ "$(destroyed)" = "$1" ]; }
events_seen() {
	wait_for 30 events_are "$(value destroyed)" && ! listener_lost && return
	echo "$(destroyed) events, $(value destroyed) destroyed"
	cat "$tmp/events.err"
	return 1
}

# Histograms of lifetimes, as ctxstat shows them, of the events
lifetimes_of_events() {
	tr '<' '\n' <"$tmp/events" | awk -F'>' '
		/^flow / { name = start = stop = "" }
		/^layer4 / && name == "" { split($1, word, "\""); name = word[4] }
		/^start>/ { start = $2 }
		/^stop>/ { stop = $2 }
		/^\/flow>/ && start != "" && stop != "" {
			# More digits than awk can count with
			ns = (substr(stop, 1, length(stop) - 9) - substr(start, 1, length(start) - 9)) * 1000000000
			ns += substr(stop, length(stop) - 8) - substr(start, length(start) - 8)
			if (ns < 0)
				ns = 0
			ms[name] += int(ns / 1000000)
			n[name]++
			for (i = 0; i <= 20; i++)
				if (ns <= 2 ^ i * 1000000000)
					count[name, i]++
		}
		END {
			for (name in n) {
				for (i = 0; i <= 20; i++)
					print name, "lifetime", 2 ^ i, count[name, i] + 0, "-"
				print name, "lifetime", "+Inf", n[name], int(ms[name] / 1000)
			}
		}' | sort
}

lifetimes_exact() {
	events_seen || return
	lifetimes_of_events >"$tmp/lifetimes.events"
	histograms | awk '$2 == "lifetime" { line[NR] = $0; name[NR] = $1 }
		$2 == "lifetime" && $3 == "+Inf" { n[$1] = $4 }
		END { for (i in line) if (n[name[i]]) print line[i] }' | sort >"$tmp/lifetimes"
	[ -s "$tmp/lifetimes" ] &&
		diff -u --label events "$tmp/lifetimes.events" --label ctxstat "$tmp/lifetimes"
}

# One lifetime for each entry that has ended since timestamps are on.
lifetime_of_each_end() {
	{ on "$GATEWAY" cat $PROC/ends; echo; histograms; } | awk '
		NR == FNR { if (FNR > 1) before[$1] = $2; next }
		!NF { part = 1 }
		!part && $5 + 0 { ended[$2] += $5 }
		part && $2 == "lifetime" && $3 == "+Inf" { lifetimes[$1] = $4 }
		END {
			for (name in lifetimes) {
				want = ended[name] - before[name]
				total += want
				if (lifetimes[name] != want) {
					print name ":", lifetimes[name], "lifetimes,", want, "ends"
					bad = 1
				}
			}
			print total, "ends"
			exit bad || !total
		}' "$tmp/ended" -
}
ended() { on "$GATEWAY" awk 'BEGIN { print "l4proto ended" } NR > 1 { n[$2] += $5 } END { for (name in n) print name, n[name] }' $PROC/ends; }

# As documented, whatever is counted: all lines, in order, and counts that never fall.
well_formed() {
	histograms >"$tmp/histograms" || return
	awk '
		function complain(what) { print what ":", $0; bad = 1 }
		NR == 1 { if ($0 != "l4proto what le count sum") complain("header"); next }
		{
			if (NF != 5 || $4 !~ /^[0-9]+$/ || ($2 != "handshake" && $2 != "lifetime" && $2 != "reply") ||
			    ($2 == "handshake" && $1 != "tcp"))
				complain("line")
			if ($1 " " $2 != histogram) {
				if (le != 0)
					complain("the one before has not ended")
				histogram = $1 " " $2
				histograms++
				le = 1
				count = 0
			}
			if ($3 != (le > 1048576 ? "+Inf" : le ""))
				complain("bucket")
			if ($4 < count)
				complain("count falls")
			if ($3 == "+Inf" ? $5 !~ /^[0-9]+$/ : $5 != "-")
				complain("sum")
			count = $4
			le = $3 == "+Inf" ? 0 : le * 2
		}
		END { print histograms, "histograms"; exit bad || le != 0 || histograms < 17 || (NR - 1) != 22 * histograms }' "$tmp/histograms"
}

nothing_counted() {
	histograms | awk 'NR > 1 && ($4 || $5 + 0) { print; bad = 1 } END { exit bad || NR < 2 }'
}

# since_before L4PROTO WHAT LE N MINIMUM: since $tmp/before was made there are N more
# values, all in the bucket up to LE and none in the one below; MINIMUM is the least
# that each of them can be, in the sum's unit. Sums are rounded down, and conntrack's
# timeouts may be some milliseconds short: one less is right, too.
since_before() {
	histograms | awk -v l4proto="$1" -v what="$2" -v le="$3" -v n="$4" -v minimum="$5" '
		$1 != l4proto || $2 != what { next }
		NR == FNR { count[$3] = $4; sum[$3] = $5; next }
		{ more[$3] = $4 - count[$3]; of[$3] = $5 - sum[$3] }
		END {
			low = le / 2
			sum_of = of["+Inf"]
			printf "%s %s: %d values, %d up to %d, %d up to %d, sum %d\n", l4proto, what,
				more["+Inf"], more[low], low, more[le], le, sum_of
			exit !(n == more["+Inf"] && !more[low] && more[le] == n &&
			       sum_of >= n * minimum - 1 && sum_of <= n * le)
		}' "$tmp/before" -
}
before() { histograms >"$tmp/before"; }

# more_values L4PROTO WHAT N: since then, whatever they are
more_values() {
	histograms | awk -v l4proto="$1" -v what="$2" -v n="$3" '
		$1 == l4proto && $2 == what && $3 == "+Inf" { if (NR == FNR) was = $4; else is = $4 }
		END { print l4proto, what ": there were", was, "values, there are", is; exit is != was + n }' "$tmp/before" -
}
unchanged() {
	histograms | awk -v l4proto="$1" -v what="$2" '
		$1 != l4proto || $2 != what { next }
		NR == FNR { count[$3] = $4; next }
		$4 != count[$3] { print "was", count[$3] ":", $0; bad = 1 }
		END { exit bad }' "$tmp/before" -
}

# Three each of everything, IPv4 and IPv6; the answers come as they may.
connections() {
	client ask 3 10.2.0.2 7 fd02::2 7 && client ping 3 10.2.0.2 1 fd02::2 1 || return
	held=$(grep -c ready "$tmp/traffic")
	traffic_in "$CLIENT" hold 3 10.2.0.2 7 fd02::2 7
	wait_for 60 traffic_ready $((held + 1)) && return
	cat "$tmp/traffic"
	return 1
}

timestamp_is() { timestamps "$1" && [ "$(value timestamp)" = "$1" ]; }

flushed() { ct -F && [ "$(value entries)" = 0 ]; }

come_and_go() {
	local before
	before=$(value destroyed)
	connections && flushed && (($(value destroyed) >= before + 18))
}

# answers NAME DELAY LE REPLIES_OF_ICMP...: four checks of reply, one of handshake
answers() {
	local name=$1 le=$2 minimum=$3
	check "$name: connections are made" connections
	check "$name: reply of udp" since_before udp reply "$le" 6 "$minimum"
	check "$name: reply of icmp" since_before icmp reply "$le" 3 "$minimum"
	check "$name: reply of icmpv6" since_before icmpv6 reply "$le" 3 "$minimum"
	check "$name: reply of tcp" since_before tcp reply "$le" 6 "$minimum"
}
ANSWERS=5

# No answer but ICMP's, which belongs to the entry, but is no reply.
unanswered() {
	local unreplied
	before
	unreplied=$(states_of "$GATEWAY" | awk '$2 == "udp" { n += $5 } END { print n }')
	client spray 5 10.2.0.2 30000 fd02::2 30000 || return
	[ "$(states_of "$GATEWAY" | awk '$2 == "udp" { n += $5 } END { print n }')" = $((unreplied + 10)) ] &&
		unchanged udp reply
}

# A reset is a reply, but no handshake.
refused() {
	before
	client knock 5 10.2.0.2 30000 fd02::2 30000 || return
	wait_for 10 since_before tcp reply 2048 10 1100 || { since_before tcp reply 2048 10 1100; return 1; }
	unchanged tcp handshake
}

# How long entries live is known from their timeouts, and of tcp's from when they
# are deleted: when an entry of 11 s has expired.
expired() {
	ct -L >/dev/null 2>&1
	states_of "$GATEWAY" | awk -v l4proto="$1" '$2 == l4proto { n += $4 } END { exit n + 0 }'
}
live() {
	timeouts $((3 * patience)) 'udp_timeout*' && timeouts $((6 * patience)) 'icmp*_timeout' && before &&
		ct -I -p udplite -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t $((11 * patience)) &&
		connections && wait_for 30 expired udplite && expired udp && expired icmp && expired icmpv6 &&
		[ "$(value entries)" -ge 6 ] && flushed
}

# An entry keeps its timestamp when others get none any more, and the reverse.
neither_ends() {
	timestamps 0 && before && ct -F && more_values udplite lifetime 2 || return
	ct -I -p udplite -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 900 && timestamps 1 && before && ct -F &&
		unchanged udplite lifetime
}
keeps() {
	ct -I -p udplite -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 900 &&
		ct -I -p udplite -s fd01::2 -d fd02::2 --sport 1 --dport 2 -t 900
}

many() {
	local before_many
	before_many=$(value destroyed)
	client ask $((MANY / 8)) 10.2.0.2 7 fd02::2 7 10.2.0.2 7 fd02::2 7 10.2.0.2 7 fd02::2 7 10.2.0.2 7 fd02::2 7 || return
	flushed && [ $(($(value destroyed) - before_many)) = $MANY ]
}

topology_up || skip_all "no namespaces can be made"
: >"$tmp/traffic"
traffic_in "$SERVER" serve 7
wait_for 20 traffic_ready 1 || skip_all "no server: $(<"$tmp/traffic")"
{ neighbours "$GATEWAY" to-server "$SERVER" eth0 10.2.0.2 fd02::2 &&
  neighbours "$SERVER" eth0 "$GATEWAY" to-server 10.2.0.1 fd02::1 &&
  neighbours "$GATEWAY" to-client "$CLIENT" eth0 10.1.0.2 fd01::2 &&
  neighbours "$CLIENT" eth0 "$GATEWAY" to-client 10.1.0.1 fd01::1; } || skip_all "no neighbours can be set"
timeouts 600 '*_timeout*' || skip_all "no timeout can be set"
on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_events=1
listener_start || skip_all "nobody can listen to events"

plan $((5 + 3 * (ANSWERS + 1) + 2 + 2 + 6 + 3 + 6 + 2))

check "off: summary says so" timestamp_is 0
check "off: the file is well-formed" well_formed
check "off: connections come and go" come_and_go
check "off: none of them is counted" nothing_counted

check "on: summary says so" timestamp_is 1
ended >"$tmp/ended"

# Far below the bounds of buckets: a virtual CPU may have to wait for its turn for 400 ms.
delay "$SERVER" 1100 || skip_all "no packet can be delayed"
before
answers "1.1 s" 2048 1100
check "1.1 s: handshake" since_before tcp handshake 2048 6 1100
check "no answer: no reply" unanswered
check "refused: a reply, no handshake" refused

delay "$SERVER" 2200
before
answers "2.2 s" 4096 2200
check "2.2 s: handshake" since_before tcp handshake 4096 6 2200

delay "$SERVER" 1100
delay "$CLIENT" 1200
before
answers "1.1 s, then 1.2 s" 2048 1100
check "1.1 s, then 1.2 s: handshake" since_before tcp handshake 4096 6 2300
tc -n "$CLIENT" qdisc del dev eth0 root
tc -n "$SERVER" qdisc del dev eth0 root

check "all are deleted" flushed
check "lifetimes are those of the events" lifetimes_exact

# All times are $patience times as long: 2, 4, 8 and 16 s are bounds of buckets then, too.
check "entries of 3, 6, 11 and some more seconds" live
check "3 s" since_before udp lifetime $((4 * patience)) 6 $((3 * patience))
check "6 s" since_before icmp lifetime $((8 * patience)) 3 $((6 * patience))
check "6 s, icmpv6" since_before icmpv6 lifetime $((8 * patience)) 3 $((6 * patience))
check "11 s" since_before udplite lifetime $((16 * patience)) 1 $((11 * patience))
check "deleted after 11 s" since_before tcp lifetime $((16 * patience)) 6 $((11 * patience))

timeouts 600 '*_timeout*'
check "$MANY at once" many
check "$MANY at once: lifetimes are those of the events" lifetimes_exact
check "one lifetime for each entry that ended" lifetime_of_each_end
check "entries with timestamps" keeps
check "switched off, and on: each entry keeps what it began with" neither_ends
check "lifetimes are still those of the events" lifetimes_exact
check "the file is still well-formed" well_formed
check "every cell is exact" exact "$GATEWAY"
note "$(grep -v ' 0 -$\| 0 0$' "$tmp/histograms" | grep +Inf)"

traffic_end
check "audit finds nothing" audit_clean "$GATEWAY"
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
