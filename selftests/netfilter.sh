#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's own selftests of netfilter pass with ctxstat loaded exactly as without it: each
# script that has to do with conntrack, NAT or what uses them is run in both conditions, in one
# virtual machine, and has to pass in both, but for those of EXCEPTIONS; all that it says passed,
# failed or was skipped has to be the same. Meanwhile every namespace that it makes is looked at
# again and again: if nothing moves, every cell and port has to be what conntrack lists, and then
# an audit finds nothing. In those of BUSY there has to be something to compare.
#
# The scripts have time limits of their own, and some take it for granted that a server listens
# a second after it was started, which it does not always here. So one that fails at first has to
# pass PASSES times in a row, within TRIES more tries, in either condition; how many it took is
# told.
#
# Left out are those that have to do with rules only (nft_audit.sh, nft_concat_range.sh,
# nft_trans_stress.sh), with frames (bridge_brouter.sh, vxlan_mtu_frag.sh), or need packetdrill, which
# Debian does not have (nf_conntrack_packetdrill.sh).
#
# They come from the sources of the very kernel (vm/source.sh), and are copied and built here.
#
# usage: netfilter.sh [SCRIPT...]    only these
#
# Environment:
#   KERNEL=KERNEL           one of check.sh's (6.12); build/KERNEL/module/ctxstat.ko has to be there
#   SLOT=N, VM_OPTIONS, KERNEL_LOG=FILE
#                           see vm/run.sh
# shellcheck disable=SC2154,SC2016,SC2034 # $here and $tmp are set by lib.sh; nsenter's $1; SCRIPTS_6_1

SCRIPTS="conntrack_icmp_related.sh conntrack_sctp_collision.sh conntrack_tcp_unreplied.sh conntrack_vrf.sh
	ipvs.sh nf_nat_edemux.sh nft_conntrack_helper.sh nft_flowtable.sh nft_meta.sh nft_nat.sh nft_nat_zones.sh
	nft_queue.sh nft_synproxy.sh nft_zones_many.sh rpath.sh xt_string.sh"
SCRIPTS_6_1="ipip-conntrack-mtu.sh nft_fib.sh"
SCRIPTS_6_12="conntrack_dump_flush conntrack_ipip_mtu.sh conntrack_reverse_clash.sh br_netfilter.sh
	br_netfilter_queue.sh nft_fib.sh nft_tproxy_tcp.sh nft_tproxy_udp.sh"
# KERNEL SCRIPT EXIT-CODE REASON: what does not pass without ctxstat either
EXCEPTIONS=""
# It makes no namespace that has a name.
NOT_LOOKED_AT="conntrack_dump_flush"
# What a flowtable has taken over is not seen: an audit heals it, and leaves nothing.
HEALED="nft_flowtable.sh"
# 6.1's begins to listen and connects at the same time, and waits for ever if it was refused.
REFUSED="nft_conntrack_helper.sh"
# Each; none of those that are run takes so long.
TIMEOUT=600
TRIES=6
PASSES=3
# Those with entries that stay for some seconds
BUSY="conntrack_icmp_related.sh conntrack_tcp_unreplied.sh nft_nat.sh"

# --- In the virtual machine: inside KERNEL FOLDER SCRIPT...

# verdicts FILE: what it says of each of its tests, without times and other numbers
verdicts() {
	grep -aE '^ *(PASS|FAIL|SKIP|OK|ERROR|ok|not ok|XFAIL)\b|\[ *(OK|FAIL|SKIP|PASS) *\]' "$1" |
		sed -E 's/-[A-Za-z0-9]{6,8}\b//g; s/[0-9]+(\.[0-9]+)?//g; s/[[:space:]]+/ /g' | sort
}

# For those of REFUSED, first in PATH: a nc that connects again when it is refused, which is at once
nc_again() {
	mkdir "$tmp/again"
	cat >"$tmp/again/nc" <<-NC
		#!/bin/bash
		[[ " \$* " != *" -l "* ]] || exec $(command -v nc) "\$@"
		for ((try = 0; try < $((50 * patience)); try++)); do
			SECONDS=0
			$(command -v nc) "\$@" && exit
			status=\$?
			((SECONDS < 2)) || exit \$status
			read -rt 0.1 <> <(:)
		done
		exit \$status
	NC
	chmod +x "$tmp/again/nc"
}

# Results of a script: NAME.CONDITION, .status, .verdicts and .tries
script() {
	local name=$1 condition=$2 wanted=$3 try status passed=0 path=$PATH
	[[ ${kernel%%-*} != 6.1 || " $REFUSED " != *" $name "* ]] || path=$tmp/again:$PATH
	for ((try = 1; try <= 1 + TRIES; try++)); do
		status=0
		PATH=$path timeout -k 10 $((TIMEOUT * patience)) "./$name" >"$tmp/$name.$condition" 2>&1 </dev/null || status=$?
		namespaces_gone
		verdicts "$tmp/$name.$condition" >"$tmp/$name.$condition.verdicts"
		# Some say that something is wrong, and exit with 0.
		if ((status == wanted)) && ! { ((wanted == 0)) && grep -qE 'FAIL|ERROR' "$tmp/$name.$condition.verdicts"; }; then
			passed=$((passed + 1))
			((try > 1 && passed < PASSES)) || break
			continue
		fi
		passed=0
		{ echo "exit code $status:"; grep -aE 'FAIL|ERROR' "$tmp/$name.$condition" || tail -n 3 "$tmp/$name.$condition"; } \
			>"$tmp/$name.$condition.failed"
	done
	# A pass that was the last, but not one of so many, is none.
	((try <= 1 + TRIES || status != wanted)) || status="$status, now and then"
	echo $((try > 1 + TRIES ? try - 1 : try)) >"$tmp/$name.$condition.tries"
	echo "$status" >"$tmp/$name.$condition.status"
}

# What one leaves behind when it is ended is not to be found by the next.
namespaces_gone() {
	local ns
	for ns in $(ip netns list | cut -d' ' -f1); do
		ip netns pids "$ns" | xargs -r kill -KILL
		ip netns del "$ns"
	done 2>/dev/null
}

# passes NAME EXIT-CODE: in both conditions, and says the same
passes() {
	local what bad=''
	for what in without with; do
		[ "$(<"$tmp/$1.$what.status")" = "$2" ] || { bad=1; echo "$what ctxstat: exit code $(<"$tmp/$1.$what.status")"; }
	done
	diff -u --label "without ctxstat" "$tmp/$1.without.verdicts" --label "with ctxstat" "$tmp/$1.with.verdicts" || bad=1
	[ -z "$bad" ] && return
	for what in without with; do
		echo "--- $what:"
		tail -n 40 "$tmp/$1.$what"
	done
	return 1
}

# look NAMESPACE: at it, as long as nothing moves; a line says how many entries were compared,
# and what differed
look() {
	local what=moving
	# Not ip netns exec, which is slower.
	nsenter --net="/run/netns/$1" bash -c 'cd "$1" && exec 2>/dev/null || exit
		# Some time is up: a listing takes those entries out, and the next one finds nothing to do.
		for try in 1 2 3; do
			cut -d" " -f1-10 states >"$2.before"
			conntrack -L -f ipv4 -o extended >"$2.v4" && conntrack -L -f ipv6 -o extended >"$2.v6" &&
				cat states >"$2.states" || exit
			quiet=1
			cut -d" " -f1-10 "$2.states" | cmp -s - "$2.before" && break
			quiet=""
		done
		[ "$quiet" ] && cat audit >"$2.audit" && cut -d" " -f1-10 states | cmp -s - "$2.before"' - "$PROC" "$tmp/look" &&
		what=quiet
	[ $what = quiet ] || { echo "$1 moving"; return; }
	# What is translated the listing does not tell for sure: IPVS does it, too.
	cat "$tmp/look.v4" "$tmp/look.v6" | cells_listed | cut -d' ' -f1-6 >"$tmp/look.truth"
	{
		echo "$1 quiet $(awk '{ n += $4 } END { print n + 0 }' "$tmp/look.truth")"
		counted "$tmp/look.states" | cut -d' ' -f1-6 | diff "$tmp/look.truth" - | grep '^[<>]'
		awk '/^(cells_differ|entries_healed|cells_left|ports_differ|ports_left) / && $2 || /^(port_)?difference /' "$tmp/look.audit"
	} | paste -sd ' '
}

# Every namespace, again and again until it is ended
looks() {
	local ns
	while :; do
		for ns in $(ip netns list | cut -d' ' -f1); do
			look "$ns"
		done
		read -rt 1 <> <(:) || :
	done
}

# looked_at NAME: there were some, and nothing differed; with HEALED, nothing was left
looked_at() {
	awk -v healed="$([[ " $HEALED " != *" $1 "* ]] || echo 1)" -v busy="$([[ " $BUSY " != *" $1 "* ]] || echo 1)" '
		{ n++ }
		$2 == "moving" { moving++ }
		$2 == "quiet" {
			compared += $3 > 0
			entries += $3
			if (healed ? /(cells|ports)_left/ : NF > 3) {
				print
				bad = 1
			}
		}
		END {
			print n + 0, "looks at namespaces,", moving + 0, "while something moved,", compared + 0, "of these with entries and quiet,", entries + 0, "entries"
			exit bad || !n || busy && !compared
		}' "$tmp/$1.looks"
}

# exception NAME: its line, without kernel and name
exception() {
	awk -v kernel="$kernel" -v name="$1" '$1 == kernel && $2 == name { $1 = $2 = ""; print; exit }' <<<"$EXCEPTIONS"
}

inside() {
	local name status wanted reason looker began
	kernel=$1
	cd "$2" || exit
	shift 2
	# shellcheck source=selftests/lib.sh
	. "$here/lib.sh"
	# shellcheck source=selftests/fetched.sh
	. "$here/fetched.sh"
	fetched ipvsadm
	require ipvsadm
	# as the scripts know it: some do less then
	export KSFT_MACHINE_SLOW=yes WAIT_TIMEOUT=$((60 * patience))
	nc_again
	plan $((2 * $# + 2))
	: >"$tmp/looks"
	for name; do
		began=$SECONDS
		read -r wanted reason <<<"$(exception "$name")"
		: "${wanted:=0}"
		! module_loaded || module_unload
		script "$name" without "$wanted"
		module_load || skip_all "the ctxstat module cannot be loaded"
		looks >"$tmp/$name.looks" 2>&1 &
		looker=$!
		script "$name" with "$wanted"
		kill "$looker"
		wait "$looker" 2>/dev/null
		if ((wanted)); then
			check "$name: the same with ctxstat as without it: $reason" passes "$name" "$wanted"
		else
			check "$name: passes with ctxstat as without it" passes "$name" 0
		fi
		note "$(wc -l <"$tmp/$name.with.verdicts") verdicts, tries: $(<"$tmp/$name.without.tries") without ctxstat," \
			"$(<"$tmp/$name.with.tries") with it, $((SECONDS - began)) s"
		for status in without with; do
			[ ! -e "$tmp/$name.$status.failed" ] || note "$status ctxstat, when it failed: $(<"$tmp/$name.$status.failed")"
		done
		if [[ " $NOT_LOOKED_AT " == *" $name "* ]]; then
			check "$name: nothing to look at" [ ! -s "$tmp/$name.looks" ]
		else
			check "$name: meanwhile nothing differs" looked_at "$name"
			note "$(tail -n 1 "$tmp/check.out")"
			cat "$tmp/$name.looks" >>"$tmp/looks"
		fi
	done
	check "namespaces with entries were compared" grep -q ' quiet [1-9]' "$tmp/looks"
	check "kernel log is clean" kernel_is_clean
	finish
}

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

"$here/vm/packages.sh" socat iperf3 conntrack nftables iptables netcat-openbsd iputils-ping libmnl-dev \
	libnl-genl-3-200 libpopt0 ||
	skip_all "packages are missing"
fetched=$("$here/vm/fetch.sh" ipvsadm) || skip_all "no ipvsadm"
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
# What 6.1's give no more time to than a fast machine needs; 6.12's wait. nft_flowtable.sh moves up to 40 MiB
# each way within three seconds, with IPsec as well: here 2 MiB, as 6.12's, and has a minute. A server of
# nft_nat.sh's has 0.3 s to listen.
if [ "${kernel%%-*}" = 6.1 ]; then
	sed -i 's/^\tSIZE=\$((RANDOM % (1024 \* 128)))$/\tSIZE=0/; s/(1024 \* 8)/(1024 * 2)/
		s/^\tsleep 3$/\tfor _ in $(seq 600); do kill -0 $lpid $cpid 2>\/dev\/null || break; sleep 0.1; done/' "$folder/nft_flowtable.sh"
	sed -i 's/sleep 0\.3$/sleep 4/' "$folder/nft_nat.sh"
	[ "$(grep -hcE 'SIZE=0$|\(1024 \* 2\)|seq 600' "$folder/nft_flowtable.sh")" = 3 ] && grep -q 'sleep 4$' "$folder/nft_nat.sh" ||
		skip_all "nft_flowtable.sh or nft_nat.sh has changed"
fi
built "$folder" || skip_all "they cannot be built"
chmod 755 "$tmp"

if (($# == 0)); then
	more=SCRIPTS_${kernel%%-*}
	more=${more//./_}
	# shellcheck disable=SC2086 # words
	set -- $SCRIPTS ${!more}
fi
for script; do
	[ -x "$folder/$script" ] || { echo "not ok - $script is not among the tests of $kernel"; exit 1; }
done

# What looks for faults takes time and memory.
options=(--timeout 10800)
case $kernel in
*-debug | *-kcsan) options=(--timeout 86400 --memory 4096) ;;
esac

# shellcheck disable=SC2086 # options
"$here/vm/run.sh" --kernel "$kernel" --slot "${SLOT:-0}" ${VM_OPTIONS---one-thread} "${options[@]}" \
	${KERNEL_LOG:+--log "$KERNEL_LOG"} --env CTXSTAT_KO="$top/build/$kernel/module/ctxstat.ko" \
	--env CTXSTAT_CACHE="${fetched%%/packages/*}" -- "$here/netfilter.sh" inside "$kernel" "$folder" "$@"
exit
