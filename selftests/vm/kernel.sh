#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Fetch a Debian kernel and its headers for the test VM, without installing them.
#
# usage: kernel.sh 6.1|6.12[-rt|-cloud|-debug|-kcsan] [amd64|arm64]
#
# -rt and -cloud are Debian's images of that name. -debug and -kcsan are built by
# debug.sh, which takes its time.
#
# Installing Debian's header packages can pull in the matching linux-image, which
# the machine would then boot.  So the packages are downloaded and unpacked into a
# cache, and their absolute paths are redirected there.  The newest version that
# apt knows is taken; a cached one is used again as long as it is that version, or
# when apt cannot tell (no lists, no network).  No root needed.
#
# Of a kernel for another architecture the programs in scripts/, which are run when a
# module is built, are amd64's; foreign.sh says how its packages are fetched.
#
# stdout, for eval:
#   KERNEL_RELEASE   what uname -r says
#   KERNEL_IMAGE     what QEMU boots: the bzImage, or arm64's Image
#   KERNEL_MODULES   the folder that holds lib/modules/$KERNEL_RELEASE
#   KERNEL_DIR       for make -C $KERNEL_DIR M=$PWD modules
#
# Exit: 0 all is there, 1 it could not be fetched, 2 usage.
#
# Environment:
#   CTXSTAT_CACHE    the cache folder, see cache.sh

set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
say() { echo "kernel.sh: $*" >&2; }
die() { say "$*"; exit 1; }

usage() { say "usage: kernel.sh 6.1|6.12[-rt|-cloud|-debug|-kcsan] [amd64|arm64]"; exit 2; }

[[ ${1:-} =~ ^[0-9]+\.[0-9]+(-(rt|cloud|debug|kcsan))?$ && $# -le 2 ]] || usage
series=${1%%-*} flavour=${1#"${1%%-*}"} arch=${2:-amd64}
case $flavour in
-debug | -kcsan)
	[[ $arch == amd64 ]] || die "$1 is for amd64"
	exec "$here/debug.sh" "$series" "${flavour#-}"
	;;
esac

# shellcheck source=selftests/vm/cache.sh
. "$here/cache.sh"
# shellcheck source=selftests/vm/foreign.sh
. "$here/foreign.sh"
# shellcheck source=selftests/vm/fill.sh
. "$here/fill.sh"
foreign='' apt=() kept=$cache
if [[ $arch != amd64 ]]; then
	foreign "$arch"
	kept=$foreign
fi
kernels=$kept/kernels
mkdir -p "$kernels"

for tool in apt-cache apt-get dpkg-deb depmod flock; do
	command -v $tool >/dev/null || die "$tool is missing: see packages.sh"
done
[[ $(dpkg --print-architecture) == amd64 ]] || die "this machine is not amd64: nothing else is supported"

# The image package that the metapackage of this series points at. There may be none for
# a flavour, which then is that of the same version.
image_package()
{
	local meta
	for meta in "linux-image-$series-$arch" "linux-image-$arch"; do
		apt-cache "${apt[@]}" depends --important "$meta" 2>/dev/null |
			sed -n "s/^ *Depends: \(linux-image-${series//./\\.}[.+-].*\)-$arch\$/\1$flavour-$arch/p" || :
	done | head -n 1
}

version_of() { apt-cache "${apt[@]}" show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p' || :; }

print_result()
{
	local dir=$1 release
	release=$(<"$dir/release")
	printf '%s=%q\n' \
		KERNEL_RELEASE "$release" \
		KERNEL_IMAGE "$dir/root/boot/vmlinuz-$release" \
		KERNEL_MODULES "$dir/root" \
		KERNEL_DIR "$dir/root/usr/src/linux-headers-$release"
}

# What the cache has of this series and flavour
of_this_kind()
{
	find "$kernels" -mindepth 1 -maxdepth 1 -name "$series.*$flavour-${arch}_*" |
		grep -E "/${series}[0-9.]*([+-][0-9a-z.]+)?$flavour-${arch}_" || :
}

use_cached_or_die()
{
	local newest
	newest=$(of_this_kind | sort -V | tail -n 1)
	[[ -n $newest ]] || die "$1, and the cache $kept holds no $series$flavour kernel"
	say "$1: using the cached $(basename "$newest")"
	print_result "$newest"
	exit 0
}

fill_lock "$cache/kernel.lock"

# Asking apt takes longer than anything else here: once per state of its lists.
answer=$kept/$series$flavour.answer
if [[ -s $answer && $answer -nt /var/lib/apt/lists && $answer -nt /etc/apt/sources.list.d ]]; then
	dest=$kernels/$(<"$answer")
	if [[ -d $dest ]]; then
		print_result "$dest"
		exit 0
	fi
fi

[[ -z $foreign ]] || foreign_update
image=$(image_package)
if [[ -z $image && -z $foreign && $EUID -eq 0 ]]; then
	say "apt knows no $series$flavour kernel: running apt-get update"
	run apt-get -q update || say "apt-get update failed"
	image=$(image_package)
fi
[[ -n $image ]] || use_cached_or_die "apt knows no $series$flavour kernel (are its lists empty? apt-get update)"

release=${image#linux-image-}
version=$(version_of "$image")
[[ -n $version ]] || use_cached_or_die "apt knows no version of $image"
name=${release}_$version
dest=$kernels/$name

if [[ -d $dest ]]; then
	echo "$name" >"$answer"
	print_result "$dest"
	exit 0
fi

# Leftovers of a run that was killed; the lock says that it is gone.
rm -rf "$kernels"/.new.*
new=$(mktemp -d "$kernels/.new.XXXXXX")
chmod 755 "$new"
mkdir "$new/root" "$new/debs"

mapfile -t headers < <(apt-cache "${apt[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts \
	--no-breaks --no-replaces --no-enhances "linux-headers-$release" 2>/dev/null |
	sed -n -E 's/^(linux-headers-[^:]*).*/\1/p; s/^(linux-kbuild-[^:]*).*/\1:amd64/p' | sort -u)
((${#headers[@]} >= 3)) || use_cached_or_die "apt knows no headers for $release"

if [[ -n $foreign ]]; then
	# One from another security update would be for other headers.
	for package in "${headers[@]}"; do
		[[ $package != *:amd64 || $(version_of "$package") == "$version" ]] ||
			use_cached_or_die "$package is not of version $version"
	done
fi

say "fetching $image $version and its headers"
# Root drops to a user that cannot write here, hence the sandbox option.
run env -C "$new/debs" apt-get -q "${apt[@]}" -o APT::Sandbox::User=root download "$image" "${headers[@]}" ||
	use_cached_or_die "the download failed (if the mirror has moved on: apt-get update)"

say "unpacking into $dest"
for deb in "$new"/debs/*.deb; do
	# No VM has a sound or graphics card.  Without the headers' vmlinux modules get
	# no BTF, which they do not need, and building them takes no pahole.
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$new/root" --no-same-owner \
		--exclude='./usr/share' --exclude='./usr/lib/linux-image-*' --exclude='./usr/src/*/vmlinux' --exclude='./boot/System.map-*' \
		--exclude='./lib/modules/*/kernel/sound' \
		--exclude='./lib/modules/*/kernel/drivers/gpu' \
		--exclude='./lib/modules/*/kernel/drivers/media' \
		--exclude='./lib/modules/*/kernel/drivers/infiniband' \
		--exclude='./lib/modules/*/kernel/drivers/net/wireless'
done
rm -rf "$new/debs"

kdir=$new/root/usr/src/linux-headers-$release
for file in "$new/root/boot/vmlinuz-$release" "$kdir/Makefile" "$kdir/Module.symvers"; do
	[[ -e $file ]] || die "the packages hold no ${file#"$new/root"}"
done

# The headers name each other by absolute path: point them into the cache.
# $(abspath) of the including Makefile, as sub-makes run elsewhere.
# shellcheck disable=SC2016 # make's variables
sed -i -E 's|^include /usr/src/|include $(dir $(abspath $(lastword $(MAKEFILE_LIST))))../|' "$kdir/Makefile"
! grep -q '^include /' "$kdir/Makefile" || die "$kdir/Makefile: unknown form"
for link in build source; do
	target=$(readlink "$new/root/lib/modules/$release/$link") || continue
	ln -sfn "$dest/root$target" "$new/root/lib/modules/$release/$link"
done

depmod -b "$new/root" "$release"
echo "$release" >"$new/release"
mv -T "$new" "$dest"
echo "$name" >"$answer"

# Older versions of the series go, unless a VM may be running on one.
if ! vm_runs; then
	of_this_kind | { grep -v -x -F "$dest" || :; } | xargs -r -d '\n' rm -rf
fi

print_result "$dest"
