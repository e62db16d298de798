#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make install with the real dkms, for both kernels, and what DKMS does with ctxstat when a
# kernel is installed: one that it can run on, one that it cannot, one that it does not
# compile for; a newer version; signatures.
#
# It happens in a copy of this machine's root, which is an overlay that goes away with this
# test: nothing is installed. install.sh and packages.sh do it on a machine that boots.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
# shellcheck source=selftests/kernels.sh
. "$here/kernels.sh"

require dkms unshare openssl modinfo clang
((EUID == 0)) || skip_all "must be run as root"
HOOK=/etc/kernel/postinst.d/dkms
UNABLE=6.12.0-unable

# --- The copy of the root

# installed_kernel RELEASE FOLDER: what dkms wants of one, with headers there
installed_kernel() {
	mkdir -p "$root/lib/modules/$1" && ln -s "$2" "$root/lib/modules/$1/build" && : >"$root/lib/modules/$1/modules.order"
}

copy_root() {
	local folder series settings
	root=$tmp/root
	mkdir "$tmp/space" "$root"
	mount -t tmpfs -o mode=755 space "$tmp/space" && mkdir "$tmp/space/upper" "$tmp/space/work" &&
		mount -t overlay -o "lowerdir=/,upperdir=$tmp/space/upper,workdir=$tmp/space/work" root "$root" || return
	for folder in /proc /dev "$tmp/headers" "$(dirname "$(dirname "$(dirname "$KERNEL_MODULES")")")"; do
		mkdir -p "$root$folder" && mount --rbind "$folder" "$root$folder" || return
	done
	mount -o remount,bind,ro "$root$tmp/headers" && mount -o remount,bind,ro "$root$folder" || return
	# Whatever this machine has itself is none of our business.
	rm -rf "$root"/lib/modules "$root"/var/lib/dkms/* "$root"/usr/src/ctxstat-* "$root"/etc/dkms/framework.conf.d
	mkdir -p "$root/lib/modules" "$root/root/tree"
	for series in 6.1 6.12; do
		settings=$("$here/vm/kernel.sh" $series) && eval "$settings" &&
			installed_kernel "$KERNEL_RELEASE" "$KERNEL_DIR" || return
	done
	tar -C "$top" -c --exclude=./build --exclude=./.git . | tar -x -C "$root/root/tree"
}

in_root() { chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }

# --- Checks

files() { # but for what changes by itself
	in_root find /boot /etc /lib/modules /opt /usr /var/lib -xdev \( -path '*/modules/*/modules.*' -o -path '/var/lib/dkms/mok.*' \) \
		-prune -o -print | sort
}

make_install() { files >"$tmp/before" && in_root make -C /root/tree install; }

module() { ls "$root/lib/modules/$1/updates/dkms/"ctxstat.ko*; } # RELEASE

is_module() { # RELEASE VERSION
	local file
	in_root dkms status ctxstat | tee /dev/stderr | grep -q "^ctxstat/$2, $1, .*: installed" && file=$(module "$1") &&
		[ "$(modinfo -F version "$file")" = "$2" ] && [[ "$(modinfo -F vermagic "$file")" == "$1 "* ]]
}

# What the kernel's package does when it is configured
kernel_comes() { # RELEASE
	in_root $HOOK "$1" >"$tmp/hook" 2>&1
	local status=$?
	cat "$tmp/hook"
	return $status
}

# usage: stands_in RELEASE REASON: the module that refuses to load, and somebody was told
stands_in() {
	local file
	file=$(module "$1") && grep -qF "ctxstat: cannot be used with kernel $1: $2" "$tmp/hook" &&
		strings -a "$file" | grep -F "not loaded: $2" && [ "$(modinfo -F description "$file")" = "ctxstat, which cannot run on this kernel" ]
}

unable() {
	installed_kernel $UNABLE "$headers" && kernel_comes $UNABLE &&
		stands_in $UNABLE "this kernel is built without connection tracking (CONFIG_NF_CONNTRACK)"
}

forget() { rm -rf "$root/lib/modules/$1/updates" && in_root dkms remove "ctxstat/$version" -k "$1"; } # RELEASE

does_not_compile() {
	forget "$this" && sed -i '$a int a_fault(void) { return no_such_thing; }' "$root/usr/src/ctxstat-$version/module/main.c" &&
		kernel_comes "$this" && stands_in "$this" "it does not compile for this kernel" &&
		in_root cat "/var/lib/dkms/ctxstat/$version/$this/x86_64/log/make.log" | grep no_such_thing
}

# As it was told
mended() {
	sed -i '$d' "$root/usr/src/ctxstat-$version/module/main.c" &&
		in_root dkms build --force "ctxstat/$version" -k "$this" &&
		in_root dkms install --force "ctxstat/$version" -k "$this" && is_module "$this" "$version"
}

signed() {
	in_root openssl req -new -x509 -newkey rsa:2048 -nodes -days 3 -subj "/CN=a key of the test/" -outform DER \
		-keyout /root/key -out /root/certificate 2>/dev/null
	printf '%s\n' sign_file="$KERNEL_DIR/scripts/sign-file" mok_signing_key=/root/key mok_certificate=/root/certificate \
		>"$root/etc/dkms/framework.conf"
	forget "$this" && kernel_comes "$this" && is_module "$this" "$version" &&
		[ "$(modinfo -F signer "$(module "$this")")" = "a key of the test" ]
}

# Whatever compiler the tool is built with, the kernel's module is built with the kernel's.
newer_version() {
	sed -i "s/$version/$version+newer/" "$root/root/tree"/{dkms.conf,module/version.h} &&
		in_root make -C /root/tree install CC=clang && is_module "$this" "$version+newer" && is_module "$that" "$version+newer" &&
		! in_root dkms status "ctxstat/$version" | grep . && [ "$(echo "$root"/usr/src/ctxstat-*)" = "$root/usr/src/ctxstat-$version+newer" ]
}

# The others get theirs.
useless_headers() {
	mkdir -p "$tmp/headers/useless" && echo '$(error of no use)' >"$tmp/headers/useless/Makefile" &&
		installed_kernel 6.0.0-useless "$tmp/headers/useless" &&
		! in_root make -C /root/tree install 2>"$tmp/told" && cat "$tmp/told" &&
		grep 'ctxstat: not installed for 6.0.0-useless' "$tmp/told" && is_module "$this" "$version+newer" &&
		is_module "$that" "$version+newer" && rm -rf "$root/lib/modules/6.0.0-useless"
}

# After su, and after somebody has tidied up /usr/src. Other modules must not suffer.
nothing_left() {
	rm -rf "$root/usr/src/ctxstat-$version+newer"
	in_root env PATH=/usr/local/bin:/usr/bin:/bin make -C /root/tree uninstall && in_root dkms status || return
	rm -rf "$root/root/key" "$root/root/certificate" "$root/lib/modules/$UNABLE"
	files | diff "$tmp/before" -
}

# With another prefix, below another root: there, and nowhere else
elsewhere() {
	files >"$tmp/before" && in_root make -C /root/tree install DESTDIR=/tmp/elsewhere PREFIX=/opt/ctxstat &&
		files | diff "$tmp/before" - && (cd "$root/tmp/elsewhere" && find . -type f | sort) >"$tmp/installed" &&
		cat "$tmp/installed" && [ "$(wc -l <"$tmp/installed")" -gt 30 ] &&
		! grep -v '^./opt/ctxstat/\|^./usr/src/ctxstat-' "$tmp/installed" &&
		grep -qx 'ExecStart=/opt/ctxstat/bin/ctxstat .*' "$root/tmp/elsewhere/opt/ctxstat/lib/systemd/system/ctxstat-exporter.service" &&
		in_root make -C /root/tree uninstall DESTDIR=/tmp/elsewhere PREFIX=/opt/ctxstat &&
		! find "$root/tmp/elsewhere" -type f | grep .
}

spaces() {
	mkdir -p "$root/tmp/some folder" "$root/tmp/some" && : >"$root/tmp/some/file" &&
		! in_root make -C /root/tree uninstall "DESTDIR=/tmp/some folder" && [ -e "$root/tmp/some/file" ]
}

this=$(kernel_release 6.12) && that=$(kernel_release 6.1) && headers_copy && headers_without NF_CONNTRACK ||
	skip_all "no kernels"
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$top/dkms.conf")

# In a mount namespace of its own: the mounts go away with it.
if [ "${1:-}" != inside ]; then
	unshare --mount --propagation private "${BASH_SOURCE[0]}" inside
	exit
fi
# Before anything is mounted, and lazily: what is busy must not be there any more when $tmp is
# removed.
cleanup_more() {
	umount -R -l "$tmp/root" 2>/dev/null
	umount -l "$tmp/space" 2>/dev/null
}
copy_root >"$tmp/copy" 2>&1 || { cat "$tmp/copy"; skip_all "no overlay of this machine's root"; }

plan 12
check "make install" make_install
check "dkms has it for 6.1" is_module "$that" "$version"
check "dkms has it for 6.12" is_module "$this" "$version"
check "a kernel that cannot run it is installed all the same" unable
check "a kernel that it does not compile for is installed all the same" does_not_compile
check "dkms builds it when that is mended" mended
check "dkms signs it" signed
check "a newer version takes the place of the old one" newer_version
check "a kernel with useless headers is no obstacle" useless_headers
check "make uninstall leaves nothing" nothing_left
check "a DESTDIR with spaces is refused" spaces
check "DESTDIR and PREFIX" elsewhere
finish
