#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# All dealings with DKMS.
#
# usage: dkms.sh build KERNEL FOLDER [MAKE ARGUMENT...]
#            DKMS calls it in its copy of the sources, to build the module for a kernel
#            whose headers are in that folder
#        dkms.sh report KERNEL
#            DKMS calls it afterwards: tell if the module was not built
#        dkms.sh install VERSION
#            register the sources in /usr/src/ctxstat-VERSION, in place of all other
#            versions, and install the module for every kernel that has headers
#        dkms.sh remove
#            take away all versions, with their sources
#
# Exit: 0 done, 1 not, 2 usage.
#
# A kernel that cannot run ctxstat (compat.h says which, and why), or for which it does not
# compile, gets a module in its place that refuses to load and says so in the kernel's
# log. DKMS could be told to skip such kernels (BUILD_EXCLUSIVE_*), but up to 3.0.10, which is
# Debian 12's, it takes that for a failure while a kernel is being installed, as it
# takes a build that fails; then the kernel's package is left half-installed, and
# apt refuses to go on. ctxstat is not worth that.

set -eu
usage() { sed -n '/^# usage:/,/^#$/{s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
say() { echo "ctxstat: $*" >&2; }

# The reason that compat.h or an assertion gives, or a general one; in it nothing that C would
# take for theirs.
reason()
{
	sed -n 's/.*"ctxstat: \(.*\)".*/\1/p' "$1" | head -n 1 | tr -cd '[:alnum:] .,;:()_-' >"$2"
	[ -s "$2" ] || printf 'it does not compile for this kernel' >"$2"
}

build()
{
	kernel=$1 folder=$2
	shift 2
	here=$PWD/module
	log=$here/build.log
	rm -f "$here/refuse/reason"
	if make -j"$(nproc)" -C "$folder" M="$PWD" "$@" modules >"$log" 2>&1; then
		cat "$log"
		return
	fi
	cat "$log"
	reason "$log" "$here/refuse/reason"
	say "not for $kernel: $(cat "$here/refuse/reason")"
	printf '#define CTXSTAT_REASON "%s"\n' "$(cat "$here/refuse/reason")" >"$here/refuse/reason.h"
	make -C "$folder" M="$here/refuse" "$@" modules
	cp "$here/refuse/ctxstat.ko" "$here/ctxstat.ko"
}

report()
{
	[ -s module/refuse/reason ] || return 0
	version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
	say "cannot be used with kernel $1: $(cat module/refuse/reason)."
	say "Nothing else is affected: a module that only says so was installed for that kernel."
	say "Use another kernel, or a newer ctxstat; /var/lib/dkms/ctxstat/$version/$1/*/log/make.log has the"
	say "compiler's words. To try again: dkms build --force ctxstat/$version -k $1, then dkms install --force."
}

versions() { dkms status ctxstat 2>/dev/null | sed -n 's|^ctxstat[/,] *\([^,: ]*\).*|\1|p' | sort -u; }

forget() # VERSION
{
	dkms remove "ctxstat/$1" --all || rm -rf "/var/lib/dkms/ctxstat/$1"
}

remove()
{
	command -v dkms >/dev/null || return 0
	for version in $(versions); do
		forget "$version"
		rm -rf "/usr/src/ctxstat-$version"
	done
	rmdir /var/lib/dkms/ctxstat 2>/dev/null || :
}

install()
{
	command -v dkms >/dev/null || { say "dkms is missing: apt install dkms"; exit 1; }
	for version in $(versions); do
		forget "$version"
		[ "$version" = "$1" ] || rm -rf "/usr/src/ctxstat-$version"
	done
	dkms add "ctxstat/$1"
	built=
	for folder in /lib/modules/*/build/; do
		[ -e "$folder/Makefile" ] || continue
		kernel=${folder#/lib/modules/}
		dkms install "ctxstat/$1" -k "${kernel%/build/}"
		built=1
	done
	[ -n "$built" ] || say "no kernel has its headers here: apt install linux-headers-$(uname -r), which builds it"
}

case ${1:-} in
build) [ $# -ge 3 ] || usage ;;
report | install) [ $# -eq 2 ] || usage ;;
remove) [ $# -eq 1 ] || usage ;;
*) usage ;;
esac
"$@"
