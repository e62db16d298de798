#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Network namespaces: each has counters of its own, which begin at zero; those of a
# gateway stay exact while others come and go, with live entries and under traffic,
# and while the module does; who may read what; and how many get counters per CPU.

set -u
# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

NAMESPACES=50
FLOODED=6	# of these, from outside while they are destroyed
LOADS=3
CHURN=100	# source ports: five times as many entries in the gateway
PREFIX=$TOPOLOGY_PREFIX-n
OUTSIDE=$TOPOLOGY_PREFIX-outside
OWNED=$TOPOLOGY_PREFIX-owned
NOBODY=65534

require setpriv unshare nsenter python3
require_module

owner='' loop=''
cleanup_more() {
	loop_end
	traffic_end
	[ -z "$owner" ] || kill "$owner" 2>/dev/null
	ip netns list | sed -n "s/^\(\(${PREFIX}[0-9]\|$OUTSIDE\|$OWNED\)[^ ]*\).*/netns del \1/p" |
		ip -batch -
	module_restore
}

# batch add|del FIRST LAST: so many namespaces, by one process
batch() {
	local i
	for ((i = $2; i <= $3; i++)); do
		echo "netns $1 $PREFIX$i"
	done | ip -batch -
}

# Others than the initial one, in which nothing is busy: 256 of them, and others when these go.
bounded() {
	module_unload && on "$GATEWAY" conntrack -F && module_load || return
	python3 "$here/netns/busy.py" 259 3 $((200 + 100 * patience)) >"$tmp/busy" 2>&1
	cat "$tmp/busy"
	[ "$(<"$tmp/busy")" = $'256 of 259\n256 of 256' ]
}

# Connection tracking begins in a namespace when a rule needs it.
RULES="add table inet t; add chain inet t c { type filter hook output priority 0; };
	add rule inet t c ct state invalid drop"
track() { on "$1" nft "$RULES"; }

# A namespace gets 60 entries, which stay for a while.
fill() {
	on "$1" sh -c 'ip link set lo up && nft "$1" &&
		exec "$2" spray 30 127.0.0.1 20000 ::1 20000' - "$RULES" "$TRAFFIC"
}

entries() { summary_of "$1" entries; }
entries_reach() { [ "$(entries "$1")" -ge "$2" ]; }

gateway_exact() {
	local status=0

	traffic_flows 20 || return
	traffic_pause
	exact_and_audited "$GATEWAY" || status=1
	traffic_go
	return $status
}

# All counts of states and summary
zero() {
	states_of "$1" | awk '
		NR > 1 { for (i = 4; i <= 11; i++) if ($i) { print; bad = 1 } }
		END { exit bad || NR < 2 }' &&
		on "$1" awk '
		/^(entries|peak_entries|created|adopted|destroyed|insert_failed|count|peak_rate|port_memory) / {
			n++
			if ($2) { print; bad = 1 }
		}
		END { exit bad || n != 9 }' $PROC/summary &&
		on "$1" awk 'FNR > 1 && (FILENAME !~ /histograms/ || $4) { print; bad = 1 }
			END { exit bad }' $PROC/ports $PROC/transitions $PROC/ends $PROC/histograms
}

begins_at_zero() { batch add 1 2 && track "${PREFIX}2" && zero "${PREFIX}1" && zero "${PREFIX}2"; }

counts_its_own() {
	fill "${PREFIX}1" && exact_and_audited "${PREFIX}1" &&
		entries_reach "${PREFIX}1" 60
}

fill_each() {
	local i
	for ((i = $1; i <= NAMESPACES; i += 2)); do
		fill "$PREFIX$i" || return
	done
}
fill_all() {
	local i odd

	batch add 3 $NAMESPACES || return
	fill_each 3 &
	odd=$!
	fill_each 2 && wait $odd || return
	for i in 2 3 $((NAMESPACES / 2)) $NAMESPACES; do
		exact_and_audited "$PREFIX$i" || return
	done
}

# From one namespace into the first ones, so fast that they are destroyed amid it
flood() {
	local i targets=()

	ip netns add "$OUTSIDE" || return
	for ((i = 1; i <= FLOODED; i++)); do
		ip link add "out$i" netns "$OUTSIDE" type veth peer name in0 netns "$PREFIX$i" &&
			on "$OUTSIDE" ip addr add "10.9.$i.1/24" dev "out$i" &&
			on "$OUTSIDE" ip link set "out$i" up &&
			on "$PREFIX$i" ip addr add "10.9.$i.2/24" dev in0 &&
			on "$PREFIX$i" ip link set in0 up || return
		targets+=("10.9.$i.2" 20000)
	done
	traffic_in "$OUTSIDE" flood 5000 "${targets[@]}"
	flooding=$!
	for ((i = 1; i <= FLOODED; i++)); do
		wait_for 20 entries_reach "$PREFIX$i" 300 || return
	done
}

# A namespace goes on for a while when its name is gone. The links to the flooded
# ones vanish with them.
links_gone() { ! on "$OUTSIDE" ip -o link | grep -q 'out[0-9]'; }
destroy() { batch del 1 $NAMESPACES && wait_for 60 links_gone && kill -0 $flooding; }

# Namespaces that come, have entries, and go, until loop_end
loop_begin() {
	local ns

	touch "$tmp/looping" "$tmp/loops"
	while [ -e "$tmp/looping" ]; do
		batch add 101 103
		for ns in "${PREFIX}"10{1..3}; do
			fill "$ns" && echo "$ns" >>"$tmp/loops"
		done
		batch del 101 103
	done >"$tmp/loop.out" 2>&1 &
	loop=$!
}
loop_end() {
	[ -n "$loop" ] || return 0
	rm -f "$tmp/looping"
	wait "$loop"
	loop=
}
loops_reach() { [ "$(wc -l <"$tmp/loops")" -ge "$1" ]; }
loops() { wait_for 60 loops_reach $(($(wc -l <"$tmp/loops") + $1)); }

load_in_loop() { module_unload && loops 2 && module_load && loops 2; }

SET_NOBODY="setpriv --reuid $NOBODY --regid $NOBODY --clear-groups"
as_nobody() { $SET_NOBODY "$@"; }
nobody_reads() { as_nobody cat $PROC/summary $PROC/states /proc/net/stat/ctxstat >/dev/null; }
nobody_may_not_audit() { [ -e $PROC/audit ] && ! as_nobody cat $PROC/audit; }

# A user namespace of nobody's, in which nobody is root, with a network namespace.
# In two steps, as container managers do it: the files of a network namespace made
# before the user namespace has its root (unshare -Urn) belong to the host's root.
owner_begin() {
	# not as_nobody: the pid is that of the program then
	$SET_NOBODY unshare -Ur unshare -n sh -c 'echo ready; exec sleep 1000' >"$tmp/owner" &
	owner=$!
	wait_for 20 grep -q ready "$tmp/owner" && ip netns attach "$OWNED" $owner
}
as_owner() { as_nobody nsenter -t $owner -U -n --preserve-credentials "$@"; }
owner_reads() {
	as_owner cat $PROC/summary $PROC/states /proc/net/stat/ctxstat >/dev/null &&
		as_owner cat $PROC/audit >"$tmp/audit" || return
	cat "$tmp/audit"
	# Of 60; some may have expired by now.
	grep -q '^entries_seen [1-9]' "$tmp/audit"
}

# Not root anywhere
other_reads() { as_nobody unshare -Un cat $PROC/summary >/dev/null; }
other_may_not_audit() { ! as_nobody unshare -Un cat $PROC/audit; }

memory() {
	awk '/^(SUnreclaim|Percpu|VmallocUsed):/ { kb += $2 } END { print kb }' /proc/meminfo
}
# kB that a load takes
memory_of_load() {
	local before

	module_unload
	before=$(memory)
	module_load
	echo $(($(memory) - before))
}

plan $((12 + 2 * LOADS + 8))
traffic_up $CHURN

check "new: all counts are zero" begins_at_zero
traffic_pause
check "traffic in one: it counts" counts_its_own
check "traffic in one: another still says zero" zero "${PREFIX}2"
check "traffic in one: the gateway is exact" exact_and_audited "$GATEWAY"
check "filled: $NAMESPACES namespaces, some are looked at" fill_all
traffic_go
check "filled: the gateway is exact" gateway_exact
check "flooded: $FLOODED of them" flood
check "destroyed with live entries, amid traffic" destroy
kill $flooding
check "destroyed: the gateway is exact" gateway_exact
ip netns del "$OUTSIDE"

loop_begin
check "namespaces come and go: some did" loops 3
check "namespaces come and go: the gateway is exact" gateway_exact
for ((i = 1; i <= LOADS; i++)); do
	check "namespaces come and go: unload and load $i" load_in_loop
	check "namespaces come and go: the gateway is exact" gateway_exact
done
loop_end
check "namespaces no longer come and go: the gateway is exact" gateway_exact

check "anybody reads the tables" nobody_reads
check "only root reads audit" nobody_may_not_audit
if owner_begin && fill "$OWNED"; then
	check "in a user namespace: exact" exact "$OWNED"
	check "in a user namespace: its root reads all, audit too" owner_reads
	check "in a user namespace: others read the tables" other_reads
	check "in a user namespace: only root reads audit" other_may_not_audit
else
	for what in "exact" "its root reads all, audit too" "others read the tables" "only root reads audit"; do
		check "in a user namespace: $what # SKIP this kernel lets only root have one" true
	done
fi

traffic_pause
few=$(memory_of_load)
batch add 201 300
many=$(memory_of_load)
note "a namespace costs about $(((many - few) / 100)) kB (the first load: $few kB, with 100 more: $many kB)"

check "counters per CPU: no more than 256 others have them" bounded
check "the kernel is clean" kernel_is_clean
finish
