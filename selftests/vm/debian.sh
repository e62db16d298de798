#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Make a fresh Debian, as an image of its root file system, for tests of the installation.
#
# usage: debian.sh FILE PACKAGE... [-- PACKAGE...]
#
# FILE has systemd, apt and the packages, as mmdebstrap installs them from the sources of
# this machine's apt. Those after -- are not installed: they and what they depend on are
# downloaded, so that apt can install them later, without a network. There is room
# for 6 GB more.
#
# What is made is kept in the cache, as long as the packages that it was made of are what
# apt has: FILE is a copy. It takes about two minutes, or seconds. No root needed.
#
# Exit: 0 FILE is there, 1 it could not be made, 2 usage.
#
# Environment:
#   CTXSTAT_CACHE    the cache folder, see cache.sh

set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
say() { echo "debian.sh: $*" >&2; }
die() { say "$*"; exit 1; }
usage() { say "usage: debian.sh FILE PACKAGE... [-- PACKAGE...]"; exit 2; }

(($# >= 2)) || usage
file=$1
shift
include='' later=()
while (($#)) && [[ $1 != -- ]]; do
	include+=",$1"
	shift
done
[[ -z ${1:-} ]] || later=("${@:2}")
for tool in mmdebstrap genext2fs resize2fs flock; do
	command -v $tool >/dev/null || die "$tool is missing: see packages.sh"
done

# shellcheck source=selftests/vm/cache.sh
. "$here/cache.sh"
# shellcheck source=selftests/vm/fill.sh
. "$here/fill.sh"
images=$cache/images
mkdir -p "$images"

# Where this machine gets its packages from
sources=()
for source in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
	[[ ! -s $source ]] || sources+=("$source")
done
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[[ -n $suite ]] || die "no VERSION_CODENAME in /etc/os-release: this is for Debian"

# One is as good as another if it would be made in the same way, of the same packages.
# shellcheck disable=SC2086 # several
plan=$(apt-get -s --no-install-recommends -o Dir::State::status=/dev/null install \
	apt systemd-sysv udev dbus kmod ${include//,/ } "${later[@]}" |
	sed -n 's/^Inst \([^ ]* ([^ ]*\).*/\1/p' | sort) ||
	die "apt cannot tell what is needed (are its lists empty? apt-get update)"
name=$({ echo "$include" "${later[@]}" "$plan" && cat "${BASH_SOURCE[0]}"; } | sha256sum | cut -c1-16)
image=$images/$name.ext2

fill_lock "$images/lock"
if [[ ! -e $image ]]; then
	rm -rf "$images"/.new.* "$images"/*.ext2
	new=$(mktemp -d "$images/.new.XXXXXX")
	chmod 755 "$new"
	say "making a $suite with ${include#,}"
	# The initramfs of this VM is run.sh's: the system's own need not hold much.
	# shellcheck disable=SC2016 # $1 is the new root, for mmdebstrap's shell
	hooks=('--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d" &&
		printf "MODULES=list\nCOMPRESS=gzip\n" >"$1/etc/initramfs-tools/conf.d/small"')
	# shellcheck disable=SC2016
	((${#later[@]} == 0)) || hooks+=('--customize-hook=chroot "$1" apt-get -qq -y --download-only
		--no-install-recommends install '"${later[*]}")
	run env TMPDIR="$new" mmdebstrap --quiet --variant=minbase --skip=cleanup/apt,cleanup/reproducible \
		--include="systemd-sysv,udev,dbus,kmod$include" "${hooks[@]//$'\n'/ }" \
		"$suite" "$new/root.ext2" "${sources[@]}" ||
		die "mmdebstrap failed"
	mv "$new/root.ext2" "$image"
fi

cp --sparse=always "$image" "$file"
truncate -s +6G "$file"
resize2fs "$file" >/dev/null 2>&1 || die "$file: cannot be resized"
