#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lnstat, of iproute2, reads /proc/net/stat/ctxstat: the file keeps to its format,
# its keys have summary's values and the rates are right, in the initial network
# namespace and another, before and after that one has counters per CPU. All other
# files of the directory are read as before.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

# More than twice the events in a second that give a namespace counters per CPU
# (CTXSTAT_BUSY_EVENTS), as a flush may fall into two of them
BUSY=1000

require lnstat taskset stdbuf
topology_up || skip_all "no namespaces can be made"

# here NAMESPACE COMMAND...: - is the initial one
here() {
	local ns=$1
	shift
	if [ "$ns" = - ]; then "$@"; else on "$ns" "$@"; fi
}

# lnstat's exit status says nothing
dump() { here "$1" lnstat -d; }

if [ -z "$loaded_before" ]; then
	modprobe nf_conntrack
	dump - >"$tmp/dump.initial"
	dump "$GATEWAY" >"$tmp/dump.gateway"
fi
require_module
for ns in initial gateway; do
	# without ctxstat's part
	[ -s "$tmp/dump.$ns" ] && continue
	file=$GATEWAY
	[ $ns = gateway ] || file=-
	dump "$file" | awk '/:$/ { ours = /\/ctxstat:$/ } !ours' >"$tmp/dump.$ns"
done

inserted=0
# insert NAMESPACE NUMBER [CPU]: entries
insert() {
	awk -v i="$inserted" -v n="$2" 'BEGIN { for (n += i; i < n; i++)
		print "-A -t 900 -u SEEN_REPLY -s 192.0.2.1 -d 192.0.2.2 -r 192.0.2.2 -q 192.0.2.1 -p tcp --sport", i + 1, "--dport 9 --reply-port-src 9 --reply-port-dst", i + 1, "--state SYN_RECV" }' >"$tmp/restore"
	inserted=$((inserted + $2))
	here "$1" taskset -c "${3:-$first_cpu}" conntrack -R "$tmp/restore"
}

change() {
	here "$1" conntrack -U -p tcp -s 192.0.2.1 -d 192.0.2.2 --sport "$2" --dport 9 --state ESTABLISHED
}
delete() {
	here "$1" conntrack -D -p tcp -s 192.0.2.1 -d 192.0.2.2 --sport "$2" --dport 9
}
# Its reply tuple is that of the first entry.
refused_one() {
	! here "$1" conntrack -I -p tcp -s 192.0.2.3 -d 192.0.2.2 --sport 1 --dport 9 -t 900 --state SYN_RECV \
		-r 192.0.2.2 -q 192.0.2.1 --reply-port-src 9 --reply-port-dst 1
}
delete_all() { here "$1" conntrack -D -s 192.0.2.1 -d 192.0.2.2 >/dev/null; }

# possible: first-last or single ones, separated by commas
possible=$(cat /sys/devices/system/cpu/possible)
cpus=$(awk -v RS=, '{ n += split($1, range, "-") == 2 ? range[2] - range[1] + 1 : 1 } END { print n }' <<<"$possible")
online=$(cat /sys/devices/system/cpu/online)
first_cpu=${online%%[-,]*} last_cpu=${online##*[-,]}

# The file itself
formatted() {
	here "$1" cat "$STAT" | awk -v cpus="$cpus" '
		function bad(why) { print why ": " $0; wrong = 1 }
		length >= 1022 { bad("long line") }
		NR == 1 {
			columns = NF
			if (NF < 6 || NF > 32) bad(NF " columns")
			if ($1 != "entries") bad("column one is no gauge")
			for (i = 1; i <= NF; i++)
				if (length($i) > 32 || $i !~ /^[a-zA-Z_][a-zA-Z0-9_]*$/ || $i in names) bad("name " $i)
				else names[$i] = 1
			next
		}
		NF != columns { bad(NF " fields") }
		NR > 2 && $1 != entries { bad("gauge differs") }
		{ entries = $1; for (i = 1; i <= NF; i++) if ($i !~ /^[0-9a-f]+$/) bad("field " i) }
		END { if (NR != 1 + cpus) { print NR " lines for " cpus " CPUs"; wrong = 1 } exit wrong }'
}

# key value per line, as lnstat shows them: its first interval starts at zero
shown() {
	here "$1" lnstat -f ctxstat -j -c 1 -i 1 | tr '{,' '\n' | sed -n 's/^"\(.*\)":\([0-9-]*\)}*$/\1 \2/p'
}

# The same from summary, and from states what summary lacks
summarized() {
	{ here "$1" cat "$PROC/summary" && here "$1" cat "$PROC/states"; } | awk '
		/^(entries|created|adopted|destroyed|insert_failed) / { value[$1] = $2; print }
		$1 ~ /^ipv/ { entered += $9 }
		END { print "transitions", entered - value["created"] - value["adopted"] }'
}

agrees() {
	shown "$1" | sort >"$tmp/shown"
	summarized "$1" | sort >"$tmp/summarized"
	cat "$tmp/shown"
	[ "$(wc -l <"$tmp/shown")" = 6 ] && diff -u --label summary "$tmp/summarized" --label lnstat "$tmp/shown"
}

# agrees_at NAMESPACE KEY VALUE...: and so many
agrees_at() {
	agrees "$1" || return
	shift
	while (($#)); do
		grep -qx "$1 $2" "$tmp/shown" || { echo "$1 is not $2"; return 1; }
		shift 2
	done
}

keys_listed() {
	dump "$1" | awk '/:$/ { ours = /\/ctxstat:$/; next } ours { print $2 }' >"$tmp/keys"
	here "$1" head -n 1 "$STAT" | tr ' ' '\n' | diff -u - "$tmp/keys"
}

key_shown() {
	local shown
	shown=$(here "$1" lnstat -k ctxstat:entries,ctxstat:created -c 1 -i 1 -s 0 | tr -d ' ')
	echo "$shown"
	[ "$shown" = "$(summary_at "$1" entries)|$(summary_at "$1" created)|" ]
}
summary_at() { here "$1" awk -v key="$2" '$1 == key { print $2 }' "$PROC/summary"; }

# 40 come within an interval of 4 s: 10 per second
lines() { [ "$(wc -l <"$tmp/rates")" -ge "$1" ]; }
rates() {
	local lnstat before
	before=$(summary_at "$1" entries)
	here "$1" stdbuf -oL lnstat -f ctxstat -k created,entries -c 2 -i 4 -s 0 >"$tmp/rates" &
	lnstat=$!
	wait_for 5 lines 1 && insert "$1" 40 && wait_for 10 lines 2
	wait "$lnstat"
	cat "$tmp/rates"
	tr -d ' ' <"$tmp/rates" | tail -n 1 | grep -qx "10|$((before + 40))|"
}

# others_listed NAMESPACE NAME: as without us
others_listed() {
	dump "$1" | awk '/:$/ { ours = /\/ctxstat:$/ } !ours' | diff -u "$tmp/dump.$2" -
}
others_read() {
	local file n=0 columns
	for file in $(here "$1" ls /proc/net/stat); do
		columns=$(here "$1" head -n 1 "/proc/net/stat/$file" | wc -w)
		here "$1" lnstat -f "$file" -j -c 1 -i 1 >"$tmp/other"
		echo "$file, $columns columns: $(cat "$tmp/other")"
		[ "$(tr ',' '\n' <"$tmp/other" | grep -c '":[0-9]')" = "$columns" ] || return
		n=$((n + 1))
	done
	((n >= 3))
}
all_read() {
	local total
	total=$(here "$1" sh -c 'head -qn 1 /proc/net/stat/* | wc -w')
	here "$1" lnstat -j -c 1 -i 1 >"$tmp/all"
	[ "$(tr ',' '\n' <"$tmp/all" | grep -c '":[0-9]')" = "$total" ]
}

# A column of the last CPU's line
last_line() { here "$1" tail -n 1 "$STAT" | awk '{ print $2 }'; }
counted_per_cpu() {
	insert "$1" 10 "$last_cpu" && [ "$(last_line "$1")" != 00000000 ]
}

everything() {
	check "$2: formatted as lnstat wants it" formatted "$1"
	check "$2: lnstat lists the keys" keys_listed "$1"
	check "$2: lnstat shows what summary does" agrees "$1"
	check "$2: lnstat shows single keys" key_shown "$1"
	check "$2: lnstat lists the other files as before" others_listed "$1" "$3"
	check "$2: lnstat reads each file" others_read "$1"
	check "$2: lnstat reads all files" all_read "$1"
}
EVERYTHING=7

cleanup_more() { delete_all - 2>/dev/null; }

plan $((4 * EVERYTHING + 16))

everything - "initial namespace" initial
before=$(summary_at - created)
check "initial namespace: entries come" insert - 20
check "initial namespace: lnstat shows them" agrees_at - created $((before + 20))
check "initial namespace: they go" delete_all -

everything "$GATEWAY" "idle" gateway
inserted=0
check "idle: entries come" insert "$GATEWAY" 100
check "idle: one changes" change "$GATEWAY" 1
check "idle: one goes" delete "$GATEWAY" 2
check "idle: one whose reply tuple is in use is refused" refused_one "$GATEWAY"
check "idle: lnstat shows it" agrees_at "$GATEWAY" entries 99 created 101 destroyed 1 insert_failed 1 transitions 1 adopted 0
check "idle: lnstat shows rates" rates "$GATEWAY"
everything "$GATEWAY" "not idle" gateway

check "busy: entries come" insert "$GATEWAY" "$BUSY"
check "busy: all go at once" on "$GATEWAY" conntrack -F
if [ "$first_cpu" != "$last_cpu" ]; then
	check "busy: each CPU counts on its line" wait_for 10 counted_per_cpu "$GATEWAY"
else
	check "busy: each CPU counts on its line # SKIP one CPU" true
fi
everything "$GATEWAY" "busy" gateway
check "busy: lnstat shows rates" rates "$GATEWAY"
check "busy: exact" exact "$GATEWAY"
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
