#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Entries of every kind, in every state that packets can reach, all in one table:
# after each packet the states table equals what conntrack -L lists, cell by cell,
# and what the packets that were sent make of it, with what entered and left each
# row. states/connections says which packets, states/peer.py sends them.
#
# Three parts: the connections are brought to their states and held; they go on or
# are closed; some are left to expire. The rest is deleted.
# shellcheck disable=SC2154,SC2317 # $here and $tmp are set by lib.sh; check calls what is "unreachable"

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
require python3

require_module
topology_up || skip_all "no namespaces can be made"

# A protocol that this kernel does not track has no states.
connections() {
	local l4proto sysctls

	sysctls=$(on "$GATEWAY" ls /proc/sys/net/netfilter)
	cp "$here/states/connections" "$tmp/connections"
	for l4proto in sctp dccp; do
		if [[ $sysctls != *nf_conntrack_${l4proto}_* ]]; then
			note "this kernel does not track $l4proto"
			sed -i "/^$l4proto /d" "$tmp/connections"
		fi
	done
}

# answer WORD: peer.py's must begin with it; the rest is in $reply
answer() {
	read -rt 120 -u "${PEER[0]}" word reply && [ "$word" = "$1" ]
}

# A lost packet is missing from all that comes after.
tell() {
	echo "$1" >&"${PEER[1]}"
	answer moved && return
	echo "Bail out! $word $reply"
	exit 1
}

# What exact has just seen, without looking again: are the listing and states, with
# entered and left, what the packets make of it? A row never entered is left out.
as_predicted() {
	awk '
		function differs(what, row, want, got) {
			if (want == got)
				return
			printf "%s %s: %s, predicted %s\n", what, row, got, want
			bad = 1
		}
		FNR == 1 { file++ }
		{
			row = $1 " " $2 " " $3
			cells = $4 " " $5 " " $6 " " $7 " " $8
		}
		file == 1 { predicted[row] = cells; moved[row] = $9 " " $10 }
		file == 2 && FNR > 1 {
			rows++
			known = row in predicted
			differs("ctxstat", row, known ? predicted[row] : "0 0 0 0 0", cells)
			differs("entered and left of", row, known ? moved[row] : "0 0", $9 " " $10)
		}
		file == 3 { listed[row] = cells }
		END {
			for (row in predicted)
				differs("conntrack", row, predicted[row], row in listed ? listed[row] : "0 0 0 0 0")
			for (row in listed)
				if (!(row in predicted))
					differs("conntrack", row, "none", listed[row])
			exit bad || !rows
		}' "$tmp/predicted" "$tmp/states" "$tmp/truth"
}

# round NAME: two checks
round() {
	check "$1: every cell equals the listing" exact "$GATEWAY"
	check "$1: as the packets predict, with entered and left" as_predicted
}

# No packet leaves an entry in NONE, and an ICMP in the other's family is invalid.
every_row_held() {
	awk '
		NR == FNR { if (!/^#/ && NF) tracked[$1] = 1; next }
		FNR == 1 || $3 == "NONE" || $1 $2 == "ipv4icmpv6" || $1 $2 == "ipv6icmp" { next }
		($2 in tracked || $2 == "icmpv6") && !$4 { print "no entry:", $0; bad = 1 }
		{ rows++ }
		END { exit bad || !rows }' "$tmp/connections" "$tmp/states"
}

# The listing has the kernel collect them.
only_predicted_left() {
	local left

	left=$(awk '{ n += $4 } END { print n + 0 }' "$tmp/predicted")
	truth "$GATEWAY" | awk -v left="$left" '{ n += $4 } END { exit n != left }'
}

for ns in "$CLIENT" "$CLIENT2" "$SERVER" "$GATEWAY"; do
	silence "$ns" || skip_all "nft cannot filter"
done
connections
# The kernel takes UDP-Lite's checksum for UDP's, and a right one for wrong.
on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_checksum=0
timeouts 1000 || skip_all "no timeout can be set"

coproc PEER { exec python3 "$here/states/peer.py" "$TOPOLOGY_PREFIX" "$tmp/predicted" "$tmp/connections"; }
peer=$PEER_PID
cleanup_more() { kill "$peer" 2>/dev/null; }
answer ready || skip_all "peer.py cannot send"
read -r opening closing expiring <<<"$reply"

plan $((2 * (opening + closing) + 3 * expiring + 7))

for ((i = 1; i <= opening; i++)); do
	tell step
	round "opening, packet $i"
done
check "every state is held at once" every_row_held

tell next
for ((i = 1; i <= closing; i++)); do
	tell step
	round "closing, packet $i"
done

tell next
timeouts 1
for ((i = 1; i <= expiring; i++)); do
	tell step
	check "expiring, packet $i: only the others are left" wait_for 30 only_predicted_left
	round "expiring, packet $i"
done

check "the rest can be deleted" on "$GATEWAY" conntrack -F
tell flush
round "deleted"

check "audit finds nothing" audit_clean "$GATEWAY"
if [ -z "$loaded_before" ]; then
	check "unload" module_unload
else
	check "unload # SKIP it was loaded before" true
fi
check "the kernel is clean" kernel_is_clean
finish
