#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What secureboot.sh does in the machine, in two boots.
#
# usage: guest.sh open|enforced FOLDER
#
# open: any module may be loaded. enforced: Secure Boot. FOLDER has the modules unsigned.ko,
# stranger.ko, owner.ko and refuse.ko.

# shellcheck source=selftests/ktap.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../ktap.sh"

[ "$(hostname)" = ctxstat-vm ] || skip_all "only in the test's virtual machine"
boot=$1 folder=$2

# usage: said TEXT COMMAND...: the command fails, and the kernel says that
said() {
	local text=$1 before
	shift
	before=$(dmesg | wc -l)
	if "$@"; then
		echo "it was loaded"
		return 1
	fi
	dmesg | tail -n +$((before + 1)) | tee "$tmp/said"
	grep -qF "$text" "$tmp/said"
}

loads() { insmod "$folder/$1.ko" && [ -r /proc/net/ctxstat/states ] && rmmod ctxstat; }

secure_boot() {
	modprobe efivarfs && mount -t efivarfs efivarfs /sys/firmware/efi/efivars || return
	cat /sys/kernel/security/lockdown
	[ "$(tail -c 1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c | od -An -tu1)" -eq 1 ] &&
		[ "$(cat /sys/module/module/parameters/sig_enforce)" = Y ]
}

modprobe nf_conntrack
mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
if [ "$boot" = open ]; then
	plan 2
	check "what stands in for it says why, and does not load" \
		said "ctxstat: not loaded: it does not compile for this kernel; use another kernel" insmod "$folder/refuse.ko"
	check "no signature is needed" loads unsigned
else
	plan 4
	check "Secure Boot is on" secure_boot
	check "without a signature it is refused" \
		said "Loading of unsigned module is rejected" insmod "$folder/unsigned.ko"
	check "with an unknown key's it is refused" \
		said "Loading of module with unavailable key is rejected" insmod "$folder/stranger.ko"
	check "with an enrolled key's it loads" loads owner
fi
finish
