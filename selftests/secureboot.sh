#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Secure Boot: a kernel that insists on signatures (module.sig_enforce=1) refuses the module
# without one, and with one of a key that it does not know; with one of a key that is enrolled
# in the firmware it loads. The firmware is ovmf's, with the key that it has for tests
# enrolled; the kernel's image is signed with it, too. dkms.sh shows that dkms signs.
#
# Also, what stands in for the module on kernels that cannot run it. Starts its own virtual
# machines.
#
# Environment:
#   KERNEL=6.1|6.12         (6.12); build/KERNEL/module/ctxstat.ko has to be there
#   SLOT=N, VM_OPTIONS, KERNEL_LOG=FILE
#                           see vm/run.sh

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"

require openssl sbsign modinfo
OWNER=/usr/share/ovmf/PkKek-1-snakeoil
VARIABLES=/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd
kernel=${KERNEL:-6.12}
settings=$("$here/vm/kernel.sh" "$kernel") || skip_all "no kernel"
eval "$settings"

owner_key() {
	openssl rsa -in $OWNER.key -passin pass:snakeoil -out "$tmp/owner.key" && cp $OWNER.pem "$tmp/owner.pem" &&
		sbsign --key "$tmp/owner.key" --cert "$tmp/owner.pem" --output "$tmp/image" "$KERNEL_IMAGE"
}

stranger_key() {
	openssl req -new -x509 -newkey rsa:2048 -nodes -days 3 -subj "/CN=a stranger/" \
		-keyout "$tmp/stranger.key" -out "$tmp/stranger.pem"
}

signed() { # NAME
	cp "$tmp/unsigned.ko" "$tmp/$1.ko" &&
		"$KERNEL_DIR/scripts/sign-file" sha256 "$tmp/$1.key" "$tmp/$1.pem" "$tmp/$1.ko" &&
		[ -n "$(modinfo -F sig_key "$tmp/$1.ko")" ]
}

modules() {
	cp "$top/build/$kernel/module/ctxstat.ko" "$tmp/unsigned.ko" && owner_key && signed owner && stranger_key && signed stranger
}

# By a fault in the sources
refuse() {
	mkdir "$tmp/source" && cp -r "$top/Kbuild" "$top/module" "$tmp/source/" &&
		echo 'int a_fault(void) { return no_such_thing; }' >>"$tmp/source/module/main.c" &&
		(cd "$tmp/source" && module/dkms.sh build "$KERNEL_RELEASE" "$KERNEL_DIR") &&
		cp "$tmp/source/module/ctxstat.ko" "$tmp/refuse.ko"
}

boot() { # open|enforced [OPTION...]
	local boot=$1
	shift
	# shellcheck disable=SC2086
	"$here/vm/run.sh" --slot "${SLOT:-0}" ${VM_OPTIONS---one-thread} --timeout 400 \
		--log "${KERNEL_LOG:-$tmp/log}.$boot" "$@" -- "$here/secureboot/guest.sh" "$boot" "$tmp"
}

chmod 755 "$tmp"
plan 2
check "signed with both keys" modules
check "what stands in for it is built" refuse
((checks_failed == 0)) || finish
cp "$VARIABLES" "$tmp/variables" || skip_all "ovmf is not installed"
boot open --kernel "$kernel" &&
	boot enforced --image "$tmp/image" --release "$KERNEL_RELEASE" --modules-root "$KERNEL_MODULES" \
		--uefi "$tmp/variables" --append module.sig_enforce=1 && finish
