# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154 # $here and $tmp are set by who sources this, and ktap.sh
#
# Kernels by name, and headers of some that are not at hand: those of 6.12, changed. Sourced,
# after ktap.sh.
#
#   kernel_release SERIES   what uname -r says of it
#   headers_copy            the headers as links in $tmp/headers: what all kernels of that
#                           version $headers_common have, and what this one has of its own,
#                           $headers, the folder to build in
#   headers_change FILE SED-EXPRESSION
#                           a file that stays as it was is a failure
#   headers_without OPTION  as if the kernel were built without it
#   headers_version N       as if the kernel were of that version, as LINUX_VERSION_CODE has it
# shellcheck disable=SC2034 # $headers_common is for who sources this

kernel_release() { (settings=$("$here/vm/kernel.sh" "$1") && eval "$settings" && echo "$KERNEL_RELEASE"); }

headers_copy() {
	local settings
	settings=$("$here/vm/kernel.sh" 6.12) || return
	eval "$settings"
	rm -rf "$tmp/headers"
	mkdir -p "$tmp/headers"
	cp -as "$(dirname "$KERNEL_DIR")/." "$tmp/headers/" || return
	headers_common=$tmp/headers/linux-headers-${KERNEL_RELEASE%-*}-common/include
	headers=$tmp/headers/linux-headers-$KERNEL_RELEASE
}

headers_change() {
	cp "$1" "$tmp/before" && sed "$2" "$tmp/before" >"$tmp/after" && rm "$1" && mv "$tmp/after" "$1" || return
	! cmp -s "$1" "$tmp/before" || { echo "$1: nothing changed by $2"; return 1; }
}

headers_without() {
	headers_change "$headers/include/generated/autoconf.h" "/^#define CONFIG_$1\(_MODULE\)\? /d"
}

headers_version() {
	headers_change "$headers/include/generated/uapi/linux/version.h" \
		"s/^#define LINUX_VERSION_CODE .*/#define LINUX_VERSION_CODE $1/"
}
