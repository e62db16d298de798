#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What memory ctxstat takes: per connection, per port, per network namespace, per CPU; and
# what reading ports costs, and what is done each second in the background.
#
# usage: memory.sh FEW ENTRIES    all of it, with so many entries in the table
#        memory.sh namespaces     only what depends on the number of CPUs
# shellcheck disable=SC2016 # awk's $1

# shellcheck source=selftests/bench/scene.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/scene.sh"

NAMESPACES=64
ROUNDS=5
TRACEFS=/sys/kernel/tracing

# What modules and conntrack allocate from, in KiB: slab, per-CPU areas and vmalloc.
# MemAvailable will not do, as it moves by megabytes when a file is read.
memory_used() {
	awk '/^(SUnreclaim|Percpu|VmallocUsed):/ { kb += $2 } END { print kb }' /proc/meminfo
}

object_size() { awk '$1 == "nf_conntrack" { print $4 }' /proc/slabinfo; }

port_memory() { on "$GATEWAY" awk '$1 == "port_memory" { print $2 }' /proc/net/ctxstat/summary; }

# Thousands of connections come and go, and the ticker gives the namespace counters per CPU.
be_busy() {
	"$MEASURE" packets "$CLIENT" "$GATEWAY" "$SERVER" 4 >/dev/null
	sleep 2
}

# table ENTRIES: memory before and after loading ctxstat, then reading
table() {
	local before after

	echo "# a table of $1 entries"
	on "$GATEWAY" conntrack -F 2>/dev/null
	"$MEASURE" fill "$CLIENT" "$GATEWAY" "$SERVER" "$1" >/dev/null
	before=$(memory_used)
	echo "nothing $1 object-size $(object_size)"
	insmod "$CTXSTAT_KO"
	be_busy
	after=$(memory_used)
	echo "ctxstat $1 object-size $(object_size)"
	echo "ctxstat $1 memory $((after - before))"
	on "$GATEWAY" "$MEASURE" read /proc/net/ctxstat/ports 20 | results few-ports "$1"
	echo "few-ports $1 memory $(port_memory)"
	echo "few-ports $1 ports $(on "$GATEWAY" awk 'END { print NR - 1 }' /proc/net/ctxstat/ports)"
	echo "# all ports"
	use_all_ports
	on "$GATEWAY" "$MEASURE" read /proc/net/ctxstat/ports 5 | results all-ports "$1"
	echo "all-ports $1 memory $(port_memory)"
	rmmod ctxstat
}

# NAMESPACES of them, made and taken away: KiB for each; the median of ROUNDS, as slabs and
# per-CPU areas grow by pages and more
idle_namespaces() {
	local before after round

	for ((round = 0; round < ROUNDS; round++)); do
		before=$(memory_used)
		for ((i = 0; i < NAMESPACES; i++)); do
			echo "netns add idle$i"
		done | ip -batch -
		after=$(memory_used)
		for ((i = 0; i < NAMESPACES; i++)); do
			echo "netns del idle$i"
		done | ip -batch -
		sleep 2
		echo $((after - before))
	done | sort -n | awk -v n=$NAMESPACES '{ kb[NR] = $1 } END { print kb[int((NR + 1) / 2)] / n }'
}

# KiB that a namespace gets for its counters per CPU, as the kernel traces it
percpu_counters() {
	echo >$TRACEFS/trace
	echo 1 >$TRACEFS/events/percpu/percpu_alloc_percpu/enable
	be_busy
	echo 0 >$TRACEFS/events/percpu/percpu_alloc_percpu/enable
	awk -v cpus="$1" 'match($0, / size=[0-9]+/) && /ctxstat_net_make_percpu/ {
			bytes += substr($0, RSTART + 6, RLENGTH - 6); n++ }
		END { print bytes * cpus / 1024; exit n != 1 }' $TRACEFS/trace
}

# Instructions that ctxstat's ticker takes each second, as the kernel traces the work: the
# median of about twenty. Other work is done in the background as well, conntrack's above all,
# and not each second, so the sum of all does not tell.
ticks() {
	echo x86-tsc >$TRACEFS/trace_clock
	echo >$TRACEFS/trace
	echo 1 >$TRACEFS/events/workqueue/enable
	sleep 20
	echo 0 >$TRACEFS/events/workqueue/enable
	awk 'match($0, / [0-9]+: workqueue_execute_(start|end): /) {
			time = substr($0, RSTART + 1) + 0
			begins = /_start: /
			if (begins && /ticker_tick/) {
				start[$1] = time
			} else if (!begins && $1 in start) {
				print time - start[$1]
				delete start[$1]
			}
		}' $TRACEFS/trace | sort -n |
		awk '{ took[NR] = $1 } END { print took[int((NR + 1) / 2)]; exit NR < 15 }'
	echo local >$TRACEFS/trace_clock
}

# background CPUS: of a busy namespace with 1,000 entries, that has counters per CPU
background() {
	"$MEASURE" fill "$CLIENT" "$GATEWAY" "$SERVER" 1000 >/dev/null
	echo "# in the background, with $1 possible CPUs"
	echo "ctxstat $1 tick $(ticks)"
	use_all_ports
	echo "ctxstat+ports $1 tick $(ticks)"
	on "$GATEWAY" conntrack -F 2>/dev/null
}

# What a module keeps for each possible CPU is in Percpu and in slab.
namespaces() {
	local cpus busy

	cpus=$(($(sed 's/.*-//' /sys/devices/system/cpu/possible) + 1))
	echo "# namespaces, with $cpus possible CPUs"
	idle_namespaces >/dev/null
	echo "nothing $cpus idle-namespace $(idle_namespaces)"
	insmod "$CTXSTAT_KO"
	echo "ctxstat $cpus idle-namespace $(idle_namespaces)"
	busy=$(percpu_counters "$cpus")
	echo "ctxstat $cpus busy-namespace $busy"
	background "$cpus"
	rmmod ctxstat
}

scene
# First: the slabs of a million entries are given back for long after these are gone.
namespaces
if [ "$1" != namespaces ]; then
	table "$1"
	table "$2"
fi
echo "# done"
