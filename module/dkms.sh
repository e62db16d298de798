#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# All dealings with DKMS.
#
# usage: dkms.sh build KERNEL FOLDER [MAKE ARGUMENT...]
#            DKMS calls it in its copy of the sources, to build the module for a kernel
#            whose headers are in that folder
#        dkms.sh report KERNEL VERSION TREE
#            DKMS, whose files are in TREE, calls it afterwards: tell if it was not built
#        dkms.sh install VERSION
#            register the sources in /usr/src/ctxstat-VERSION, in place of all other
#            versions, and install the module for every kernel that has headers
#        dkms.sh kernels VERSION
#            install it for every kernel that has headers, and has not got it yet
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
# What "make install" was told is not for the kernel's make; nor is somebody's PATH, after
# su, the one of root.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
TREE=/var/lib/dkms/ctxstat

usage() { sed -n '/^# usage:/,/^#$/{s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
say() { echo "ctxstat: $*" >&2; }
die() { say "$*"; exit 1; }

# The reason that compat.h or an assertion gives, or a general one; in it nothing that C
# would take for its own.
reason()
{
	sed -n 's/.*error: .*ctxstat: \([^"]*\).*/\1/p' "$1" | head -n 1 | tr -cd '[:alnum:] .,;:()_-' >"$2"
	[ -s "$2" ] || printf 'it does not compile for this kernel' >"$2"
}

build()
{
	kernel=$1 folder=$2
	shift 2
	here=$PWD/module
	log=$here/build.log
	# Once more alone: memory may have been short for two at a time.
	for jobs in "$(nproc)" 1; do
		if make -j"$jobs" -C "$folder" M="$PWD" "$@" modules >"$log" 2>&1; then
			cat "$log"
			return
		fi
	done
	cat "$log"
	reason "$log" "$here/refuse/reason"
	say "not for $kernel: $(cat "$here/refuse/reason")"
	printf '#define CTXSTAT_REASON "%s"\n' "$(cat "$here/refuse/reason")" >"$here/refuse/reason.h"
	make -C "$folder" M="$here/refuse" "$@" modules ||
		die "nothing at all can be built for $kernel: are its headers and its compiler complete?"
	cp "$here/refuse/ctxstat.ko" "$here/ctxstat.ko"
}

report()
{
	kernel=$1 version=$2 log=
	for log in "$3/ctxstat/$version/$kernel"/*/log/make.log; do
		reason=$(sed -n "s/^ctxstat: not for $kernel: //p" "$log" 2>/dev/null)
		[ -n "$reason" ] || return 0
		say "cannot be used with kernel $kernel: $reason."
		say "Nothing else is affected: a module that only says so was installed for that kernel."
		say "Use another kernel, or a newer ctxstat. The compiler's words are in $log."
		say "If memory, space or the compiler was missing, try again:"
		say "dkms build --force ctxstat/$version -k $kernel && dkms install --force ctxstat/$version -k $kernel"
	done
}

# Not from "dkms status", which stops at the first version whose sources are gone.
versions()
{
	for folder in "$TREE"/*/; do
		if [ -e "$folder/source" ] || [ -L "$folder/source" ]; then
			basename "$folder"
		fi
	done
}

# dkms may fail, and not say so, if the sources are gone: then by hand.
forget() # VERSION
{
	dkms remove "ctxstat/$1" --all || :
	[ -e "$TREE/$1" ] || return 0
	say "dkms cannot remove version $1: removing its files"
	for folder in "$TREE/$1"/*/*/; do
		kernel=${folder#"$TREE/$1/"}
		kernel=${kernel%%/*}
		[ -d "/lib/modules/$kernel" ] || continue
		rm -f "/lib/modules/$kernel/updates/dkms"/ctxstat.ko*
		rmdir "/lib/modules/$kernel/updates/dkms" "/lib/modules/$kernel/updates" 2>/dev/null || :
		depmod "$kernel"
	done
	rm -rf "${TREE:?}/$1" "$TREE"/kernel-*
}

# The other way of installing has it.
no_package()
{
	if dpkg-query -W -f '${db:Status-Status}\n' ctxstat-dkms 2>/dev/null | grep -qx installed; then
		die "the package ctxstat-dkms is installed: apt purge ctxstat ctxstat-dkms"
	fi
}

remove()
{
	no_package
	[ -d $TREE ] || return 0
	command -v dkms >/dev/null || die "dkms is missing, and knows ctxstat: apt install dkms"
	for version in $(versions); do
		forget "$version"
		rm -rf "/usr/src/ctxstat-$version"
	done
	[ ! -e $TREE ] || rmdir $TREE || die "$TREE is not empty"
}

kernels() # VERSION
{
	built='' failed=''
	for folder in /lib/modules/*/build/; do
		[ -e "$folder/Makefile" ] || continue
		kernel=${folder#/lib/modules/}
		kernel=${kernel%/build/}
		built=1
		dkms status "ctxstat/$1" -k "$kernel" | grep -q ': installed' && continue
		dkms install "ctxstat/$1" -k "$kernel" || failed="$failed $kernel"
	done
	[ -n "$built" ] || say "no kernel has its headers here: apt install linux-headers-$(uname -r), which builds it"
	[ -z "$failed" ] || die "not installed for$failed: see above"
}

install() # VERSION
{
	no_package
	command -v dkms >/dev/null || die "dkms is missing: apt install dkms"
	for version in $(versions); do
		forget "$version"
		[ "$version" = "$1" ] || rm -rf "/usr/src/ctxstat-$version"
	done
	dkms add "ctxstat/$1"
	kernels "$1"
}

case ${1:-} in
build) [ $# -ge 3 ] || usage ;;
report) [ $# -eq 4 ] || usage ;;
install | kernels) [ $# -eq 2 ] && [ -n "$2" ] || usage ;;
remove) [ $# -eq 1 ] || usage ;;
*) usage ;;
esac
"$@"
