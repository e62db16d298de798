#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Switches that track connections without netfilter's hooks: tc (flower and act_ct, which
# commit and translate) and Open vSwitch (its kernel datapath, ct(commit)), both real. A client
# and a server are in one subnet, and the gateway is but a cable with such a switch in it.
#
# The documented difference: ctxstat sees such an entry begin and end, and nothing in between.
# So entries, ports, snat and dnat are exact at any time, and an entry stays in the state in
# which it began, unreplied, until an audit: that finds each, and then every cell is exact, and
# stays so for those that are offloaded to act_ct's flow table. An end that was not seen
# coming takes an entry from where it is counted, and nothing is left at the end.
#
# act_ct takes established TCP and answered UDP into a flow table by itself; ICMP, and TCP that is
# not yet or no longer established, it does not. Both are here.
#
# Open vSwitch is taken from PATH, or from where vm/fetch.sh puts it:
#
#   vm/fetch.sh openvswitch-switch openvswitch-common
#
# Environment:
#   CTXSTAT_CACHE        see vm/fetch.sh (/var/cache/ctxstat)
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"
# shellcheck source=selftests/fetched.sh
. "$here/fetched.sh"

COUNT=20

fetched openvswitch-switch openvswitch-common
PATH=$PATH:$packages/openvswitch-switch/usr/lib/openvswitch-switch
require tc ovsdb-tool ovsdb-server ovs-vswitchd ovs-vsctl ovs-ofctl
schema=$(dirname "$(dirname "$(command -v ovs-vsctl)")")/share/openvswitch/vswitch.ovsschema
require_module
modprobe -qa cls_flower act_ct act_mirred || skip_all "this kernel has no act_ct"
modprobe -q openvswitch || skip_all "this kernel has no Open vSwitch"

cleanup_more() {
	traffic_end
	daemons_end
	module_restore
}

# Of what is offloaded the kernel tells no state, and "[OFFLOAD]" in place of "[ASSURED]". act_ct
# takes over only TCP that is ESTABLISHED; and what is assured can be asked for.
listing() {
	{
		on "$1" conntrack -L -o extended -f ipv4 -u ASSURED
		on "$1" conntrack -L -o extended -f ipv6 -u ASSURED
		echo all
		on "$1" conntrack -L -o extended -f ipv4
		on "$1" conntrack -L -o extended -f ipv6
	} 2>"$tmp/conntrack.err" | awk '
		/^all$/ { all = 1; next }
		{ key = $0; sub(/ use=.*/, "", key) }
		!all { assured[key]; next }
		/\[OFFLOAD\]/ {
			sub(/ tcp +6 /, " tcp 6 ESTABLISHED ")
			if (key in assured)
				$0 = $0 " [ASSURED]"
		}
		{ print }'
}

# cable NAME N: from client to server, in 10.N.0.0/24 and fd0N::/64. Who is behind 100 and 200
# only the switch knows.
cable() {
	local name=$1 n=$2 ns host other
	for ns in "$CLIENT 2 3 client" "$SERVER 3 2 server"; do
		read -r ns host other end <<<"$ns"
		ip link add "$name" address "02:00:00:00:0$n:0$host" netns "$ns" type veth peer name "$name-$end" netns "$GATEWAY"
		ip -n "$GATEWAY" link set "$name-$end" up
		ip -n "$ns" -batch - <<-COMMANDS || return
		addr add 10.$n.0.$host/24 dev $name
		addr add fd0$n::$host/64 dev $name nodad
		link set $name up
		neigh add 10.$n.0.$other lladdr 02:00:00:00:0$n:0$other dev $name
		neigh add fd0$n::$other lladdr 02:00:00:00:0$n:0$other dev $name
		neigh add 10.$n.0.100 lladdr 02:00:00:00:0$n:0$other dev $name
		neigh add fd0$n::100 lladdr 02:00:00:00:0$n:0$other dev $name
		neigh add 10.$n.0.200 lladdr 02:00:00:00:0$n:0$other dev $name
		COMMANDS
	done
}

# What comes from the client is masqueraded as 100; 200, port 8080, is the server's port 7.
tc_switch() {
	local in out family number=1
	cable tc 8 || return
	for in in tc-client tc-server; do
		out=tc-server
		[ "$in" = tc-client ] || out=tc-client
		echo "qdisc add dev $in clsact"
		for family in ip ipv6; do
			number=$((number + 1))
			cat <<-COMMANDS
			filter add dev $in ingress prio $number protocol $family flower ct_state -trk action ct zone 5 nat pipe action goto chain 1
			filter add dev $in ingress chain 1 prio $number protocol $family flower ct_state +trk+est action mirred egress redirect dev $out
			COMMANDS
		done
	done >"$tmp/filters"
	cat >>"$tmp/filters" <<-COMMANDS
	filter add dev tc-client ingress chain 1 prio 11 protocol ip flower ct_state +trk+new dst_ip 10.8.0.200 ip_proto tcp dst_port 8080 action ct commit zone 5 nat dst addr 10.8.0.3 port 7 pipe action mirred egress redirect dev tc-server
	filter add dev tc-client ingress chain 1 prio 12 protocol ip flower ct_state +trk+new action ct commit zone 5 nat src addr 10.8.0.100 pipe action mirred egress redirect dev tc-server
	filter add dev tc-client ingress chain 1 prio 13 protocol ipv6 flower ct_state +trk+new action ct commit zone 5 nat src addr fd08::100 pipe action mirred egress redirect dev tc-server
	COMMANDS
	tc -n "$GATEWAY" -batch "$tmp/filters"
}

ovs_switch() {
	export OVS_RUNDIR=$tmp/ovs OVS_LOGDIR=$tmp/ovs OVS_DBDIR=$tmp/ovs
	mkdir "$tmp/ovs" && cable ovs 9 && ovsdb-tool create "$tmp/ovs/conf.db" "$schema" || return
	daemon "$GATEWAY" ovsdb ovsdb-server --no-chdir --remote="punix:$tmp/ovs/db.sock" "$tmp/ovs/conf.db"
	wait_for 20 [ -S "$tmp/ovs/db.sock" ] && ovs --no-wait init || return
	daemon "$GATEWAY" vswitchd ovs-vswitchd --no-chdir "unix:$tmp/ovs/db.sock"
	ovs --timeout=30 add-br switch -- add-port switch ovs-client -- add-port switch ovs-server || return
	cat >"$tmp/flows" <<-FLOWS
	table=0,ip,ct_state=-trk,actions=ct(table=1,zone=6,nat)
	table=0,ipv6,ct_state=-trk,actions=ct(table=1,zone=6,nat)
	table=1,priority=40000,in_port=ovs-client,ct_state=+trk+new,tcp,nw_dst=10.9.0.200,tp_dst=8080,actions=ct(commit,zone=6,nat(dst=10.9.0.3:7)),output:ovs-server
	table=1,in_port=ovs-client,ct_state=+trk+new,ip,actions=ct(commit,zone=6,nat(src=10.9.0.100)),output:ovs-server
	table=1,in_port=ovs-client,ct_state=+trk+new,ipv6,actions=ct(commit,zone=6,nat(src=fd09::100)),output:ovs-server
	table=1,in_port=ovs-client,ct_state=+trk+est,actions=output:ovs-server
	table=1,in_port=ovs-server,ct_state=+trk+est,actions=output:ovs-client
	FLOWS
	ovs-ofctl del-flows switch && ovs-ofctl add-flows switch "$tmp/flows"
}
ovs() { ovs-vsctl --db="unix:$tmp/ovs/db.sock" "$@"; }

# All of these are through the switch in subnet $n.
stay() {
	traffic_in "$CLIENT" hold "$COUNT" "10.$n.0.3" 7 "fd0$n::3" 7 "10.$n.0.200" 8080
	held=$!
	wait_for 30 traffic_ready $((ready += 1)) || { cat "$tmp/traffic"; return 1; }
	on "$CLIENT" "$TRAFFIC" ask "$COUNT" "10.$n.0.3" 7 "fd0$n::3" 7 &&
		on "$CLIENT" "$TRAFFIC" ping "$COUNT" "10.$n.0.3" 0 "fd0$n::3" 0
}
held_go_on() { kill -USR1 "$held" && wait_for 30 traffic_ready $((ready += 1)); }

# What the cells of a table have in all: family l4proto entries snat dnat
sums() { awk '{ n[$1 " " $2] += $4; s[$1 " " $2] += $7; d[$1 " " $2] += $8 } END { for (r in n) print r, n[r], s[r], d[r] }' | sort; }

# Each entry is there, by protocol, NAT and port
entries_exact() {
	states_of "$GATEWAY" >"$tmp/states" && on "$GATEWAY" cat "$PROC/ports" >"$tmp/ports" && listing "$GATEWAY" >"$tmp/listing" || return
	cells_listed <"$tmp/listing" | sums >"$tmp/listed.sums"
	counted "$tmp/states" | sums | diff -u --label listed "$tmp/listed.sums" --label ctxstat - &&
		diff -u --label listed <(ports_listed <"$tmp/listing" | cut -d' ' -f1-3) \
			--label ctxstat <(counted_ports "$tmp/ports" | cut -d' ' -f1-3) &&
		[ "$(value entries)" = "$(on "$GATEWAY" conntrack -C)" ]
}

# All entries as they began: answered and established they are, and counted as neither
as_they_began() {
	exact "$GATEWAY" >"$tmp/differs" && { echo "no difference"; return 1; }
	cat "$tmp/differs"
	awk '{ entries += $4; unreplied += $5; began += $2 != "tcp" || $3 == "SYN_SENT" ? $4 : 0 }
		END { exit !entries || unreplied != entries || began != entries }' "$tmp/counted" &&
		awk '{ entries += $4; unreplied += $5 } END { exit !entries || unreplied }' "$tmp/truth"
}

# audited N: an audit finds N entries that are not as they are counted, and puts all right
audited() {
	on "$GATEWAY" cat "$PROC/audit" >"$tmp/audit" || return
	cat "$tmp/audit"
	awk -v n="$1" '/^(cells_left|ports_left) / && $2 { bad = 1 } /^entries_healed / { bad += n ? $2 != n : !$2 }
		END { exit bad }' "$tmp/audit"
}

# offloaded N: so many TCP connections
offloaded() {
	local n
	n=$(listing "$GATEWAY" | grep -c ' tcp .*\[OFFLOAD\]')
	echo "$n offloaded"
	[ "$n" = "$1" ]
}

# They end without being seen; those that begin meanwhile are seen. Each source port has its
# turn more than once.
come_and_go() {
	traffic_in "$CLIENT" churn 200 "10.$n.0.3" 7 "fd0$n::3" 7 "10.$n.0.200" 8080
	local churning=$!
	traffic_flows 1500 && kill -STOP "$churning" && kill -KILL "$held"
}

# What is out of the table is counted as long as the flow table has it, and so does conntrack -C:
# an entry that was flushed, or whose tuple a new connection took. It lets go within seconds.
as_they_go() {
	wait_for 30 all_let_go || { cat "$tmp/differs"; return 1; }
}
all_let_go() { entries_exact >"$tmp/differs"; }
flushed() { on "$GATEWAY" conntrack -F && wait_for 30 empty; }
empty() { [ "$(value entries)" = 0 ] && [ "$(on "$GATEWAY" conntrack -C)" = 0 ]; }

# through NAME N OFFLOADED: all of it through the switch NAME, which offloads so many
through() {
	local name=$1 n=$2
	check "$name: connections of all kinds" stay
	check "$name: $3 are in a flow table" offloaded "$3"
	check "$name: each entry is counted" entries_exact
	check "$name: they are counted as they began" as_they_began
	check "$name: an audit heals each of them" audited $((7 * COUNT))
	check "$name: exact" exact "$GATEWAY"
	check "$name: those that stay go on" held_go_on
	check "$name: exact after that" exact "$GATEWAY"
	check "$name: connections come and go" come_and_go
	check "$name: each entry is counted as they go" as_they_go
	check "$name: an audit heals what changed" audited ''
	check "$name: exact once more" exact "$GATEWAY"
	check "$name: all are flushed" flushed
	check "$name: exact when empty" exact "$GATEWAY"
}
THROUGH=14

[ -x "$TRAFFIC" ] || skip_all "$TRAFFIC is not built: make -C selftests"
topology_up || skip_all "no namespaces can be made"
timeouts 600
: >"$tmp/traffic"
traffic_in "$SERVER" serve 7
wait_for 20 traffic_ready 1 || skip_all "no server: $(<"$tmp/traffic")"
ready=1
plan $((2 * THROUGH + 5))

check "a switch of tc filters" tc_switch
through tc 8 $((3 * COUNT))
check "a switch of Open vSwitch" ovs_switch
through ovs 9 0
check "audit finds nothing" audit_clean "$GATEWAY"
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
