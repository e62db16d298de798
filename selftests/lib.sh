# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of the module share. Sourced; they run as root, in namespaces
# of their own. A test that has more to clean up defines cleanup_more.
#
#   plan, check, note, skip_all, require, finish, wait_for
#       see ktap.sh
#   module_load [PARAMETER...], module_unload, module_loaded
#       the module is $CTXSTAT_KO if that is set, else the installed one
#   module_restore          loaded or not as it was in the beginning ($loaded_before)
#   exact NAMESPACE [MORE]  every cell of states, and every port, equals the kernel's
#                           own listing; conntrack -C says MORE (0), which wait for
#                           their confirmation
#   exact_and_audited NAMESPACE
#                           and audit finds nothing
#   exact_traced NAMESPACE  exact, but with PREEMPT_RT there is no memory for new ports
#                           while another tracer is on: ports lacks entries that
#                           port_overflow tells of, until an audit adds them
#   accounted NAMESPACE     each entry that ever began has ended, or is counted
#   nothing_left            of an unloaded module
#   signal_groups SIGNAL PID...
#                           to all that these have started, who lead groups of their own
#                           ("set -m"); some may have come to their end
#   timeouts SECONDS [NAME...]
#       of the gateway's entries, from each one's next packet on: all of them, or
#       those of the sysctls nf_conntrack_NAME, which may be patterns
#   silence NAMESPACE
#       only the packets that states/peer.py marks leave it, so that the kernel there
#       does not answer; what is dropped has not been tracked yet
#   silent_server           the server takes no tcp and udp, and does not say so
#
# The counts to compare with come from conntrack-tools, never from ctxstat.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
# shellcheck source=selftests/topology.sh
. "$here/topology.sh"

PROC=/proc/net/ctxstat
STAT=/proc/net/stat/ctxstat

[ "$(id -u)" = 0 ] || skip_all "must be run as root"
require ip nft conntrack socat

cleanup() {
	local status=$?
	cleanup_more
	topology_down
	rm -rf "$tmp"
	exit "$status"
}

timeouts() {
	local seconds=$1
	shift
	# shellcheck disable=SC2016 # expanded by that shell
	on "$GATEWAY" sh -c 'seconds=$1; shift
		for name; do for file in /proc/sys/net/netfilter/nf_conntrack_$name; do
			echo "$seconds" >"$file" || exit
		done; done' - "$seconds" "${@:-*_timeout*}"
}

silence() {
	on "$1" nft -f - <<-RULES
	table inet silence {
		chain output {
			type filter hook output priority raw - 10;
			meta mark 1 accept
			icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
			drop
		}
	}
	RULES
}

silent_server() {
	on "$SERVER" nft -f - <<-RULES
	table inet silence {
		chain prerouting {
			type filter hook prerouting priority raw;
			meta l4proto { tcp, udp } drop
		}
	}
	RULES
}

module_loaded() { [ -d /sys/module/ctxstat ]; }

module_load() {
	if [ -n "${CTXSTAT_KO:-}" ]; then
		modprobe nf_conntrack && insmod "$CTXSTAT_KO" "$@"
	else
		modprobe ctxstat "$@"
	fi
}

module_unload() { rmmod ctxstat; }

loaded_before=
! module_loaded || loaded_before=1

module_restore() {
	if [ -n "$loaded_before" ]; then
		module_loaded || module_load
	else
		! module_loaded || module_unload
	fi
}

require_module() {
	module_loaded || module_load || skip_all "the ctxstat module cannot be loaded"
}

listing() {
	{ on "$1" conntrack -L -o extended -f ipv4 &&
	  on "$1" conntrack -L -o extended -f ipv6; } 2>"$tmp/conntrack.err"
}

# Cells as the kernel lists them: family l4proto state entries unreplied assured snat dnat
cells_listed() { awk -f "$here/truth.awk" | sort; }
truth() { listing "$1" | cells_listed; }

# The same from ctxstat. Rows without an entry are left out on both sides.
counted() { awk 'NR > 1 && $4 != 0 { print $1, $2, $3, $4, $5, $6, $7, $8 }' "$1" | sort; }

states_of() { on "$1" cat $PROC/states; }
summary_of() { on "$1" awk -v key="$2" '$1 == key { print $2 }' $PROC/summary; }

# Of the gateway of topology.sh: a value of summary, and conntrack there
value() { summary_of "$GATEWAY" "$1"; }
ct() { on "$GATEWAY" conntrack "$@"; }

# The same by port: l4proto port entries unreplied
ports_listed() {
	awk '/^ipv[46] / && $3 ~ /^(tcp|udp|udplite|sctp|dccp)$/ {
			match($0, / dport=[0-9]+/)
			port = $3 " " substr($0, RSTART + 7, RLENGTH - 7)
			entries[port]++
			unreplied[port] += /\[UNREPLIED\]/
		}
		END { for (port in entries) print port, entries[port], unreplied[port] }' | sort
}

counted_ports() { awk 'NR > 1 && ($3 || $4) { print $1, $2, $3, $4 }' "$1" | sort; }

# entries = opened + adopted - closed - failed for every port, and by protocol ports
# has what states has. Files: states, ports
ports_balanced() {
	awk '
		FNR == 1 { file++; next }
		file == 1 { states[$2] += $4; unreplied[$2] += $5 }
		file == 2 {
			ports[$1] += $3
			ports_unreplied[$1] += $4
			if ($3 != $5 + $11 - $7 - $8) { print "not balanced:", $0; bad = 1 }
		}
		END {
			n = split("tcp udp udplite sctp dccp", protos)
			for (i = 1; i <= n; i++) {
				p = protos[i]
				if (states[p] + 0 != ports[p] + 0 || unreplied[p] + 0 != ports_unreplied[p] + 0) {
					print p ": states", states[p] + 0, unreplied[p] + 0, "ports", ports[p] + 0, ports_unreplied[p] + 0
					bad = 1
				}
			}
			exit bad || file != 2
		}' "$@"
}

# Nothing may move while we look, or there is nothing to compare: cumulative
# columns tell. Once nothing moved, one difference is a failure; no second try.
exact() {
	local deadline=$((SECONDS + 30 * patience))

	while :; do
		states_of "$1" >"$tmp/states" || return
		listing "$1" >"$tmp/listing"
		on "$1" cat $PROC/ports >"$tmp/ports" || return
		on "$1" conntrack -C >"$tmp/count" || return
		states_of "$1" >"$tmp/states.after" || return
		cut -d' ' -f1-10 "$tmp/states" >"$tmp/a"
		cut -d' ' -f1-10 "$tmp/states.after" | cmp -s - "$tmp/a" && break
		if ((SECONDS >= deadline)); then
			echo "the table of $1 was never quiet"
			return 1
		fi
	done
	cells_listed <"$tmp/listing" >"$tmp/truth"
	ports_listed <"$tmp/listing" >"$tmp/truth.ports"
	counted "$tmp/states" >"$tmp/counted"
	if ! diff -u --label conntrack "$tmp/truth" --label ctxstat "$tmp/counted"; then
		return 1
	fi
	if [ "$(awk -v more="${2:-0}" '{ n += $4 } END { print n + more }' "$tmp/counted")" != "$(cat "$tmp/count")" ]; then
		echo "conntrack -C says $(cat "$tmp/count")"
		return 1
	fi
	counted_ports "$tmp/ports" >"$tmp/counted.ports"
	diff -u --label conntrack "$tmp/truth.ports" --label ctxstat "$tmp/counted.ports" &&
		balanced "$tmp/states" && ports_balanced "$tmp/states" "$tmp/ports"
}

realtime() { [[ $(uname -v) == *PREEMPT_RT* ]]; }

exact_traced() {
	local lacks
	exact "$1" && return
	realtime && cmp -s "$tmp/truth" "$tmp/counted" || return
	lacks=$(awk 'NR == FNR { n[$1 " " $2] = $3; lacks += $3; next }
		{ lacks -= $3; more += $3 > n[$1 " " $2] }
		END { print more ? 0 : lacks }' "$tmp/truth.ports" "$tmp/counted.ports")
	echo "$lacks are in no port, port_overflow is $(summary_of "$1" port_overflow)"
	((lacks > 0 && lacks <= $(summary_of "$1" port_overflow))) || return
	on "$1" cat $PROC/audit | tee "$tmp/audit"
	grep -qx "entries_healed $lacks" "$tmp/audit" && exact "$1"
}

# entries = entered - left in every row
balanced() {
	awk 'NR > 1 && $4 != $9 - $10 { print "not balanced:", $0; bad = 1 } END { exit bad }' "$1"
}

# Nothing to be seen in audit.
audit_clean() {
	on "$1" cat $PROC/audit >"$tmp/audit" || return
	cat "$tmp/audit"
	awk '/^(cells_differ|entries_healed|cells_left|ports_differ|ports_left) / && $2 { bad = 1 } END { exit bad || NR < 8 }' "$tmp/audit"
}

exact_and_audited() { exact "$1" && audit_clean "$1"; }

accounted() {
	on "$1" awk '{ v[$1] = $2 }
		/^(entries|created|adopted|destroyed|insert_failed) / { print }
		END { exit v["created"] + v["adopted"] != v["destroyed"] + v["insert_failed"] + v["entries"] }' "$PROC/summary"
}

nothing_left() {
	! module_loaded && ! on "$GATEWAY" ls $PROC && ! on "$GATEWAY" cat $STAT &&
		! grep -w ctxstat /proc/kallsyms && ! grep nf_conntrack /sys/kernel/tracing/enabled_functions &&
		! on "$GATEWAY" nft list hooks 2>/dev/null | grep ctxstat
}

signal_groups() {
	local signal=$1 pid
	shift
	for pid; do
		kill "-$signal" -- "-$pid" 2>/dev/null
	done
	return 0
}

# No taint but out-of-tree (4096) and unsigned (8192); no complaint in the log.
kernel_is_clean() {
	local taint
	taint=$(cat /proc/sys/kernel/tainted)
	if ((taint & ~(4096 | 8192))); then
		echo "tainted: $taint"
		return 1
	fi
	# It stops looking after its first report.
	if [ -e /proc/lockdep_stats ] && ! grep -q '^ *debug_locks: *1$' /proc/lockdep_stats; then
		echo "lockdep is off"
		return 1
	fi
	! dmesg | awk -f "$here/vm/reports.awk" | grep -E 'BUG:|WARNING:|Oops|Internal error:|Call [Tt]race|possible recursive locking|suspicious RCU|unreferenced object'
}
