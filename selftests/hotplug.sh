#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# vm: --cpus 3
#
# CPUs that go offline and come back: each in turn, and all but one, under traffic that
# runs on them; while the module is loaded and unloaded; and while its files are read.
# Whenever the traffic pauses every cell and port is exact. What a CPU has counted
# stays when it is offline, ends elsewhere, and is bequeathed with its namespace: in
# states, ports, histograms and peaks, as the number of connections that were made.

set -u
# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

CPUS=/sys/devices/system/cpu
PARAMETERS=/sys/module/nf_conntrack/parameters
CHURN=60	# source ports: five times as many entries
ASKED=100	# over IPv4, and as many over IPv6: more at once would not fit into the server's queue
LOADS=2

require taskset
hot=()
for file in "$CPUS"/cpu[1-9]*/online; do
	[ ! -w "$file" ] || [ "$(<"$file")" != 1 ] || hot+=("$(tr -dc 0-9 <<<"${file#"$CPUS"}")")
done
((${#hot[@]})) || skip_all "no CPU can be switched off"
# More than make a second busy, and fewer than are asked for, whose peak is looked at
BUSY=$((2 * ASKED * (1 + ${#hot[@]}) - ASKED))
require_module

# New namespaces have timestamps.
timestamps=$(<$PARAMETERS/tstamp)
echo 1 >$PARAMETERS/tstamp

cleanup_more() {
	flip_end
	traffic_end
	switch_all 1 2>/dev/null
	echo "$timestamps" >$PARAMETERS/tstamp
	module_restore
}

switch() { echo "$2" >$CPUS/cpu"$1"/online; }
switch_all() {
	local cpu
	for cpu in "${hot[@]}"; do
		switch "$cpu" "$1" || return
	done
}

# The second generator runs on that CPU, and what it makes is counted there.
counts_on() {
	local before
	before=$(created_on "$1") && taskset -pc "$1" "${traffic_churning[1]}" &&
		wait_for 60 created_on_exceeds "$1" "$before"
}

# Both generators run, each on its CPU.
churns() {
	local before
	before=$(created_on "${hot[-1]}") && traffic_churn $CHURN && wait_for 60 created_on_exceeds "${hot[-1]}" "$before" &&
		traffic_flows 50
}

exact_after_traffic() {
	local status=0

	traffic_flows 50 || return
	traffic_pause
	exact_and_audited "$GATEWAY" || status=1
	traffic_go
	return $status
}

kept=0
offline_under_traffic() {
	counts_on "$1" && switch "$1" 0 && kept=$(created_on "$1") && ((kept))
}

# It is exact, and what the CPU counted is what it was.
offline_exact() {
	local now
	exact_after_traffic && now=$(created_on "$1") || return
	((now == kept)) || { echo "the CPU had counted $kept, and now $now"; return 1; }
}

online_under_traffic() { switch "$1" 1 && counts_on "$1"; }

reload_offline() {
	switch_all 0 && traffic_flows 20 && module_unload && module_load
}

# CPUs that go and come, and readers of all files, until flip_end; but not of audit, which mends
# what it finds
flip=''
flip_begin() {
	touch "$tmp/flipping"
	: >"$tmp/flips"
	: >"$tmp/readings"
	(
		on "$GATEWAY" sh -c 'while [ -e "$1/flipping" ]; do
			cat "$2"/[!a]* "$3" >/dev/null 2>&1 && echo >>"$1/readings"
		done' - "$tmp" $PROC $STAT &
		while [ -e "$tmp/flipping" ]; do
			for cpu in "${hot[@]}"; do
				switch "$cpu" 0 && switch "$cpu" 1 && echo >>"$tmp/flips"
			done
		done
		wait
	) &
	flip=$!
}
flip_end() {
	[ -n "$flip" ] || return 0
	rm -f "$tmp/flipping"
	wait "$flip"
	flip=
}
lines_reach() { [ "$(wc -l <"$1")" -ge "$2" ]; }
# So many more
flips() { wait_for 60 lines_reach "$tmp/flips" $(($(wc -l <"$tmp/flips") + $1)); }
readings() { wait_for 60 lines_reach "$tmp/readings" $(($(wc -l <"$tmp/readings") + $1)); }

flipping() { flips 4 && readings 2; }
flipping_reload() { module_unload && flips 2 && module_load && flipping; }

# So many connections at once that the ticker gives counters per CPU to the gateway, and to the ports
# about 9, on however slow a kernel; then they end.
busy=0
make_busy() {
	on "$GATEWAY" "$TRAFFIC" call $BUSY 127.0.0.1 9 && busy=$(on "$GATEWAY" conntrack -C) &&
		on "$GATEWAY" conntrack -F && ((busy >= BUSY))
}

# Connections none of which ends by itself, and each of which is answered. How many there
# are the kernel tells: some are from the same port as an earlier one.

asked=0
ask_on() {
	on "$CLIENT" "$TRAFFIC" -c "$1" ask $ASKED 10.2.0.2 7 fd02::2 7 &&
		asked=$(on "$GATEWAY" conntrack -C)
}

# Until the CPU counts in memory of its own, which the ticker gives it.
asked_and_counted_on() {
	local before i
	before=$(created_on "$1")
	for ((i = 0; i < 30 * patience; i++)); do
		ask_on "$1" || return
		! created_on_exceeds "$1" "$before" || return 0
	done
	echo "CPU $1 still counts $before"
	return 1
}

ask_on_each() {
	local cpu
	for cpu in 0 "${hot[@]}"; do
		switch_all 1 && asked_and_counted_on "$cpu" && switch_all 0 || return
	done
	# and so does the port
	(($(value port_memory) >= 3072 + 1024 * $(getconf _NPROCESSORS_CONF))) || { value port_memory; return 1; }
}

# numbers ENTRIES ENDED: in summary, ports and histograms, of those that were asked for
numbers() {
	on "$GATEWAY" sh -c 'cat "$1/summary" "$1/ports" "$1/histograms"' - $PROC >"$tmp/numbers" || return
	awk -v entries="$1" -v ended="$2" -v asked="$asked" -v busy="$busy" '
		function is(what, value, expected) {
			if (value != expected) { print what, "is", value, "instead of", expected; bad = 1 }
		}
		NF == 2 { summary[$1] = $2 }
		$1 == "udp" && $2 == 7 { port = $3 " " $4 " " $5 " " $6 " " $7 " " $8 }
		$1 == "udp" && $3 == "+Inf" { histogram[$2] = $4 }
		END {
			is("entries", summary["entries"], entries)
			is("count", summary["count"], entries)
			is("created", summary["created"], busy + asked)
			is("destroyed", summary["destroyed"], busy + ended)
			is("peak_entries", summary["peak_entries"], asked)
			is("port 7", port, entries " 0 " asked " " asked " " ended " 0")
			is("replies", histogram["reply"], asked)
			is("lifetimes", histogram["lifetime"], busy + ended)
			exit bad
		}' "$tmp/numbers"
}

asked_right() { numbers "$asked" 0 && exact_and_audited "$GATEWAY"; }
flush() { on "$GATEWAY" conntrack -F; }
flushed_right() { flush && numbers 0 "$asked" && exact_and_audited "$GATEWAY"; }
online_right() { switch_all 1 && numbers 0 "$asked" && exact_and_audited "$GATEWAY"; }

# What dying namespaces had
bequeathed() { awk '$4 == "netns" { sum += $5 } END { print sum + 0 }' $PROC/ends; }
bequeathed_is() { [ "$(bequeathed)" = "$1" ]; }
bequeathed_right() {
	local n before
	before=$(bequeathed)
	n=$(on "$GATEWAY" conntrack -C) && ((n > ASKED)) || return
	topology_down
	wait_for 30 bequeathed_is $((before + n)) && return
	echo "$before before, and $n are gone"
	cat $PROC/ends
	return 1
}

plan $((2 + 4 * ${#hot[@]} + 9 + 2 * LOADS + 10))
note "CPUs to be switched off: ${hot[*]}"
traffic_serve
timeouts 1000
check "a burst of connections, which makes it busy" make_busy
check "connections on two CPUs" churns

for cpu in "${hot[@]}"; do
	check "CPU $cpu: offline under traffic" offline_under_traffic "$cpu"
	check "CPU $cpu: exact without it, and what it counted stays" offline_exact "$cpu"
	check "CPU $cpu: online under traffic, and it counts" online_under_traffic "$cpu"
	check "CPU $cpu: exact with it" exact_after_traffic
done

check "one CPU is left" switch_all 0
check "one CPU is left: exact" exact_after_traffic
check "all others are offline: unload and load" reload_offline
check "all others are offline: exact" exact_after_traffic
check "loaded without them: they come online" switch_all 1
check "loaded without them: one that came counts" counts_on "${hot[-1]}"
check "loaded without them: exact" exact_after_traffic

flip_begin
check "CPUs go and come amid traffic and readers" flipping
check "CPUs go and come: exact" exact_after_traffic
for ((i = 1; i <= LOADS; i++)); do
	check "CPUs go and come: unload and load $i" flipping_reload
	check "CPUs go and come: exact" exact_after_traffic
done
flip_end

traffic_end
check "a new gateway" topology_up
module_unload
: >"$tmp/traffic"
traffic_in "$SERVER" serve 7
wait_for 20 traffic_ready 1
timeouts 1000
check "load" module_load
check "a burst of connections, which makes it busy" make_busy
check "connections on each CPU, which then goes offline" ask_on_each
note "$asked connections"
check "all CPUs but one are offline: every number is right" asked_right
check "all CPUs but one are offline: flushed, every number is right" flushed_right
check "all CPUs are online again: every number is right" online_right
check "the namespace goes: a connection on each CPU, which then goes offline" ask_on_each
check "the namespace goes: its entries end in the initial one" bequeathed_right
switch_all 1

check "the kernel is clean" kernel_is_clean
finish
