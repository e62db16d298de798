#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What packets and whole connections cost, with one thing after the other loaded.
#
# usage: packets.sh ROUNDS CHUNKS [WHAT...]
#
# The round called warm-up is not to be used: the first one after boot differs.

# shellcheck source=selftests/bench/scene.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/scene.sh"
# shellcheck source=selftests/bench/others.sh
. "$here/others.sh"
rounds=$1 chunks=$2
shift 2
# shellcheck disable=SC2086 # words
(($#)) || set -- $EVERYTHING

# With one process in three each packet takes two instructions more, whatever is loaded: so
# there are some in each round.
PROCESSES=4
lowest() { awk '!($1 in value) || $2 < value[$1] { value[$1] = $2 } END { for (name in value) print name, value[name] }'; }

scene
for round in warm-up $(seq "$rounds"); do
	for what; do
		echo "# round $round: $what"
		load "$what"
		for ((i = 0; i < PROCESSES; i++)); do
			"$MEASURE" packets "$CLIENT" "$GATEWAY" "$SERVER" $((chunks / PROCESSES))
		done | lowest | results "$what" "$round"
		worked $PROCESSES
		unload
	done
done
echo "# done"
