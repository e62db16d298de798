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
# shellcheck source=selftests/kernels.sh
. "$here/kernels.sh"
cd "$top" || exit 1
# usage: builds_without_warning KERNEL ARCHITECTURE
# A build from nothing, as warnings are printed only when a file is compiled.
builds_without_warning() {
	local vars build=$tmp/$1-$2 cross=()
	vars=$("$here/vm/kernel.sh" "$1" "$2") || return
	eval "$vars"
	[ "$2" = amd64 ] || cross=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-)
	mkdir -p "$build"
	cp -r Kbuild module "$build/"
	make -C "$KERNEL_DIR" M="$build" "${cross[@]}" W=1 C=1 clean >/dev/null 2>&1
	make -C "$KERNEL_DIR" M="$build" "${cross[@]}" W=1 C=1 modules >"$tmp/log" 2>&1 || {
		cat "$tmp/log"
		return 1
	}
	grep -q 'CHECK ' "$tmp/log" || { echo "sparse did not run"; return 1; }
	# arm64's own this_cpu_dec() casts its constant to each size, also where it is not used.
	! grep -v '/arch/arm64/include/asm/percpu.h:.* cast truncates bits from constant value' "$tmp/log" |
		grep -iE 'warning|error'
}

tool_builds_without_warning() {
	mkdir -p "$tmp/tool"
	cp -r dkms.conf tools "$tmp/tool/"
	make -s -C "$tmp/tool/tools" clean
	make -s -C "$tmp/tool/tools" CC="$1" CFLAGS="-O2 -g -Werror" && [ -x "$tmp/tool/tools/ctxstat" ] &&
		[ "$(ls "$tmp/tool/tools/"*.so | wc -l)" = 3 ]
}

# A copy of the sources, and headers to change
other_kernel() {
	headers_copy && rm -rf "$tmp/other" && mkdir -p "$tmp/other/module" &&
		cp Kbuild "$tmp/other/" && cp module/Kbuild module/*.[ch] "$tmp/other/module/"
}

build_other() { make -C "$headers" M="$tmp/other" "$@" >"$tmp/log" 2>&1; }

# 6.17: no tracker for dccp, nor its header; another name for a workqueue. 7.1: none for
# udplite. The files are those that know of it.
builds_with_newer_headers() {
	other_kernel && headers_version $((7 << 16 | 1 << 8)) && headers_without NF_CT_PROTO_DCCP &&
		headers_without NF_CT_PROTO_UDPLITE &&
		headers_change "$headers_common/net/netfilter/nf_conntrack.h" '/nf_conntrack_dccp\.h\|struct nf_ct_dccp/d' &&
		rm "$headers_common/linux/netfilter/nf_conntrack_dccp.h" || return
	if ! grep -q system_dfl_wq "$headers_common/linux/workqueue.h"; then
		headers_change "$headers_common/linux/workqueue.h" 's/system_unbound_wq/system_dfl_wq/' || return
	fi
	build_other W=1 module/class.o module/entry.o module/trace.o module/peak.o || { cat "$tmp/log"; return 1; }
	! grep -iE 'warning|error' "$tmp/log"
}

# usage: refused REASON; of all that the compiler says the reason is the first error
refused() {
	local first
	! build_other modules || { echo "it was built"; return 1; }
	first=$(grep -m 1 error "$tmp/log")
	echo "$first"
	[[ $first == *"#error \"ctxstat: "*$1* ]]
}

# usage: refused_without OPTION REASON
refused_without() {
	local config=$headers/include/generated/autoconf.h
	cp "$config" "$tmp/config" && headers_without "$1" && refused "$2" && cp "$tmp/config" "$config"
}

says_why_it_is_refused() {
	other_kernel || return
	refused_without 64BIT "only 64-bit kernels" &&
		refused_without NF_CONNTRACK "(CONFIG_NF_CONNTRACK)" &&
		refused_without NF_CONNTRACK_EVENTS "(CONFIG_NF_CONNTRACK_EVENTS)" &&
		refused_without DYNAMIC_FTRACE "(CONFIG_DYNAMIC_FTRACE)" &&
		headers_version $((5 << 16 | 15 << 8)) && refused "kernels before 5.19"
}

one_version() {
	local version
	version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
	echo "dkms.conf says $version"
	grep -Fx "#define CTXSTAT_VERSION \"$version\"" module/version.h &&
		[ "$(tools/ctxstat --version)" = "ctxstat $version" ] &&
		[ "$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)" = "$version" ] &&
		[ "$(sed -n '1s/^ctxstat (\(.*\)) .*/\1/p' debian/changelog)" = "$version" ]
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

arches=(amd64)
if command -v aarch64-linux-gnu-gcc >/dev/null; then
	arches+=(arm64)
else
	note "not for arm64: gcc-aarch64-linux-gnu is not installed"
fi
plan $((7 + 2 * ${#arches[@]}))
for kernel in 6.1 6.12; do
	for arch in "${arches[@]}"; do
		check "no warning from gcc W=1 and sparse on $kernel, $arch" builds_without_warning "$kernel" "$arch"
	done
done
check "it builds with headers as they are in 6.17 and 7.1" builds_with_newer_headers
check "a kernel that cannot run it is told why, first of all" says_why_it_is_refused
check "no warning from gcc for the tool" tool_builds_without_warning gcc
check "no warning from clang for the tool" tool_builds_without_warning clang
check "one version everywhere" one_version
check "kernel versions are asked for in compat.h only" versions_only_in_compat
check "every file says its license" every_file_says_its_license
finish
