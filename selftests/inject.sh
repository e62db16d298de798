# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154 # $here and $tmp are set by lib.sh
#
# Connections through the gateway as fast as they can be made, see inject.c. Sourced after
# lib.sh, whose cleanup_more must call inject_end; needs topology_up.
#
#   inject_ready            rules for them, which every injected packet needs
#   inject COUNT [FIRST]    begin: on each CPU a client, whom another CPU answers; to ports
#                           FIRST ($INJECT_PORTS) and up, 4096 for every two CPUs; COUNT 0:
#                           until inject_end
#   injecting               none of them has ended by itself
#   injected                how many there have been
#   injected_all            wait for the last
#   inject_rate             per second, of the last that were waited for
#   inject_pause, inject_go stop and continue them
#   inject_end              end them
#   kernel_new              packets that conntrack took for the first of one
#   kernel_dropped          and those that it dropped

INJECT=${INJECT:-$here/inject}
INJECT_PORTS=40000
INJECT_PAUSE=0	# of each, after every 200, in milliseconds
injectors=()

# There are eight parts of source ports.
cpus=$(nproc)
((cpus <= 8)) || cpus=8

# The ends keep quiet, and the gateway counts them.
inject_ready() {
	local ns
	for ns in "$CLIENT" "$CLIENT2" "$SERVER"; do
		on "$ns" nft "add table inet q; add chain inet q p { type filter hook prerouting priority raw; };
			add rule inet q p meta l4proto { tcp, udp } th dport >= $INJECT_PORTS drop" || return
	done
	for ns in "$CLIENT" "$CLIENT2"; do
		on "$ns" nft "add rule inet q p meta l4proto { tcp, udp } th sport >= $INJECT_PORTS drop" || return
	done
	on "$GATEWAY" nft "add table inet q; add counter inet q new;
		add chain inet q f { type filter hook forward priority 0; };
		add rule inet q f th dport >= $INJECT_PORTS ct state new counter name new" &&
		on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_checksum=0
}

inject() {
	local cpu each clients=("$CLIENT" 10.1.0.2 "$CLIENT2" 10.3.0.2)
	injectors=()
	# In groups of their own, as each is two processes.
	set -m
	for ((cpu = 0; cpu < cpus; cpu++)); do
		: >"$tmp/injected.$cpu"
		# At least one each: 0 has another meaning.
		each=$(($1 ? ($1 + cpus - 1) / cpus : 0))
		"$INJECT" "${clients[cpu % 2 * 2]}" "$SERVER" "${clients[cpu % 2 * 2 + 1]}" \
			$((${2:-$INJECT_PORTS} + 4096 * (cpu / 2))) $each $cpu $cpu $(((cpu + 1) % cpus)) $INJECT_PAUSE \
			>"$tmp/injected.$cpu" 2>&1 </dev/null &
		injectors+=($!)
	done
	set +m
}
injected() { tail -qn 1 "$tmp"/injected.* | awk '{ n += $1 } END { print n + 0 }'; }
injected_all() {
	local pid status=0
	for pid in "${injectors[@]}"; do
		wait "$pid" || status=1
	done
	injectors=()
	((status == 0)) || cat "$tmp"/injected.*
	return $status
}
inject_rate() { tail -qn 1 "$tmp"/injected.* | awk '$2 { n += $1 / $2 } END { printf "%d", n }'; }

injecting() {
	local pid
	for pid in "${injectors[@]}"; do
		kill -0 "$pid" || return
	done
	((${#injectors[@]}))
}
inject_pause() { signal_groups STOP "${injectors[@]}"; }
inject_go() { signal_groups CONT "${injectors[@]}"; }
inject_end() {
	signal_groups KILL "${injectors[@]}"
	((${#injectors[@]} == 0)) || wait "${injectors[@]}" 2>/dev/null
	injectors=()
}

kernel_new() {
	on "$GATEWAY" nft list counter inet q new | awk '/packets/ { print $2 }'
}
kernel_dropped() {
	on "$GATEWAY" conntrack -S | tr ' ' '\n' | awk -F= '/^(drop|insert_failed)=/ { n += $2 } END { print n + 0 }'
}
