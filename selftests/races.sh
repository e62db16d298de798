#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# vm: --parallel
#
# Two CPUs at once at the same entry and at the same port: both ends of many connections
# answer and close at the same time, and both begin to use the same ports, from two CPUs. After
# each round every cell and port is exact, and once more when all have gone.
#
# The CPUs of the other tests' virtual machines take turns, a tenth of a second each, so that
# hardly anything happens between two instructions. Here they run in parallel. That is why the
# module is loaded before, and nothing is traced: see vm/run.sh.
# shellcheck disable=SC2154 # $here and $tmp are set by lib.sh

# shellcheck source=selftests/scene.sh
. "$(dirname "$(realpath "$0")")/scene.sh"
# shellcheck source=selftests/inject.sh
. "$here/inject.sh"

# What two CPUs do at the same time is a matter of luck.
ROUNDS=5
COUNT=$((patience > 1 ? 4000 : 20000))
# Each round has its own ports: a port gets its record once.
PORTS_EACH=$((4096 * ((cpus + 1) / 2)))
MAX=/proc/sys/net/netfilter/nf_conntrack_max

[ -x "$INJECT" ] || skip_all "$INJECT is not built: make -C selftests"
((cpus > 1)) || skip_all "there is one CPU only"
((INJECT_PORTS + ROUNDS * PORTS_EACH <= 65536)) || ROUNDS=$(((65536 - INJECT_PORTS) / PORTS_EACH))
require_module
[ -w "$MAX" ] || skip_all "must be run in the initial network namespace"
max=$(<"$MAX")
cleanup_more() {
	inject_end
	topology_down
	echo "$max" >"$MAX"
	module_restore
}

traffic_comes() {
	local new dropped
	new=$(kernel_new) dropped=$(kernel_dropped)
	inject $COUNT $((INJECT_PORTS + $1 * PORTS_EACH)) && injected_all || return
	new=$(($(kernel_new) - new)) dropped=$(($(kernel_dropped) - dropped))
	echo "$new were new to conntrack, and it dropped $dropped, $(inject_rate) connections per second"
	((new + dropped >= COUNT))
}

{ topology_up && timeouts 600 && inject_ready; } || skip_all "no namespaces can be made"
echo $((2 * COUNT)) >"$MAX"
plan $((ROUNDS * (1 + 2 * STEP) + 2))
for ((i = 0; i < ROUNDS; i++)); do
	step "round $i" traffic_comes $i
	note "$(states_of "$GATEWAY" | awk 'NR > 1 && $4 { printf "%s %s %d  ", $2, $3, $4 }')"
	check "round $i: each entry is accounted for" accounted "$GATEWAY"
	step "round $i: flush" flush
done
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
