#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A gateway that is a bridge, too. Connections across it, IPv4 and IPv6, tcp and udp, are
# tracked in three ways: by br_netfilter, which shows what is bridged to the hooks of IP
# (bridge-nf-call-iptables); by nf_conntrack_bridge ("ct state" in a bridge's nft table);
# and by both at once. Every cell is exact, also when the module is loaded meanwhile, and
# with packets that "reject with tcp reset" answers.
#
# One difference is there, and heals: with br_netfilter such a reset closes the entry, and
# leaves by no hook. The entry's next packet or an audit puts it right.
#
# br_netfilter changes what becomes of the machine's own bridges, as long as it is loaded:
# it is unloaded again, if it was not there.
# shellcheck disable=SC2154,SC2016,SC2317 # $here and $tmp are set by lib.sh; awk's $1; check calls

# shellcheck source=selftests/scene.sh
. "$(dirname "$(realpath "$0")")/scene.sh"

COUNT=10
BOTH=$((2 * COUNT))	# IPv4 and IPv6
TARGETS=(10.9.0.3 7 fd09::3 7)

br_netfilter_before=''
[ ! -d /sys/module/br_netfilter ] || br_netfilter_before=1
cleanup_more() {
	traffic_end
	module_restore
	[ -n "$br_netfilter_before" ] || { topology_down; modprobe -r br_netfilter; } 2>/dev/null
}
modprobe -a bridge br_netfilter nf_conntrack_bridge 2>"$tmp/modprobe" || skip_all "$(<"$tmp/modprobe")"
require_module

# client 10.9.0.2 fd09::2 --- the gateway's bridge 10.9.0.1 fd09::1 --- 10.9.0.3 fd09::3 server
bridge_up() {
	local ns n=1

	ip -n "$GATEWAY" link add bridge type bridge mcast_snooping 0 || return
	for ns in "$CLIENT" "$SERVER"; do
		n=$((n + 1))
		ip link add bridged netns "$ns" type veth peer name "port$n" netns "$GATEWAY" &&
			ip -n "$ns" -batch - <<-COMMANDS &&
			addr add 10.9.0.$n/24 dev bridged
			addr add fd09::$n/64 dev bridged nodad
			link set bridged up
			COMMANDS
			ip -n "$GATEWAY" link set "port$n" master bridge up || return
	done
	# A reset is sent only if there is a route.
	ip -n "$GATEWAY" -batch - <<-COMMANDS
	addr add 10.9.0.1/24 dev bridge
	addr add fd09::1/64 dev bridge nodad
	link set bridge up
	COMMANDS
}

# tracked_by br_netfilter|nf_conntrack_bridge...: from now on
tracked_by() {
	local calls=0
	flush
	[[ "$*" != *br_netfilter* ]] || calls=1
	on "$GATEWAY" sysctl -qw net.bridge.bridge-nf-call-iptables=$calls \
		net.bridge.bridge-nf-call-ip6tables=$calls || return
	on "$GATEWAY" nft "add table bridge tracked; delete table bridge tracked"
	[[ "$*" != *nf_conntrack_bridge* ]] || on "$GATEWAY" nft -f - <<-RULES
	table bridge tracked {
		counter seen {}
		chain forward {
			type filter hook forward priority 0;
			ct state { new, established } counter name seen
		}
	}
	RULES
}

# Those that stay, and what they are: tcp established, udp replied
opened() { talk $COUNT "${TARGETS[@]}" && entries_are $((2 * BOTH)) && has tcp ESTABLISHED "$BOTH 0 $BOTH" && has udp - "$BOTH 0"; }
untracked() { tracked_by none && talk $COUNT "${TARGETS[@]}" && entries_are 0 && talk_ends; }
reloaded() {
	module_unload && module_load && talk_again && entries_are $((2 * BOTH)) && has tcp ESTABLISHED "$BOTH 0 $BOTH"
}
closed() { talk_closes $BOTH; }

churning() {
	traffic_in "$CLIENT" churn 60 "${TARGETS[@]}"
	traffic_churning=($!)
	traffic_flows 100
}
traffic_stops() { traffic_pause && exact_and_audited "$GATEWAY"; }
churn_ends() {
	kill -KILL "${traffic_churning[@]}"
	traffic_churning=()
	flush
}

# rejects FAMILY HOOK: FINs are answered with a reset, and not forwarded
rejects() {
	on "$GATEWAY" nft -f - <<-RULES
	table $1 rejecting {
		chain rejecting {
			type filter hook $2 priority 0;
			tcp dport 7 tcp flags & fin == fin counter reject with tcp reset
		}
	}
	RULES
}
rejects_no_more() { on "$GATEWAY" nft delete table "$1" rejecting; }
# rejected FAMILY HOOK: so are those of connections that are all closed at once
rejected() {
	local holding
	flush
	: >"$tmp/traffic"
	traffic_in "$CLIENT" hold $COUNT "${TARGETS[@]}"
	holding=$!
	wait_for 30 traffic_ready 1 && rejects "$1" "$2" && kill "$holding" && wait_for 20 all_rejected "$1"
}
all_rejected() { on "$GATEWAY" nft list table "$1" rejecting | grep -q "counter packets $BOTH bytes"; }
# Conntrack has closed them, and ctxstat has not seen it.
not_seen() {
	has tcp FIN_WAIT $BOTH && [ "$(truth "$GATEWAY" | awk '$3 == "CLOSE" { n += $4 } END { print n }')" = $BOTH ] &&
		! exact "$GATEWAY"
}
# The server closes its ends.
next_packet() {
	rejects_no_more inet
	kill "${traffic_pids[0]}" && wait_for 20 has tcp CLOSE $BOTH || return
	: >"$tmp/traffic"
	traffic_in "$SERVER" serve 7
	wait_for 20 traffic_ready 1
}

traffic_serve
bridge_up || skip_all "no bridge can be made"
plan $((1 + 3 * (3 * STEP + 3) + STEP + 2 + STEP + 2 + STEP + 2))

check "not tracked: nothing is counted" untracked
for by in br_netfilter nf_conntrack_bridge "br_netfilter nf_conntrack_bridge"; do
	check "$by: it is switched on" tracked_by "$by"
	step "$by: opened" opened
	step "$by: the module is loaded meanwhile" reloaded
	step "$by: closed" closed
	check "$by: traffic" churning
	check "$by: traffic stops: exact, audit finds nothing" traffic_stops
	churn_ends
done

tracked_by nf_conntrack_bridge
step "nf_conntrack_bridge: FINs are rejected with a reset" rejected bridge prerouting
rejects_no_more bridge
tracked_by br_netfilter
check "br_netfilter: FINs are rejected with a reset" rejected inet forward
check "br_netfilter: not seen at once" not_seen
step "br_netfilter: the next packet heals" next_packet
check "br_netfilter: FINs are rejected with a reset again" rejected inet forward
check "br_netfilter: not seen at once again" not_seen
step "br_netfilter: an audit heals" heals $BOTH
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
