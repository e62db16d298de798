#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The measurements of bench.sh, inside the virtual machine.
#
# usage: guest.sh CTXSTAT_KO EMPTY_HOOK_KO MEASURE ROUNDS CHUNKS ENTRIES
#
# MEASURE is measure.c, built. stdout: what is being done, lines that begin with #;
# and the results, four fields: what was loaded, round, what was measured, value.
#
# The round called warm-up is not to be used: the first one after boot differs.

set -euo pipefail

ctxstat_ko=$1 empty_hook_ko=$2 measure=$3 rounds=$4 chunks=$5 entries=$6
FEW=1000

# shellcheck source=selftests/topology.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../topology.sh"

# extensions 0|1: does conntrack keep accounts and timestamps of entries to come?
extensions() {
	on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_acct="$1" \
		net.netfilter.nf_conntrack_timestamp="$1"
}

load() {
	case $1 in
	empty_hook) insmod "$empty_hook_ko" ;;
	empty_hook+trace) insmod "$empty_hook_ko" trace=1 ;;
	ctxstat*) insmod "$ctxstat_ko" ;;
	esac
	case $1 in
	*+extensions) extensions 1 ;;
	*+ports) use_all_ports ;;
	esac
}

unload() {
	extensions 0
	[ "${1%+*}" = nothing ] || rmmod "${1%+*}"
}

# Each of UDP once: they stay in ctxstat's table.
use_all_ports() {
	"$measure" ports "$CLIENT" "$GATEWAY" "$SERVER"
	# shellcheck disable=SC2016 # for awk
	on "$GATEWAY" awk '$1 == "udp" && $5 { n++ } END { exit n != 65536 }' /proc/net/ctxstat/ports || {
		echo "guest.sh: ports does not show all ports" >&2
		return 1
	}
}

port_memory() { on "$GATEWAY" awk '$1 == "port_memory" { print $2 }' /proc/net/ctxstat/summary; }

# results LOADED ROUND: of lines "name value"
results() { awk -v loaded="$1" -v round="$2" '{ print loaded, round, $1, $2 }'; }

packets() {
	echo "# round $2: $1"
	load "$1"
	"$measure" packets "$CLIENT" "$GATEWAY" "$SERVER" "$chunks" | results "$1" "$2"
	[ "${1%+*}" != ctxstat ] || counted_all
	unload "$1"
}

# The connections went through the states that they are meant to go through.
counted_all() {
	# shellcheck disable=SC2016 # for awk
	on "$GATEWAY" awk '
		$1 == "ipv4" && $2 == "udp" { udp = $10 }
		$1 == "ipv4" && $2 == "tcp" { left[$3] = $10 }
		END {
			n = split("SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT", states)
			for (i = 1; i <= n; i++)
				if (left[states[i]] < left["TIME_WAIT"])
					exit 1
			exit udp < 1000 || left["TIME_WAIT"] < 100
		}' /proc/net/ctxstat/states || {
		on "$GATEWAY" cat /proc/net/ctxstat/states
		echo "guest.sh: the connections did not go through their states" >&2
		return 1
	}
}

# What modules and conntrack allocate from, in KiB: slab, per-CPU areas and vmalloc.
# MemAvailable will not do, as it moves by megabytes when a file is read.
memory_used() {
	awk '/^(SUnreclaim|Percpu|VmallocUsed):/ { kb += $2 } END { print kb }' /proc/meminfo
}

object_size() { awk '$1 == "nf_conntrack" { print $4 }' /proc/slabinfo; }

# The table with N entries: memory before and after loading ctxstat, then reading.
table() {
	local before after

	echo "# a table of $1 entries"
	on "$GATEWAY" conntrack -F 2>/dev/null
	"$measure" fill "$CLIENT" "$GATEWAY" "$SERVER" "$1" >/dev/null
	before=$(memory_used)
	echo "nothing $1 object-size $(object_size)"
	load ctxstat
	# Connections come and go: from 1,024 on a namespace has per-CPU counters.
	"$measure" packets "$CLIENT" "$GATEWAY" "$SERVER" 4 >/dev/null
	after=$(memory_used)
	echo "ctxstat $1 object-size $(object_size)"
	echo "ctxstat $1 memory $((after - before))"
	# shellcheck disable=SC2016 # for awk
	on "$GATEWAY" awk -v expected="$1" 'NR > 1 { n += $4 } END { exit n != expected }' /proc/net/ctxstat/states || {
		echo "guest.sh: states does not show $1 entries" >&2
		return 1
	}
	on "$GATEWAY" "$measure" read /proc/net/ctxstat/states | results ctxstat "$1"
	on "$GATEWAY" "$measure" read /proc/net/ctxstat/ports 20 | results few-ports "$1"
	echo "few-ports $1 memory $(port_memory)"
	echo "few-ports $1 ports $(on "$GATEWAY" awk 'END { print NR - 1 }' /proc/net/ctxstat/ports)"
	echo "# all ports"
	use_all_ports
	on "$GATEWAY" "$measure" read /proc/net/ctxstat/ports 5 | results all-ports "$1"
	echo "all-ports $1 memory $(port_memory)"
	if [ "$1" = $FEW ]; then
		on "$GATEWAY" "$measure" run cat /proc/net/ctxstat/states | results cat "$1"
		on "$GATEWAY" "$measure" run sh -c 'conntrack -L 2>/dev/null | wc -l' | results conntrack-L "$1"
	fi
	unload ctxstat
}

modprobe nf_conntrack hashsize=262144
modprobe nf_conntrack_netlink
sysctl -qw net.netfilter.nf_conntrack_max=1000000
topology_up

# For measure.c: its packets are taken by the gateway, and then by nobody.
on "$GATEWAY" ip link set to-client address 02:00:00:00:01:01
on "$GATEWAY" ip link set to-server address 02:00:00:00:02:01
on "$GATEWAY" ip neigh replace 10.1.0.2 lladdr 02:00:00:00:00:99 dev to-client nud permanent
on "$GATEWAY" ip neigh replace 10.2.0.2 lladdr 02:00:00:00:00:99 dev to-server nud permanent
# What ksoftirqd is given to do is done before the next packet is sent.
chrt -f -p 50 "$(pgrep -x ksoftirqd/0)"
# No entry ends by itself.
on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_udp_timeout=86400 \
	net.netfilter.nf_conntrack_udp_timeout_stream=86400

for round in warm-up $(seq "$rounds"); do
	for loaded in nothing nothing+extensions empty_hook empty_hook+trace \
		ctxstat ctxstat+ports ctxstat+extensions; do
		packets $loaded "$round"
	done
done
table $FEW
table "$entries"
echo "# done"
