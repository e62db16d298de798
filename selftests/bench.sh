#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What ctxstat costs, in instructions, beside what people use instead: of packets through
# a gateway that forwards and masquerades, of whole connections, of reading, and of memory.
# Measured in virtual machines whose clock counts instructions, so that the numbers do not
# depend on this machine or its load.
#
# usage: bench.sh
#
# Environment:
#   KERNEL=6.1|6.12|all  on this kernel (all)
#   QUICK=1              fewer rounds, and 20,000 entries at most instead of 1,000,000
#   PARTS="PART..."      measure these anew: packets, reading, reading-ENTRIES,
#                        reading-1000000-conntrack-L and others, memory, memory-8, cpus
#   CTXSTAT_KO=FILE      this module, instead of one built from the tree; with KERNEL
#   VM_RUN=COMMAND       starts virtual machines instead of vm/run.sh, which it calls
#
# stdout: tables and a verdict on each target. Both kernels' are written to BENCH.md.
#
# Each part is a virtual machine of its own, and its results are kept in
# build/KERNEL/bench/PART.results (QUICK=1: bench-quick/): a run that was interrupted goes on
# where it was, and parts that were measured for this module by these scripts are not
# measured again.
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
rounds=3 chunks=400 sizes=(1000 10000 100000 1000000) folder=bench
[[ -z ${QUICK:-} ]] || rounds=2 chunks=100 sizes=(1000 20000) folder=bench-quick
parts=(packets)
for entries in "${sizes[@]}"; do
	if ((entries < 1000000)); then
		parts+=("reading-$entries")
	else
		# a machine each: the last three take long
		parts+=("reading-$entries-"{quick,conntrack-L,proc,iptstate})
	fi
done
parts+=(memory memory-8 cpus)

say() { echo "bench.sh: $*" >&2; }

# fits NAME PART: the part, or all whose names begin so
fits() { [[ $2 == "$1" || $2 == "$1"-* ]]; }

for name in ${PARTS:-}; do
	for known in "${parts[@]}"; do
		! fits "$name" "$known" || continue 2
	done
	say "PARTS: no $name among ${parts[*]}"
	exit 2
done

# wanted PART: is it to be measured anew?
wanted() {
	local name
	for name in ${PARTS:-}; do
		! fits "$name" "$1" || return 0
	done
	return 1
}

# conntrackd would start as a service, if it were installed: unpacked, it finds the
# libraries that conntrack brings along.
packages=(iproute2 nftables conntrack procps iptables ipset iptstate bpftrace
	binutils libnetfilter-queue1 libnetfilter-cthelper0 libsystemd0)
"$here/vm/packages.sh" "${packages[@]}" >&2 || exit 2
conntrackd=$("$here/vm/fetch.sh" conntrackd)/usr/sbin/conntrackd || exit 2
conntrackd=$(realpath "$conntrackd") || exit 2

# What results depend on beside the tree; conntrackd's folder is named after its version.
awk=$(realpath "$(command -v awk)")
versions="$(dpkg-query -W "${packages[@]}" coreutils libc6 qemu-system-x86 "${awk##*/}") $conntrackd" || exit 2

# part KERNEL PART
part() {
	# Several CPUs, of which the first one comes up by itself. 6.1 waits for another one
	# without a pause in which QEMU's could take turns: see cpus_up() in scene.sh. And
	# measuring its own speed takes it for ages.
	local several=(--cpus 8 --append "maxcpus=1 lpj=4000000 tsc=reliable")
	local build=build/$1/$folder options=(--timeout 14400) script=${2%%-*} arguments=() made_of=() entries=${2#*-}
	local new=$build/$2.new results=$build/$2.results stamp status

	case $2 in
	packets)
		made_of=("$here"/bench/{others.sh,others/*,empty_hook.c})
		arguments=("$rounds" "$chunks")
		;;
	reading-*)
		made_of=("$here/bench/stall.c" tools/ctxstat)
		options+=(--memory 3072)
		arguments=("${entries%%-*}")
		[[ $entries != *-* ]] || arguments+=("${entries#*-}")
		;;
	memory)
		options+=(--memory 3072)
		arguments=(1000 "${sizes[-1]}")
		;;
	memory-8)
		options+=("${several[@]}")
		arguments=(namespaces)
		;;
	cpus)
		options+=(--cpus 8)
		[[ $1 != 6.1 ]] || options+=("${several[@]}")
		arguments=(8 "$rounds" "$chunks")
		;;
	esac

	stamp="$({ cat "$module" "$build/measure" "${made_of[@]}" "$here"/{topology.sh,vm/run.sh,bench/scene.sh,"bench/$script.sh"} &&
		echo "$versions ${options[*]}"; } | sha256sum | cut -c1-16) ${arguments[*]}"
	if ! wanted "$2" && [[ -s $results && $(head -n 1 "$results") == "# $stamp" ]]; then
		say "$1: $2: measured already"
		return
	fi
	say "$1: $2"
	# Whatever is not a result is progress. Results of a run that failed are not kept as such.
	{
		echo "# $stamp"
		"${VM_RUN:-$here/vm/run.sh}" --kernel "$1" --icount "${options[@]}" --log "$build/$2.kernel.log" \
			--env CTXSTAT_KO="$module" --env CTXSTAT="$top/tools/ctxstat" \
			--env EMPTY_HOOK_KO="$top/$build/modules/empty_hook.ko" \
			--env STALL_KO="$top/$build/modules/stall.ko" \
			--env MEASURE="$top/$build/measure" --env CONNTRACKD="$conntrackd" \
			-- "$here/bench/$script.sh" "${arguments[@]}"
	} | tee "$new" | sed -u -n "1d; s/^# /bench.sh: $1: /p; t; /^[^ ]*: /p" >&2
	status=${PIPESTATUS[0]}
	if ((status)) || [[ $(tail -n 1 "$new") != "# done" ]]; then
		say "$1: $2: failed (status $status): see $new"
		return 1
	fi
	mv "$new" "$results"
}

# bench KERNEL
bench() {
	local build=build/$1/$folder settings module=${CTXSTAT_KO:-} name

	settings=$("$here/vm/kernel.sh" "$1") || return 2
	eval "$settings"
	if [[ -z $module ]]; then
		"$here/vm/build.sh" "$1" || return 2
		module=build/$1/module/ctxstat.ko
	fi
	module=$(realpath "$module")

	mkdir -p "$build/modules"
	cp -pu "$here/bench/Kbuild" "$here/bench/empty_hook.c" "$here/bench/stall.c" "$build/modules/"
	if ! { make -C tools && make -C "$KERNEL_DIR" M="$top/$build/modules" modules &&
		"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$build/measure" \
			"$here"/bench/{measure,gateway,packets,programs}.c; } >"$build/log" 2>&1; then
		cat "$build/log" >&2
		return 2
	fi

	local results=()
	for name in "${parts[@]}"; do
		part "$1" "$name" || return 2
		results+=("$build/$name.results")
	done
	objdump -dr --no-show-raw-insn "$module" | awk -f "$here/bench/stores.awk" >"$build/stores.results" || {
		say "$1: no packet_hook in $module"
		return 2
	}

	awk -v release="$KERNEL_RELEASE" -v rounds=$rounds -v sizes="${sizes[*]}" \
		-f "$here/bench/report.awk" "${results[@]}" "$build/stores.results"
}

status=0
for kernel in "${kernels[@]}"; do
	mkdir -p "build/$kernel/$folder"
	bench "$kernel" >"build/$kernel/$folder/report"
	result=$?
	cat "build/$kernel/$folder/report"
	((result <= status)) || status=$result
done
if ((status < 2 && ${#kernels[@]} == 2)) && [[ -z ${QUICK:-} ]]; then
	{
		cat "$here/bench/BENCH.head"
		for kernel in "${kernels[@]}"; do
			printf '\n## Linux %s\n\n```\n' "$kernel"
			sed '1{/^$/d}' "build/$kernel/bench/report"
			printf '```\n'
		done
	} >BENCH.md
	say "written to BENCH.md"
fi
exit "$status"
