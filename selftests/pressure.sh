#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A table in trouble: full, with and without entries that can be evicted; resized
# and flushed under traffic; thousands that expire at once; no port left for SNAT;
# the module loaded while the table is full. Whenever the traffic pauses every cell
# is exact, and at the end nothing has leaked.
#
# Changes nf_conntrack_max and the number of buckets, which are the machine's, and
# sets them back.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

FLOWS=4000
HASHSIZE=/sys/module/nf_conntrack/parameters/hashsize
MAX=/proc/sys/net/netfilter/nf_conntrack_max

require_module
[ -x "$TRAFFIC" ] || skip_all "$TRAFFIC is not built: make -C selftests"
{ [ -w "$MAX" ] && [ -w "$HASHSIZE" ]; } || skip_all "must be run in the initial network namespace"
max=$(cat "$MAX") hashsize=$(cat "$HASHSIZE")
initial=(-p udp -s 192.0.2.77 -d 192.0.2.78 --dport 9)
initial_empty() { conntrack -D "${initial[@]}" >/dev/null 2>&1; }
cleanup_more() {
	traffic_end
	initial_empty
	echo "$max" >"$MAX"
	echo "$hashsize" >"$HASHSIZE"
}

buckets() { cat "$HASHSIZE"; }

# Datagrams of so many connections to the server, which answers none
flood() { on "$CLIENT" "$TRAFFIC" spray "$1" 10.2.0.2 "${2:-10000}"; }

flushed() { ct -F && exact "$GATEWAY" && [ "$(value entries)" = 0 ]; }

# rose KEY BEFORE: of summary
rose() {
	local now
	now=$(value "$1")
	((now > $2)) && return
	echo "$1 was $2 and is $now"
	return 1
}

# assured FIRST LAST: lines for "conntrack -R", of entries that cannot be evicted
assured() {
	awk -v i="$1" -v last="$2" 'BEGIN { for (; i <= last; i++)
		print "-A -t 900 -u SEEN_REPLY,ASSURED -s 10.1.0.2 -d 10.2.0.2 -r 10.2.0.2 -q 10.1.0.2 -p tcp --sport", i, "--dport 80 --reply-port-src 80 --reply-port-dst", i, "--state ESTABLISHED" }'
}

# full of what may be evicted

full_evicts() {
	local early drop
	early=$(value kernel_early_drop) drop=$(value kernel_drop)
	echo 1000 >"$MAX"
	flood "$FLOWS" && flood "$FLOWS" 20000 || return
	rose kernel_early_drop "$early" && rose kernel_drop "$drop" || return
	(($(value entries) >= 1000 && $(value entries) <= 1010)) || { echo "$(value entries) entries"; return 1; }
}

# full of what may not

full_drops() {
	local early drop created
	ct -F
	echo "$max" >"$MAX"
	assured 1 1010 >"$tmp/assured"
	ct -R "$tmp/assured" || return
	echo 1000 >"$MAX"
	early=$(value kernel_early_drop) drop=$(value kernel_drop) created=$(value created)
	flood "$FLOWS" || return
	[ "$(value kernel_drop)" = $((drop + FLOWS)) ] && [ "$(value kernel_early_drop)" = "$early" ] &&
		[ "$(value created)" = "$created" ] && [ "$(value entries)" = 1010 ] && return
	echo "drop $drop $(value kernel_drop), early_drop $early $(value kernel_early_drop), created $created $(value created)"
	return 1
}

insertion_refused() {
	! ct -I -p udp -s 10.1.0.2 -d 10.2.0.2 --sport 1 --dport 9 -t 900
}

# Two namespaces are full: the gateway's, and the initial one, where the module
# tests itself at load. It may refuse, with one line that says so.
initial_fill() {
	local port
	for port in 1 2 3; do
		conntrack -I "${initial[@]}" --sport "$port" -t 900 --status SEEN_REPLY,ASSURED || return
	done
}

load_into_full() {
	local lines
	module_unload && initial_fill || return
	echo 2 >"$MAX"
	lines=$(dmesg | wc -l)
	if module_load; then
		loaded="loads"
	else
		loaded="is refused"
		dmesg | tail -n +$((lines + 1)) >"$tmp/said"
		cat "$tmp/said"
		[ "$(grep -c 'ctxstat' "$tmp/said")" = 1 ] && grep -q 'ctxstat: not loaded: ' "$tmp/said" || return
	fi
	initial_empty
	echo 1000 >"$MAX"
	module_loaded || module_load || return
	[ "$(value adopted)" = 1010 ] || { echo "adopted $(value adopted)"; return 1; }
}

# traffic while other things are done

# A flush takes the translation away from what is connected, and it hangs: so there
# is more than connections.
traffic_of_all_kinds() {
	traffic_up 400 || return
	traffic_in "$CLIENT2" flood 1000 10.2.0.2 30000 fd02::2 30000
	traffic_churning+=($!)
}

traffic_stops() {
	traffic_pause
	exact "$GATEWAY"
}

resize() {
	local size
	for size in 1024 262144 4096 300000 16384; do
		traffic_flows 100 && echo "$size" >"$HASHSIZE" || return
		(($(buckets) >= size)) || { echo "$(buckets) buckets"; return 1; }
	done
	traffic_flows 100
}

flush_under_traffic() {
	local destroyed
	for _ in 1 2 3 4 5; do
		destroyed=$(value destroyed)
		traffic_flows 100 && ct -F && rose destroyed "$destroyed" || return
	done
}

# thousands that expire

# Expired entries leave when somebody looks
emptied() {
	ct -L >/dev/null 2>&1
	[ "$(value entries)" = 0 ]
}

expire() {
	local destroyed created
	created=$(value created) destroyed=$(value destroyed)
	timeouts 1 && flood "$FLOWS" && wait_for 30 emptied || return
	[ "$(value created)" = $((created + FLOWS)) ] && [ "$(value destroyed)" = $((destroyed + FLOWS)) ] && return
	echo "created $created $(value created), destroyed $destroyed $(value destroyed)"
	return 1
}

# Thousands within a few seconds. Two ticks may be half a second apart, and what came
# between them is taken as a rate.
peak_rate() {
	local rate time
	rate=$(value peak_rate) time=$(value peak_rate_time)
	echo "peak_rate $rate at $time, created $(value created)"
	((rate >= 100 && rate <= 2 * $(value created) && time >= began && time <= EPOCHSECONDS))
}

# four ports for many

clash() {
	local failed
	failed=$(value insert_failed)
	on "$GATEWAY" nft -f - <<-RULES || return
	insert rule inet gateway prerouting udp dport 30000-30499 dnat ip to 10.2.0.2:7
	insert rule inet gateway postrouting udp dport 7 masquerade to :1000-1003
	RULES
	timeouts 900 && flood 500 30000 || return
	clashes="entries $(value entries), insert_failed $(($(value insert_failed) - failed)), the kernel's own $(value kernel_insert_failed), drop $(value kernel_drop)"
	echo "$clashes"
	[ "$(value entries)" = 4 ] && [ "$(value insert_failed)" = $((failed + 496)) ]
}

step() {
	local name=$1
	shift
	check "$name" "$@"
	check "$name: exact" exact "$GATEWAY"
	check "$name: each entry is accounted for" accounted "$GATEWAY"
}
STEP=3

{ topology_up && silent_server; } || skip_all "no namespaces can be made"
began=$EPOCHSECONDS
plan $((10 * STEP + 7))

step "full, with evictions" full_evicts
step "full, without evictions" full_drops
step "full, an insertion by netlink is refused" insertion_refused
step "loaded into a full table" load_into_full
note "it ${loaded:-?}"
echo "$max" >"$MAX"
step "flush of a full table" flushed

step "thousands expire" expire
check "the peak of new entries per second is noted" wait_for 5 peak_rate
step "SNAT without a free port" clash
note "${clashes:-}"
step "flush after clashes" flushed

check "traffic" traffic_of_all_kinds
check "resized under traffic" resize
check "flushed under traffic" flush_under_traffic
step "resized and flushed: traffic stops" traffic_stops
check "resized back" sh -c "echo $hashsize >$HASHSIZE"
traffic_end
step "audit finds nothing" audit_clean "$GATEWAY"
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
