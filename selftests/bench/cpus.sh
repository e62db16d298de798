#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What an established packet costs when 1, 2, 4 and 8 CPUs forward, each those of a
# connection of its own. QEMU counts instructions only of CPUs that take turns: what is
# seen is whether there is more to do per packet, not what waiting for another CPU's
# cache line costs. That there is no such line is what stores.awk shows.
#
# usage: cpus.sh CPUS ROUNDS CHUNKS
#
# The round called warm-up is not to be used.
#
# For a virtual machine with so many CPUs.

# shellcheck source=selftests/bench/scene.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/scene.sh"

# Before real-time tasks get all time: 6.12.117 divides by 0 when a CPU comes up then.
cpus_up "$1"
scene
for round in warm-up $(seq "$2"); do
	for what in nothing ctxstat; do
		[ $what != ctxstat ] || insmod "$CTXSTAT_KO"
		for ((n = 1; n <= $1; n *= 2)); do
			echo "# round $round: $what: $n CPUs"
			on "$GATEWAY" conntrack -F 2>/dev/null
			"$MEASURE" cpus "$CLIENT" "$GATEWAY" "$SERVER" "$n" "$3" |
				awk '$1 ~ /^packet-on-cpu/ { n++; sum += $2 } END { print "packet", sum / n }' |
				results "$what-$n-cpus" "$round"
		done
		[ $what != ctxstat ] || rmmod ctxstat
	done
done
echo "# done"
