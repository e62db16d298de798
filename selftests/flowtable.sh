#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Connections that a flowtable (nft's "flow add") has taken over: tcp and udp, IPv4 and
# IPv6, with SNAT and with SNAT and DNAT. Every cell is exact while their packets pass
# conntrack by, and after each way back: closed, unused for the flowtable's timeout, the
# flowtable deleted, the entry deleted, the module loaded meanwhile, and all of these
# under traffic.
#
# One difference is there, and heals: what is deleted while a flowtable holds it stays
# counted, by conntrack -C too, until the flowtable lets go, within seconds.
#
# The kernel does not tell the state of what is offloaded: it offloads tcp in ESTABLISHED
# only, and shows it when it comes back. Nor does the listing show that it is assured, but
# it can be asked for what is.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# shellcheck source=selftests/scene.sh
. "$(dirname "$(realpath "$0")")/scene.sh"

COUNT=15	# connections of each kind
KINDS=6		# of them: to three targets, tcp and udp
ALL=$((COUNT * KINDS))
TARGETS=(10.2.0.2 7 fd02::2 7 10.2.0.1 8081)

require_module

listing() {
	{
		ct -L -o extended -f ipv4 -u ASSURED && ct -L -o extended -f ipv6 -u ASSURED && echo &&
			ct -L -o extended -f ipv4 && ct -L -o extended -f ipv6
	} 2>"$tmp/conntrack.err" | awk '
		NF == 0 { all = 1; next }
		!all { assured[$0]; next }
		sub(/\[OFFLOAD\]/, $0 in assured ? "[ASSURED]" : "") && $3 == "tcp" { $5 = "ESTABLISHED " $5 }
		{ print }'
}

offloaded() { { ct -L -f ipv4; ct -L -f ipv6; } 2>"$tmp/conntrack.err" | grep -c '\[OFFLOAD\]'; }
offloaded_are() {
	local now
	now=$(offloaded)
	[ "$now" = "$1" ] || { echo "$now are offloaded, not $1"; return 1; }
}
some_offloaded() { [ "$(offloaded)" -gt 0 ]; }

flowtable() {
	on "$GATEWAY" nft -f - <<-RULES
	table inet fast {
		flowtable f {
			hook ingress priority 0
			devices = { to-client, to-client2, to-server }
		}
		counter seen {}
		chain forward {
			type filter hook forward priority 0
			counter name seen
			meta l4proto { tcp, udp } flow add @f
		}
	}
	RULES
}
flowtable_gone() { on "$GATEWAY" nft delete table inet fast; }

# Packets that were forwarded by the usual way
forwarded() { on "$GATEWAY" nft reset counter inet fast seen | awk '$1 == "packets" { print $2 }'; }

# flowtable_timeout SECONDS: of what is refreshed from now on
flowtable_timeout() {
	on "$GATEWAY" sysctl -qw net.netfilter.nf_flowtable_tcp_timeout="$1" \
		net.netfilter.nf_flowtable_udp_timeout="$1"
}

taken_over() { flowtable_timeout 300 && flowtable && talk $COUNT "${TARGETS[@]}" && offloaded_are $ALL && has tcp ESTABLISHED $((ALL / 2)); }

# The first packets that follow reach the flowtable, not the chain
unseen() {
	local packets
	forwarded >/dev/null && talk_again && offloaded_are $ALL || return
	packets=$(forwarded)
	[ "$packets" = 0 ] || { echo "$packets packets were forwarded by the usual way"; return 1; }
}

reloaded() { module_unload && module_load && offloaded_are $ALL && has tcp ESTABLISHED $((ALL / 2)); }

# Each is back, and none has moved.
back() { offloaded_are 0 && has tcp ESTABLISHED $((ALL / 2)); }
timed_out() { flowtable_timeout 1 && talk_again && wait_for 20 offloaded_are 0 && flowtable_timeout 300 && back; }
taken_again() { talk_again && offloaded_are $ALL; }
deleted() { flowtable_gone && back; }
goes_on() { talk_again && back; }
taken_back() { flowtable && talk_again && offloaded_are $ALL; }

# The client's FIN, then the server's
closed() { talk_closes $((ALL / 2)); }
closed_udp_too() { closed && offloaded_are $((ALL / 2)); }

# What a flowtable holds is counted when the listing is empty. It looks once a second for
# what it may let go, so now and then it has before we look.
flushed_and_held() {
	# In one process, as it may take less than a second.
	on "$GATEWAY" sh -c 'conntrack -F; cat $1/summary /proc/sys/net/netfilter/nf_conntrack_count
		conntrack -L' - $PROC >"$tmp/held" 2>/dev/null || return
	held_now=$(awk '$1 == "entries" { entries = $2 }
		NF == 1 { count = $1 }
		/src=/ { listed++ }
		END { print entries, "counted,", count, "in conntrack -C,", listed + 0, "listed"
		      exit entries != count || listed || !entries }' "$tmp/held")
}

all_talk() { flush && wait_for 10 entries_are 0 && talk $COUNT "${TARGETS[@]}" && offloaded_are $ALL; }
held() {
	local i
	for ((i = 0; i < 10; i++)); do
		all_talk || return
		flushed_and_held && return
		talk_ends
	done
	return 1
}
held_then_let_go() { held && wait_for 10 entries_are 0 && exact "$GATEWAY"; }

deleted_entries() { all_talk && ct -D -p tcp --dport 7 >/dev/null && wait_for 10 entries_are $((ALL - 2 * COUNT)); }

# under traffic

# Without it, the listing shows all states.
traffic_stops() {
	traffic_pause && flowtable_gone && wait_for 20 let_all_go && exact_and_audited "$GATEWAY" && accounted "$GATEWAY"
}
some_entries() { [ "$(value entries)" -gt 100 ] || { value entries; return 1; }; }
churning() { traffic_churn 150 && traffic_flows 300 && wait_for 20 some_offloaded; }
# Flowtables that come and go. At last a flush: it takes the translation away from what is
# connected, and nothing may follow.
comes_and_goes() {
	local i
	traffic_go
	for ((i = 0; i < 3; i++)); do
		traffic_flows 50 && flowtable && traffic_flows 50 || return
		((i == 2)) || flowtable_gone || return
	done
}
flushed_under_traffic() { traffic_go && traffic_flows 50 && flush; }
# What was flushed is held still
let_all_go() { [ "$(ct -C)" = "$(truth "$GATEWAY" | awk '{ n += $4 } END { print n }')" ]; }

traffic_serve
plan $((7 * STEP + 14))

step "taken over: each of $ALL" taken_over
step "more packets: conntrack does not see them" unseen
step "the module is loaded meanwhile" reloaded
step "the flowtable's timeout: each is back" timed_out
check "taken over again" taken_again
step "the flowtable is deleted: each is back" deleted
check "without a flowtable: they go on" goes_on
check "with a new one: taken over" taken_back
step "closed while offloaded: TIME_WAIT, and udp is offloaded still" closed_udp_too
check "flushed while offloaded: held and counted, not listed; let go, exact" held_then_let_go
note "flushed: ${held_now:-?}"
talk_ends
check "deleted while offloaded" deleted_entries
step "deleted while offloaded: the others" offloaded_are $((ALL - 2 * COUNT))
talk_ends

check "traffic" churning
check "traffic stops: exact, audit finds nothing" traffic_stops
check "traffic goes on, the flowtable comes and goes" comes_and_goes
check "traffic stops again: exact, audit finds nothing" traffic_stops
check "traffic stops again: it has left entries" some_entries
flowtable
check "traffic goes on, flush" flushed_under_traffic
check "flushed: exact, audit finds nothing" traffic_stops
traffic_end
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
