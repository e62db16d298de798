#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Of the kernel's reports those count in which ctxstat has a part, and only the ones that
# vm/reports.awk names are left out: what it leaves out, no test sees.

set -u
here=$(dirname "$(realpath "$0")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"

# stamped: lines as in the kernel's log
stamped() { awk '{ printf "[%5d.%06d] %s\n", NR / 10 + 1, NR, $0 }'; }
left() { stamped | awk -f "$here/vm/reports.awk" >"$tmp/left"; cat "$tmp/left"; }
complaints() { grep -cE 'BUG:|WARNING:|suspicious RCU|unreferenced object|new suspected' "$tmp/left"; }
# counts N, leaves_out: of what is on stdin
counts() { left; [ "$(complaints)" = "$1" ]; }
leaves_out() { left; [ "$(complaints)" = 0 ]; }

frames() { printf ' %s\n' "$@"; }
line() { printf '=%.0s' {1..66}; echo; }
# race READER... -- WRITER...: two backtraces
race() {
	line
	echo 'BUG: KCSAN: data-race in writer / reader'
	echo
	echo 'read to 0xffff88817bc1efd8 of 8 bytes by interrupt on cpu 1:'
	while [ "$1" != -- ]; do frames "$1"; shift; done
	shift
	echo
	echo 'write to 0xffff88817bc1efd8 of 8 bytes by task 77 on cpu 0:'
	frames "$@"
	echo
	echo 'Reported by Kernel Concurrency Sanitizer on:'
	echo 'CPU: 1 UID: 0 PID: 77 Comm: cat Tainted: G           O       6.12.0-kcsan #1'
	echo 'Workqueue: events_unbound ticker_tick [ctxstat]'
	line
}
others=('hrtimer_active+0x60/0xb0' 'sched_tick+0x76/0xd0')
interrupt='asm_sysvec_apic_timer_interrupt+0x16/0x20'
interrupt_card='asm_common_interrupt+0x22/0x40'
ours='states_show+0xc9/0x230 [ctxstat]'

race_of_others() { race "${others[@]}" -- "${others[@]}" | leaves_out; }
race_ours() { race "${others[@]}" "$ours" -- "${others[@]}" | counts 1; }
race_second() { race "${others[@]}" -- "${others[@]}" "$ours" | counts 1; }
race_named() { race "${others[@]}" -- 'ctxstat_packet+0x1/0x2' | counts 1; }
race_interrupting() {
	race "${others[@]}" "$interrupt" "$ours" -- "${others[@]}" | leaves_out &&
		race "${others[@]}" -- "${others[@]}" "$interrupt_card" "$ours" | leaves_out
}
race_in_interrupt() { race "$ours" "$interrupt" "${others[@]}" -- "${others[@]}" | counts 1; }
# A softirq that ctxstat runs by enabling them is not an interrupt of it.
race_in_softirq() { race "${others[@]}" 'handle_softirqs+0x1/0x2' '__local_bh_enable_ip+0x1/0x2' "$ours" -- "${others[@]}" | counts 1; }
# however the lines begin, and if some are lost
race_after() { race "${others[@]}" "$interrupt" "${others[@]}" -- "${others[@]}" "$ours"; }
race_with_caller() {
	race_after | awk '{ printf "[%5d.%06d][   T77] %s\n", NR / 10, NR, $0 }' | awk -f "$here/vm/reports.awk" >"$tmp/left"
	[ "$(complaints)" = 1 ]
}
race_lines_lost() { race_after | grep . | counts 1; }
race_both() { race "${others[@]}" "$interrupt" "${others[@]}" -- "$ours" | counts 1; }
# What an exception interrupts may have caused it.
race_exception() { race "${others[@]}" 'asm_exc_page_fault+0x26/0x30' "$ours" -- "${others[@]}" | counts 1; }
race_within() { race "${others[@]}" 'BUG: unable to handle page fault' -- "${others[@]}" | counts 2; }
# within LINE: a stall's report after that line of a race of others that an interrupt has a part in
within() {
	race "${others[@]}" "$interrupt" "${others[@]}" -- "${others[@]}" | awk -v after="$1" '{ print }
		index($0, after) { print "rcu: rcu_preempt detected stalls on CPUs/tasks:"; print "Call Trace:"; print " ctxstat_counters_sum+0x1/0x2 [ctxstat]" }'
}
stall_within() { within "$interrupt" | counts 1 && within 'Reported by' | counts 1; }
race_cut() { race "${others[@]}" -- "${others[@]}" | head -n 6 | counts 1; }
after_race() { { race "${others[@]}" -- "${others[@]}"; echo 'BUG: scheduling while atomic'; } | counts 1; }
between() { { race "${others[@]}" -- "${others[@]}"; race "$ours" -- "${others[@]}"; race "${others[@]}" -- "${others[@]}"; } | counts 1; }

# suspicious WHAT FRAME...: lockdep's
suspicious() {
	line | head -c 29
	echo
	echo 'WARNING: suspicious RCU usage'
	line | head -c 29
	echo
	echo "net/netfilter/nf_tables_api.c:100 $1"
	shift
	echo
	echo 'Call Trace:'
	echo ' <TASK>'
	frames "$@"
	echo ' </TASK>'
}
list='RCU-list traversed in non-reader section!!' nft='nft_chain_lookup+0x1/0x2 [nf_tables]'
list_of_nft() { suspicious "$list" "$nft" | leaves_out; }
list_of_others() { suspicious "$list" 'ip_route_me_harder+0x1/0x2' | counts 1; }
list_ours() { suspicious "$list" "$nft" "$ours" | counts 1; }
list_in_interrupt() { suspicious "$list" "$nft" "$interrupt" "$ours" | counts 1; }
list_after_race() {
	{ race "${others[@]}" "$interrupt" "$ours" -- "${others[@]}" "$interrupt"; suspicious "$list" "$nft" "$ours"; } | counts 1
}
nft_otherwise() { suspicious 'suspicious rcu_dereference_check() usage!' "$nft" | counts 1; }

# leak FRAME...: kmemleak's
leak() {
	echo 'unreferenced object 0xffff888100f3c8a0 (size 16):'
	echo '  comm "insmod", pid 77, jiffies 4294900000'
	echo '  backtrace:'
	printf '    [<00000000a1b2c3d4>] %s\n' "$@"
}
leaked_name=('kobject_set_name_vargs+0x1/0x2' 'sysfs_slab_add+0x1/0x2')
leak_of_name() { { echo 'kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)'; leak "${leaked_name[@]}"; } | leaves_out; }
leak_other() { leak 'kmalloc_trace+0x1/0x2' "$ours" | counts 1; }
leak_second() { { echo 'kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)'; leak "${leaked_name[@]}"; } | counts 1; }
plain() { echo 'WARNING: CPU: 0 PID: 1 at net/core/dev.c:1' | counts 1; }

plan 26
check "a race of others is left out" race_of_others
check "one with ctxstat in the first backtrace counts" race_ours
check "one with ctxstat in the second counts" race_second
check "one with a function of ctxstat's name counts" race_named
check "one of an interrupt that only interrupted ctxstat is left out" race_interrupting
check "one of ctxstat in an interrupt counts" race_in_interrupt
check "one of a softirq in ctxstat counts" race_in_softirq
check "one with the caller in each line counts" race_with_caller
check "one of which lines were lost counts" race_lines_lost
check "one of ctxstat with an interrupt counts" race_both
check "one of an exception in ctxstat counts" race_exception
check "another report within one counts" race_within
check "a stall within one counts" stall_within
check "one that is cut off counts" race_cut
check "what comes after one counts" after_race
check "ctxstat's between two of others counts" between
check "a list of nf_tables is left out" list_of_nft
check "a list of others counts" list_of_others
check "a list of nf_tables with ctxstat counts" list_ours
check "the same, interrupting ctxstat, counts" list_in_interrupt
check "the same after a race counts" list_after_race
check "other reports of nf_tables count" nft_otherwise
check "the leaked name of a slab cache is left out" leak_of_name
check "other leaks count" leak_other
check "a leak that is not shown counts" leak_second
check "all else counts" plain
finish
