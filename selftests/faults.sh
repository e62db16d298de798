#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Memory that cannot be had: each allocation of a load, of an unload, of a reading of each
# file, of a packet sent and of a new network namespace fails in turn, and of a load also
# some of those that undo it; then those for the
# table of ports in a softirq, and the per-CPU ones of the ticker. A load is refused in one
# plain line and leaves nothing, or it counts exactly; what runs goes on exactly, and says
# in port_overflow how many entries have no place in ports, until there is memory again.
# At the end each place where the module's code asks for memory has been refused some.
#
# The kernel itself lets allocations fail: this needs one with fault injection, such as
# 6.12-debug. faults/nth.py says how. For those per CPU a module does, faults/no_percpu.c,
# which vm/build.sh builds.

set -u
# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

DEBUG=/sys/kernel/debug
MODULE=${CTXSTAT_KO:-$(modinfo -n ctxstat 2>/dev/null)}
NO_PERCPU=$(dirname "$MODULE")/../faults/no_percpu.ko
FEW=20
# The parts of the table of ports, in bytes, as port_memory counts them; and their caches, of which
# those for roots and nodes are there before the module is
ROOT=2048 NODE=128 LEAF=1088
# vm: --append slub_debug=A,kmalloc-2k,kmalloc-128,ctxstat_port_leaf
CACHES="kmalloc-2k kmalloc-128"

for file in /proc/self/fail-nth $DEBUG/failslab/cache-filter $DEBUG/fail_page_alloc/min-order; do
	[ -e "$file" ] || skip_all "this kernel injects no faults: there is no $file"
done
for cache in $CACHES; do
	[ "$(cat /sys/kernel/slab/"$cache"/failslab)" = 1 ] ||
		skip_all "boot with slub_debug=A,${CACHES// /,},ctxstat_port_leaf"
done
require python3 objdump
[ -e "$MODULE" ] || skip_all "no module file: set CTXSTAT_KO"
[ -e "$NO_PERCPU" ] || skip_all "there is no $NO_PERCPU: it is built with the module, by make module KERNEL=6.12-debug"
[ -x "$TRAFFIC" ] || skip_all "$TRAFFIC is not built: make -C selftests"
modprobe -a nf_conntrack nf_conntrack_netlink || skip_all "no connection tracking"
if module_loaded; then
	module_unload || skip_all "the ctxstat module is in use"
fi

# From memory, so that no allocation of a file system fails in its place: a virtual machine
# whose files are the host's could open none of them after some hundred of these.
cp "$MODULE" "$NO_PERCPU" "$tmp/" || exit 1
MODULE=$tmp/ctxstat.ko CTXSTAT_KO=$tmp/ctxstat.ko NO_PERCPU=$tmp/no_percpu.ko

# The traces of faults are read from the log, and are none of the console's business.
console=$(cut -f1 /proc/sys/kernel/printk)
dmesg -n 4

cleanup_more() {
	faults_off
	[ ! -e /sys/module/no_percpu ] || rmmod no_percpu
	traffic_end
	module_restore
	dmesg -n "$console"
}

# attributes failslab|fail_page_alloc NAME=VALUE...
attributes() {
	local kind=$1 pair
	shift
	for pair; do
		echo "${pair#*=}" >$DEBUG/"$kind"/"${pair%%=*}" || return
	done
}

faults_off() {
	attributes failslab probability=0 cache-filter=N ignore-gfp-wait=N verbose=2 times=-1
	attributes fail_page_alloc probability=0 task-filter=N ignore-gfp-wait=N \
		ignore-gfp-highmem=N min-order=0 verbose=2 times=-1
}

# nth WHAT ARGUMENT...: its sites are added up in $tmp/hit
nth() {
	# not by ip netns exec, which has a /sys of its own
	nsenter --net="/run/netns/$GATEWAY" python3 "$here/faults/nth.py" "$@" >"$tmp/nth" 2>&1
	local status=$?
	grep '^site' "$tmp/nth" >>"$tmp/hit"
	grep -v '^site' "$tmp/nth"
	tried=$(sed -n 's/^tried //p' "$tmp/nth") refused=$(sed -n 's/^refused //p' "$tmp/nth")
	return $status
}

reload() { module_unload && on "$GATEWAY" conntrack -F && module_load && [ "$(value port_memory)" = 0 ]; }

# Cells are exact; ports are after an audit, as it adds what there was no memory for.
exact_healed() {
	on "$GATEWAY" cat $PROC/audit >"$tmp/audit" || return
	cat "$tmp/audit"
	awk '/^(cells_differ|cells_left|ports_left) / && $2 { bad = 1 } END { exit bad || NR < 8 }' "$tmp/audit" &&
		exact "$GATEWAY" && audit_clean "$GATEWAY"
}

reads() {
	nth read $PROC/* $STAT && ((refused > 0))
}

sends() {
	local before overflow
	before=$(value port_overflow)
	nth send 10.2.0.2 || return
	overflow=$(($(value port_overflow) - before))
	echo "overflow $overflow"
	# a node and a leaf of the table of ports; there are entries of UDP already
	((overflow >= 2))
}

namespaces() { nth netns && ((refused > 0)); }

# refuse PORT [PORT BYTES]: in the softirq that forwards a packet, no allocation from the caches of
# the table's parts succeeds: there is no memory for the first part that is not there. What the other
# port needs, so many bytes, is there before. (6.1 does not let one choose a cache while it runs, so
# all of them are chosen at boot.)
refuse() {
	local before memory status=0
	memory=$(value port_memory)
	if [ -n "${2:-}" ]; then
		on "$CLIENT" "$TRAFFIC" spray 1 10.3.0.2 "$2" && wait_for 20 memory_is $((memory += $3)) || return
	fi
	before=$(value port_overflow)
	attributes failslab ignore-gfp-wait=Y cache-filter=Y probability=100 &&
		on "$CLIENT" "$TRAFFIC" spray $FEW 10.3.0.2 "$1" || status=1
	faults_off
	((status == 0)) || return
	echo "overflow was $before, and is $(value port_overflow)"
	[ "$(value port_overflow)" = $((before + FEW)) ] && memory_is "$memory" && cells_exact
}

memory_is() { [ "$(value port_memory)" = "$1" ]; }

# An audit would find memory for ports.
cells_exact() {
	states_of "$GATEWAY" >"$tmp/states" && truth "$GATEWAY" >"$tmp/truth" &&
		counted "$tmp/states" | diff -u "$tmp/truth" -
}

# As many entries that end within a moment make the namespace and the port's leaf busy, however
# slow this machine is. On CPU 1, as only other CPUs than the first have lines of their own.
busy() {
	on "$CLIENT" "$TRAFFIC" -c 1 ask 300 10.2.0.2 7 fd02::2 7 && on "$GATEWAY" conntrack -F
}

# Busy, and both are refused it.
REFUSED=/sys/module/no_percpu/parameters/refused
busy_and_refused() { busy && [ "$(wc -l <$REFUSED)" = 2 ]; }
refuse_percpu() {
	local status=0
	insmod "$NO_PERCPU" || return
	wait_for 60 busy_and_refused || status=1
	# what a leaf, a node and a root take
	memory=$(value port_memory) per_cpu=$(created_on 1)
	echo "port_memory $memory, of CPU 1 $per_cpu; refused:"
	cat $REFUSED
	sed -n 's,\(.*\)/.* ,site \1 ,p' $REFUSED >>"$tmp/hit"
	rmmod no_percpu || return
	((status == 0 && memory == ROOT + NODE + LEAF && per_cpu == 0))
}

have_percpu() { busy && created_on_exceeds 1 0 && (($(value port_memory) >= 3072 + 1024 * $(nproc))); }

# These want no warning, and so are not in the log: parts of the table of ports, which have
# steps of their own here; and, from 6.10 on, the trampoline that register_ftrace_function()
# can do without. As that does not fail, what would give the filter back then is not called.
# And kmem_cache_destroy(), in ctxstat_ports_exit(), and nf_unregister_net_hooks(), in
# ctxstat_net_pre_exit(), need memory only now and then; register_pernet_subsys() needs some for an
# id, which that of ctxstat_proc_init() has not, and what is refused then is within proc_net_init().
SILENT='^(ctxstat_net_pre_exit|make|ctxstat_port_make|ctxstat_proc_init)[+]| (register_ftrace_function|ctxstat_ports_exit|ctxstat_proc_init)$'

all_hit() {
	objdump -dr --no-show-raw-insn "$MODULE" | awk -f "$here/faults/sites.awk" >"$tmp/sites" || return
	awk '
		FILENAME ~ /hit$/ { hit[$2] += $3; next }
		{ sites++; known[$1]; print $1, "->", $2 ": " ($1 in hit ? hit[$1] : 0) }
		{ split($1, at, "+") }
		$2 == "register_ftrace_function" { registered = at[1] }
		$2 == "ftrace_set_filter_ip" && registered == at[1] { next }
		!($1 in hit) && !/'"$SILENT"'/ { print "never refused:", $1, $2; bad = 1 }
		END {
			for (site in hit)
				if (!(site in known)) { print "not known:", site; bad = 1 }
			print sites, "places"
			exit bad || sites < 20
		}' "$tmp/hit" "$tmp/sites"
}

# Nothing in the log but what was asked for
log_is_clean() {
	dmesg | awk '/FAULT_INJECTION: forcing a failure|page allocation failure:|vmalloc error:|kmem_cache_create[a-z_]*[(].*failed with error/ { fault = 1 } !fault { print } /<\/TASK>/ { fault = 0 }' |
		awk -f "$here/vm/reports.awk" >"$tmp/log"
	! grep -B 5 -E 'BUG:|WARNING:|Oops|Call Trace|possible (recursive|circular|irq)|suspicious RCU|KASAN|UBSAN' "$tmp/log"
}

plan 26
: >"$tmp/hit"
faults_off
topology_up || skip_all "no namespaces can be made"
timeouts 1000
: >"$tmp/traffic"
traffic_in "$SERVER" serve 7
wait_for 60 traffic_ready 1 || skip_all "no server"
on "$CLIENT" "$TRAFFIC" spray $FEW 10.2.0.2 20000 fd02::2 20000

check "load: each allocation fails once" nth load "$MODULE"
note "load: $tried allocations, $refused of which it cannot do without"
check "load: nothing is left of all these" nothing_left
check "load: each fails, and so do some that undo it" nth load-more "$MODULE"
note "load: $tried allocations, $refused of which it cannot do without"
check "load: nothing is left of these either" nothing_left
check "unload: each allocation fails once" nth unload "$MODULE"
note "unload: $tried allocations"
check "unload: nothing is left of all these" nothing_left

check "load" module_load
check "load: exact" exact_healed
check "read: each allocation fails once, for every file" reads
note "read: $tried allocations, $refused of which it cannot do without"
check "send: each allocation fails once" sends
note "send: $tried allocations"
check "send: exact" exact_healed
check "a new namespace: each allocation of ctxstat's part fails once" namespaces
note "a new namespace: $(sed -n 's/^allocations //p' "$tmp/nth") allocations, $refused of which were refused to ctxstat"
check "a new namespace: the others are exact" exact_healed

check "loaded again: the table of ports is empty" reload
check "softirq: no root of a protocol" refuse 30000
check "softirq: no node" refuse 31000 33000 $((ROOT + NODE + LEAF))
# 32255 is in the node of these
check "softirq: no leaf" refuse 32000 32255 $((NODE + LEAF))
check "softirq: exact when there is memory again" exact_healed

check "loaded again: no counters per CPU" reload
check "ticker: busy, and neither the namespace nor a port gets them" refuse_percpu
check "ticker: exact without them" exact_healed
check "ticker: both get them when there is memory" wait_for 60 have_percpu
check "ticker: exact with them" exact_healed

check "each place that asks for memory has been refused some" all_hit
check "the kernel's log has no more than these refusals" log_is_clean
dmesg -C
check "the kernel is clean" kernel_is_clean
finish
