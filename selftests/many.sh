#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# vm FULL: --memory 3072 --timeout 28800
#
# A big table: all 65,535 ports of udp and tcp in use at once, made by several
# processes on two CPUs. Every record of ports, and the entries and unreplied ones of every
# state, equal what conntrack lists; so it
# does after the module was loaded into that table; all is un-counted when the table
# is flushed. Then with less memory for ports than they need (port_memory): what does
# not fit is counted as overflow, and nowhere else. At last the module comes and goes
# under traffic.
#
# CTXSTAT_ENTRIES says how many entries there are to be at least (1000000 with FULL=1). It
# takes the longer; without it there are as many as these ports need, 139,070.
#
# Changes nf_conntrack_max and the number of buckets, which are the machine's, and
# sets them back.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

PORTS=65535
IPV6=4000	# of these also over IPv6
# Each of the ports of udp once more, as often as it takes
ENTRIES=${CTXSTAT_ENTRIES:-${FULL:+1000000}}
MORE=$(((${ENTRIES:-0} - 2 * (PORTS + IPV6) + PORTS - 1) / PORTS))
((MORE > 0)) || MORE=0
LOADS=3
CHURN=200	# source ports: five times as many entries
HASHSIZE=/sys/module/nf_conntrack/parameters/hashsize
MAX=/proc/sys/net/netfilter/nf_conntrack_max

[ -x "$TRAFFIC" ] || skip_all "$TRAFFIC is not built: make -C selftests"
modprobe -a nf_conntrack nf_conntrack_netlink || skip_all "no connection tracking"
{ [ -w "$MAX" ] && [ -w "$HASHSIZE" ]; } || skip_all "must be run in the initial network namespace"
cpus=$(($(sed 's/.*-//' /sys/devices/system/cpu/possible) + 1))
max=$(cat "$MAX") hashsize=$(cat "$HASHSIZE")
if module_loaded; then
	module_unload || skip_all "the ctxstat module is in use"
fi
cleanup_more() {
	traffic_end
	echo "$max" >"$MAX"
	echo "$hashsize" >"$HASHSIZE"
	! module_loaded || module_unload
	module_restore
}

load_with() { module_load port_memory="$1"; }
reload_with() { module_unload && load_with "$1"; }

# What the kernel lists, in one pass: entries of each state for states ($tmp/truth),
# and of each port of the original direction for ports ($tmp/truth.ports).
list() {
	{ ct -L -f ipv4 && echo ipv6 && ct -L -f ipv6; } 2>"$tmp/conntrack.err" | awk -v ports="$tmp/truth.ports" '
		BEGIN { family = "ipv4"; printf "" >ports }
		NF == 1 { family = $1; next }
		{
			row = family " " $1 " " ($1 == "tcp" ? $4 : "-")
			unreplied = /\[UNREPLIED\]/
			entries[row]++
			unreplied_in[row] += unreplied
			if (match($0, / dport=[0-9]+/)) {
				port = $1 " " substr($0, RSTART + 7, RLENGTH - 7)
				to[port]++
				unreplied_to[port] += unreplied
			}
		}
		END {
			for (row in entries)
				print row, entries[row], unreplied_in[row]
			for (port in to)
				print port, to[port], unreplied_to[port] >ports
		}' | sort >"$tmp/truth"
}

# states against the listing
states_equal() {
	awk 'NR > 1 && $4 { print $1, $2, $3, $4, $5 }' "$tmp/states" | sort |
		diff -u --label conntrack "$tmp/truth" --label ctxstat -
}

# ports_equal [partly]: ports against the listing, record by record; and each record
# by itself. "partly": there may be less, but not more.
ports_equal() {
	awk -v partly="${1:-}" '
		function complain() { if (++bad <= 10) print }
		$2 == "port" { in_ports = 1; next }
		!in_ports { entries[$1, $2] = $3; unreplied[$1, $2] = $4; total += $3; next }
		{
			rows[$1]++
			if ($5 + $11 - $7 - $8 != $3 || $4 > $3 || $6 > $5 + $11 || /-[0-9]/)
				complain()
			else if ($3 > entries[$1, $2] + 0 || $4 > unreplied[$1, $2] + 0 ||
				 (!partly && ($3 < entries[$1, $2] + 0 || $4 < unreplied[$1, $2] + 0))) {
				$0 = $0 " (listed: " entries[$1, $2] + 0 " " unreplied[$1, $2] + 0 ")"
				complain()
			}
			delete entries[$1, $2]
		}
		END {
			for (port in entries)
				if (!partly && ++bad <= 10) {
					sub(SUBSEP, " ", port)
					print port, "is missing"
				}
			print rows["tcp"] + 0, "ports of tcp,", rows["udp"] + 0, "ports of udp,", total, "entries,", bad + 0, "differ"
			exit bad > 0
		}' "$tmp/truth.ports" "$tmp/ports"
}

# Nothing may move while we look: the cumulative columns tell, as in exact.
look() {
	local deadline=$((SECONDS + 60))
	while :; do
		states_of "$GATEWAY" >"$tmp/states" && on "$GATEWAY" cat $PROC/ports >"$tmp/ports" &&
			on "$GATEWAY" cat $PROC/summary >"$tmp/summary" && list || return
		states_of "$GATEWAY" | cut -d' ' -f1-10 >"$tmp/states.after"
		cut -d' ' -f1-10 "$tmp/states" | cmp -s - "$tmp/states.after" && return
		if ((SECONDS >= deadline)); then
			echo "the table was never quiet"
			return 1
		fi
	done
}

all_equal() { look && states_equal && ports_equal; }

seen() { awk -v key="$1" '$1 == key { print $2 }' "$tmp/summary"; }
column() { awk -v i="$1" 'NR > 1 { n += $i } END { printf "%.0f\n", n }' "$tmp/ports"; }
OPENED=5 CLOSED=7 FAILED=8 ADOPTED=11

# sums ENTRIES OPENED ADOPTED: over all ports, and the same in summary
sums() {
	echo "entries $(column 3) $(seen entries), opened $(column $OPENED) $(seen created), adopted $(column $ADOPTED) $(seen adopted), count $(seen count), overflow $(seen port_overflow)"
	[ "$(column 3)" = "$1" ] && [ "$(seen entries)" = "$1" ] && [ "$(seen count)" = "$1" ] &&
		[ "$(column $OPENED)" = "$2" ] && [ "$(seen created)" = "$2" ] &&
		[ "$(column $ADOPTED)" = "$3" ] && [ "$(seen adopted)" = "$3" ] &&
		[ "$(seen port_overflow)" = 0 ]
}

# The same, whatever the numbers are.
books_balance() {
	local ended=$(($(column $CLOSED) + $(column $FAILED)))
	[ "$ended" = $(($(seen destroyed) + $(seen insert_failed))) ] || {
		echo "closed and failed $ended, destroyed $(seen destroyed), insert_failed $(seen insert_failed)"
		return 1
	}
	sums "$(seen entries)" "$(seen created)" "$(seen adopted)"
}

# 65,535 records of each
every_port() {
	awk 'NR > 1 { n[$1]++ } END { print n["tcp"], n["udp"]; exit n["tcp"] != 65535 || n["udp"] != 65535 }' "$tmp/ports"
}

memory() {
	note "$1: $(on "$GATEWAY" cat $PROC/summary $PROC/ports | awk '
		/^port_/ { print $1, $2; v[$1] = $2 }
		$2 == "port" { next }
		NF == 11 { records++ }
		END { print records, "ports in use,", records ? int(v["port_memory"] / records) : 0, "bytes for each" }' | paste -sd ,)"
}

# Four at once. Two CPUs need the same part of the tree at the same time.
fill() {
	local last=$(($(nproc) - 1)) status=0 pid i targets=()
	for ((i = 0; i <= MORE; i++)); do
		targets+=(10.2.0.2 1)
	done
	traffic_in "$CLIENT" -c 0 spray $PORTS "${targets[@]}"
	traffic_in "$CLIENT" -c $last knock $PORTS 10.2.0.2 1
	traffic_in "$CLIENT2" -c $last spray $IPV6 fd02::2 1
	traffic_in "$CLIENT2" -c 0 knock $IPV6 fd02::2 1
	for pid in "${traffic_pids[@]}"; do
		wait "$pid" || status=1
	done
	traffic_pids=()
	cat "$tmp/traffic"
	echo "$(ct -C) entries"
	return $status
}

ALL=$((2 * PORTS + 2 * IPV6 + MORE * PORTS))

# All gone, and nobody had been answered.
flushed_all() {
	look && states_equal && ports_equal && sums 0 0 $ALL || return
	[ "$(column $FAILED)" = $ALL ] && [ "$(column $CLOSED)" = 0 ] && [ "$(seen destroyed)" = $ALL ] || {
		echo "failed $(column $FAILED), closed $(column $CLOSED), destroyed $(seen destroyed)"
		return 1
	}
	awk 'NR > 1 && $8 != $11 { print; bad = 1 } END { exit bad }' "$tmp/ports"
	on "$GATEWAY" cat $PROC/ends >"$tmp/ends"
	awk -v ports=$PORTS -v ipv6=$IPV6 -v more=$((MORE * PORTS)) '
		NR > 1 {
			print
			n++
			bad += $4 != "deleted" || $5 != ($1 == "ipv4" ? ports : ipv6) + ($1 $2 == "ipv4udp" ? more : 0)
		}
		END { exit bad || n != 4 }' "$tmp/ends"
}

# What fits is in ports, all else is overflow.
bounded() {
	look && states_equal && ports_equal partly || return
	local overflow=$(($(seen entries) - $(column 3)))
	echo "overflow $(seen port_overflow), entries $(seen entries), of these in ports $(column 3), memory $(seen port_memory) of $(seen port_memory_max)"
	((overflow > 0 && $(column 3) > 0)) && [ "$(seen port_overflow)" = "$overflow" ] &&
		(($(seen port_memory) <= $(seen port_memory_max) && $(seen port_memory) > $(seen port_memory_max) / 2))
}

# A port is counted in full, or has no record: neither memory nor ports move meanwhile.
all_or_nothing() {
	awk '$2 == "port" { in_ports = 1; next }
		!in_ports { entries[$1, $2] = $3; next }
		$3 != entries[$1, $2] + 0 { if (++bad <= 10) print $0 " (listed: " entries[$1, $2] + 0 ")" }
		END { print bad + 0, "partly"; exit bad > 0 }' "$tmp/truth.ports" "$tmp/ports"
}

empty_again() {
	ct -F && look && states_equal && ports_equal || return
	echo "entries $(seen entries), in ports $(column 3), unreplied $(column 4)"
	[ "$(seen entries)" = 0 ] && [ "$(column 3)" = 0 ] && [ "$(column 4)" = 0 ]
}

sprayed() {
	on "$CLIENT" "$TRAFFIC" spray 3000 10.2.0.2 1 fd02::2 1
}

# All namespaces but the initial one share half of it.
bound_is() {
	local all=$(($1 * 1024 * (cpus + 1))) initial
	initial=$(awk '$1 == "port_memory_max" { print $2 }' $PROC/summary)
	echo "$initial in the initial namespace, $(value port_memory_max) in another"
	[ "$initial" = "$all" ] && [ "$(value port_memory_max)" = $((all / 2)) ]
}

# No memory at all: ports is empty.
no_ports() {
	look && states_equal && [ "$(wc -l <"$tmp/ports")" = 1 ] || return
	echo "overflow $(seen port_overflow), created $(seen created), memory $(seen port_memory) of $(seen port_memory_max)"
	[ "$(seen port_memory)" = 0 ] && [ "$(seen port_memory_max)" = 0 ] &&
		[ "$(seen port_overflow)" = "$(seen created)" ] && [ "$(seen created)" = "$1" ]
}

flushed_without_ports() { ct -F && look && states_equal && [ "$(seen entries)" = 0 ]; }

# What audit tries to count again does not fit now, either.
audit_changes_nothing() {
	local overflow
	overflow=$(value port_overflow)
	on "$GATEWAY" cat $PROC/audit >"$tmp/audit" && on "$GATEWAY" cat $PROC/ports >"$tmp/ports.after" || return
	head -n 20 "$tmp/audit"
	[ "$(value port_overflow)" = "$overflow" ] && cmp "$tmp/ports" "$tmp/ports.after" &&
		awk '/^(cells_differ|entries_healed|cells_left|ports_differ|ports_left) / && $2 { bad = 1 }
			$1 == "entries_not_in_ports" { n = $2 }
			END { exit bad || !n }' "$tmp/audit"
}

# Traffic. The first topology goes with all that is in it.

traffic_of_all_kinds() {
	traffic_up $CHURN || return
	traffic_in "$CLIENT2" flood 1000 10.2.0.2 1 fd02::2 1
	traffic_churning+=($!)
	traffic_flows 500
}

reload_flowing() {
	traffic_flows 100 && reload_with "$1" && traffic_flows 200
}

partly_equal() { look && states_equal && ports_equal partly; }

some_overflow() {
	echo "overflow $(seen port_overflow), opened $(column $OPENED), memory $(seen port_memory) of $(seen port_memory_max)"
	(($(seen port_overflow) > 0 && $(column $OPENED) > 0 && $(seen port_memory) <= $(seen port_memory_max)))
}

table_ready() {
	topology_up && silent_server && timeouts 86400 && echo $((ALL + 500000)) >"$MAX" && echo $((131072 + MORE * PORTS)) >"$HASHSIZE"
}

table_ready || skip_all "no namespaces can be made"
: >"$tmp/traffic"
plan $((6 + 4 + 5 + 2 + 2 + 5 + 4 + 1 + 4 * LOADS + 6 + 2))

check "load" module_load
check "$ALL entries: traffic" fill
check "$ALL entries: states and each port equal the listing" all_equal
check "$ALL entries: all were counted as opened" sums $ALL $ALL 0
check "$ALL entries: 65,535 ports of each protocol" every_port
check "$ALL entries: audit finds nothing" audit_clean "$GATEWAY"
memory "full"

# Less than is needed
check "adopted, little memory: unload and load" reload_with 2048
check "adopted, little memory: ports and overflow make up all entries" bounded
check "adopted, little memory: each port is counted in full or not at all" all_or_nothing
check "adopted, little memory: an audit changes nothing" audit_changes_nothing
memory "adopted, little memory"

check "adopted: unload and load" reload_with 32768
check "adopted: states and each port equal the listing" all_equal
check "adopted: all were" sums $ALL 0 $ALL
check "adopted: 65,535 ports of each protocol" every_port
check "adopted: audit finds nothing" audit_clean "$GATEWAY"
memory "adopted"

check "flush" ct -F
check "flushed: each entry failed" flushed_all
module_unload

check "port_memory=4294967295: load" load_with 4294967295
check "port_memory=4294967295: nothing wraps" bound_is 4294967295

check "little memory: load" reload_with 128
check "little memory: traffic" sprayed
check "little memory: ports and overflow make up all entries" bounded
memory "little memory"
check "little memory: nothing is left after a flush" empty_again
check "little memory: what fitted is still there" all_or_nothing

check "no memory: load" reload_with 0
check "no memory: traffic" sprayed
check "no memory: ports is empty, all is overflow" no_ports 6000
check "no memory: nothing is left after a flush" flushed_without_ports

module_unload
module_load
check "under traffic: it runs" traffic_of_all_kinds
for ((i = 1; i <= LOADS; i++)); do
	check "under traffic, load $i" reload_flowing 32768
	traffic_pause
	check "under traffic, load $i: states and each port equal the listing" all_equal
	check "under traffic, load $i: the sums over all ports are those of summary" books_balance
	check "under traffic, load $i: audit finds nothing" audit_clean "$GATEWAY"
	traffic_go
done
memory "under traffic"

# A few leaves of the tree
check "under traffic, little memory: load" reload_flowing 8
traffic_pause
check "under traffic, little memory: no port has too much" partly_equal
check "under traffic, little memory: overflow" some_overflow
memory "under traffic, little memory"
check "under traffic, little memory: nothing is left after a flush" empty_again
traffic_go
check "under traffic, little memory: it goes on" traffic_flows 100
traffic_pause
check "under traffic, little memory: still no port has too much" partly_equal
traffic_end

check "unload" module_unload
check "kernel log is clean" kernel_is_clean
finish
