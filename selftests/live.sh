#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The tool on a live gateway: what it shows is what conntrack-tools list, for whom it
# shows it, what it says when something is wrong, and that a module that is loaded anew
# between two readings never looks like a rate.
#
# Changes nf_conntrack_max, which is the machine's, and sets it back.
#
# CTXSTAT=PROGRAM tests that one instead of tools/ctxstat.
# shellcheck disable=SC2154 # $here and $tmp are set by lib.sh

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

MAX=/proc/sys/net/netfilter/nf_conntrack_max
NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all)

require_module
require jq setpriv python3
[ -w "$MAX" ] || skip_all "must be run in the initial network namespace"
CTXSTAT=${CTXSTAT:-$here/../tools/ctxstat}
copy_tool "$tmp" || skip_all "tools/ctxstat is not built"
chmod 755 "$tmp"
max=$(cat "$MAX")
watch=

cleanup_more() {
	[ -z "$watch" ] || kill "$watch" 2>/dev/null
	traffic_end
	echo "$max" >"$MAX"
	module_restore
}

ctxstat() { on "$GATEWAY" "$tmp/ctxstat" "$@"; }

# fails CODE PATTERN COMMAND...: one line on stderr
fails() {
	local want=$1 pattern=$2 code
	shift 2
	"$@" >"$tmp/out" 2>"$tmp/err"
	code=$?
	cat "$tmp/out" "$tmp/err"
	[ "$code" = "$want" ] && [ "$(wc -l <"$tmp/err")" = 1 ] && grep -qe "$pattern" "$tmp/err"
}

# says PATTERN ARGUMENT...: on the tool's standard output, whatever it exits with
says() {
	local pattern=$1
	shift
	ctxstat "$@" >"$tmp/out"
	cat "$tmp/out"
	grep -qe "$pattern" "$tmp/out"
}

# It says something, but not that.
says_not() { ! says "$@" && grep -q '^entries ' "$tmp/out"; }

# what is listed, in all formats

states_json() {
	ctxstat states --format=json | jq -r '.rows[] | select(.entries > 0) |
		[.family, .l4proto, .state // "-", .entries, .unreplied, .assured, .snat, .dnat] | join(" ")' |
		sort >"$tmp/json"
	exact "$GATEWAY" && diff -u "$tmp/truth" "$tmp/json"
}

ports_csv() {
	ctxstat ports --format=csv | python3 -c '
import csv, sys
for row in csv.DictReader(sys.stdin):
    if row["entries"] != "0":
        print(row["l4proto"], row["port"], row["entries"], row["unreplied"])' | sort >"$tmp/csv"
	exact "$GATEWAY" && diff -u "$tmp/truth.ports" "$tmp/csv"
}

# Not a terminal: exact numbers, all columns
states_table() {
	ctxstat states | awk 'NR > 1 && $1 != "total" && $4 { print $1, $2, $3, $4, $5, $6, $7, $8 }' |
		sort >"$tmp/table"
	exact "$GATEWAY" && diff -u "$tmp/truth" "$tmp/table"
}

screen() {
	local count
	exact "$GATEWAY" || return
	count=$(ct -C)
	says "^entries .* $count of $max\$" &&
		grep -q '^new  *0 per second, ended 0$' "$tmp/out" &&
		grep -q "^total  *- .* $count " "$tmp/out"
}

from_outside() {
	"$tmp/ctxstat" states --netns="$GATEWAY" >"$tmp/outside" &&
		ctxstat states >"$tmp/inside" && cmp "$tmp/outside" "$tmp/inside" &&
		grep -q '^total .* [1-9]' "$tmp/inside"
}

# The exporter listens out here, and shows what is in there.
exporter_outside() {
	local port
	ip link set lo up
	"$tmp/ctxstat" exporter --listen=127.0.0.1:0 --netns="$GATEWAY" 2>"$tmp/exporter" &
	watch=$!
	wait_for 20 grep -q 'listening on' "$tmp/exporter" || return
	port=$(sed -n 's|.*127.0.0.1:\([0-9]*\)/metrics.*|\1|p' "$tmp/exporter")
	exact "$GATEWAY" && python3 -c 'import sys, urllib.request
sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())' "http://127.0.0.1:$port/metrics" >"$tmp/metrics" || return
	kill "$watch" && wait "$watch" && watch= || return
	cat "$tmp/exporter"
	[ "$(awk '/^ctxstat_kernel_entries / { print $2 }' "$tmp/metrics")" = "$(ct -C)" ]
}

unprivileged() {
	on "$GATEWAY" "${NOBODY[@]}" "$tmp/ctxstat" states >"$tmp/nobody" &&
		ctxstat states >"$tmp/root" && cmp "$tmp/nobody" "$tmp/root"
}

# rates

# What a watch wrote so far, without the header
lines() { tail -n +2 "$tmp/watch"; }
watched() { [ "$(lines | wc -l)" -ge "$1" ]; }

# watch_start ARGUMENT...
watch_start() {
	: >"$tmp/watch"
	ip netns exec "$GATEWAY" "$tmp/ctxstat" watch --format=csv "$@" >"$tmp/watch" 2>"$tmp/watch.err" &
	watch=$!
	wait_for 20 watched 1
}

watch_stop() {
	kill -TERM "$watch" && wait "$watch" && watch=
}

# 600 new entries between two readings about a second apart, or three
watch_counts() {
	watch_start --interval=1 || return
	on "$CLIENT" "$TRAFFIC" spray 600 10.2.0.2 20000 || return
	wait_for 20 watched $(($(lines | wc -l) + 2)) && watch_stop || return
	cat "$tmp/watch" "$tmp/watch.err"
	lines | awk -F, 'NR == 1 && ($3 != "" || $4 != "") { bad = 1 }
		NR > 1 && $3 == "" { bad = 1 }
		{ sum += $3 } END { exit bad || sum < 400 || sum > 800 }'
}

watch_quiet() {
	local count
	exact "$GATEWAY" || return
	count=$(ct -C)
	ctxstat watch -n 0.5 -c 3 --format=csv >"$tmp/watch" || return
	cat "$tmp/watch"
	lines | awk -F, -v count="$count" '$2 != count { bad = 1 }
		NR > 1 && $3 $4 $8 $9 != "0.0000.0000.0000.000" { bad = 1 }
		END { exit bad || NR != 3 }'
}

# The module goes and comes back, while entries begin and end and there are some to
# adopt. Rates before tell what is not absurd.
watch_reload() {
	local n
	traffic_flows 300 && watch_start --interval=0.5 && wait_for 30 watched 5 || return
	n=$(lines | wc -l)
	module_unload || return
	wait_for 30 watched $((n + 2)) && module_load || return
	n=$(lines | wc -l)
	wait_for 30 watched $((n + 4)) && watch_stop || return
	cat "$tmp/watch" "$tmp/watch.err"
	[ "$(wc -l <"$tmp/watch.err")" = 1 ] && grep -q 'is the module loaded?' "$tmp/watch.err" || return
	lines | awk -F, '
		/-/ { bad = 1; print "negative:", $0 }
		NF != 9 { bad = 1; print "fields:", $0 }
		$2 == "" { gap++; next }
		!gap && $3 > most { most = $3 }
		gap && $3 != "" { after++; if ($3 > 5 * most + 100) { bad = 1; print "absurd:", $0 } }
		gap && $2 < 500 { bad = 1; print "adopted too few:", $0 }
		END { exit bad || !gap || !most || after < 2 }'
}

case $(uname -m) in
aarch64) nanosleep=115 ;;
*) nanosleep=230 ;;
esac

# Loaded anew between the two readings of one screen: nothing is known of the time between
screen_reload() {
	ip netns exec "$GATEWAY" "$tmp/ctxstat" --interval=$((20 * patience)) >"$tmp/out" 2>&1 &
	watch=$!
	# The first reading is over when the process sleeps in clock_nanosleep().
	wait_for 20 grep -q "^$nanosleep " "/proc/$watch/syscall" && module_unload && module_load || return
	wait "$watch" || return
	watch=
	cat "$tmp/out"
	grep -q '^new  *- per second, ended -$' "$tmp/out"
}

# what is wrong

# unanswered COUNT: entries at port 9999 that nobody has answered, and a third as many that are
unanswered() {
	awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) {
		flag = i % 4 ? "" : "-u SEEN_REPLY"
		print "-A -t 900 -p udp -s 10.1.0.2 -d 10.2.0.2 --sport", i, "--dport 9999 -r 10.2.0.2 -q 10.1.0.2 --reply-port-src 9999 --reply-port-dst", i, flag }
	}' >"$tmp/unanswered"
	ct -R "$tmp/unanswered"
}

check_says() { # CODE PATTERN ARGUMENT...
	local want=$1 pattern=$2 code
	shift 2
	ctxstat check "$@" >"$tmp/out"
	code=$?
	cat "$tmp/out"
	[ "$code" = "$want" ] && grep -qe "$pattern" "$tmp/out"
}

filled() {
	local count
	count=$(ct -C)
	echo $((count * 100 / 85)) >"$MAX"
	says 'wrong .*the table is 8[45] % full' && check_says 1 '^CTXSTAT WARNING - .*(8[45]\.[0-9] %)' || return
	echo $((count + 1)) >"$MAX"
	says 'wrong .*the table is [19][0-9]* % full' && check_says 2 '^CTXSTAT CRITICAL - '
}

evicting() {
	echo 500 >"$MAX"
	traffic_in "$CLIENT" flood 3000 10.2.0.2 30000
	wait_for 20 says 'per second are evicted for new ones' --interval=1 &&
		grep -q 'packets per second are dropped' "$tmp/out" &&
		wait_for 20 check_says 2 'CRITICAL - .*evictions per second' --warning=100% --critical=100% --evicted=0,0
}

# Four ports for many, as in pressure.sh
inserts_fail() {
	on "$GATEWAY" nft -f - <<-RULES || return
	insert rule inet gateway prerouting udp dport 30000-32999 dnat ip to 10.2.0.2:7
	insert rule inet gateway postrouting udp dport 7 masquerade to :1000-1003
	RULES
	ct -F && traffic_in "$CLIENT" flood 1000 10.2.0.2 30000
	wait_for 20 says 'connections per second cannot be inserted' --interval=1 &&
		wait_for 20 check_says 1 'WARNING - .*failed inserts per second' --insert-failed=1
}

topology_up && silent_server || skip_all "no namespaces can be made"
timeouts 900 || skip_all "no timeout can be set"
plan 26

on "$CLIENT" "$TRAFFIC" spray 300 10.2.0.2 10000 fd02::2 10000
on "$CLIENT" "$TRAFFIC" knock 100 10.2.0.2 500
check "states as a table are the kernel's listing" states_table
check "states as JSON are the kernel's listing" states_json
check "ports as CSV are the kernel's listing" ports_csv
check "the screen without a subcommand" screen
check "from another namespace, by name" from_outside
check "the exporter of another namespace" exporter_outside
check "without any privilege" unprivileged
check "audit needs root" fails 3 'only root may read it' on "$GATEWAY" "${NOBODY[@]}" "$tmp/ctxstat" audit
check "audit agrees" says 'Every counter agrees with the table' audit
check "a namespace may not be entered without the privilege" \
	fails 3 "\"$GATEWAY\": permission denied; .*CAP_SYS_ADMIN" "${NOBODY[@]}" "$tmp/ctxstat" --netns="$GATEWAY"
check "no such namespace" fails 3 'no network namespace "nowhere"' "$tmp/ctxstat" --netns=nowhere

check "watch: nothing moves" watch_quiet
check "watch: 600 new entries" watch_counts
ct -F
check "unreplied share" eval 'on "$CLIENT" "$TRAFFIC" spray 1500 10.2.0.2 10000 &&
	says "% of all entries have had no reply"'
ct -F
check "nothing is wrong" says '^wrong  *nothing to be seen'
check "unanswered port" eval 'unanswered 200 && says "udp port 9999 is mostly unanswered: 75 % of its 200 entries"'
check "unanswered port: check" check_says 1 'WARNING - udp port 9999 75.0 % unanswered' --unanswered=70,80
check "a full table" filled
echo "$max" >"$MAX"
check "room again" says_not 'the table is'
check "evictions" evicting
traffic_end
echo "$max" >"$MAX"
check "inserts that fail" inserts_fail
traffic_end

check "exact after all that" exact "$GATEWAY"
check "traffic" traffic_up 300
check "watch: the module is loaded anew" watch_reload
check "one screen: the module is loaded anew" screen_reload
traffic_end
check "kernel log is clean" kernel_is_clean
finish
