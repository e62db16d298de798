#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run the tests: those of the sources and the tool here, all others in virtual machines, one
# each, on every kernel, or, what differs little between them, on one in turn; those that
# boot machines of their own once. Two run beside each other, if there are two CPUs. What takes
# long and finds little is left out: packages.sh and install.sh, as dkms.sh does the most of
# what they do on machines that boot; netfilter.sh, which is the kernel's own tests; and on
# arm64, which is cross-built and emulated, all but the tests that say most about it.
#
# usage: check.sh [TEST...]     only these, such as states.sh
#
# Environment:
#   ALL=1                all tests, on both kernels and both architectures
#   KERNEL=KERNEL...     on these kernels only: 6.1, 6.12 and others of vm/kernel.sh's. On
#                        one with a flavour, such as 6.12-debug, only what loads the module
#                        is run
#   ARCH=amd64|arm64     on this one only; on arm64 all tests that can run there
#   LOGS=FOLDER          keep output and kernel logs (build/logs)
#   FULL=1               stress.sh, limit.sh and many.sh in full size, which takes hours
#   VM_OPTIONS=OPTIONS   of vm/run.sh (--one-thread, as all tests load the module,
#                        which patches code: run.sh says why)
#
# Exit: 0 all passed, 1 some failed or could not run, 2 something is missing.
# The last line counts the checks: N passed, N failed.

set -uo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
cd "$top" || exit 2

# shellcheck disable=SC2206 # several
kernels=(${KERNEL:-6.1 6.12})
plain=()
for kernel in "${kernels[@]}"; do
	[[ $kernel == *-* ]] || plain+=("$kernel")
done
logs=${LOGS:-$top/build/logs}
vm_options=${VM_OPTIONS---one-thread}
only=("$@")

if [[ ${ARCH:-} == arm64 ]] && ((${#plain[@]} != ${#kernels[@]})); then
	echo "check.sh: on arm64 there are Debian's usual kernels only" >&2
	exit 2
fi

all=${ALL:-} amd64=1 arm64=''
case ${ARCH:-} in
"") ((${#only[@]} || ${#plain[@]} == 0)) || arm64=TEST_PROGS_ARM64_FEW ;;
amd64) ;;
arm64) amd64='' arm64=TEST_PROGS_ARM64 all=1 ;;
*) echo "check.sh: ARCH is amd64 or arm64" >&2; exit 2 ;;
esac
[ -z "$all" ] || [ -z "$arm64" ] || arm64=TEST_PROGS_ARM64
# Whoever names a test wants it.
((${#only[@]} == 0)) || all=1
# What is built here is told its architecture; "make check ARCH=arm64" is in MAKEFLAGS, too.
unset ARCH MAKEFLAGS MAKEOVERRIDES

say() { echo "== $*"; }

# list NAME: a list of the tests' Makefile, or of it what was asked for
list() {
	local test
	for test in $(make -s -C "$here" "print-$1"); do
		if ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $test "* ]]; then
			echo "$test"
		fi
	done
}

lists() {
	[ -z "$amd64" ] || { list TEST_PROGS_HOST; list TEST_PROGS; list TEST_PROGS_BESIDE; list TEST_PROGS_VM; list TEST_PROGS_BOOT; list TEST_PROGS_LONG; list TEST_PROGS_LONG_EACH; list TEST_PROGS_DEBUG; }
	[ -z "$arm64" ] || list "$arm64"
}

for test in "${only[@]}"; do
	[ -n "$(only=("$test"); lists)" ] || {
		echo "check.sh: no test is called $test${arm64:+, or it does not run on arm64}" >&2
		exit 2
	}
done

# run NAME COMMAND...: show the output, count the checks
run() {
	local name=$1 log=$logs/$1.out start=$SECONDS status ok bad
	shift
	say "$name"
	"$@" 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	ok=$(grep -c '^ok ' "$log")
	bad=$(grep -c '^not ok ' "$log")
	# A test that stopped half-way, skipped, or ran nothing has failed too, and
	# so has one that passed while the kernel complained.
	if ((status != 0 && bad == 0)) || ((ok + bad == 0)); then
		bad=$((bad + 1))
		echo "not ok - $name exited with $status" | tee -a "$log"
	fi
	echo "$name $ok $bad" >>"$logs/results"
	say "$name: $ok passed, $bad failed, $((SECONDS - start)) s"
}

# vm NAME KERNEL SLOT TEST [OPTION...]: a test in a virtual machine of its own, with the
# module that was built in build/NAME
vm() {
	local name=$1 kernel=$2 slot=$3 test=$4 full=()
	shift 4
	case $kernel in
	# What looks for faults takes time and memory.
	*-debug | *-kcsan) set -- --timeout 3600 --memory 4096 "$@" ;;
	esac
	# A test may ask for more CPUs or memory, in a line of its own; and in full size in another.
	# shellcheck disable=SC2207 # several
	[ -z "${FULL:-}" ] || full=(--env FULL=1 $(sed -n 's/^# vm FULL: //p' "$here/$test"))
	# shellcheck disable=SC2046,SC2086 # several
	run "$name-$test" "$here/vm/run.sh" --kernel "$kernel" --slot "$slot" --timeout 1200 $vm_options \
		$(sed -n 's/^# vm: //p' "$here/$test") \
		--log "$logs/$name-$test.kernel" --env CTXSTAT_CACHE="$CTXSTAT_CACHE" \
		--env CTXSTAT_KO="$top/build/$name/module/ctxstat.ko" "$@" "${full[@]}" -- "$here/$test"
}

# on_some KIND TEST KERNEL...: the job of one kernel, in turn, or those of all
on_some() {
	local kind=$1 test=$2
	shift 2
	if [ -n "$all" ]; then
		printf "%s $kind $test\n" "$@"
	else
		shift $((number++ % $#))
		echo "$1 $kind $test"
	fi
}

# jobs: "KERNEL KIND TEST" of all tests that boot, one a line. Those that boot machines of
# their own, which take longest, come first; the few for arm64 take turns with the kernels.
jobs() {
	local test kernel number
	# From commit to commit each has its turn on each.
	number=$(git rev-list --count HEAD 2>/dev/null || echo 0)
	if [ -n "$amd64" ]; then
		((${#plain[@]} == 0)) || for test in $(list TEST_PROGS_BOOT) $([ -z "$all" ] || list TEST_PROGS_LONG); do
			echo "${plain[-1]} boot $test"
		done
		[ -z "$all" ] || for test in $(list TEST_PROGS_LONG_EACH); do
			for kernel in "${kernels[@]}"; do
				[[ $kernel == *-* && $kernel != *-debug ]] || echo "$kernel boot $test"
			done
		done
		for test in $(list TEST_PROGS_EACH); do
			printf "%s amd64 $test\n" "${kernels[@]}"
		done
		for test in $(list TEST_PROGS_DEBUG); do
			printf '%s\n' "${kernels[@]}" | sed -n "s/-debug\$/& amd64 $test/p"
		done
		for test in $(list TEST_PROGS_TURN) $(list TEST_PROGS_BESIDE) $(list TEST_PROGS_VM); do
			on_some amd64 "$test" "${kernels[@]}"
		done
	fi
	for test in ${arm64:+$(list "$arm64")}; do
		on_some arm64 "$test" "${plain[@]}"
	done
}

next_job() {
	(
		flock 9
		sed -n 1p "$logs/jobs"
		sed -i 1d "$logs/jobs"
	) 9>"$logs/jobs.lock"
}

# worker SLOT: take one job after the other; the first one runs what runs here before
worker() {
	local slot=$1 kernel kind test
	if ((slot == 0 && ${#plain[@]})) && [ -n "$amd64" ]; then
		for test in $(list TEST_PROGS_HOST); do
			run "$test" "$here/$test"
		done 2>&1 </dev/null | sed -u "s/^/here: /"
	fi
	while read -r kernel kind test < <(next_job); do
		case $kind in
		boot)
			run "$kernel-$test" env KERNEL="$kernel" SLOT="$slot" VM_OPTIONS="$vm_options" \
				KERNEL_LOG="$logs/$kernel-$test.kernel" "$here/$test"
			;;
		amd64)
			vm "$kernel" "$kernel" "$slot" "$test"
			;;
		arm64)
			vm "$kernel-arm64" "$kernel" "$slot" "$test" --arch arm64 --share "$top" \
				--env CTXSTAT="$top/build/arm64/tools/ctxstat" \
				--env TRAFFIC="$top/build/arm64/selftests/traffic"
			;;
		esac 2>&1 </dev/null | sed -u "s/^/$kernel: /"
	done
}

groups=()
# stop STATUS: nothing is left running
stop() {
	local group
	for group in "${groups[@]}"; do
		kill -TERM -- "-$group" 2>/dev/null
	done
	wait
	exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM

to_build_kernels=()
case ${kernels[*]} in
*-debug* | *-kcsan*) to_build_kernels=(bison flex bc libelf-dev) ;;
esac
say "packages"
"$here/vm/packages.sh" iproute2 procps nftables iptables conntrack socat iperf3 python3 \
	bc libxdp1 libunbound8 libcap-ng0 libbpf1 libnuma1 libnetfilter-cthelper0 libnetfilter-queue1 libnl-genl-3-200 libpopt0 \
	netcat-openbsd iputils-ping libmnl-dev \
	sparse cppcheck coccinelle dkms pahole man-db groff mandoc bash-completion jq clang libclang-rt-dev tmux valgrind \
	systemd debhelper dh-dkms lintian mmdebstrap genext2fs e2fsprogs ovmf openssl sbsigntool \
	gcc-aarch64-linux-gnu ${arm64:+qemu-system-arm} "${to_build_kernels[@]}" || exit 2
# These are not installed: they would start services.
fetched=$("$here/vm/fetch.sh" prometheus prometheus-node-exporter shorewall shorewall-core conntrackd ipvsadm openvswitch-switch openvswitch-common) || exit 2
CTXSTAT_CACHE=${fetched%%/packages/*}
export CTXSTAT_CACHE

mkdir -p "$logs"
: >"$logs/results"
say "build"
make -s tools && make -s -C "$here" all || exit 2
[ -z "$arm64" ] || make -s tools ARCH=arm64 || exit 2
for kernel in "${kernels[@]}"; do
	[ -z "$amd64" ] || make -s module KERNEL="$kernel" || exit 2
	[ -z "$arm64" ] || [[ $kernel == *-* ]] || make -s module KERNEL="$kernel" ARCH=arm64 || exit 2
done

# A VM whose CPUs take turns keeps one CPU busy, so two run beside each other. In groups of
# their own, so that stop reaches all that they have started.
workers=1
if [[ $vm_options == *--one-thread* ]] && (($(nproc) > 1)); then
	workers=2
fi
jobs >"$logs/jobs"
set -m
for ((slot = 0; slot < workers; slot++)); do
	worker $slot </dev/null &
	groups+=($!)
done
set +m
wait

# Once more, at the end: it is all that some look at, or are shown.
for name in $(awk '$3 { print $1 }' "$logs/results"); do
	say "failed: $name (logs in $logs)"
	awk '/^ok /{ shown = 0 } /^not ok |# SKIP/{ shown = 15 } shown-- > 0' "$logs/$name.out"
done
awk '{ passed += $2; failed += $3 }
	END { print passed + 0 " passed, " failed + 0 " failed"; exit failed > 0 || !passed }' "$logs/results"
