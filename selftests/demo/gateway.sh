#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The part of the demo that runs in the virtual machine; demo.sh starts it.
#
# usage: gateway.sh MODULE TOOL TRAFFIC
#
# Environment:
#   DEMO_SECONDS         how long ctxstat is shown
#   DEMO_ROWS, DEMO_COLUMNS
#                        of the user's terminal, if there is one
#
# Exit: 0 ctxstat and conntrack-tools agree, 1 they do not or something failed.

set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
selftests=$(realpath "$here/..")

# shellcheck source=selftests/topology.sh
. "$selftests/topology.sh"

module=$1 tool=$2 traffic=$3
tmp=$(mktemp -d)
bold='' good='' bad='' plain=''
if [[ -n ${DEMO_ROWS:-} ]]; then
	bold=$'\e[1m' good=$'\e[1;32m' bad=$'\e[1;31m' plain=$'\e[m'
fi

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
die() { printf '%s%s%s\n' "$bad" "$*" "$plain"; exit 1; }

# pause SECONDS, without a process
pause() { read -rt "$1" <> <(:) || :; }

wait_for()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		pause 0.1
	done
}

count() { on "$GATEWAY" conntrack -C; }
states() { on "$GATEWAY" cat /proc/net/ctxstat/states; }

# The tool writes for people if it writes to a terminal, so it gets one.
gateway_ctxstat()
{
	local command
	if [[ -z ${DEMO_ROWS:-} ]]; then
		on "$GATEWAY" "$tool" "$@"
	else
		printf -v command '%q ' ip netns exec "$GATEWAY" "$tool" "$@"
		script -qefc "stty rows $DEMO_ROWS cols $DEMO_COLUMNS; exec $command" /dev/null | tr -d '\r'
	fi
}

picture="\
 client  10.1.0.2 fd01::2 --\\
                             gateway (conntrack, nft NAT, ctxstat) -- server 10.2.0.2 fd02::2
 client2 10.3.0.2 fd03::2 --/"

# --- The network.

say "The network: four namespaces, IPv4 and IPv6"
cat <<END
$picture

 clients to server        masquerade
 server to gateway:8080   DNAT to client:80
 client to gateway:8081   DNAT to client2:80, and masquerade
END

topology_up

# Silence, of both kinds: nothing answers at .99, and what port 81 of the server
# answers never reaches the client. Deprecated: it is not to be a source address.
on "$SERVER" ip addr add 10.2.0.99/24 dev eth0
on "$SERVER" ip -6 addr add fd02::99/64 dev eth0 nodad preferred_lft 0
on "$SERVER" nft -f - <<END
table inet silence {
	chain input {
		type filter hook input priority filter;
		ip daddr 10.2.0.99 drop
		ip6 daddr fd02::99 drop
	}
}
END
on "$CLIENT" nft -f - <<END
table inet silence {
	chain input {
		type filter hook input priority filter;
		tcp sport 81 drop
	}
}
END

# lifetime SECONDS SYSCTL...
lifetime()
{
	local seconds=$1
	shift
	on "$GATEWAY" sysctl -qw "${@/%/=$seconds}"
}

# What comes and goes while the demo runs, and what stays to be compared in the end.
transient=(net.netfilter.nf_conntrack_{udp_timeout,icmp_timeout,icmpv6_timeout,tcp_timeout_close})
lasting=(net.netfilter.nf_conntrack_tcp_timeout_{syn_recv,close_wait})
lifetime 10 "${transient[@]}"
lifetime 300 "${lasting[@]}"

# --- The traffic.

for ns in "$CLIENT" "$CLIENT2" "$SERVER"; do
	on "$ns" "$traffic" serve
done
for port in 5201 5202; do
	ip netns exec "$SERVER" iperf3 -s -p $port >/dev/null 2>&1 &
done
# shellcheck disable=SC2317 # called by wait_for
listening() { [[ $(on "$SERVER" ss -Hltn 'sport >= :5201 and sport <= :5202' | wc -l) -ge 2 ]]; }
wait_for 30 listening || die "iperf3 does not listen"

say "The traffic, per second"
cat <<END
 TCP   240 short connections, 13 left open, 4 half-closed, 10 reset
       10 refused, 10 half-open: SYN to nowhere, 3 half-open: SYN-ACK lost
 UDP   50 queries, 20 without an answer, 2 that go on
 ICMP  20 pings
 iperf3 2 x 10 Mbit/s
END

senders=()
# No function in between: $! shall be the process itself.
send()
{
	ip netns exec "$@" &
	senders+=($!)
}
send "$CLIENT" "$traffic" send \
	short,80,10.2.0.2,80 short,60,fd02::2,80 short,10,10.2.0.1,8081 short,10,fd02::1,8081 \
	hold,4,10.2.0.2,80 hold,3,fd02::2,80 hold,1,10.2.0.1,8081 hold,1,fd02::1,8081 \
	halfclose,2,10.2.0.2,80 halfclose,2,fd02::2,80 \
	abort,5,10.2.0.2,80 abort,5,fd02::2,80 \
	short,5,10.2.0.2,82 short,5,fd02::2,82 \
	short,5,10.2.0.99,80 short,5,fd02::99,80 \
	short,2,10.2.0.2,81 short,1,fd02::2,81 \
	query,30,10.2.0.2,53 query,20,fd02::2,53 \
	shout,10,10.2.0.2,514 shout,10,fd02::2,514 \
	talk,1,10.2.0.2,53 talk,1,fd02::2,53 \
	ping,10,10.2.0.2,0 ping,10,fd02::2,0
send "$CLIENT2" "$traffic" send short,20,10.2.0.2,80 short,20,fd02::2,80 short,20,10.1.0.2,80
send "$SERVER" "$traffic" send short,10,10.2.0.1,8080 short,10,fd02::1,8080 \
	hold,2,10.2.0.1,8080 hold,2,fd02::1,8080
ip netns exec "$CLIENT" iperf3 -c 10.2.0.2 -p 5201 -t 86400 -b 10M >/dev/null 2>&1 &
bulk=($!)
ip netns exec "$CLIENT" iperf3 -c fd02::2 -p 5202 -t 86400 -b 10M >/dev/null 2>&1 &
bulk+=($!)

# --- The module is loaded under load: what is there already is counted as well.

# shellcheck disable=SC2317 # called by wait_for
busy() { (($(count) >= 200)); }
wait_for 30 busy || die "no traffic comes through"
say "Loading the module, with $(count) entries in the table already"
modprobe nf_conntrack
insmod "$module" || { dmesg | tail -n 5; die "the module cannot be loaded"; }

# --- ctxstat, every second.

# On a terminal: from its top, over the last one, as much as it has room for.
show()
{
	local title=$1 text lines

	if [[ -z ${DEMO_ROWS:-} ]]; then
		printf '\n=== %s\n' "$title"
		gateway_ctxstat
		return
	fi
	text=$(gateway_ctxstat)
	lines=$(wc -l <<<"$text")
	if ((lines + 6 <= DEMO_ROWS)); then
		text=$picture$'\n\n'$text
	elif ((lines + 2 > DEMO_ROWS)); then
		text=$(gateway_ctxstat states)
	fi
	printf '\e[H'
	{
		printf '%s%s%s\n' "$bold" "$title" "$plain"
		head -n $((DEMO_ROWS - 2)) <<<"$text"
	} | sed $'s/$/\e[K/'
	printf '\e[J'
}

[[ -z ${DEMO_ROWS:-} ]] || printf '\e[2J'
begin=${EPOCHREALTIME/./}
elapsed() { echo $((${EPOCHREALTIME/./} - begin)); }
while second=$(($(elapsed) / 1000000 + 1)) && ((second <= DEMO_SECONDS)); do
	# Of the last ones something stays as well.
	((second < DEMO_SECONDS - 2)) || lifetime 300 "${transient[@]}"
	show "ctxstat in the gateway, second $second of $DEMO_SECONDS"
	# If that took longer than a second, the next one begins at once.
	rest=$((second * 1000000 - $(elapsed)))
	((rest <= 0)) || pause "$(printf 0.%06d $((rest - 1)))"
done

# --- The end: the same table as conntrack-tools see it.

say "The traffic stops. Waiting until nothing moves any more; entries:"
for pid in "${senders[@]}" "${bulk[@]}"; do
	kill -0 "$pid" 2>/dev/null || die "a traffic generator has died"
done
kill "${senders[@]}" "${bulk[@]}"

list()
{
	on "$GATEWAY" conntrack -L -o extended -f ipv4 &&
		on "$GATEWAY" conntrack -L -o extended -f ipv6
}

# All is taken between two readings that say that nothing entered and nothing left.
look()
{
	if ! {
		states >"$tmp/before" &&
			list >"$tmp/list" &&
			count >"$tmp/count" &&
			gateway_ctxstat >"$tmp/ctxstat" &&
			states >"$tmp/states"
	} 2>"$tmp/errors"; then
		die "cannot read the table: $(<"$tmp/errors")"
	fi
	cut -d' ' -f1-10 "$tmp/before" >"$tmp/a"
	cut -d' ' -f1-10 "$tmp/states" | cmp -s - "$tmp/a"
}

deadline=$((SECONDS + 180))
until look; do
	((SECONDS < deadline)) || die "the table never became quiet"
	printf ' %s' "$(<"$tmp/count")"
	pause 1
done
printf ' %s\n' "$(<"$tmp/count")"

say "ctxstat"
cat "$tmp/ctxstat"
say "conntrack -L, summed up, beside ctxstat"
awk -f "$selftests/truth.awk" "$tmp/list" >"$tmp/listed"
status=0
awk -v count="$(<"$tmp/count")" -f "$here/compare.awk" "$tmp/listed" "$tmp/states" >"$tmp/compared" || status=1
colour=$good
((status == 0)) || colour=$bad
head -n -1 "$tmp/compared"
printf '%s%s%s\n' "$colour" "$(tail -n 1 "$tmp/compared")" "$plain"
exit $status
