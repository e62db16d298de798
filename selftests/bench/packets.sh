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

scene
for round in warm-up $(seq "$rounds"); do
	for what; do
		echo "# round $round: $what"
		load "$what"
		"$MEASURE" packets "$CLIENT" "$GATEWAY" "$SERVER" "$chunks" | results "$what" "$round"
		worked
		unload
	done
done
echo "# done"
