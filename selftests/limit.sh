#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# vm FULL: --timeout 7200
#
# A table at its limit for a while: each new connection must evict another one, by early
# drop or by the kernel's garbage collector, under traffic that begins and ends on two
# CPUs and a flood that nobody answers; tables are read all the time, and the module comes
# and goes. Whenever the traffic pauses every cell is exact, and what was evicted is in
# ends, as conntrack -S and conntrack -C have it. (pressure.sh has what a full table does otherwise, many.sh a big one.)
#
# CTXSTAT_SECONDS says how long (20; 300 with FULL=1).
#
# Changes nf_conntrack_max, which is the machine's, and sets it back.
# shellcheck disable=SC2154,SC2016,SC2317 # $here and $tmp are set by lib.sh; awk's $1; check calls

# shellcheck source=selftests/scene.sh
. "$(dirname "$(realpath "$0")")/scene.sh"

LIMIT=1500
PAUSE=5		# seconds of traffic before each
LONG=${CTXSTAT_SECONDS:-${FULL:+300}} LONG=${LONG:-20}
MAX=/proc/sys/net/netfilter/nf_conntrack_max

require_module
[ -w "$MAX" ] || skip_all "must be run in the initial network namespace"
max=$(cat "$MAX")
reader='' sampler=''
cleanup_more() {
	[ -z "$reader$sampler" ] || kill $reader $sampler 2>/dev/null
	echo "$max" >"$MAX"
	traffic_end
	module_restore
}

# ended AWK-CONDITION: entries in ends
ended() { on "$GATEWAY" awk "NR > 1 && $1"' { n += $5 } END { print n + 0 }' $PROC/ends; }

# kernel NAME: what conntrack -S says of early_drop or drop, of all CPUs
kernel() { on "$GATEWAY" conntrack -S | tr ' ' '\n' | awk -F= -v name="$1" '$1 == name { n += $2 } END { print n + 0 }'; }

# The kernel's own number, a few times a second
samples() {
	ip netns exec "$GATEWAY" sh -c 'while :; do conntrack -C; sleep 0.2; done' >>"$tmp/samples" 2>/dev/null &
	sampler=$!
}

# Not more than the kernel lets in while it looks for one to evict; our peak is that
# of all moments.
at_limit() {
	local most now
	most=$(sort -n "$tmp/samples" | tail -n 1)
	now=$(value peak_entries)
	sampled="conntrack -C said $most at the most, $(wc -l <"$tmp/samples") times asked, with a limit of $LIMIT; peak_entries is $now"
	echo "$sampled"
	((most >= LIMIT - 16 && now >= most && now <= LIMIT + 16))
}

filled() {
	echo $LIMIT >"$MAX"
	traffic_churn 400
	traffic_in "$CLIENT2" flood 1000 10.2.0.2 30000 fd02::2 30000
	traffic_churning+=($!)
	wait_for 60 drops_are 100
}
drops_are() { [ "$(kernel early_drop)" -ge "$1" ]; }

# Somebody who looks
reads() {
	# One process. Its pid is that of the shell in the namespace.
	ip netns exec "$GATEWAY" bash -c 'while :; do
		for file in "$1"/{summary,states,transitions,ends,ports,histograms}; do
			mapfile lines <"$file" && ((${#lines[@]} > 1)) && echo
		done
	done' - $PROC >"$tmp/readings" 2>/dev/null &
	reader=$!
}
has_read() {
	local readings
	readings=$(wc -l <"$tmp/readings")
	echo "$readings tables"
	kill -0 "$reader" && ((readings > 60))
}

# The longer the more pauses
stays_full() {
	local end=$((SECONDS + LONG)) early
	while ((SECONDS < end)); do
		early=$(kernel early_drop)
		read -rt $PAUSE <> <(:) || :
		drops_are $((early + 10)) || { echo "no drops any more"; return 1; }
		traffic_pause
		exact_and_audited "$GATEWAY" || return
		pauses=$((pauses + 1))
		traffic_go
	done
}

reloaded() {
	module_unload && module_load || return
	before=$(kernel early_drop)
	: >"$tmp/samples"
	wait_for 60 drops_are $((before + 50)) && wait_for 20 at_limit
}

stops() { traffic_pause && exact_and_audited "$GATEWAY" && accounted "$GATEWAY"; }

# summary repeats the kernel's counters. Whose program is stopped may send its SYN again, which
# is dropped: so it counts when nothing has changed meanwhile.
summary_repeats() {
	local before='' summary='' now deadline=$((SECONDS + 30 * patience))
	now=$(kernel early_drop),$(kernel drop)
	while [ "$now" != "$before" ] && ((SECONDS < deadline)); do
		before=$now
		summary=$(value kernel_early_drop),$(value kernel_drop)
		now=$(kernel early_drop),$(kernel drop)
	done
	echo "early drops and drops: summary says $summary, conntrack -S $now"
	[ "$summary" = "$now" ]
}

# Since the kernel's counter was $before. The garbage collector evicts as well, and does
# not tell that counter. Nothing ends in any other way.
evicted() {
	local early
	early=$(($(kernel early_drop) - before))
	evictions="$(ended '$4 == "evicted"') evicted, $early of them by early drop; $(value created) created, $(kernel drop) refused"
	evictions+="; ended as $(on "$GATEWAY" awk 'NR > 1 { n[$4] += $5 } END { for (r in n) if (n[r]) printf "%s %d ", r, n[r] }' $PROC/ends)"
	echo "$evictions"
	summary_repeats || return
	(($(ended '$4 == "evicted"') >= early && early > 0)) && [ "$(ended '$4 == "evicted"')" = "$(value destroyed)" ]
}

traffic_serve
plan $((6 + 3 + STEP + 2))

before=$(kernel early_drop) pauses=0
check "the table is full, and entries are evicted" filled
reads
samples
check "full for $LONG s: exact, audit finds nothing at each pause" stays_full
note "$pauses pauses"
check "never more than 16 beyond the limit" at_limit
note "${sampled:-}"
check "the traffic stops: exact, each entry is accounted for" stops
check "what was evicted has ended as that" evicted
note "${evictions:-}"
traffic_go
check "the module comes and goes" reloaded
check "the traffic stops: exact, each entry is accounted for" stops
check "what was evicted meanwhile has ended as that" evicted
note "${evictions:-}"
check "tables were read all the time" has_read
note "read: $(wc -l <"$tmp/readings") tables"
kill "$reader" "$sampler"
wait "$reader" "$sampler" 2>/dev/null
reader='' sampler=''
traffic_end
step "flush" flush
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
