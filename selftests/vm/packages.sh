#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Install the Debian packages that building and the test VM need, and more by name.
#
# usage: packages.sh [PACKAGE...]
#
# As root the missing ones are installed; anyone else is told the command.  A|B
# means that either will do, and A is installed.  Nothing is done if a linux-image
# package would come along, because the machine would boot it next: kernels for the
# VM are unpacked by kernel.sh instead.
#
# Exit: 0 all is there, 1 something is missing, 2 usage.

set -euo pipefail
export LC_ALL=C

say() { echo "packages.sh: $*" >&2; }
die() { say "$*"; exit 1; }

for package; do
	[[ $package =~ ^[a-z0-9][a-z0-9+.:|-]*$ ]] || { say "usage: packages.sh [PACKAGE...]"; exit 2; }
done
for tool in apt-get apt-cache dpkg-query; do
	command -v $tool >/dev/null || die "$tool is missing: this is for Debian"
done

installed()
{
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

build=(gcc make libc6-dev pkg-config libjson-c-dev libmicrohttpd-dev libncurses-dev)
# The two libraries are for the programs in the kernel's headers, which are not
# installed and so do not bring them along.
vm=(qemu-system-x86 'busybox-static|busybox' cpio kmod util-linux xz-utils
	'libelf1|libelf1t64' 'libssl3|libssl3t64')

missing=()
for package in "${build[@]}" "${vm[@]}" "$@"; do
	IFS='|' read -ra choices <<<"$package"
	for choice in "${choices[@]}"; do
		! installed "$choice" || continue 2
	done
	missing+=("${choices[0]}")
done
((${#missing[@]})) || exit 0

if ((EUID)); then
	echo "apt install --no-install-recommends ${missing[*]}"
	exit 1
fi

# attempt: to install them, with the lists as they are. What apt says is in $plan, if it cannot.
attempt()
{
	local kernels
	plan=$(apt-get -s install --no-remove --no-install-recommends -- "${missing[@]}" 2>&1) || return
	kernels=$(sed -n 's/^Inst \(linux-image-[^ ]*\).*/\1/p' <<<"$plan")
	[[ -z $kernels ]] || die "not installed, as this would come along: ${kernels//$'\n'/ }"
	say "installing ${missing[*]}"
	plan=''
	DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-remove --no-install-recommends -- "${missing[@]}"
}

# A fresh machine's lists are empty; old ones have what the mirror has no longer.
attempt && exit
say "not with apt's lists as they are: running apt-get update"
apt-get -q update || :
attempt || die "${plan:+$plan$'\n'}cannot install ${missing[*]}"
