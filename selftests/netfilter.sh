#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's own selftests of netfilter pass with ctxstat loaded exactly as without it: each
# script that has to do with conntrack, NAT or what uses them is run in both conditions, in one
# virtual machine, and all that it says passed, failed or was skipped has to be the same, as
# well as its exit code. What fails without ctxstat, too, is listed. Between and at the end the
# counts of the initial namespace are exact and an audit has nothing to say.
#
# They come from the sources of the very kernel (vm/source.sh), and are copied and built here.
#
# usage: netfilter.sh [SCRIPT...]    only these
#
# Environment:
#   ALL=1                   all scripts, not only those of SCRIPTS below
#   KERNEL=6.1|6.12         (6.12); build/KERNEL/module/ctxstat.ko has to be there
#   SLOT=N, VM_OPTIONS, KERNEL_LOG=FILE
#                           see vm/run.sh
# shellcheck disable=SC2154 # $here and $tmp are set by lib.sh

SCRIPTS="conntrack_dump_flush conntrack_icmp_related.sh conntrack_ipip_mtu.sh ipip-conntrack-mtu.sh
	conntrack_reverse_clash.sh conntrack_sctp_collision.sh conntrack_tcp_unreplied.sh conntrack_vrf.sh
	br_netfilter.sh br_netfilter_queue.sh ipvs.sh nf_nat_edemux.sh nft_conntrack_helper.sh nft_fib.sh nft_flowtable.sh
	nft_meta.sh nft_nat.sh nft_nat_zones.sh nft_queue.sh nft_synproxy.sh nft_tproxy_tcp.sh nft_tproxy_udp.sh
	nft_zones_many.sh rpath.sh xt_string.sh"
# Each; none of those that are run takes so long.
TIMEOUT=240

# --- In the virtual machine: inside FOLDER SCRIPT...

# verdicts FILE: what it says of each of its tests, without times and other numbers
verdicts() {
	grep -aE '^ *(PASS|FAIL|SKIP|OK|ERROR|ok|not ok|XFAIL)\b|\[ *(OK|FAIL|SKIP|PASS) *\]' "$1" |
		sed -E 's/-[A-Za-z0-9]{6,8}\b//g; s/[0-9]+(\.[0-9]+)?//g; s/[[:space:]]+/ /g' | sort
}

# Results of a script: NAME.CONDITION, .status and .verdicts
script() {
	local name=$1 condition=$2 status=0
	timeout -k 10 $TIMEOUT "./$name" >"$tmp/$name.$condition" 2>&1 </dev/null || status=$?
	echo "$status" >"$tmp/$name.$condition.status"
	verdicts "$tmp/$name.$condition" >"$tmp/$name.$condition.verdicts"
}

same() {
	local what bad=''
	for what in status verdicts; do
		diff -u --label "without ctxstat: $what" "$tmp/$1.without.$what" --label "with ctxstat: $what" "$tmp/$1.with.$what" || bad=1
	done
	[ -z "$bad" ] && return
	for what in without with; do
		echo "--- $what:"
		tail -n 40 "$tmp/$1.$what"
	done
	return 1
}

inside() {
	local name status began
	cd "$1" || exit
	shift
	# shellcheck source=selftests/lib.sh
	. "$here/lib.sh"
	plan $(($# + 3))
	for name; do
		began=$SECONDS
		! module_loaded || module_unload
		script "$name" without
		module_load || skip_all "the ctxstat module cannot be loaded"
		script "$name" with
		status=$(<"$tmp/$name.with.status")
		check "$name: the same with ctxstat as without it" same "$name"
		note "exit code $status, $(wc -l <"$tmp/$name.with.verdicts") verdicts, $((SECONDS - began)) s"
		case $status in
		0) ;;
		4) note "skipped in both: $(grep -aim1 skip "$tmp/$name.with")" ;;
		124 | 137) note "takes longer than $TIMEOUT s" ;;
		*) note "fails without ctxstat, too: $(grep -aE 'FAIL|ERROR|^not ok' "$tmp/$name.without" | head -n 3)" ;;
		esac
	done
	check "exact" exact_here
	check "audit finds nothing" audit_here
	check "kernel log is clean" kernel_is_clean
	finish
}

# In the initial namespace
exact_here() { ip netns attach initial $$ && exact initial; }
audit_here() { audit_clean initial; }

if [ "${1:-}" = inside ]; then
	shift
	here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
	inside "$@"
fi

# --- Here

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"

require gcc socat nc iperf3 conntrack nft iptables ebtables ping ipvsadm
kernel=${KERNEL:-6.12}
source=$("$here/vm/source.sh" "${kernel%%-*}") || skip_all "no sources of $kernel"

# What needs no kernel headers but those of this machine
built() {
	local file
	for file in "$1"/*.c; do
		gcc -O2 -w -I"$tmp/tools/include" -o "${file%.c}" "$file" -lmnl || return
	done
}

selftests=$tmp/tools/testing/selftests
mkdir -p "$selftests"
if [ -d "$source/tools/testing/selftests/net/netfilter" ]; then
	folder=$selftests/net/netfilter
	mkdir "$selftests/net"
	cp "$source"/tools/testing/selftests/net/lib.sh "$selftests/net/"
else
	folder=$selftests/netfilter
fi
cp "$source"/tools/testing/selftests/*.h "$selftests/"
cp -r "$source/${folder#"$tmp/"}" "$folder"
# A module from outside of the kernel's tree is what it is about; reports are seen anyway.
echo 0 >"$folder/tainted"
sed -i "s,/proc/sys/kernel/tainted,$folder/tainted," "$folder"/*.sh
built "$folder" || skip_all "they cannot be built"
chmod 755 "$tmp"

if (($# == 0)); then
	if [ -n "${ALL:-}" ]; then
		# shellcheck disable=SC2046,SC2010 # words, without blanks
		set -- $(cd "$folder" && ls -- *.sh | grep -vx lib.sh) conntrack_dump_flush
	else
		# shellcheck disable=SC2086 # words
		set -- $SCRIPTS
	fi
fi
scripts=()
for script; do
	[ ! -x "$folder/$script" ] || scripts+=("$script")
done

# shellcheck disable=SC2086 # options
"$here/vm/run.sh" --kernel "$kernel" --slot "${SLOT:-0}" ${VM_OPTIONS---one-thread} --timeout 7200 \
	${KERNEL_LOG:+--log "$KERNEL_LOG"} --env CTXSTAT_KO="$top/build/$kernel/module/ctxstat.ko" \
	-- "$here/netfilter.sh" inside "$folder" "${scripts[@]}"
exit
