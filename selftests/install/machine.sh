# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154 # $here and $tmp are set by who sources this, and ktap.sh
#
# A fresh Debian with its kernel, that ctxstat is installed on, and after that a newer kernel:
# install.sh and packages.sh. Sourced, after ktap.sh.
#
#   machine_make            in $tmp; skips the test if that cannot be done
#   machine_boots HOW [OPTION...]
#                           both boots of guest.sh, with options of vm/run.sh; the second only
#                           if the first went well
#
# Environment:
#   SLOT=N, VM_OPTIONS, KERNEL_LOG=FILE
#                           see vm/run.sh
#   CTXSTAT_CACHE           see vm/cache.sh

# shellcheck source=selftests/kernels.sh
. "$here/kernels.sh"

FIRST=6.1
OTHER=6.12

machine_make() {
	local this that
	this=$(kernel_release "$FIRST") && that=$(kernel_release "$OTHER") &&
		"$here/vm/debian.sh" "$tmp/disk" "linux-image-$this" "linux-headers-$this" conntrack procps iproute2 -- \
			dkms "linux-image-$that" "linux-headers-$that" libjson-c5 libmicrohttpd12 libncursesw6 \
			make gcc pkg-config libjson-c-dev libmicrohttpd-dev libncurses-dev ||
		skip_all "no machine to install on"
}

machine_boot() { # KERNEL HOW BOOT OTHER [OPTION...]
	local kernel=$1 how=$2 boot=$3 that=$4
	shift 4
	# Building takes a quarter less without mitigations, which nobody here needs.
	# shellcheck disable=SC2086
	"$here/vm/run.sh" --kernel "$kernel" --slot "${SLOT:-0}" ${VM_OPTIONS---one-thread} --timeout 4000 \
		--log "${KERNEL_LOG:-$tmp/log}.$boot" --disk "$tmp/disk" --init --append mitigations=off --share "$(realpath "$here/..")" "$@" -- \
		"$here/install/guest.sh" "$how" "$boot" "$that"
}

machine_boots() {
	local how=$1
	shift
	machine_boot "$FIRST" "$how" first "$(kernel_release "$OTHER")" "$@" &&
		machine_boot "$OTHER" "$how" second "$(kernel_release "$FIRST")" "$@"
}
