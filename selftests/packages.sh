#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The Debian packages: built twice, they are the same, and lintian has nothing to say. On a
# fresh Debian they are installed, under the real systemd; a second kernel, which boots; an
# upgrade; purge. Starts its own virtual machines: machine.sh has the environment.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
# shellcheck source=selftests/install/machine.sh
. "$here/install/machine.sh"

require dpkg-buildpackage lintian dh_dkms
PACKAGES=$top/build/packages

# build NAME [VERSION]: in a folder of that name
build() {
	mkdir -p "$tmp/$1"
	tar -C "$top" -c --exclude=./build --exclude=./.git . | tar -x -C "$tmp/$1" || return
	if [ -n "${2:-}" ]; then
		sed -i "s/$version/$2/" "$tmp/$1"/{dkms.conf,debian/changelog,module/version.h} || return
	fi
	make -C "$tmp/$1" deb
}

built() { build one && build another; }

# Source package and packages. buildinfo says when and where.
reproducible() {
	local file
	[ "$(ls "$tmp"/one/build/deb/*.{deb,dsc,tar.*} | wc -l)" -ge 5 ] || return
	for file in "$tmp"/one/build/deb/*.{deb,dsc,tar.*}; do
		cmp "$file" "$tmp/another/build/deb/${file##*/}" || return
	done
}

lintian_clean() {
	lintian --allow-root --fail-on error,warning,info "$tmp"/one/build/deb/*.changes >"$tmp/lintian" 2>&1 ||
		{ cat "$tmp/lintian"; return 1; }
	! grep -v '^running with root' "$tmp/lintian"
}

# The VM sees the tree's folder only.
newer() {
	build newer "$version+newer" && rm -rf "$PACKAGES" && mkdir -p "$PACKAGES/newer" &&
		cp "$tmp"/one/build/deb/*.deb "$PACKAGES/" && cp "$tmp"/newer/build/deb/*.deb "$PACKAGES/newer/"
}

version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$top/dkms.conf")
plan 4
check "make deb" built
check "two builds are the same" reproducible
check "lintian is silent" lintian_clean
check "packages of a newer version" newer
((checks_failed == 0)) || finish

machine_make
machine_boots packages --env PACKAGES="$PACKAGES" && finish
