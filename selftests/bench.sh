#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What ctxstat costs, in instructions: of packets through a gateway that forwards and
# masquerades, of whole connections, and of reading. Measured in a virtual machine
# whose clock counts instructions, so that the numbers do not depend on this machine
# or its load.
#
# usage: bench.sh
#
# Environment:
#   KERNEL=6.1|6.12|all  on this kernel (all)
#   QUICK=1              fewer rounds, and 20,000 entries instead of 500,000
#   CTXSTAT_KO=FILE      this module, instead of one built from the tree; with KERNEL
#
# stdout: a table and a verdict on each target. The measurements themselves are kept
# in build/KERNEL/bench/results.
#
# As root, Debian packages that are missing are installed; anyone else is told which.
#
# Exit: 0 all targets are met, 1 one is missed, 2 it could not be measured.

set -uo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
cd "$top" || exit 2

case ${KERNEL:-all} in
all) kernels=(6.1 6.12) ;;
6.1 | 6.12) kernels=("$KERNEL") ;;
*) echo "bench.sh: KERNEL is 6.1, 6.12 or all" >&2; exit 2 ;;
esac
if [[ -n ${CTXSTAT_KO:-} && ${#kernels[@]} != 1 ]]; then
	echo "bench.sh: CTXSTAT_KO is for one kernel: say which with KERNEL" >&2
	exit 2
fi

# The median over chunks does not need many of them; the rounds show whether it holds.
rounds=3 chunks=400 entries=500000
[[ -z ${QUICK:-} ]] || rounds=2 chunks=100 entries=20000

"$here/vm/packages.sh" iproute2 nftables conntrack procps >&2 || exit 2

# bench KERNEL
bench() {
	local build=build/$1/bench settings module=${CTXSTAT_KO:-} line

	settings=$("$here/vm/kernel.sh" "$1") || return 2
	eval "$settings"
	if [[ -z $module ]]; then
		"$here/vm/build.sh" "$1" || return 2
		module=build/$1/module/ctxstat.ko
	fi

	mkdir -p "$build/hook"
	cp -pu "$here/bench/Kbuild" "$here/bench/empty_hook.c" "$build/hook/"
	if ! { make -C "$KERNEL_DIR" M="$top/$build/hook" modules &&
		"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$build/measure" \
			"$here/bench/measure.c"; } >"$build/log" 2>&1; then
		cat "$build/log" >&2
		return 2
	fi

	# Whatever is not a result is progress.
	"$here/vm/run.sh" --kernel "$1" --icount --timeout 1800 --log "$build/kernel.log" -- \
		"$here/bench/guest.sh" "$module" "$build/hook/empty_hook.ko" "$build/measure" \
		$rounds $chunks $entries |
		while IFS= read -r line; do
			if [[ $line =~ ^[a-zA-Z_+-]+\ [a-z0-9-]+\ [a-z-]+\ [0-9.-]+$ ]]; then
				echo "$line"
			else
				echo "bench.sh: $1: ${line#\# }" >&2
			fi
		done >"$build/results" || return 2

	awk -v release="$KERNEL_RELEASE" -v rounds=$rounds -v entries=$entries \
		-f "$here/bench/report.awk" "$build/results"
}

status=0
for kernel in "${kernels[@]}"; do
	bench "$kernel"
	result=$?
	((result <= status)) || status=$result
done
exit "$status"
