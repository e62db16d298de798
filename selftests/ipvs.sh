#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The gateway is a load balancer: IPVS forwards connections from outside to two real servers
# behind it, by NAT, and conntrack tracks them (net.ipv4.vs.conntrack=1). Every cell and port is
# exact with TCP and UDP, IPv4 and IPv6, that stay, come and go, are masqueraded as well, lose
# their real server, or are not tracked any more.
#
# IPVS translates by itself: it changes the tuple in which an entry expects the reply, and
# does not set the kernel's flag of DNAT. conntrack -L shows the tuples, and so they look
# translated; but a rule "ct status dnat" matches none of them, and dnat counts none.
#
# ipvsadm is taken from PATH, or from where vm/fetch.sh puts it.
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

COUNT=100
# from outside
VIRTUAL=(10.2.0.1 90 fd02::1 90)

fetched ipvsadm
require ipvsadm
require_module
modprobe -qa ip_vs ip_vs_rr || skip_all "this kernel has no IPVS"

cleanup_more() {
	traffic_end
	module_restore
}

# ask COUNT ADDRESS PORT...: from ports that were not used before, as IPVS would take the answer
# for that of the connection that it remembers, to another service of the same real server
ask() {
	((first_port += 1000))
	on "$SERVER" sysctl -qw net.ipv4.ip_local_port_range="$first_port $((first_port + 999))" &&
		on "$SERVER" "$TRAFFIC" ask "$@"
}
tracking() { on "$GATEWAY" sysctl -qw "net.ipv4.vs.conntrack=$1" net.ipv4.vs.expire_nodest_conn=1; }

# As truth.awk has it, but what only looks translated is not: the kernel says so, see below.
cells_listed() { awk -f "$here/truth.awk" | awk '{ $8 = 0 } 1' | sort; }
flagged_exactly() { none_flagged && exact_and_audited "$GATEWAY"; }

# The kernel's own flags, by a rule that sees each packet that is forwarded
flags_watched() {
	on "$GATEWAY" nft -f - <<-RULES
	table inet seen {
		chain postrouting {
			type filter hook postrouting priority 300;
			meta l4proto { tcp, udp } ct original proto-dst 90 counter
			ct status dnat counter
		}
	}
	RULES
}
none_flagged() {
	on "$GATEWAY" nft list table inet seen | tee "$tmp/flags"
	grep -q 'proto-dst .* counter packets [1-9]' "$tmp/flags" && grep -q 'dnat counter packets 0 ' "$tmp/flags"
}
look_translated() {
	local n
	n=$(ct -L -p tcp | grep -c 'dst=10\.2\.0\.1 .* src=10\.[13]\.0\.2 .*sport=80 ')
	echo "$n entries"
	[ "$n" = "$COUNT" ]
}

balanced_by_ipvs() {
	tracking 1 && flags_watched && on "$GATEWAY" ipvsadm -R <<-SERVICES
	-A -t 10.2.0.1:90 -s rr
	-a -t 10.2.0.1:90 -r 10.1.0.2:80 -m
	-a -t 10.2.0.1:90 -r 10.3.0.2:80 -m
	-A -u 10.2.0.1:90 -s rr
	-a -u 10.2.0.1:90 -r 10.1.0.2:80 -m
	-a -u 10.2.0.1:90 -r 10.3.0.2:80 -m
	-A -t [fd02::1]:90 -s rr
	-a -t [fd02::1]:90 -r [fd01::2]:80 -m
	-a -t [fd02::1]:90 -r [fd03::2]:80 -m
	-A -u [fd02::1]:90 -s rr
	-a -u [fd02::1]:90 -r [fd01::2]:80 -m
	-a -u [fd02::1]:90 -r [fd03::2]:80 -m
	SERVICES
}

# rows ENTRIES: of each family, held connections and datagrams that were answered
rows() {
	states_of "$GATEWAY" | awk -v n="$1" '
		($2 == "tcp" && $3 == "ESTABLISHED" || $2 == "udp") && $4 { print; seen += $4 == n && $5 == 0 }
		END { exit seen != 4 }'
}

stay() {
	traffic_in "$SERVER" hold "$COUNT" "${VIRTUAL[@]}"
	held=$!
	wait_for 30 traffic_ready $((ready += 1)) && ask "$COUNT" "${VIRTUAL[@]}" && rows "$COUNT" && wait_for 15 both_serve
}

# Half of them went to each, says IPVS, which sums that up every two seconds.
both_serve() {
	on "$GATEWAY" ipvsadm -ln --stats | tee "$tmp/stats"
	awk -v n=$((COUNT / 2)) '$1 == "->" && $2 ~ /:80$/ { seen += $3 == n } END { exit seen != 8 }' "$tmp/stats"
}

# Connections begin and end; those that stay are asked meanwhile.
come_and_go() {
	traffic_in "$SERVER" churn 300 "${VIRTUAL[@]}"
	churning=$!
	traffic_flows 1000 && kill -USR1 "$held" && wait_for 30 traffic_ready $((ready += 1)) &&
		traffic_flows 100 && kill -STOP "$churning"
}

snat() { states_of "$GATEWAY" | awk 'NR > 1 { n += $7 } END { print n }'; }

# Both translate: IPVS where to, the kernel's NAT where from
masqueraded() {
	local before created
	on "$GATEWAY" nft insert rule inet gateway postrouting oifname '{ "to-client", "to-client2" }' masquerade || return
	before=$(snat) created=$(value created)
	ask "$COUNT" "${VIRTUAL[@]}" || return
	created=$(($(value created) - created))
	echo "$created created, snat was $before, is $(snat)"
	((created == 2 * COUNT && $(snat) == before + created))
}

# IPVS kills the entries of connections whose server is gone, when they have a packet.
server_gone() {
	on "$GATEWAY" ipvsadm -R <<-SERVICES || return
	-d -t 10.2.0.1:90 -r 10.1.0.2:80
	-d -u 10.2.0.1:90 -r 10.1.0.2:80
	-d -t [fd02::1]:90 -r [fd01::2]:80
	-d -u [fd02::1]:90 -r [fd01::2]:80
	SERVICES
	kill -USR1 "$held"
	ask "$COUNT" "${VIRTUAL[@]}"
}

# What begins then has no entry; what IPVS remembers of the time before still has one, so this
# is another service.
not_tracked() {
	tracking 0 && on "$GATEWAY" ipvsadm -R <<-SERVICES || return
	-A -u 10.2.0.1:91 -s rr
	-a -u 10.2.0.1:91 -r 10.3.0.2:80 -m
	-A -u [fd02::1]:91 -s rr
	-a -u [fd02::1]:91 -r [fd03::2]:80 -m
	SERVICES
	ask "$COUNT" 10.2.0.1 91 fd02::1 91 && ! datagrams_to 91
}
datagrams_to() { { ct -L -p udp -f ipv4 --dport "$1"; ct -L -p udp -f ipv6 --dport "$1"; } | grep .; }

services_gone() {
	tracking 1 && ask 10 "${VIRTUAL[@]}" && datagrams_to 90 && on "$GATEWAY" ipvsadm -C && ct -F && ! datagrams_to 90
}

step() {
	local name=$1
	shift
	check "$name" "$@"
	check "$name: exact, audit finds nothing" flagged_exactly
}
STEP=2

traffic_serve
ready=3 first_port=40000
plan $((6 * STEP + 4))

check "IPVS has four services of two servers each" balanced_by_ipvs
step "connections that stay" stay
check "they look translated" look_translated
step "connections come and go" come_and_go
step "masqueraded as well" masqueraded
step "a real server is gone" server_gone
step "conntrack is switched off in IPVS" not_tracked
step "the services are gone" services_gone
traffic_end
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
