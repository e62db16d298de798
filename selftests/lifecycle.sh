#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Load and unload, with thousands of entries in the table: first at a quiet
# moment, then 20 times while two CPUs make and end entries. Each time everything
# is exact, and no tag is left behind; not in entries, either, that the kernel keeps
# out of its table because a listener has no room for the event of their end, or because a
# connection that they expected is still there. Of those that are deleted meanwhile it is known why.
# Changes the size of the hash table, which is the machine's, and sets it back.
#
# Whether there are tags is read from the kernel's memory, without ctxstat:
# conntrack -L makes the kernel call nf_ct_get_id() for each entry, and a kprobe
# there records the entry's address and the word that holds the tag, and the same of its
# master, if it has one.

set -u
# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

LOADS=20
CHURN=300	# source ports: five times as many entries
TRACEFS=/sys/kernel/tracing
TRACE=$TRACEFS/instances/ctxstat_test

require pahole python3
modprobe -a nf_conntrack nf_conntrack_netlink nf_conntrack_ftp || skip_all "no connection tracking"
[ -e $TRACEFS/kprobe_events ] || skip_all "no kprobe events in $TRACEFS"

if module_loaded; then
	module_unload || skip_all "the ctxstat module is in use"
fi

deaf='' control=() flood='' buckets=''
cleanup_more() {
	[ -z "$deaf" ] || kill "$deaf" 2>/dev/null
	((${#control[@]} == 0)) || kill "${control[@]}" 2>/dev/null
	[ -z "$flood" ] || kill "$flood" 2>/dev/null
	rm -f "$tmp/deleting"
	buckets_restore
	traffic_end
	probe_remove
	module_restore
}

# offset MEMBER: of struct nf_conn, from the running kernel's type information, or, if it was
# built without, from what the compiler noted of its headers
offset() {
	if [ -e /sys/kernel/btf/vmlinux ]; then
		pahole -F btf --btf_base /sys/kernel/btf/vmlinux -C nf_conn /sys/kernel/btf/nf_conntrack
	else
		pahole -F dwarf -C nf_conn "$CTXSTAT_KO"
	fi |
		sed -n "s|.*\<$1; */\* *\([0-9]*\) *8 \*/.*|\1|p"
}

probe_add() {
	local status master
	status=$(offset status) && master=$(offset master) && [ -n "$status" ] && [ -n "$master" ] || return
	mkdir $TRACE && echo 8192 >$TRACE/buffer_size_kb &&
		echo "p:ctxstat_test/entry nf_ct_get_id master=+$master(\$arg1):x64 master_status=+$status(+$master(\$arg1)):x64" \
			"ct=\$arg1:x64 status=+$status(\$arg1):x64" \
			>>$TRACEFS/kprobe_events
}

probe_remove() {
	[ -d $TRACE ] || return 0
	echo 0 >$TRACE/events/ctxstat_test/enable
	rmdir $TRACE
	echo "-:ctxstat_test/entry" >>$TRACEFS/kprobe_events
} 2>/dev/null

# List the gateway's entries, or those of conntrack's list $1: $tmp/listed has their number,
# the trace a line for each that the kernel passed on the way, twice if it did not fit into a
# message.
list_words() {
	echo >$TRACE/trace
	echo 1 >$TRACE/events/ctxstat_test/enable
	if [ -n "${1:-}" ]; then
		on "$GATEWAY" conntrack -L "$1"
	else
		on "$GATEWAY" conntrack -L -f ipv4 && on "$GATEWAY" conntrack -L -f ipv6
	fi 2>/dev/null | wc -l >"$tmp/listed"
	echo 0 >$TRACE/events/ctxstat_test/enable
}

# All entries that were listed were seen, and are tagged or untagged. Bit 3 is set in
# every word: confirmed. If it is not, we look at the wrong place.
listed_words_are() {
	list_words "${2:-}"
	awk -v want="$1" -v listed="$(cat "$tmp/listed")" '
		$NF !~ /^status=0x/ { next }
		{ entry = $(NF - 1); word = substr($NF, 10) }
		!(entry in seen) { seen[entry]; entries++ }
		{ is = length(word) > 8 ? "tagged" : "untagged" }
		is != want || word !~ /[89a-f]$/ { if (++bad <= 10) print is ": entry", entry, "word", word }
		END {
			print listed, "entries listed,", entries, "seen,", bad + 0, "words wrong"
			exit bad || !entries || entries != listed
		}' $TRACE/trace >"$tmp/verdict"
}

# At a quiet moment. A tag does not go away by itself, so that looking again until
# the last packets have settled hides none.
all_words_are() {
	wait_for 10 listed_words_are "$@" || { cat "$tmp/verdict"; return 1; }
}

# A connection of FTP expects another one, which comes, and is then deleted itself. Its first
# line tells the kernel where lines end.
expected_without_master() {
	on "$GATEWAY" nft -f - <<-RULES || return
	table inet ftp {
		ct helper ftp { type "ftp" protocol tcp; }
		chain prerouting {
			type filter hook prerouting priority 0;
			tcp dport 21 ct helper set "ftp"
		}
	}
	RULES
	rm -f "$tmp/control"
	mkfifo "$tmp/control" || return
	ip netns exec "$CLIENT2" socat -u TCP-LISTEN:21,reuseaddr - >"$tmp/commands" 2>"$tmp/socat" &
	control=($!)
	wait_for 20 listens_at 21 || return
	ip netns exec "$CLIENT" socat -u - TCP:10.3.0.2:21 <"$tmp/control" 2>>"$tmp/socat" &
	control+=($!)
	exec {commands}>"$tmp/control"
	printf 'NOOP\r\n' >&"$commands"
	wait_for 20 grep -q NOOP "$tmp/commands" || return
	printf 'PORT 10,1,0,2,0,80\r\n' >&"$commands"
	wait_for 20 grep -q PORT "$tmp/commands" || return
	on "$GATEWAY" conntrack -L expect
	ready=$(grep -c ready "$tmp/traffic")
	traffic_in "$CLIENT2" hold 1 10.1.0.2 80
	control+=($!)
	wait_for 20 traffic_ready $((ready + 1)) && on "$GATEWAY" conntrack -D -p tcp --dport 21
}
listens_at() { on "$CLIENT2" ss -Hltn "sport = $1" | grep -q .; }

# master_is tagged|untagged: that of the one entry that has one
master_is() {
	list_words
	awk -v want="$1" '
		match($0, / master=0x[1-9a-f][0-9a-f]* master_status=0x[0-9a-f]+/) {
			split(substr($0, RSTART, RLENGTH), word, "=0x")
			print
			is = length(word[3]) > 8 ? "tagged" : "untagged"
			n++
			bad += is != want || word[3] !~ /[89a-f]$/
		}
		END { exit !n || bad }' $TRACE/trace
}
# What is expected goes, and its master with it.
both_gone() {
	exec {commands}>&-
	traffic_ended "${control[2]}"
	kill "${control[@]}" 2>/dev/null
	wait "${control[@]}" 2>/dev/null
	control=()
	on "$GATEWAY" nft delete table inet ftp
	on "$GATEWAY" conntrack -D -p tcp -s 10.3.0.2 >/dev/null && exact_and_audited "$GATEWAY"
}

# Entries that begin while somebody listens have events, and nobody takes those of their end.
end_undelivered() {
	ip netns exec "$GATEWAY" python3 "$here/lifecycle/deaf.py" >"$tmp/deaf" &
	deaf=$!
	wait_for 20 grep -q ready "$tmp/deaf" && on "$CLIENT" "$TRAFFIC" spray 300 10.3.0.2 30000 || return
	on "$GATEWAY" conntrack -D -d 10.3.0.2 >/dev/null
	dying=$(on "$GATEWAY" conntrack -L dying 2>/dev/null | wc -l)
	echo "$dying entries wait"
	((dying > 100))
}

# The kernel has them no longer; loaded meanwhile, they have not changed what is counted.
delivered() {
	kill "$deaf" && wait_for 30 none_dying && exact_and_audited "$GATEWAY" && reasons_known
}
none_dying() { [ "$(on "$GATEWAY" conntrack -L dying 2>/dev/null | wc -l)" = 0 ]; }

# While the module is loaded entries are deleted that it has not come to yet: why they ended is
# known all the same. A large table is walked for longer; and with an event to be told the
# kernel looks at an entry once more.
deleted_meanwhile() {
	local n status=0
	buckets=$(sysctl -n net.netfilter.nf_conntrack_buckets) &&
		sysctl -qw net.netfilter.nf_conntrack_buckets=1000000 &&
		on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_events=1 || return
	ip netns exec "$CLIENT" "$TRAFFIC" flood 3000 10.3.0.2 30000 &
	flood=$!
	: >"$tmp/deleting"
	while [ -e "$tmp/deleting" ]; do on "$GATEWAY" conntrack -D -d 10.3.0.2; done >/dev/null 2>&1 &
	for ((n = 0; n < 5; n++)); do
		! module_loaded || module_unload || status=1
		module_load && wait_for 20 some_deleted && reasons_known || status=1
	done
	kill $flood
	rm "$tmp/deleting"
	on "$GATEWAY" conntrack -F
	wait $flood $! 2>/dev/null
	flood=''
	traffic_pause
	buckets_restore && exact_and_audited "$GATEWAY" && accounted "$GATEWAY" && module_unload && return $status
}
some_deleted() { on "$GATEWAY" awk '$2 == "udp" && $4 == "deleted" { n = $5 } END { exit !n }' $PROC/ends; }
reasons_known() {
	on "$GATEWAY" awk '$1 == "ipv4" && $2 == "udp" { print; n += $4 == "other" } END { exit n }' $PROC/ends
}
buckets_restore() {
	[ -z "$buckets" ] || sysctl -qw net.netfilter.nf_conntrack_buckets="$buckets" && buckets=''
}

load_flowing() {
	module_load && traffic_flows 100
}

unload_flowing() {
	traffic_flows 100 && module_unload
}

# The table always has 3000 entries. Those that are not adopted have begun since the load did:
# some while the table was walked, on a slow machine.
adopted_sum() {
	on "$GATEWAY" cat $PROC/summary >"$tmp/summary" || return
	awk '{ print; v[$1] = $2 } END {
		exit v["entries"] != v["created"] + v["adopted"] - v["destroyed"] - v["insert_failed"] ||
		     v["entries"] != v["count"] || v["adopted"] + v["created"] < 3000 || !v["adopted"] }' "$tmp/summary"
}

# first_summary: what is said as soon as something is
first_summary() {
	on "$GATEWAY" sh -c 'until cat "$1"; do :; done 2>/dev/null' - $PROC/summary >"$tmp/first"
}

# At a quiet moment: all that existed, and nothing else happened; and whoever reads while the
# module is being loaded finds all or nothing.
adopted_all() {
	local count before reader
	count=$(on "$GATEWAY" conntrack -C)
	before=$(date +%s)
	first_summary &
	reader=$!
	module_load || { kill $reader; return 1; }
	wait $reader
	adopted_sum || return
	if ! grep -qx "adopted $count" "$tmp/first"; then
		echo "the first reading said: $(grep adopted "$tmp/first")"
		return 1
	fi
	awk -v count="$count" '{ v[$1] = $2 } END {
		exit v["adopted"] != count || v["created"] + v["destroyed"] + v["insert_failed"] }' "$tmp/summary" &&
		started_between $((before - 1)) "$(date +%s)"
}

# The kernel's coarse clock may be a tick behind.
started_between() {
	awk -v first="$1" -v last="$2" '$1 == "start_time" { print; ok = $2 >= first && $2 <= last }
		END { exit !ok }' "$tmp/summary"
}

table_full_enough() { [ "$(on "$GATEWAY" conntrack -C)" -ge $((1400 + 300 + 5 * CHURN - 100)) ]; }

plan $((7 + 8 + 8 + 5 * LOADS + 2))

traffic_up $CHURN
traffic_in "$CLIENT" hold 150 10.2.0.2 7 fd02::2 7
traffic_in "$CLIENT" spray 700 10.2.0.2 20000 fd02::2 20000
wait_for 60 traffic_ready 4 || skip_all "no traffic: $(<"$tmp/traffic")"
wait_for 60 table_full_enough || note "only $(on "$GATEWAY" conntrack -C) entries"
probe_add || skip_all "no probe can be set"

traffic_pause
check "quiet: not loaded yet, no entry is tagged" all_words_are untagged
check "quiet: load adopts each entry" adopted_all
check "quiet: every cell equals the listing" exact_and_audited "$GATEWAY"
check "quiet: the probe sees a tag in each entry" all_words_are tagged
check "quiet: unload" module_unload
check "quiet: unloaded, no entry is tagged" all_words_are untagged
check "quiet: unloaded, nothing else is left" nothing_left
check "undelivered: load" module_load
check "undelivered: the kernel keeps entries for their event" end_undelivered
check "undelivered: they are tagged" all_words_are tagged dying
check "undelivered: unload" module_unload
check "undelivered: unloaded, they are not tagged" all_words_are untagged dying
check "undelivered: load" module_load
check "undelivered: exact when they have gone" delivered
check "undelivered: unload" module_unload
check "expected: load" module_load
check "expected: the kernel keeps a deleted entry for one that it expected" expected_without_master
check "expected: it is tagged" master_is tagged
check "expected: unload" module_unload
check "expected: unloaded, it is not tagged" master_is untagged
check "expected: load" module_load
check "expected: exact when both have gone" both_gone
check "expected: unload" module_unload
traffic_go

for ((i = 1; i <= LOADS; i++)); do
	check "load $i: under traffic" load_flowing
	traffic_pause
	check "load $i: every cell equals the listing" exact_and_audited "$GATEWAY"
	check "load $i: what was adopted and created makes up the entries" adopted_sum
	traffic_go
	check "unload $i: under traffic" unload_flowing
	traffic_pause
	check "unload $i: no entry is tagged" all_words_are untagged
	traffic_go
done
check "deleted while it is loaded: why is known" deleted_meanwhile

check "the kernel is clean" kernel_is_clean
finish
