#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the module for a Debian kernel of the test VM.
#
# usage: build.sh KERNEL [ARCH=amd64|arm64] [MAKE ARGUMENT...]
#
# KERNEL is one of kernel.sh's. The module is left in build/KERNEL/module/ctxstat.ko at
# the top of the tree, and that for arm64, cross-built, in build/KERNEL-arm64/. What is
# built is a copy of the
# sources, so that builds for several kernels stand side by side. More arguments go to
# the kernel's make: W=1, C=1. For a kernel that injects faults what faults.sh loads is
# built as well, in build/KERNEL/faults/.
#
# Exit: 0 built, 1 not, 2 usage.

set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/../..")

usage()
{
	echo "usage: build.sh KERNEL [ARCH=amd64|arm64] [MAKE ARGUMENT...]" >&2
	exit 2
}

[[ ${1:-} =~ ^[0-9]+\.[0-9]+(-[a-z]+)?$ ]] || usage
kernel=$1
shift
cross=() suffix='' arch=amd64
case ${1:-} in
ARCH=amd64) shift ;;
ARCH=arm64)
	cross=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-)
	suffix=-arm64 arch=arm64
	shift
	;;
ARCH=*) usage ;;
esac
build=$top/build/$kernel$suffix

vars=$("$here/kernel.sh" "$kernel" "$arch")
eval "$vars"

mkdir -p "$build/module"
# A build for an older version of the kernel's package is of no use.
if [[ $(cat "$build/release" 2>/dev/null) != "$KERNEL_RELEASE" ]]; then
	rm -rf "$build"
	mkdir -p "$build/module"
	echo "$KERNEL_RELEASE" >"$build/release"
fi
cp -pu "$top/Kbuild" "$build/"
cp -pu "$top/module/Kbuild" "$top"/module/*.[ch] "$build/module/"

echo "build.sh: building the module for $KERNEL_RELEASE" >&2
# No BTF for a module outside the kernel's tree: the headers lack vmlinux.
# -g, which Debian's kernels have anyway: lifecycle.sh looks for types in the module where the
# kernel tells none.
make -C "$KERNEL_DIR" M="$build" KCFLAGS=-g "${cross[@]}" "$@" modules >"$build/log" 2>&1 || {
	cat "$build/log"
	exit 1
}
if [[ $kernel == *-debug ]]; then
	mkdir -p "$build/faults"
	cp -pu "$top"/selftests/faults/{Kbuild,no_percpu.c} "$build/faults/"
	make -C "$KERNEL_DIR" M="$build/faults" modules >>"$build/log" 2>&1 || {
		cat "$build/log"
		exit 1
	}
fi
# What a kernel looks for is only found in code that was built for it.
calls=''
case $kernel in
*-debug) calls=__asan_ ;;
*-kcsan) calls=__tsan_ ;;
esac
if [[ -n $calls && $(nm -u "$build/module/ctxstat.ko") != *" $calls"* ]]; then
	echo "build.sh: the module calls no $calls functions" >&2
	exit 1
fi
grep -E 'warning:|error:' "$build/log" || :
