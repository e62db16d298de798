# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2016,SC2154 # $EVERYTHING is for packets.sh; awk's $1; see scene.sh
#
# What packets.sh compares: everything that is loaded into the gateway, and unloaded.
# Sourced after scene.sh.
#
#   load WHAT        one of $EVERYTHING
#   worked N         it has counted what N processes sent: nothing was left undone
#   unload
#
# Programs run with SCHED_FIFO, priority 1: see packets.c.

EVERYTHING="nothing nothing+extensions empty_hook empty_hook+trace
	ctxstat ctxstat+ports ctxstat+extensions
	events conntrack-E conntrackd nft iptables-legacy iptables-nft bpftrace"

loaded='' program=''

# extensions 0|1: does conntrack keep accounts and timestamps of entries to come?
extensions() {
	on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_acct="$1" \
		net.netfilter.nf_conntrack_timestamp="$1"
}

# start COMMAND...: in the gateway
start() {
	ip netns exec "$GATEWAY" "$@" >"$output" 2>&1 &
	program=$!
}

first() { chrt -a -f -p 1 "$program"; }

end() {
	kill "-${1:-TERM}" "$program"
	wait "$program" || :
	program=''
}

# Netlink sockets in the gateway that conntrack's events are sent to, with what they have
# lost: "drops" each. Groups: of ctnetlink.
listeners() { on "$GATEWAY" awk 'NR > 1 && $2 == 12 && $4 != "00000000" { print $9 }' /proc/net/netlink; }
listening() { [ -n "$(listeners)" ]; }

kept_up() {
	listeners | awk '{ n++; lost += $1 } END { print "# events lost: " lost; exit !n || lost }'
}

iptables_rules() {
	on "$GATEWAY" ipset -exist restore <"$here/others/ports.ipset"
	on "$GATEWAY" "$1-restore" <"$here/others/count.iptables"
}

load() {
	loaded=$1
	case $loaded in
	empty_hook) insmod "$EMPTY_HOOK_KO" ;;
	empty_hook+trace) insmod "$EMPTY_HOOK_KO" trace=1 ;;
	ctxstat*) insmod "$CTXSTAT_KO" ;;
	events) on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_events=1 ;;
	conntrack-E)
		start sh -c 'exec conntrack -E >/dev/null'
		wait_until "$program" listening
		first
		;;
	conntrackd)
		start "$CONNTRACKD" -C "$here/others/conntrackd.conf"
		wait_until "$program" on "$GATEWAY" "$CONNTRACKD" -C "$here/others/conntrackd.conf" -s
		wait_until "$program" listening
		first
		;;
	nft) on "$GATEWAY" nft -f "$here/others/count.nft" ;;
	iptables-*) iptables_rules "$loaded" ;;
	bpftrace)
		# Not in the gateway, whose mounts would be without tracefs: functions have
		# no namespace.
		bpftrace -B line "$here/others/count.bt" >"$output" 2>&1 &
		program=$!
		wait_until "$program" grep -q ready "$output"
		first
		;;
	esac
	case $loaded in
	*+extensions) extensions 1 ;;
	*+ports) use_all_ports ;;
	esac
}

worked() {
	case $loaded in
	ctxstat*) counted_all ;;
	conntrack-E) kept_up ;;
	conntrackd)
		kept_up
		on "$GATEWAY" "$CONNTRACKD" -C "$here/others/conntrackd.conf" -s | awk '
			/^connections (created|destroyed):/ { print "# " $0; n[$2] = $3 }
			END { exit n["created:"] < 1000 || n["created:"] != n["destroyed:"] }'
		;;
	nft)
		# each TCP connection but each process's established one has two
		on "$GATEWAY" nft list counters | awk -v processes="$1" '
			$1 == "counter" { name = $2 }
			$1 == "packets" { print "# " name, $2; n[name] = $2 }
			END { exit n["udp-new"] < 1000 || n["tcp-new"] < 100 || n["fin"] != 2 * (n["tcp-new"] - processes) }'
		;;
	iptables-*)
		on "$GATEWAY" "$loaded" -t mangle -L -nvx | awk '
			/ctstate NEW/ { new = $1 }
			/match-set/ { by_port += $1 }
			END { print "# new", new, "by port", by_port; exit new < 1000 || new != by_port }'
		;;
	esac
}

unload() {
	case $loaded in
	empty_hook* | ctxstat*) rmmod "${loaded%+*}" ;;
	events) on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_events=2 ;;
	conntrack-E) end ;;
	conntrackd)
		on "$GATEWAY" "$CONNTRACKD" -C "$here/others/conntrackd.conf" -k
		wait "$program" || :
		program=''
		;;
	nft) on "$GATEWAY" nft delete table inet count ;;
	iptables-legacy | iptables-nft)
		on "$GATEWAY" "$loaded" -t mangle -F
		on "$GATEWAY" "$loaded" -t mangle -X
		on "$GATEWAY" ipset destroy
		[ "$loaded" = iptables-nft ] || rmmod iptable_mangle
		[ "$loaded" = iptables-legacy ] || on "$GATEWAY" nft delete table ip mangle
		;;
	bpftrace)
		end INT
		# UDP has been in three classes, TCP in seven, and all have left them.
		awk '/^@/ { print "# " $0; bad = bad || $2 != 0; n += /^@states/ }
			END { exit bad || n != 10 }' "$output"
		;;
	esac
	extensions 0
	loaded=''
}

# The connections went through the states that they are meant to go through.
counted_all() {
	on "$GATEWAY" awk '
		$1 == "ipv4" && $2 == "udp" { udp = $10 }
		$1 == "ipv4" && $2 == "tcp" { left[$3] = $10 }
		END {
			n = split("SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT", states)
			for (i = 1; i <= n; i++)
				if (left[states[i]] < left["TIME_WAIT"])
					exit 1
			exit udp < 1000 || left["TIME_WAIT"] < 100
		}' /proc/net/ctxstat/states || {
		on "$GATEWAY" cat /proc/net/ctxstat/states
		echo "others.sh: the connections did not go through their states" >&2
		return 1
	}
}
