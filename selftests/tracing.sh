#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's tracers next to ctxstat, which is one itself: everything stays exact
# under the function and function_graph tracers and with kprobes on the functions
# that ctxstat traces; the module can be loaded and unloaded meanwhile. Where
# function tracing is switched off, loading is refused in plain words; while the
# module is loaded, switching it off is.

set -u
# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

CHURN=50	# few: with every function traced, a packet takes its time
TRACEFS=/sys/kernel/tracing

[ -e $TRACEFS/current_tracer ] || skip_all "no tracefs in $TRACEFS"
for tracer in function function_graph; do
	grep -qw $tracer $TRACEFS/available_tracers || skip_all "this kernel has no $tracer tracer"
done

# The first load also makes the kernel say that the module is out of tree.
require_module
cleanup_more() {
	traffic_end
	tracer nop
	echo >$TRACEFS/set_ftrace_filter
	probes_remove
	sysctl -qw kernel.ftrace_enabled=1
	module_restore
}

tracer() { echo "$1" >$TRACEFS/current_tracer; }
tracer_is() { [ "$(cat $TRACEFS/current_tracer)" = "$1" ]; }

# Something was traced just now.
tracer_runs() {
	tracer_is "$1" && grep -q -m 1 -v '^#' $TRACEFS/trace
}

# Entries begin, end and move; then, when all is quiet, everything is exact.
exact_after_traffic() {
	local status=0

	traffic_flows 50 || return
	[ -n "$hidden" ] || wait_for 60 replaced || { echo "no connection has made room for another"; return 1; }
	traffic_pause
	exact "$GATEWAY" && audit_clean "$GATEWAY" && { [ -n "$hidden" ] || reasons_known; } || status=1
	traffic_go
	return $status
}

# The traffic's TCP connections make room for others from the same port: who calls
# nf_ct_delete() then is told by the address that it returns to, which tracers change.
replaced() {
	on "$GATEWAY" awk '
		$2 == "tcp" && $4 ~ /^(closed|reset)$/ { n += $5 }
		END { exit !n }' $PROC/ends
}

reasons_known() {
	on "$GATEWAY" awk '$2 == "tcp" { print } $2 == "tcp" && $4 == "other" { bad = 1 } END { exit bad }' $PROC/ends &&
		replaced
}

# On arm64 a probe at the return has changed that address before ctxstat sees it.
hidden=

reload() { module_unload && module_load; }

# new_ports FIRST: nobody answers there
new_ports() {
	local overflow status=0
	overflow=$(value port_overflow)
	traffic_pause
	on "$CLIENT" "$TRAFFIC" spray 20 10.2.0.2 "$1" && exact_traced "$GATEWAY" || status=1
	overflow=$(($(value port_overflow) - overflow))
	traffic_go
	echo "$overflow were not in ports"
	if realtime; then ((overflow == 20)); else ((overflow == 0)); fi && return $status
}

# What ctxstat has said since log_mark
log_mark() { echo "selftest mark $((++mark)) of $$" >/dev/kmsg; }
log_since() { dmesg | sed "1,/selftest mark $mark of $$\$/d" | grep 'ctxstat: '; }
mark=0

ftrace_is() { [ "$(cat /proc/sys/kernel/ftrace_enabled)" = "$1" ]; }
ftrace_set() { sysctl -qw "kernel.ftrace_enabled=$1" && ftrace_is "$1"; }

load_refused() {
	log_mark
	! module_load && ! module_loaded
}

one_plain_line() {
	log_since >"$tmp/said"
	cat "$tmp/said"
	[ "$(wc -l <"$tmp/said")" = 1 ] && grep -q 'sysctl kernel.ftrace_enabled=1' "$tmp/said"
}

switching_off_refused() {
	! sysctl -w kernel.ftrace_enabled=0 && ftrace_is 1
}

# Under traffic: each switch patches every function of the kernel.
tracers_on_and_off() {
	tracer function && tracer function_graph && traffic_flows 10 && tracer nop
}

# A probe at the entry and one at the return, as perf and bpftrace set them
probes_add() {
	local function

	for function in nf_conntrack_free nf_ct_delete __nf_conntrack_confirm; do
		echo "p:ctxstat_test/$function $function" >>$TRACEFS/kprobe_events &&
			echo "r:ctxstat_test/${function}_return $function" >>$TRACEFS/kprobe_events || return
	done
	echo 1 >$TRACEFS/events/ctxstat_test/enable
}

probes_remove() {
	[ -d $TRACEFS/events/ctxstat_test ] || return 0
	echo 0 >$TRACEFS/events/ctxstat_test/enable
	sed -n 's|^[pr][0-9]*:\(ctxstat_test/[^ ]*\).*|-:\1|p' $TRACEFS/kprobe_events |
		while read -r probe; do
			echo "$probe" >>$TRACEFS/kprobe_events
		done
	[ ! -d $TRACEFS/events/ctxstat_test ]
}

all_probes_hit() {
	cat $TRACEFS/kprobe_profile
	awk '/nf_conntrack_free|nf_ct_delete|nf_conntrack_confirm/ && $2 { hit++ } END { exit hit != 6 }' \
		$TRACEFS/kprobe_profile
}

plan 37

# An emulated arm64 takes minutes to patch all functions, and does so a dozen times; with all of
# them traced, a kernel that looks for faults hardly comes to anything else. All that ctxstat
# traces are among these, and what its callbacks call.
if [ "$(uname -m)" = aarch64 ] || ((patience > 1)); then
	echo '*nf_*' 'sprint_symbol*' 'kmem_cache_*' >$TRACEFS/set_ftrace_filter ||
		skip_all "the functions to be traced cannot be chosen"
fi

first_port=30000
traffic_up $CHURN
echo 1024 >$TRACEFS/buffer_size_kb
echo 1 >$TRACEFS/tracing_on

check "no tracer: exact" exact_after_traffic
check "loaded: ftrace_enabled=0 is refused" switching_off_refused
check "loaded: exact after that" exact_after_traffic
check "unload" module_unload
check "unloaded: ftrace_enabled=0 is not refused" ftrace_set 0
check "switched off: load is refused" load_refused
check "switched off: one line in the log says what to do" one_plain_line
check "switched off: nothing is left of the attempt" nothing_left
check "unloaded: ftrace_enabled=1" ftrace_set 1
check "switched on: load" module_load
check "switched on: exact" exact_after_traffic

for tracer in function function_graph; do
	check "$tracer: on" tracer $tracer
	check "$tracer: traces" wait_for 10 tracer_runs $tracer
	check "$tracer: exact" exact_after_traffic
	check "$tracer: ports not seen before" new_ports $((first_port += 1000))
	check "$tracer: unload and load again" reload
	check "$tracer: exact after that" exact_after_traffic
	check "$tracer: off" tracer nop
	check "$tracer: exact without it" exact_after_traffic
done

check "tracers on and off under traffic" tracers_on_and_off
check "tracers on and off: exact" exact_after_traffic

[ "$(uname -m)" != aarch64 ] || hidden=yes
check "kprobes: set on functions that ctxstat traces" probes_add
check "kprobes: exact" exact_after_traffic
check "kprobes: all were hit" all_probes_hit
check "kprobes: unload and load again" reload
check "kprobes: exact after that" exact_after_traffic
check "kprobes: removed" probes_remove
check "kprobes: exact without them" exact_after_traffic

check "the kernel is clean" kernel_is_clean
finish
