# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the measurements of bench.sh share that are made in a virtual machine: the gateway
# that packets.c sends packets through, and what is loaded there. Sourced. From bench.sh
# come, in the environment, CTXSTAT_KO, EMPTY_HOOK_KO, STALL_KO, MEASURE (the
# program that measures), CTXSTAT (the tool) and CONNTRACKD.
#
# stdout of a measurement: what is being done, lines that begin with #; and the results,
# four fields: what was loaded, round or number of entries, what was measured, value. The
# last line is "# done".

set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=selftests/topology.sh
. "$here/../topology.sh"

# The gateway, ready. As many buckets as a kernel makes by itself with more than 4 GB.
scene() {
	local server

	from_memory /etc/nsswitch.conf /etc/protocols

	modprobe nf_conntrack hashsize=262144
	modprobe nf_conntrack_netlink
	sysctl -qw net.netfilter.nf_conntrack_max=1100000
	topology_up

	# For gateway.c: its packets are taken by the gateway, and then by nobody.
	on "$GATEWAY" ip link set to-client address 02:00:00:00:01:01
	on "$GATEWAY" ip link set to-server address 02:00:00:00:02:01
	on "$GATEWAY" ip neigh replace 10.1.0.2 lladdr 02:00:00:00:00:99 dev to-client nud permanent
	on "$GATEWAY" ip neigh replace 10.2.0.2 lladdr 02:00:00:00:00:99 dev to-server nud permanent
	# No entry ends by itself, but for TCP's that have come to TIME_WAIT.
	on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_udp_timeout=86400 \
		net.netfilter.nf_conntrack_udp_timeout_stream=86400 \
		net.netfilter.nf_conntrack_tcp_timeout_time_wait=0
	softirqs_first
	# Real-time tasks get all of their time, see chunk_begin() in packets.c; from 6.12 on
	# there are two who would take some of it away. With several CPUs 6.12.117 complains
	# about its own books when one of these is stopped, so there the median has to do.
	sysctl -qw kernel.sched_rt_runtime_us=-1
	server=/sys/kernel/debug/sched/fair_server/cpu0/runtime
	[ "$(nproc)" != 1 ] || [ ! -e $server ] || echo 0 >$server
}

# from_memory FILE...: iptstate opens these for each entry, and they would come from outside
# each time: a copy is in the virtual machine's own layer.
from_memory() {
	local file
	for file; do
		cp -p "$file" "$file.copy"
		mv "$file.copy" "$file"
	done
}

# What ksoftirqd is given to do is done before the next packet is sent.
softirqs_first() {
	local pid
	for pid in $(pgrep ksoftirqd/); do
		chrt -f -p 50 "$pid"
	done
}

# cpus_up N: of the CPUs that maxcpus=1 has left out. QEMU's CPUs take turns, and the first
# one keeps its turn unless it pauses; a kernel that waits for another one to come up need
# not. So somebody else does.
cpus_up() {
	local cpu pauses

	"$MEASURE" pause &
	pauses=$!
	for ((cpu = 1; cpu < $1; cpu++)); do
		[ "$(<"/sys/devices/system/cpu/cpu$cpu/online")" = 1 ] ||
		echo 1 >"/sys/devices/system/cpu/cpu$cpu/online"
	done
	kill "$pauses"
	wait "$pauses" 2>/dev/null || :
}

# results LOADED ROUND: of lines "name value"
results() { awk -v loaded="$1" -v round="$2" '{ print loaded, round, $1, $2 }'; }

# What a program that runs in the background has written
output=/tmp/bench.output

# wait_until PID COMMAND...: as long as that process is there. No deadline but the virtual
# machine's: its clock leaps ahead whenever all wait for the disk.
wait_until() {
	local pid=$1
	shift
	until "$@" >/dev/null 2>&1; do
		kill -0 "$pid" 2>/dev/null || {
			echo "scene.sh: it has ended: $(<"$output")" >&2
			return 1
		}
		sleep 0.1
	done
}

# Each port of UDP once: they stay in ctxstat's table.
use_all_ports() {
	"$MEASURE" ports "$CLIENT" "$GATEWAY" "$SERVER"
	# shellcheck disable=SC2016 # for awk
	on "$GATEWAY" awk '$1 == "udp" && $5 { n++ } END { exit n != 65536 }' /proc/net/ctxstat/ports || {
		echo "scene.sh: ports does not show all ports" >&2
		return 1
	}
}
