# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A NAT gateway made of network namespaces, for tests, demo and benchmark.
# Sourced. Names of the namespaces are in $CLIENT, $CLIENT2, $GATEWAY, $SERVER.
#
#   client  10.1.0.2 fd01::2 --- 10.1.0.1 fd01::1 \
#                                                   gateway 10.2.0.1 fd02::1 --- 10.2.0.2 fd02::2 server
#   client2 10.3.0.2 fd03::2 --- 10.3.0.1 fd03::1 /
#
# What a connection through the gateway goes through:
#   none   between client and client2
#   SNAT   from a client to the server (masquerade)
#   DNAT   from the server to the gateway's port 8080: forwarded to client, port 80
#   both   from a client to 10.2.0.1 or fd02::1, port 8081: forwarded to client2,
#          port 80, as if it came from the gateway
# The DNAT rules are for tcp, udp, udplite, sctp and dccp.
#
#   topology_up             make it; everything is tracked from the first packet
#   topology_down           remove it and the processes left in it
#   on NAMESPACE COMMAND    run a command there

TOPOLOGY_PREFIX=${TOPOLOGY_PREFIX:-ctxstat}
CLIENT=$TOPOLOGY_PREFIX-client
CLIENT2=$TOPOLOGY_PREFIX-client2
GATEWAY=$TOPOLOGY_PREFIX-gateway
SERVER=$TOPOLOGY_PREFIX-server

on() {
	local ns=$1
	shift
	ip netns exec "$ns" "$@"
}

# leg NAMESPACE INTERFACE_OF_GATEWAY SUBNET: a host behind the gateway
topology_leg() {
	local ns=$1 gw_if=$2 n=$3

	# Few processes: starting one takes a tenth of a second in an emulated machine.
	ip link add eth0 netns "$ns" type veth peer name "$gw_if" netns "$GATEWAY"
	ip -n "$GATEWAY" -batch - <<-COMMANDS
	addr add 10.$n.0.1/24 dev $gw_if
	addr add fd0$n::1/64 dev $gw_if nodad
	link set $gw_if up
	COMMANDS
	ip -n "$ns" -batch - <<-COMMANDS
	addr add 10.$n.0.2/24 dev eth0
	addr add fd0$n::2/64 dev eth0 nodad
	link set eth0 up
	route add default via 10.$n.0.1
	route add ::/0 via fd0$n::1
	COMMANDS
}

topology_up() {
	local ns

	topology_down
	for ns in "$CLIENT" "$CLIENT2" "$GATEWAY" "$SERVER"; do
		ip netns add "$ns" || return
		# no duplicate address detection, router solicitation or multicast
		# reports: the only connections are those that a test makes
		on "$ns" sysctl -qw net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.default.router_solicitations=0 \
			net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1 \
			net.ipv4.ping_group_range="0 2147483647"
		ip -n "$ns" link set lo up
	done
	topology_leg "$CLIENT" to-client 1
	topology_leg "$SERVER" to-server 2
	topology_leg "$CLIENT2" to-client2 3

	on "$GATEWAY" nft -f - <<-RULES
	table inet gateway {
		chain prerouting {
			type nat hook prerouting priority dstnat;
			meta l4proto { tcp, udp, udplite, sctp, dccp } ip daddr 10.2.0.1 th dport 8080 dnat ip to 10.1.0.2:80
			meta l4proto { tcp, udp, udplite, sctp, dccp } ip6 daddr fd02::1 th dport 8080 dnat ip6 to [fd01::2]:80
			meta l4proto { tcp, udp, udplite, sctp, dccp } ip daddr 10.2.0.1 th dport 8081 dnat ip to 10.3.0.2:80
			meta l4proto { tcp, udp, udplite, sctp, dccp } ip6 daddr fd02::1 th dport 8081 dnat ip6 to [fd03::2]:80
		}
		chain postrouting {
			type nat hook postrouting priority srcnat;
			oifname "to-server" masquerade
			oifname "to-client2" ct status dnat masquerade
		}
	}
	RULES
}

topology_down() {
	local ns pid

	for ns in "$CLIENT" "$CLIENT2" "$GATEWAY" "$SERVER"; do
		ip netns list | grep -qw -- "$ns" || continue
		for pid in $(ip netns pids "$ns"); do
			kill -9 "$pid" 2>/dev/null
		done
		ip netns del "$ns"
	done
	return 0
}
