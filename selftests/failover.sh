#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two gateways, of which one takes over from the other: conntrackd tells each about the other's
# connections (FTFW), over a link of their own. All cells and ports of both are exact before,
# while connections come and go and are told of, when the second one commits what it knows to
# its kernel, while the connections go on through it, and when both tables are flushed. What
# the second one has then is what the first one had.
#
# The steps are those of conntrackd's primary-backup.sh: commit, flush the caches, resync, bulk
# update on the new primary; shortened timers and a request to resync on the old one. The
# gateways have the same addresses, and a host's cable is moved from one to the other.
# Connections are not picked up half-way (nf_conntrack_tcp_loose=0), so those that go on do so
# because of what was committed.
#
# conntrackd is taken from PATH, or from where vm/fetch.sh puts it.
#
# Environment:
#   CTXSTAT_CACHE        see vm/fetch.sh (/var/cache/ctxstat)
# shellcheck disable=SC2154 # $here and $tmp are set by lib.sh

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"
# shellcheck source=selftests/fetched.sh
. "$here/fetched.sh"

BACKUP=$TOPOLOGY_PREFIX-backup

fetched conntrackd
require conntrackd
require_module

cleanup_more() {
	daemons_end
	traffic_end
	[ ! -e "/run/netns/$BACKUP" ] || ip netns del "$BACKUP"
	module_restore
}

entries() { summary_of "$1" entries; }
ctd() {
	local ns=$1
	shift
	conntrackd -C "$tmp/$ns.conf" "$@"
}

# A second gateway like the first, with cables that are not plugged in, and a link between them.
backup_up() {
	local leg n ns interface
	ip netns add "$BACKUP" || return
	on "$GATEWAY" nft list ruleset >"$tmp/rules" && on "$BACKUP" nft -f "$tmp/rules" || return
	on "$BACKUP" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0 \
		net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1
	ip -n "$BACKUP" link set lo up
	for leg in "1 $CLIENT to-client" "2 $SERVER to-server" "3 $CLIENT2 to-client2"; do
		read -r n ns interface <<<"$leg"
		ip link add eth1 netns "$ns" type veth peer name "$interface" netns "$BACKUP"
		ip -n "$BACKUP" -batch - <<-COMMANDS || return
		addr add 10.$n.0.1/24 dev $interface
		addr add fd0$n::1/64 dev $interface nodad
		link set $interface up
		COMMANDS
	done
	ip link add sync netns "$GATEWAY" type veth peer name sync netns "$BACKUP"
	n=0
	for ns in "$GATEWAY" "$BACKUP"; do
		n=$((n + 1))
		ip -n "$ns" -batch - <<-COMMANDS || return
		addr add 192.168.9.$n/24 dev sync
		link set sync up
		COMMANDS
		on "$ns" nft -f - <<-RULES || return
		table inet sync {
			chain prerouting {
				type filter hook prerouting priority raw;
				iifname "sync" notrack
			}
			chain output {
				type filter hook output priority raw;
				oifname "sync" notrack
			}
		}
		RULES
		# shellcheck disable=SC2016 # expanded by that shell
		on "$ns" sh -c 'cd /proc/sys/net/netfilter && echo 0 >nf_conntrack_tcp_loose &&
			for file in *_timeout*; do echo 600 >$file || exit; done' || return
		configure "$ns" $n
	done
}

configure() {
	cat >"$tmp/$1.conf" <<-CONFIG
	Sync {
		Mode FTFW {
			CommitTimeout 600
			PurgeTimeout 1
		}
		UDP {
			IPv4_address 192.168.9.$2
			IPv4_Destination_Address 192.168.9.$((3 - $2))
			Port 3780
			Interface sync
			SndSocketBuffer 4194304
			RcvSocketBuffer 4194304
			Checksum on
		}
	}
	General {
		Systemd off
		HashSize 32768
		HashLimit 131072
		LogFile $tmp/$1.conntrackd
		LockFile $tmp/$1.lock
		UNIX {
			Path $tmp/$1.ctl
		}
		NetlinkBufferSize 8388608
		NetlinkBufferSizeMaxGrowth 33554432
	}
	CONFIG
}

syncing() {
	local ns
	for ns in "$GATEWAY" "$BACKUP"; do
		daemon "$ns" "$ns" conntrackd -C "$tmp/$ns.conf"
		wait_for 20 ctd "$ns" -s >/dev/null || { cat "$tmp/$ns.log" "$tmp/$ns.conntrackd"; return 1; }
	done
	ctd "$BACKUP" -n
}


# knows NAMESPACE N: so many connections of the other one
knows() {
	known=$(ctd "$1" -e 2>/dev/null | grep -c ' src=')
	[ "$known" = "$2" ]
}
all_known() {
	local n
	n=$(entries "$2")
	wait_for 30 knows "$1" "$n" && return
	echo "$1 knows $known of $n"
	ctd "$1" -s
	return 1
}

# Connections that stay, translated in all ways
held_up() {
	traffic_in "$CLIENT" hold 25 10.2.0.2 7 fd02::2 7 10.2.0.1 8081
	held+=($!)
	traffic_in "$SERVER" hold 25 10.2.0.1 8080 fd02::1 8080
	held+=($!)
	wait_for 30 traffic_ready $((ready += 2))
}

# Each of them asks and is answered, and nothing has begun on NAMESPACE for it.
held_go_on() {
	local created
	created=$(summary_of "$1" created)
	kill -USR1 "${held[@]}" || return
	wait_for 60 traffic_ready $((ready += 2)) || { cat "$tmp/traffic"; return 1; }
	[ "$(summary_of "$1" created)" = "$created" ] || { echo "created $created, then $(summary_of "$1" created)"; return 1; }
}

# Begin and end while the other gateway is told
synced_traffic() {
	traffic_go
	traffic_flows 1000
	traffic_pause
	# Few: conntrackd runs before all others, and what the server cannot take meanwhile is lost.
	on "$CLIENT" "$TRAFFIC" ask 30 10.2.0.2 7 fd02::2 7 10.2.0.1 8081 &&
		on "$CLIENT" "$TRAFFIC" ping 20 10.2.0.2 0 fd02::2 0
}

# connections TUPLES: what a listing says of each, conntrackd's (which has one tuple) or the kernel's
connections() {
	awk -v tuples="$1" '/ src=/ {
			line = $1 ~ /^ipv/ ? $3 : $1
			tuple = 0
			for (i = 2; i <= NF; i++) {
				tuple += $i ~ /^src=/
				if ($i ~ /^(src|dst|sport|dport|type|code|id)=/ ? tuple <= tuples : $i ~ /^[A-Z][A-Z_0-9]+$|^\[ASSURED\]$/)
					line = line " " $i
			}
			print line
		}' | sort
}

# Two CPUs may tell conntrackd of one connection in the wrong order, and of one that ends and the
# next of the same addresses and ports: then it goes by the older state, or has none. So it looks
# again, and if that is not enough both begin anew, as after a failover.
all_told() {
	listing "$GATEWAY" | connections 1 >"$tmp/first"
	ctd "$GATEWAY" -R || return
	if ! wait_for 30 told; then
		not_told
		ctd "$BACKUP" -f && ctd "$GATEWAY" -f && ctd "$GATEWAY" -R && ctd "$GATEWAY" -B || return
		wait_for 30 told || { not_told; return 1; }
	fi
	[ "$(entries "$BACKUP")" = 0 ] || { echo "the kernel of the second one has $(entries "$BACKUP")"; return 1; }
}

not_told() {
	ctd "$BACKUP" -e | connections 1 | diff -U 0 --label "the first one has" "$tmp/first" --label "the second one knows" -
	ctd "$GATEWAY" -s
	ctd "$BACKUP" -s
}

told() { ctd "$BACKUP" -e 2>/dev/null | connections 1 | cmp -s - "$tmp/first"; }

# As primary-backup.sh does. Each request is answered before it is done.
second_commits() {
	local n
	n=$(entries "$GATEWAY")
	ctd "$BACKUP" -c || return
	wait_for 30 has_entries "$BACKUP" "$n" || { echo "$(entries "$BACKUP") of $n"; return 1; }
}
has_entries() { [ "$(entries "$1")" = "$2" ]; }

same_connections() { diff -U 0 --label first --label second <(listing "$GATEWAY" | connections 2) <(listing "$BACKUP" | connections 2); }

second_is_primary() {
	ctd "$BACKUP" -f && ctd "$BACKUP" -R && ctd "$BACKUP" -B && all_known "$GATEWAY" "$BACKUP"
}

# The cables of all hosts. An address that is gone with its cable is there at the other one.
moved() {
	local n ns
	n=0
	for ns in "$CLIENT" "$SERVER" "$CLIENT2"; do
		n=$((n + 1))
		ip -n "$ns" -batch - <<-COMMANDS || return
		link set eth0 down
		addr add 10.$n.0.2/24 dev eth1
		addr add fd0$n::2/64 dev eth1 nodad
		link set eth1 up
		route add default via 10.$n.0.1
		route add ::/0 via fd0$n::1
		COMMANDS
	done
	held_go_on "$BACKUP"
}

# Its timers are shortened; what expires leaves when somebody looks.
first_is_backup() {
	ctd "$GATEWAY" -t && wait_for 30 emptied "$GATEWAY" && ctd "$GATEWAY" -n
}
emptied() {
	on "$1" conntrack -L >/dev/null 2>&1
	has_entries "$1" 0
}

# Through the second one now; the first one is told.
more_traffic() {
	on "$CLIENT" "$TRAFFIC" ask 30 10.2.0.2 7 fd02::2 7 10.2.0.1 8081 && held_go_on "$BACKUP" &&
		all_known "$GATEWAY" "$BACKUP"
}

deleted() {
	on "$BACKUP" conntrack -D -p udp && on "$BACKUP" conntrack -D -p tcp --dport 7 && all_known "$GATEWAY" "$BACKUP"
}

flushed() {
	on "$BACKUP" conntrack -F && has_entries "$BACKUP" 0 && all_known "$GATEWAY" "$BACKUP"
}

# Both daemons go, with what they knew.
ended() {
	ctd "$GATEWAY" -k && ctd "$BACKUP" -k && wait_for 20 daemon_gone "${daemons[0]}" &&
		wait_for 20 daemon_gone "${daemons[1]}"
}

step() {
	local name=$1
	shift
	check "$name" "$@"
	check "$name: the first gateway is exact, audit finds nothing" exact_and_audited "$GATEWAY"
	check "$name: the second gateway is exact, audit finds nothing" exact_and_audited "$BACKUP"
}
STEP=3

traffic_up 200
traffic_pause
ready=3 held=()
backup_up || skip_all "no second gateway can be made"
plan $((7 * STEP + 8))

check "connections that stay" held_up
step "before" held_go_on "$GATEWAY"
check "conntrackd runs on both" syncing
step "traffic while the second one is told" synced_traffic
check "it is told of every connection, and has none in its kernel" all_told
step "the second one commits" second_commits
check "it has the same connections, in the same states" same_connections
check "it flushes its caches, resyncs and tells the first one" second_is_primary
step "the hosts' cables are moved, connections go on" moved
step "the first one becomes the backup" first_is_backup
check "more traffic" more_traffic
step "some are deleted" deleted
step "all are flushed" flushed
check "conntrackd ends" ended
check "kernel log is clean" kernel_is_clean
finish
