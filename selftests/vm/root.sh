#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Make a root file system of another architecture for the test VM: what the module's
# tests need, and the libraries that the tool is built against.
#
# usage: root.sh arm64
#
# Debian's packages of this machine's release are fetched, with what they depend on,
# verified by apt, and unpacked: nothing is installed, as no program in them can run
# here. The few things that their maintainer scripts would make are made by hand. The
# folder is kept in the cache, and made anew when this script has changed. No root needed.
#
# stdout: the folder
#
# Exit: 0 it is there, 1 it could not be made, 2 usage.
#
# Environment:
#   CTXSTAT_CACHE    the cache folder, see cache.sh

set -euo pipefail
export LC_ALL=C

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
say() { echo "root.sh: $*" >&2; }
die() { say "$*"; exit 1; }

[[ $# -eq 1 && $1 != amd64 ]] || { say "usage: root.sh arm64"; exit 2; }
for tool in apt-cache apt-get dpkg-deb flock sha256sum; do
	command -v $tool >/dev/null || die "$tool is missing: this is for Debian"
done

# shellcheck source=selftests/vm/cache.sh
. "$here/cache.sh"
# shellcheck source=selftests/vm/foreign.sh
. "$here/foreign.sh"
# shellcheck source=selftests/vm/fill.sh
. "$here/fill.sh"
foreign "$1"

packages=(
	# what any Debian system has; usrmerge, the default, wants to run
	base-files base-passwd bash coreutils dash debianutils diffutils findutils grep gzip hostname
	libc-bin ncurses-base ncurses-bin sed tar usr-is-merged util-linux
	# what the tests run
	conntrack ethtool iperf3 iproute2 iptables jq kmod libcap2-bin mawk netbase nftables
	pahole procps psmisc python3 socat strace tmux
	# what the tool is built against
	libc6-dev libjson-c-dev libmicrohttpd-dev libncurses-dev
	# what the VM boots with
	busybox-static
)
roots=$foreign/roots
version=$(sha256sum <"${BASH_SOURCE[0]}")
dest=$roots/${version::12}
mkdir -p "$roots"

fill_lock "$foreign/root.lock"
if [[ -d $dest ]]; then
	echo "$dest"
	exit 0
fi
# Leftovers of a run that was killed; the lock says that it is gone.
rm -rf "$roots"/.new.*

# What apt would install on a machine that has nothing.
plan()
{
	apt-get "${apt[@]}" -s --no-install-recommends install "${packages[@]}" |
		sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p'
}

foreign_update
mapfile -t debs < <(plan)
((${#debs[@]})) || die "apt cannot tell what is needed (are its lists empty? apt-get update)"

new=$(mktemp -d "$roots/.new.XXXXXX")
chmod 755 "$new"
mkdir "$new/debs" "$new/root"
root=$new/root
say "fetching ${#debs[@]} packages of ${foreign##*/}"
run env -C "$new/debs" apt-get -q "${apt[@]}" download "${debs[@]}" ||
	die "the download failed (if the mirror has moved on: apt-get update)"

# As on any Debian of today; packages still put files into both.
mkdir -p "$root"/usr/{bin,sbin,lib}
for folder in bin sbin lib; do
	ln -s "usr/$folder" "$root/$folder"
done

unpack() # in a process of its own, to be interrupted
{
	local deb
	for deb in "$new"/debs/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --no-same-owner \
			--exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' ||
			return
	done
}
say "unpacking into $dest"
run unpack || die "cannot unpack the packages"
rm -rf "$new/debs"

# What base-passwd, libc-bin, mawk and iptables would do when they are installed.
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
cp "$root/usr/share/libc-bin/nsswitch.conf" "$root/etc/nsswitch.conf"
ln -s mawk "$root/usr/bin/awk"
for tool in iptables ip6tables; do
	for suffix in '' -save -restore; do
		ln -s "$tool-nft$suffix" "$root/usr/sbin/$tool$suffix"
	done
done
[[ -e $root/bin/sh ]] || ln -s dash "$root/usr/bin/sh"
# To a linker outside of it a link such as /lib/.../libm.so.6 would be this machine's.
for link in "$root/usr/lib/$triplet"/*; do
	target=$(readlink "$link") || continue
	[[ $target != "/lib/$triplet"/* ]] || ln -sfn "${target##*/}" "$link"
done

for file in bin/bash bin/sh bin/busybox usr/bin/awk usr/bin/python3 usr/sbin/conntrack; do
	[[ -x $root/$file ]] || die "the packages hold no $file"
done
mv -T "$root" "$dest"
rm -rf "$new"
new=''
# What a VM may be reading stays.
vm_runs || find "$roots" -mindepth 1 -maxdepth 1 ! -path "$dest" -exec rm -rf {} +
echo "$dest"
