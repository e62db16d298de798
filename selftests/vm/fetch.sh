#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Fetch Debian packages and unpack them, without installing them.
#
# usage: fetch.sh PACKAGE...
#
# For programs that a test needs, and that would start a service if they were
# installed. Each package is downloaded and verified by apt, unpacked into the cache,
# and named by a link there: CACHE/packages/PACKAGE. What it depends on is not fetched.
# The version that apt would install is taken; a cached one is used again as long as it
# is that version, or when apt cannot tell (no lists, no network). No root needed.
#
# stdout: the folder of each package, in the order of the arguments
#
# Exit: 0 all is there, 1 a package could not be fetched, 2 usage.
#
# Environment:
#   CTXSTAT_CACHE    the cache folder, see cache.sh

set -euo pipefail
export LC_ALL=C

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
say() { echo "fetch.sh: $*" >&2; }
die() { say "$*"; exit 1; }
usage() { say "usage: fetch.sh PACKAGE..."; exit 2; }

(($#)) || usage
for package; do
	[[ $package =~ ^[a-z0-9][a-z0-9+.-]+$ ]] || usage
done
for tool in apt-cache apt-get dpkg-deb flock; do
	command -v $tool >/dev/null || die "$tool is missing: this is for Debian"
done

# shellcheck source=selftests/vm/cache.sh
. "$here/cache.sh"
# shellcheck source=selftests/vm/fill.sh
. "$here/fill.sh"
packages=$cache/packages
mkdir -p "$packages"

version_of()
{
	apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([^(]*\)$/\1/p' || :
}

# Where the cached version is, or nothing
cached()
{
	[[ ! -d $packages/$1 ]] || realpath "$packages/$1"
}

unpack() # PACKAGE DEST
{
	new=$(mktemp -d "$packages/.new.XXXXXX")
	chmod 755 "$new"
	mkdir "$new/debs" "$new/root"
	# Root drops to a user that cannot write here, hence the sandbox option.
	run env -C "$new/debs" apt-get -q -o APT::Sandbox::User=root download "$1" || return
	say "unpacking into $2"
	run dpkg-deb -x "$new"/debs/*.deb "$new/root" && rm -rf "$2" && mv -T "$new/root" "$2" || return
	rm -rf "$new"
	new=''
}

# As another folder appears at once or not at all, so does the link.
point() # PACKAGE DEST
{
	ln -sfn "${2##*/}" "$packages/.link"
	mv -T "$packages/.link" "$packages/$1"
	# What a VM may be reading stays.
	vm_runs || find "$packages" -mindepth 1 -maxdepth 1 -type d -name "$1_*" ! -name "${2##*/}" \
		-exec rm -rf {} +
}

fetch()
{
	local package=$1 version old dest
	old=$(cached "$package")
	version=$(version_of "$package")
	if [[ -z $version && -z $old && $EUID -eq 0 && -z ${updated:-} ]]; then
		say "apt knows no $package: running apt-get update"
		updated=yes
		run apt-get -q update || say "apt-get update failed"
		version=$(version_of "$package")
	fi
	dest=$packages/${package}_$version
	if [[ -n $old && ( -z $version || $old == "$dest" ) ]]; then
		[[ -n $version ]] || say "apt knows no $package: using the cached ${old##*/}"
		echo "$old"
		return
	fi
	[[ -n $version ]] || die "apt knows no $package (are its lists empty? apt-get update)"
	say "fetching $package $version"
	if unpack "$package" "$dest"; then
		point "$package" "$dest"
		echo "$dest"
	elif [[ -n $old ]]; then
		say "the download failed: using the cached ${old##*/}"
		echo "$old"
	else
		die "$package: the download failed (if the mirror has moved on: apt-get update)"
	fi
}

fill_lock "$cache/packages.lock"
# Leftovers of a run that was killed; the lock says that it is gone.
rm -rf "$packages"/.new.*

for package; do
	fetch "$package"
done
