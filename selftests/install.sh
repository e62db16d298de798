#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make install and make uninstall, with the real dkms, on the running kernel. It
# changes the machine: only ever run in a virtual one.

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

[ "$(hostname)" = ctxstat-vm ] || skip_all "only in the test's virtual machine"
require dkms make gcc
[ -e "/lib/modules/$(uname -r)/build/Makefile" ] || skip_all "no headers for $(uname -r)"

top=$(realpath "$here/..")
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$top/dkms.conf")

files() { find /usr/src /usr/local /var/lib/dkms "/lib/modules/$(uname -r)" -xdev -name '*ctxstat*' | sort; }

installed() {
	dkms status ctxstat | tee /dev/stderr | grep -q "^ctxstat/$version, $(uname -r), .*: installed"
}

loads() {
	modprobe ctxstat && module_loaded &&
		[ "$(cat /sys/module/ctxstat/version)" = "$version" ] &&
		[ -r $PROC/states ]
}

tool_works() {
	local out
	out=$(ctxstat) && echo "$out" && grep -q entries <<<"${out,,}"
}

nothing_left() {
	files
	[ -z "$(files)" ] && ! dkms status ctxstat | grep . && ! modprobe -n ctxstat
}

# The tree may be somebody's: build in a copy.
cp -r "$top" "$tmp/source"
make -s -C "$tmp/source" clean >/dev/null

plan 9
check "nothing is installed at first" nothing_left
check "make install" make -C "$tmp/source" install
check "dkms has it installed" installed
check "modprobe loads it" loads
check "the tool shows it" tool_works
check "the man page is found" man -w ctxstat
check "it unloads" module_unload
check "make uninstall leaves nothing" eval 'make -C "$tmp/source" uninstall && nothing_left'
check "kernel log is clean" kernel_is_clean
finish
