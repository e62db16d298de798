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
# The VM sees the tree's folder only.
mkdir -p "$top/build"
PACKAGES=$(mktemp -d "$top/build/packages.XXXXXX") || exit 1
cleanup_more() { rm -rf "$PACKAGES"; }

# build NAME [VERSION]: in a folder of that name
build() {
	mkdir -p "$tmp/$1"
	tar -C "$top" -c --exclude=./build --exclude=./.git . | tar -x -C "$tmp/$1" || return
	if [ -n "${2:-}" ]; then
		sed -i "s/$version/$2/" "$tmp/$1"/{dkms.conf,debian/changelog,module/version.h} || return
	fi
	make -C "$tmp/$1" deb
}

# The other one is older, and was checked out by somebody who lets nobody read it.
built() {
	build one && mkdir "$tmp/another" && cp -r "$tmp/one/." "$tmp/another/" && chmod -R go= "$tmp/another" &&
		find "$tmp/another" -exec touch -d 2026-01-01 {} + && (umask 077 && make -C "$tmp/another" deb)
}

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

newer() {
	build newer "$version+newer" && chmod 755 "$PACKAGES" && mkdir -p "$PACKAGES/newer" &&
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
