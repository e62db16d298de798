# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154 # $here and $tmp are set by ktap.sh and lib.sh
#
# Traffic through the gateway that runs on its own, for tests that do something
# meanwhile. Sourced after lib.sh, whose cleanup_more must call traffic_end.
#
#   traffic_serve           topology, and servers: server on port 7, the clients on 80
#   traffic_churn COUNT     from two CPUs connections that begin and end: 5 * COUNT
#                           entries in the end, IPv4 and IPv6, SNAT, DNAT and both,
#                           in many states
#   traffic_up COUNT        both
#   traffic_in NAMESPACE ARGUMENT...
#                           one more generator, see traffic.c; its pid is in $!
#   traffic_flows N         wait until N more entries have begun: the traffic
#                           runs, and the module counts
#   traffic_ended PID       that generator has been waited for
#   created_on CPU          how many entries the gateway's counters of this CPU have
#                           seen begin; any but the first
#   created_on_exceeds CPU N
#   traffic_pause, traffic_go
#                           stop and continue what churns
#   traffic_end             end it all

TRAFFIC=${TRAFFIC:-$here/traffic}
traffic_pids=() traffic_churning=()

# Not through on(): the pid is that of the generator then. Nice, as the test itself
# has to get on with it.
traffic_in() {
	local ns=$1
	shift
	nice -n 10 ip netns exec "$ns" "$TRAFFIC" "$@" >>"$tmp/traffic" 2>&1 &
	traffic_pids+=($!)
}

# So many generators have said that they are ready.
traffic_ready() { [ "$(grep -c ready "$tmp/traffic")" -ge "$1" ]; }

traffic_serve() {
	[ -x "$TRAFFIC" ] || skip_all "$TRAFFIC is not built: make -C selftests"
	topology_up || skip_all "no namespaces can be made"
	# What expires would keep the table moving when all traffic is paused.
	timeouts $((600 * patience)) || skip_all "no timeout can be set"

	: >"$tmp/traffic"
	traffic_in "$SERVER" serve 7
	traffic_in "$CLIENT" serve 80
	traffic_in "$CLIENT2" serve 80
	wait_for 20 traffic_ready 3 || skip_all "no server: $(<"$tmp/traffic")"
}

traffic_churn() {
	traffic_in "$CLIENT" -c 0 churn "$1" 10.2.0.2 7 fd02::2 7 10.2.0.1 8081
	traffic_churning+=($!)
	traffic_in "$SERVER" -c $(($(nproc) - 1)) churn "$1" 10.2.0.1 8080 fd02::1 8080
	traffic_churning+=($!)
}

traffic_up() { traffic_serve && traffic_churn "$1"; }

traffic_created() { [ "$(summary_of "$GATEWAY" created)" -ge "$1" ]; }

traffic_flows() {
	local before
	before=$(summary_of "$GATEWAY" created) || return
	wait_for 60 traffic_created $((before + $1)) || {
		echo "no traffic: created was $before, is $(summary_of "$GATEWAY" created)"
		cat "$tmp/traffic"
		return 1
	}
}

traffic_ended() {
	local i
	for i in "${!traffic_pids[@]}"; do
		[ "${traffic_pids[i]}" != "$1" ] || unset "traffic_pids[i]"
	done
}
# The possible CPUs are a range; the second line is that of the first one.
created_on() {
	local lines line
	mapfile -t lines < <(on "$GATEWAY" cat $STAT)
	read -ra line <<<"${lines[$1 + 1]}"
	echo $((16#${line[1]}))
}
created_on_exceeds() { [ "$(created_on "$1")" -gt "$2" ]; }

traffic_pause() { kill -STOP "${traffic_churning[@]}"; }
traffic_go() { kill -CONT "${traffic_churning[@]}"; }

traffic_end() {
	((${#traffic_pids[@]})) || return 0
	kill -KILL "${traffic_pids[@]}" 2>/dev/null
	wait "${traffic_pids[@]}" 2>/dev/null
	traffic_pids=() traffic_churning=()
}
