#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests need is installed in whatever state apt's lists are: empty, as on a fresh
# machine, or of versions that the mirror no longer has. With apt's own folders elsewhere, so
# that all is only downloaded, and this machine stays as it is. Needs a network.

set -u
here=$(dirname "$(realpath "$0")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"

# first NAME...: one that is not installed
first() {
	local name
	for name; do
		dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || { echo "$name"; return; }
	done
	skip_all "all of these are installed: $*" >&2
}
# Small. Of the second kind apt knows the name without any list, as util-linux suggests them.
package=$(first hello cowsay figlet) || exit
suggested=$(first dosfstools util-linux-locales kbd) || exit

packages_sh=$here/vm/packages.sh lists=$tmp/lists archives=$tmp/archives
mkdir -p "$lists/partial" "$archives/partial"
cat >"$tmp/apt.conf" <<-CONF
	Dir::State::Lists "$lists";
	Dir::Cache "$tmp";
	Dir::Cache::Archives "$archives";
	APT::Get::Download-Only "true";
	APT::Sandbox::User "root";
CONF
export APT_CONFIG=$tmp/apt.conf

# install COMMAND...: what it says stays in $tmp/said
install() {
	local status=0
	"$@" >"$tmp/said" 2>&1 || status=$?
	cat "$tmp/said"
	return $status
}
says() { grep -qE "$1" "$tmp/said"; }
updates() { says 'running apt-get update'; }
downloaded() { compgen -G "$archives/${package}_*.deb" && rm "$archives/${package}"_*.deb; }

lists_empty() { install "$packages_sh" "$package" "$suggested" && updates && downloaded; }
lists_right() { install "$packages_sh" "$package" && ! updates && downloaded; }
# What a release says of its lists goes as well, or apt would take them for new.
lists_old() {
	local list
	for list in "$lists"/*_Packages*; do
		/usr/lib/apt/apt-helper cat-file "$list" >"$tmp/list" && rm "$list" &&
			sed "/^Package: $package\$/,/^\$/{s/^Version: .*/Version: 0.0.old/; s/^\(Filename: .*\)_.*_/\1_0.0.old_/}" \
				"$tmp/list" >"${list%_Packages*}_Packages" || return
	done
	rm -f "$lists"/*Release "$tmp"/*.bin
	apt-cache policy "$package" | grep -q 'Candidate: 0.0.old' && install "$packages_sh" "$package" && updates && downloaded
}
unknown() { ! install "$packages_sh" no-such-package-at-all && updates && says 'Unable to locate package no-such-package-at-all'; }
no_kernel() { ! install "$packages_sh" linux-image-amd64 && says 'not installed, as this would come along: linux-image-'; }
no_root() {
	! install setpriv --reuid=65534 --clear-groups "$packages_sh" "$package" &&
		says "^apt install --no-install-recommends .*\<$package$"
}
usage() { install "$packages_sh" 'a b'; [ $? = 2 ]; }

((EUID == 0)) || skip_all "must be run as root"
plan 7
check "empty lists: they are renewed, and it is installed" lists_empty
check "lists that are right are not renewed" lists_right
check "old lists: they are renewed, and it is installed" lists_old
check "a package that nobody has" unknown
check "no kernel comes along" no_kernel
check "not root: the line to type" no_root
check "not a package's name" usage
finish
