#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build a kernel that looks for faults, from the sources of a Debian kernel.
#
# usage: debug.sh 6.1|6.12 debug|kcsan
#
#   debug    KASAN, lockdep, PROVE_RCU, kmemleak, UBSAN, fault injection and others
#   kcsan    data races between CPUs
#
# Its configuration is debug/gateway.config, debug/debug.config or debug/kcsan.config, and
# Debian's options for all that has to do with traffic. It is kept in the cache as long
# as sources and configuration are the same. Building takes about a quarter of an hour of two CPUs, and
# 1 GB. kernel.sh calls this; no root needed.
#
# stdout: see kernel.sh
#
# Exit: 0 all is there, 1 it could not be built, 2 usage.
#
# Environment:
#   CTXSTAT_CACHE    the cache folder, see cache.sh

set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
say() { echo "debug.sh: $*" >&2; }
die() { say "$*"; exit 1; }
usage() { say "usage: debug.sh 6.1|6.12 debug|kcsan"; exit 2; }

[[ $# == 2 && $1 =~ ^[0-9]+\.[0-9]+$ && -e $here/debug/$2.config && $2 != gateway ]] || usage
series=$1 flavour=$2

# What of Debian's configuration is taken over
TRAFFIC='NETFILTER|NF|NFT|IP_NF|IP6_NF|IP_SET|IP_VS|BRIDGE|NET_SCH|NET_SCHED|NET_CLS|NET_ACT|NET_EMATCH|OPENVSWITCH'
TRAFFIC+='|IP_SCTP|SCTP|IP_DCCP|IPV6|INET|TCP_CONG|SYN_COOKIES|IP_MULTIPLE_TABLES|IP_ADVANCED_ROUTER|NET_PKTGEN'
TRAFFIC+='|VETH|DUMMY|VLAN_8021Q|MACVLAN|NET_VRF|IFB|TUN|NET_UDP_TUNNEL|VXLAN|NET_IPGRE|NET_IPIP|PACKET_DIAG|UNIX_DIAG'
TRAFFIC+='|XFRM|XFRM_USER|NET_L3_MASTER_DEV|LIBCRC32C|CRYPTO_CRC32C|CRYPTO_HMAC|CRYPTO_SHA1|CRYPTO_SHA256'

for tool in gcc make bison flex bc depmod; do
	command -v $tool >/dev/null || die "$tool is missing: packages.sh bison flex bc libelf-dev"
done

# shellcheck source=selftests/vm/cache.sh
. "$here/cache.sh"
# shellcheck source=selftests/vm/fill.sh
. "$here/fill.sh"
kernels=$cache/kernels

settings=$("$here/kernel.sh" "$series")
eval "$settings"
debian=$KERNEL_MODULES/boot/config-$KERNEL_RELEASE
source=$("$here/source.sh" "$series")

ours()
{
	cat "$here/debug/gateway.config" "$here/debug/$flavour.config"
	# Until 6.8 UBSAN looks at nothing unless it is told to look at all.
	if [[ $flavour == debug ]] && grep -q 'config UBSAN_SANITIZE_ALL' "$source/lib/Kconfig.ubsan"; then
		echo CONFIG_UBSAN_SANITIZE_ALL=y
	fi
}

config()
{
	ours
	grep -E "^CONFIG_($TRAFFIC)(_[A-Z0-9_]+)?=" "$debian"
	echo "CONFIG_LOCALVERSION=\"-$flavour\""
}

name=$flavour-$series-${source##*_}-$(config | grep '^CONFIG_' | sha256sum | cut -c1-12)
dest=$kernels/$name

print_result()
{
	local release
	release=$(<"$dest/release")
	printf '%s=%q\n' \
		KERNEL_RELEASE "$release" \
		KERNEL_IMAGE "$dest/root/boot/vmlinuz-$release" \
		KERNEL_MODULES "$dest/root" \
		KERNEL_DIR "$dest/build"
}

# Who only needs one that is there does not wait for another one's.
if [[ ! -d $dest ]]; then
	fill_lock "$cache/debug.lock"
fi
if [[ -d $dest ]]; then
	print_result
	exit 0
fi

rm -rf "$kernels"/.debug.*
new=$(mktemp -d "$kernels/.debug.XXXXXX")
chmod 755 "$new"
mkdir -p "$new/build" "$new/root/boot"
make=(make -s -C "$source" "O=$new/build")

say "configuring $name"
config >"$new/wanted"
run "${make[@]}" KCONFIG_ALLCONFIG="$new/wanted" allnoconfig || die "no configuration"
# An option of ours that has not been taken is a check that would not be made. Those of
# Debian's that need something that is not here are of no use here.
ours | grep '^CONFIG_' | grep -v '=n$' | sort >"$new/ours"
missing=$(sort "$new/build/.config" | comm -23 "$new/ours" -)
[[ -z $missing ]] || die "this kernel has no: ${missing//$'\n'/ }"

say "building $name, $(grep -c '=[ym]$' "$new/build/.config") options"
# One line for every hundred files
build()
{
	nice make -C "$source" "O=$new/build" -j"$(nproc)" bzImage modules 2>"$new/errors" |
		awk 'NR % 200 == 0 { print "debug.sh: " NR " steps, " $1 " " $2; fflush() }'
}
run build || { tail -n 30 "$new/errors" >&2; die "it does not build"; }
release=$(<"$new/build/include/config/kernel.release")
run "${make[@]}" INSTALL_MOD_PATH="$new/root" modules_install || die "modules_install failed"
rm -f "$new/root/lib/modules/$release"/{build,source}
cp "$new/build/arch/x86/boot/bzImage" "$new/root/boot/vmlinuz-$release"
cp "$new/build/.config" "$new/root/boot/config-$release"

# What is needed to build a module stays; vmlinux explains addresses.
find "$new/build" \( -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' -o -name '*.a' -o -name '*.o' \) \
	-not -path "$new/build/scripts/*" -not -path "$new/build/tools/*" -delete
echo "$release" >"$new/release"
mv -T "$new" "$dest"
new=''

# Other configurations and versions go, unless a VM may be running on one.
vm_runs || find "$kernels" -mindepth 1 -maxdepth 1 -name "$flavour-$series-*" ! -name "$name" -exec rm -rf {} +
print_result
