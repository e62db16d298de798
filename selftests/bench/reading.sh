#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What one reading of all states costs, and for how long packets have to wait meanwhile,
# with so many entries in the table: ctxstat and what people use instead.
#
# usage: reading.sh ENTRIES [conntrack-L|proc|iptstate|quick]...
#
# All of them, if nothing else is said: quick is what takes as long with any number of entries.

# shellcheck source=selftests/bench/scene.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/scene.sh"
entries=$1
shift
(($#)) || set -- quick conntrack-L proc iptstate

# measured TIMES WHAT COMMAND...: what the command costs, and how long packets wait, for
# which timers interrupt it: with the same period for all, as it tells how short a wait is
# seen
measured() {
	local times=$1 what=$2 period=20000
	shift 2
	echo "# $entries entries: $what"
	if [[ $what == proc ]] && ((entries >= 1000000)); then
		# It is stopped. That is told of it, and no waits.
		period=1000000
	else
		on "$GATEWAY" "$MEASURE" run "$times" "$@" | results "$what" "$entries"
	fi
	on "$GATEWAY" "$MEASURE" stall "$times" "$period" "$@" | results "$what" "$entries"
}

quick() { measured 50 "$@"; }
slow() { measured $((entries <= 10000 ? 5 : 1)) "$@"; }

read_quick() {
	on "$GATEWAY" "$MEASURE" read /proc/net/ctxstat/states | results states "$entries"
	quick nothing true
	quick ctxstat "$CTXSTAT" states
	quick cat cat /proc/net/ctxstat/states
	quick conntrack-C conntrack -C
	quick conntrack-S conntrack -S
}

# shellcheck disable=SC2016 # for awk
COUNT='{ n[$proto " " ($proto == "tcp" ? $state : "-")]++ } END { for (state in n) print state, n[state] }'

# Seconds of CPU time, so 10^9 instructions each, after which awk on /proc/net/nf_conntrack
# is stopped. Each 4 KiB that it reads are looked for from the table's beginning: 1,000,000
# entries take more than ten times what 100,000 do, and hours of emulation.
limit=60

scene
insmod "$STALL_KO"
insmod "$CTXSTAT_KO"
"$MEASURE" fill "$CLIENT" "$GATEWAY" "$SERVER" "$entries" | results fill "$entries"
# shellcheck disable=SC2016 # for awk
on "$GATEWAY" awk -v expected="$entries" 'NR > 1 { n += $4 } END { exit n != expected }' /proc/net/ctxstat/states || {
	echo "reading.sh: states does not show $entries entries" >&2
	exit 1
}

for what; do
	case $what in
	quick) read_quick ;;
	conntrack-L) slow conntrack-L sh -c "conntrack -L 2>/dev/null | awk -v proto=1 -v state=4 '$COUNT'" ;;
	proc) slow proc prlimit --cpu=$limit:$((limit * 2)) awk -v proto=3 -v state=6 "$COUNT" /proc/net/nf_conntrack ;;
	# Without -o iptstate makes a line as wide as a terminal, which is not there.
	iptstate) slow iptstate iptstate -1 -o ;;
	*) exit 2 ;;
	esac
done
on "$GATEWAY" conntrack -C | awk -v expected="$entries" '{ exit $1 != expected }' || {
	echo "reading.sh: there are no longer $entries entries" >&2
	exit 1
}
echo "# done"
