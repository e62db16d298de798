#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# vm: --memory 3072
# vm FULL: --cpus 8 --memory 4096 --timeout 43200
#
# All together: connections from every CPU, as fast as they can be made, of UDP and TCP, to
# thousands of ports, beside real ones that are translated in every way; the module is
# loaded and unloaded, namespaces come and go with live entries, the table is flushed and
# resized, every file is read in loops, and tracers and probes on the functions that ctxstat
# traces go on and off. After each load, and before each unload (if there are many: one of the
# two), all of it is stopped for a moment: every cell and port is exact, then an audit finds
# nothing, and each entry is accounted for. At the end so are the gateway and every other
# namespace, and the memory is what it was before.
#
# Reading audit moves entries that are not counted as what they are. So it is read in every
# other load only: what goes wrong in those between is still wrong when all stops.
#
#   CTXSTAT_CONNECTIONS (100000; 10000 on kernels that look for faults),
#   CTXSTAT_LOADS (5), CTXSTAT_NAMESPACES (50; 20)
#                        how many there are to be, at least; with each load its share
#   FULL=1               5,000,000 and 100 and 1,000, which takes hours

set -u
# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"
# shellcheck source=selftests/inject.sh
. "$here/inject.sh"

# Eight CPUs take turns on one of the host's. If all of them are busy, the rest has an eighth of its
# speed: a load, its two stops and its unload take four minutes instead of one.
[ -z "${FULL:-}" ] || INJECT_PAUSE=500
[ -z "${FULL:-}" ] || : "${CTXSTAT_CONNECTIONS:=5000000}" "${CTXSTAT_LOADS:=100}" "${CTXSTAT_NAMESPACES:=1000}"
CONNECTIONS=${CTXSTAT_CONNECTIONS:-$((patience > 1 ? 10000 : 100000))}
LOADS=${CTXSTAT_LOADS:-5}
NAMESPACES=${CTXSTAT_NAMESPACES:-$((patience > 1 ? 20 : 50))}

PREFIX=$TOPOLOGY_PREFIX-n
BATCH=5			# namespaces that exist at the same time,
FILLED=2		# and so many of them have entries
CHURN=50
STAY=1000		# entries of the gateway that are compared, at least, whenever all stops
MAX=/proc/sys/net/netfilter/nf_conntrack_max
HASHSIZE=/sys/module/nf_conntrack/parameters/hashsize
TRACEFS=/sys/kernel/tracing
TRACED="nf_conntrack_free __nf_conntrack_confirm nf_ct_delete"

[ -x "$INJECT" ] || skip_all "$INJECT is not built: make -C selftests"
grep -qw function $TRACEFS/available_tracers 2>/dev/null || skip_all "this kernel has no function tracer"
require_module
{ [ -w "$MAX" ] && [ -w "$HASHSIZE" ]; } || skip_all "must be run in the initial network namespace"
max=$(<"$MAX") hashsize=$(<"$HASHSIZE")
module_unload || skip_all "the ctxstat module is in use"

workers=()
cleanup_more() {
	workers_end
	inject_end
	traffic_end
	tracers_off
	ip netns list | sed -n "s/^\(${PREFIX}[0-9][^ ]*\).*/netns del \1/p" | ip -batch -
	echo "$max" >"$MAX"
	echo "$hashsize" >"$HASHSIZE"
	module_restore
}

pace() { read -rt "$1" <> <(:) || :; }

# What runs until workers_end: each is a function that does it once, and is counted.

worker() {
	# In a group of its own, so that it can be stopped with all that it has started.
	set -m
	(
		trap - EXIT
		while [ -e "$tmp/going" ]; do
			"$1" && echo >>"$tmp/did.$1"
		done
	) >>"$tmp/out.$1" 2>&1 </dev/null &
	workers+=($!)
	set +m
}
workers_end() {
	rm -f "$tmp/going"
	signal_groups CONT "${workers[@]}"
	((${#workers[@]} == 0)) || wait "${workers[@]}"
	workers=()
}
did() { wc -l <"$tmp/did.$1"; }

# Often there is no module.
readings() {
	# shellcheck disable=SC2016 # expanded by that shell
	on "$GATEWAY" sh -c '
		while [ -e "$1/going" ]; do
			for file in "$2"/* "$3"; do
				[ "${file##*/}" != audit ] || [ -e "$1/auditing" ] || continue
				cat "$file" || continue 2
			done >/dev/null 2>&1 && echo >>"$1/did.readings"
		done' - "$tmp" "$PROC" "$STAT"
}

# Real ones, in every direction. A flush takes their translation away, and they hang: so
# they begin anew.
connects() {
	timeout --foreground -s KILL 3 ip netns exec "$SERVER" "$TRAFFIC" churn $CHURN 10.2.0.1 8080 fd02::1 8080 &
	timeout --foreground -s KILL 3 ip netns exec "$CLIENT" "$TRAFFIC" churn $CHURN 10.2.0.2 7 fd02::2 7 10.2.0.1 8081
	wait $!
	pace 1
} 2>/dev/null

flushes() {
	pace 4
	[ ! -e "$tmp/lasting" ] && on "$GATEWAY" conntrack -F
}

sizes=(4096 131072 32768 65536)
resizes() {
	local size=${sizes[0]}
	sizes=("${sizes[@]:1}" "$size")
	echo "$size" >"$HASHSIZE"
	pace 2
}

tracers_off() {
	local function
	echo nop >$TRACEFS/current_tracer
	echo >$TRACEFS/set_ftrace_filter
	[ -d $TRACEFS/events/ctxstat_stress ] || return 0
	echo 0 >$TRACEFS/events/ctxstat_stress/enable
	for function in $TRACED; do
		echo "-:ctxstat_stress/$function" >>$TRACEFS/kprobe_events
		echo "-:ctxstat_stress/${function}_return" >>$TRACEFS/kprobe_events
	done
}
tracers() {
	local function
	echo "$TRACED" >$TRACEFS/set_ftrace_filter
	echo function >$TRACEFS/current_tracer
	for function in $TRACED; do
		echo "p:ctxstat_stress/$function $function" >>$TRACEFS/kprobe_events
		echo "r:ctxstat_stress/${function}_return $function" >>$TRACEFS/kprobe_events
	done
	echo 1 >$TRACEFS/events/ctxstat_stress/enable
	pace 1
	grep -q -m 1 nf_conntrack $TRACEFS/trace
	local seen=$?
	tracers_off
	pace 1
	return $seen
}

# batch add|del FIRST: so many namespaces, by one process
batch() {
	local i
	for ((i = $2; i < $2 + BATCH; i++)); do
		echo "netns $1 $PREFIX$i"
	done | ip -batch -
}

# Some entries. Connection tracking begins in a namespace when a rule needs it.
RULES="add table inet t; add chain inet t c { type filter hook output priority 0; };
	add rule inet t c ct state invalid drop"
fill() {
	# shellcheck disable=SC2016 # expanded by that shell
	on "$1" sh -c 'ip link set lo up && nft "$1" && echo 3600 >/proc/sys/net/netfilter/nf_conntrack_udp_timeout &&
		exec "$2" spray 30 127.0.0.1 20000 ::1 20000' - "$RULES" "$TRAFFIC"
}

# They go with what they have; the last ones stay.
namespaces() {
	local i at
	at=$(($(did namespaces) + 1))
	if ((at > wanted_namespaces)); then
		pace 1
		return 1
	fi
	((at == 1)) || batch del $((at - BATCH))
	batch add "$at" || return
	for ((i = at; i < at + BATCH; i++)); do
		((i >= at + FILLED)) || fill "$PREFIX$i"
		echo >>"$tmp/did.namespaces"
	done
	return 1	# counted
}
living() { ip netns list | sed -n "s/^\(${PREFIX}[0-9]*\).*/\1/p"; }

# Connections

WORKERS="connects readings flushes resizes tracers namespaces"

# reached PART OF: so much of the phase. Each load has its share of the connections and
# namespaces, and one of all the rest, beyond what load_began saw.
reached() {
	local name
	(($(injected) >= connections * $1 / $2 && $(did namespaces) >= wanted_namespaces * $1 / $2)) || return
	for name in $WORKERS; do
		[ $name = namespaces ] || (($(did $name) > did_before[$name])) || return
	done
}
declare -A did_before
load_began() {
	local name
	for name in $WORKERS; do
		did_before[$name]=$(did $name)
	done
}
more_injected() { (($(injected) > $1)); }

# reload: while connections are being made
reload() {
	local before
	module_unload && lasting && before=$(injected) && module_load && wait_for 60 more_injected "$before"
}

progress() {
	note "$((SECONDS - began)) s: $(injected) of $connections connections, load $load of $loads," \
		"$(did namespaces) namespaces, $(did flushes) flushes, $(did resizes) resizes," \
		"$(did readings) readings, $(did tracers) times traced, $(did connects) rounds of real traffic"
}

# stops_when loaded|unloading: a stop takes as long as all the rest, so if there are many loads, there
# is one in each: two when it is loaded, the next two before it is unloaded. Of either two one is
# with readers of audit.
stops_when() {
	local pair=0
	[ "$1" = loaded ] || pair=1
	((loads <= 10 || (load - 1) % 4 / 2 == pair))
}

# phase CONNECTIONS LOADS NAMESPACES: all together. The module is loaded in the end.
phase() {
	local name status=0 limit
	connections=$1 loads=$2 wanted_namespaces=$3 began=$SECONDS stops=0 compared=0
	for name in $WORKERS; do
		: >"$tmp/did.$name"
	done
	touch "$tmp/going"
	for name in $WORKERS; do
		worker $name
	done
	inject 0
	limit=$((120 + connections / 100))
	for ((load = 1; load <= loads; load++)); do
		if ((load % 2)); then rm -f "$tmp/auditing"; else touch "$tmp/auditing"; fi
		if ((load == 1)); then
			wait_for 60 more_injected 0 && lasting && module_load
		else
			reload
		fi || { echo "load $load failed, or no connections were made meanwhile"; status=1; break; }
		load_began
		if stops_when loaded; then
			stopped_clean || { status=1; break; }
		else
			short_lived
		fi
		wait_for $limit reached $load $loads || { echo "too slow"; status=1; break; }
		if stops_when unloading; then
			# What was compared need not be again.
			on "$GATEWAY" conntrack -F
			stopped_clean || { status=1; break; }
		fi
		progress >&3
	done
	((load <= loads)) || load=$loads
	if ((status)); then
		for name in $WORKERS; do
			echo "$name:"; tail -n 5 "$tmp/out.$name"
		done
	fi
	injecting || { cat "$tmp"/injected.*; status=1; }
	inject_end
	workers_end
	tracers_off
	return $status
}

# Entries that begin from now on are still there when all stops; others have expired.
lasting() {
	touch "$tmp/lasting"
	timeouts 600
}
short_lived() {
	timeouts 5
	rm -f "$tmp/lasting"
}

# Whatever makes entries, and whatever else runs, is stopped meanwhile.
stopped_clean() {
	local status=0 entries
	lasting
	wait_for 60 more_injected $(($(injected) + 2 * STAY)) || { echo "no connections"; return 1; }
	signal_groups STOP "${workers[@]}"
	inject_pause
	{ exact_when_quiet && audit_clean "$GATEWAY" && accounted "$GATEWAY"; } || status=1
	entries=$(value entries)
	if ((entries < STAY)); then
		echo "only $entries entries were compared"
		status=1
	fi
	stops=$((stops + 1)) compared=$((compared + entries))
	short_lived
	signal_groups CONT "${workers[@]}"
	inject_go
	return "$status"
}

# Those of before expire within seconds, and go one by one.
exact_when_quiet() { wait_for 60 quiet && exact_traced "$GATEWAY"; }
quiet() {
	listing "$GATEWAY" >/dev/null	# it takes out what has expired
	states_of "$GATEWAY" | cut -d' ' -f1-10 >"$tmp/before"
	pace 6
	states_of "$GATEWAY" | cut -d' ' -f1-10 | cmp -s - "$tmp/before"
}

everything() {
	local new dropped
	new=$(kernel_new) dropped=$(kernel_dropped)
	phase "$CONNECTIONS" "$LOADS" "$NAMESPACES" || return
	new=$(($(kernel_new) - new)) dropped=$(($(kernel_dropped) - dropped))
	echo "$new were new to conntrack, and it dropped $dropped"
	# Some are, in buckets that are too full: the fewest are for a tenth of the entries.
	((new >= CONNECTIONS && dropped * 10 <= new))
}

# Some entries of every kind, none of which ends by itself
settle() {
	on "$GATEWAY" conntrack -F
	timeouts 600
	inject 3000
	connects
	injected_all
}

every_audit() {
	local ns
	ip netns attach initial $$ || return
	for ns in initial "$CLIENT" "$CLIENT2" "$SERVER" "$GATEWAY" $(living); do
		audit_clean "$ns" || { echo "in $ns"; return 1; }
	done
	ip netns del initial
}
living_exact() {
	local ns n=0 filled=0
	for ns in $(living); do
		exact "$ns" || { echo "in $ns"; return 1; }
		n=$((n + 1)) filled=$((filled + ($(<"$tmp/count") >= 30)))
	done
	echo "$n namespaces, $filled with entries"
	((n == BATCH && filled == FILLED))
}

# kB that are in use without the module and without entries: of vmalloc, per CPU, and of slabs
memory() {
	on "$GATEWAY" conntrack -F 2>/dev/null
	ip netns list | sed -n "s/^\(${PREFIX}[0-9][^ ]*\).*/netns del \1/p" | ip -batch -
	echo "$hashsize" >"$HASHSIZE"
	pace 3
	echo 3 >/proc/sys/vm/drop_caches
	for cache in /sys/kernel/slab/{nf_conntrack,kmalloc-*}; do
		echo 1 >"$cache/shrink"
	done 2>/dev/null
	awk '/^(SUnreclaim|Percpu|VmallocUsed):/ { printf "%s %d ", $1, $2 }' /proc/meminfo
}

# A namespace's counters are 24 kB, and each load makes some for all. What the kernel itself
# keeps for later is about this much.
memory_is_back() {
	after=$(memory)
	echo "before: $before"
	echo "after: $after"
	paste -d' ' <(tr ' ' '\n' <<<"$before") <(tr ' ' '\n' <<<"$after") | awk '
		name == "" { name = $1; next }
		{ more = $2 - $1; limit = name ~ /SUnreclaim/ ? 4096 : 512
		  if (more > limit) { print name, more, "kB more"; bad = 1 }
		  name = "" }
		END { exit bad }'
}

plan 15
traffic_serve
inject_ready || skip_all "no rules can be set"
timeouts 5
echo 262144 >"$MAX"
exec 3>&1

check "a short round" phase 2000 2 5
check "unload" module_unload
before=$(memory)
note "$before"

note "$CONNECTIONS connections on $cpus CPUs, $LOADS loads, $NAMESPACES namespaces"
check "all together" everything
note "$(tail -n 1 "$tmp/check.out"); $(inject_rate) connections per second;" \
	"$stops times all was stopped, and $compared entries compared"
check "all traffic stops" settle
check "the gateway is exact" exact "$GATEWAY"
check "the gateway: each entry is accounted for" accounted "$GATEWAY"
check "the last namespaces are exact" living_exact
check "audit finds nothing, in every namespace" every_audit
check "unload, with all of these" module_unload
check "unloaded, nothing is left" nothing_left
check "load, and all is adopted" module_load
check "the gateway is exact again" exact "$GATEWAY"
check "unload once more" module_unload
check "the memory is what it was" memory_is_back
note "$after"
check "the kernel is clean" kernel_is_clean
finish
