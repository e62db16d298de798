#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The sources: no warning from the compiler (W=1) or sparse on any kernel, one
# version everywhere, and nothing in the folders that does not belong there.

set -u
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
cd "$top" || exit 1
# A build from nothing, as warnings are printed only when a file is compiled.
builds_without_warning() {
	local vars
	vars=$("$here/vm/kernel.sh" "$1") || return
	eval "$vars"
	mkdir -p "$tmp/$1"
	cp -r Kbuild module "$tmp/$1/"
	make -C "$KERNEL_DIR" M="$tmp/$1" W=1 C=1 clean >/dev/null 2>&1
	make -C "$KERNEL_DIR" M="$tmp/$1" W=1 C=1 modules >"$tmp/log" 2>&1 || {
		cat "$tmp/log"
		return 1
	}
	grep -q 'CHECK ' "$tmp/log" || { echo "sparse did not run"; return 1; }
	! grep -iE 'warning|error' "$tmp/log"
}

tool_builds_without_warning() {
	mkdir -p "$tmp/tool"
	cp -r dkms.conf tools "$tmp/tool/"
	make -s -C "$tmp/tool/tools" clean
	make -s -C "$tmp/tool/tools" CC="$1" CFLAGS="-O2 -g -Werror" && [ -x "$tmp/tool/tools/ctxstat" ]
}

one_version() {
	local version
	version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
	echo "dkms.conf says $version"
	grep -Fx "#define CTXSTAT_VERSION \"$version\"" module/version.h &&
		[ "$(tools/ctxstat --version)" = "ctxstat $version" ] &&
		[ "$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)" = "$version" ]
}

# Core code is the same for all kernels: only compat.h may ask for a version.
versions_only_in_compat() {
	! grep -lE 'LINUX_VERSION_CODE|KERNEL_VERSION' module/*.[ch] | grep -v '/compat.h$'
}

every_file_says_its_license() {
	local file missing=0
	for file in $(git ls-files | grep -E '\.(c|h|sh|awk|py|yml|conf|in|5|8)$|(Makefile|Kbuild)$|^tools/completion/'); do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0' || { echo "$file"; missing=1; }
	done
	[ -n "$file" ] && return $missing
}

plan 7
for kernel in 6.1 6.12; do
	check "no warning from gcc W=1 and sparse on $kernel" builds_without_warning $kernel
done
check "no warning from gcc for the tool" tool_builds_without_warning gcc
check "no warning from clang for the tool" tool_builds_without_warning clang
check "one version everywhere" one_version
check "kernel versions are asked for in compat.h only" versions_only_in_compat
check "every file says its license" every_file_says_its_license
finish
