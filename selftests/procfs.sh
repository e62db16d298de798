#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Bad input, and who may see what.
#
# All files of /proc are read in every odd way, at rest and under traffic: in pieces
# they say what they say at once. Readers that stop half-way, with a file open or in
# the middle of a read, are in nobody's way: not in that of other readers, of the
# packets, of unloading or of the end of a namespace. What an unprivileged user can
# learn is what README.md says ("What others can see"). The module's parameters: what
# is wrong is refused, and the kernel's log says why.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

set -u
# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

CHURN=20	# source ports: five times as many entries in the gateway
PORTS=300	# more, so that no file fits into a page
LOADS=5
NOBODY=65534
HELD=$TOPOLOGY_PREFIX-held
PARAMETER=/sys/module/ctxstat/parameters/port_memory

TABLES=("$PROC"/{summary,states,transitions,ends,ports,histograms} /proc/net/stat/ctxstat)
FILES=("${TABLES[@]}" "$PROC/audit")

require python3 setpriv unshare
require_module

reader_pid=''
cleanup_more() {
	traffic_end
	[ -z "$reader_pid" ] || kill -KILL "$reader_pid" 2>/dev/null
	! ip netns list | grep -qw "$HELD" || ip netns del "$HELD"
	module_restore
}

# Where nobody can read it, too
READER=$tmp/reader.py
chmod 755 "$tmp"
install -m 644 "$here/procfs/reader.py" "$READER"
read_well() { on "$GATEWAY" python3 "$READER" "$1" "${FILES[@]}"; }

# The ticker comes by every second, and takes note of peaks.
settled() {
	on "$GATEWAY" cat $PROC/summary >"$tmp/summary" || return
	read -rt 2 <> <(:) || :
	on "$GATEWAY" cat $PROC/summary | cmp - "$tmp/summary"
}

is_quiet() {
	traffic_pause
	wait_for 20 settled && exact "$GATEWAY"
}

# Readers that wait

# reader_begin NAMESPACE WHAT FILE...: one that waits for a line; not through on(), so
# that its pid is in $reader_pid
reader_begin() {
	local ns=$1
	shift
	rm -f "$tmp/line"
	mkfifo "$tmp/line" && exec {line}<>"$tmp/line" || return
	ip netns exec "$ns" python3 "$READER" "$@" <"$tmp/line" >"$tmp/reader" 2>&1 &
	reader_pid=$!
	wait_for 30 grep -q ready "$tmp/reader"
}
reader_go() {
	local status
	echo >&"$line"
	wait "$reader_pid"
	status=$?
	reader_pid=''
	exec {line}>&-
	cat "$tmp/reader"
	return $status
}
reader_kill() {
	kill -KILL "$reader_pid"
	wait "$reader_pid" 2>/dev/null
	reader_pid=''
	exec {line}>&-
}

ended() { ! kill -0 "$1" 2>/dev/null; }

others_read() { timeout $((20 * patience)) ip netns exec "$GATEWAY" cat "${FILES[@]}" >/dev/null; }
packets_pass() {
	timeout $((20 * patience)) ip netns exec "$CLIENT" "$TRAFFIC" ask 50 10.2.0.2 7 fd02::2 7
}

unloads_at_once() {
	timeout $((30 * patience)) rmmod ctxstat && ! module_loaded
}

# What is under way has to come to its end.
unload_waits() {
	rmmod ctxstat 2>"$tmp/rmmod" &
	unloading=$!
	wait_for 20 in_kernel $unloading proc_entry_rundown
}
# in_kernel PID FUNCTION: that is what it waits in
in_kernel() { grep -q "\<$2\>" "/proc/$1/stack"; }
netns_waits() {
	local pid status
	unshare -n true &
	pid=$!
	wait_for 20 in_kernel $pid copy_net_ns
	status=$?
	making=$pid
	cat "/proc/$pid/stack"
	return $status
}
unload_ends() {
	wait_for 20 ended $unloading && wait $unloading && wait $making && ! module_loaded
}
goes_on_and_unloads() { reader_go && unload_ends; }
killed_and_unloads() { reader_kill && unload_ends; }

loads_again() { module_load && exact "$GATEWAY" && audit_clean "$GATEWAY"; }

# A namespace that has an end of a link here: it vanishes with the namespace.
held_up() {
	ip netns add "$HELD" && ip link add held type veth peer name eth0 netns "$HELD"
}
held_gone() { ! ip link show held >/dev/null 2>&1; }
name_is_removed() {
	ip netns del "$HELD" || return
	! wait_for 2 held_gone
}
reads_on_and_lets_go() { reader_go && wait_for 20 held_gone; }
unloaded_and_let_go() { unloads_at_once && wait_for 20 held_gone && reader_go; }

reload_under_readers() {
	local i
	for ((i = 0; i < LOADS; i++)); do
		module_unload && module_load && traffic_flows 20 || return
	done
}
# They have read, and found nothing while there was none.
loop_ends() {
	reader_go || return
	awk '$1 == "read" { bad = !($2 && $5) } { print } END { exit bad }' "$tmp/reader"
}

# Who may what

AS_NOBODY=(setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups)
# a namespace of its own, of which it is root
AS_OWNER=("${AS_NOBODY[@]}" unshare -Ur unshare -n)

# access_is WHERE WHAT COMMAND...: of the gateway's tables, and of audit, for who runs
# COMMAND: read, written, read and written, mode, owner
access_is() {
	local tables=$1 audit=$2
	shift 2
	on "$GATEWAY" "$@" python3 "$READER" access "${FILES[@]}" >"$tmp/access" || return
	for file in "${TABLES[@]}"; do
		echo "${file#/proc/net/} 444 $tables"
	done >"$tmp/expected"
	echo "ctxstat/audit 400 $audit" >>"$tmp/expected"
	diff -u --label expected "$tmp/expected" --label access "$tmp/access"
}

# Of who is root in a user namespace, but not in the gateway's
nobody_reads_well() { on "$GATEWAY" "${AS_NOBODY[@]}" unshare -Ur python3 "$READER" "$1" "${TABLES[@]}"; }

nobody_sees_the_same() {
	on "$GATEWAY" cat "${TABLES[@]}" >"$tmp/root" &&
		on "$GATEWAY" "${AS_NOBODY[@]}" cat "${TABLES[@]}" |
		cmp - "$tmp/root"
}

# One connection, and all that nobody can learn of it: its port, protocol and state, and
# when it came; neither who it was nor how many bytes it has.
one_seen() {
	local file seen
	for seen in before after; do
		[ $seen = before ] ||
			on "$CLIENT" "$TRAFFIC" ask 1 10.2.0.2 7 || return
		for file in "${TABLES[@]}"; do
			on "$GATEWAY" "${AS_NOBODY[@]}" cat "$file" |
				sed "s|^|${file##*/} |"
		done >"$tmp/$seen"
	done
	diff "$tmp/before" "$tmp/after" | grep '^[<>]' >"$tmp/learned"
	cat "$tmp/learned"
	[ "$(awk '$2 == "ports" && $3 == "udp" && $4 == 7 { print $1 $7 }' "$tmp/learned" |
		sort | tr -d '<>' | paste -sd ' ' | awk '{ print $2 - $1 }')" = 1 ] &&
		! awk '$2 == "ports" && $3 " " $4 != "udp 7"' "$tmp/learned" | grep .
}
no_address_in_it() {
	on "$GATEWAY" cat "${FILES[@]}" >"$tmp/all" && [ -s "$tmp/all" ] || return
	! grep -E '[0-9]+\.[0-9]+\.[0-9]+\.|fd0[0-9]|:.*:|ffff[0-9a-f]{8}' "$tmp/all"
}
nobody_lists_no_table() {
	on "$GATEWAY" grep -q . /proc/net/nf_conntrack &&
		! on "$GATEWAY" "${AS_NOBODY[@]}" cat /proc/net/nf_conntrack
}

# In a user namespace of its own, with a network namespace: only that one is seen.
sees_only_its_own() {
	on "$GATEWAY" "${AS_OWNER[@]}" \
		cat "${FILES[@]}" >"$tmp/own" || return
	awk '$1 == "entries" && $2 ~ /^[0-9]+$/ { n++; bad += $2 }
		$1 == "count" && $2 ~ /^[0-9]+$/ { n++; bad += $2 }
		$1 == "entries_seen" { n++; bad += $2 }
		/^(tcp|udp) [0-9]/ { print; bad++ }
		END { print n, "totals,", bad + 0, "wrong"; exit n != 4 || bad }' "$tmp/own"
}
# ... which its root may change as it likes. The gateway's stay as they are.
changes_its_own() {
	on "$GATEWAY" "${AS_OWNER[@]}" \
		sh -c 'chmod 444 $1/audit && chmod 0 $1/states && ! echo 1 >$1/audit' - $PROC || return
	[ "$(on "$GATEWAY" stat -c %a $PROC/audit $PROC/states | paste -sd ' ')" = "400 444" ]
}

# Through /proc/PID of a process there, as with all files of /proc/net
others_namespace() {
	"${AS_NOBODY[@]}" cat "/proc/$resident/net/ctxstat/states" >"$tmp/seen" || return
	on "$GATEWAY" cat $PROC/states | cmp - "$tmp/seen" &&
		! "${AS_NOBODY[@]}" cat "/proc/$resident/net/ctxstat/audit"
}
nobody_cannot_with_chmod() {
	local file
	on "$GATEWAY" chmod o= $PROC /proc/net/stat/ctxstat || return
	for file in "${TABLES[@]}"; do
		! "${AS_NOBODY[@]}" cat "/proc/$resident/net/${file#/proc/net/}" || return
	done
	others_read
}
can_again() { on "$GATEWAY" chmod o=rx $PROC && on "$GATEWAY" chmod o=r /proc/net/stat/ctxstat && nobody_sees_the_same; }

# Parameters

said_begin() { echo "selftest mark $((++said)) of $$" >/dev/kmsg; }
said_since() { dmesg | sed "1,/selftest mark $said of $$\$/d" | grep 'ctxstat: '; }
said=0
# refused PARAMETER: not loaded, and one line says why
refused() {
	said_begin
	if module_load "$1"; then
		module_unload
		echo "it was loaded"
		return 1
	fi
	said_since
	! module_loaded && [ "$(said_since | wc -l)" = 1 ] &&
		said_since | grep "ctxstat: \`.*' invalid for parameter \`port_memory'"
}
named_and_ignored() {
	said_begin
	module_load nonsense=1 || return
	said_since
	said_since | grep "ctxstat: unknown parameter 'nonsense' ignored" && module_unload
}
cannot_be_changed() {
	module_load port_memory=1000 && ! echo 2000 >$PARAMETER || return
	! "${AS_NOBODY[@]}" sh -c "echo 2000 >$PARAMETER" || return
	[ "$(cat $PARAMETER)" = 1000 ] && [ "$(stat -c %a $PARAMETER)" = 444 ]
}

BAD=("port_memory" "port_memory=" "port_memory=-1" "port_memory=1.5" "port_memory=32M" "port_memory=abc"
	"port_memory=4294967296" "port_memory=99999999999999999999" "port_memory=1,2")

quiet_ways=(sizes seeks faults shared copied refused)
plan $((2 + ${#quiet_ways[@]} + 2 + 16 + 4 + 5 + 3 + ${#quiet_ways[@]} + 13 + ${#BAD[@]} + 2 + 1))

traffic_up $CHURN
traffic_in "$CLIENT" spray $PORTS 10.2.0.2 20000 fd02::2 20000
traffic_in "$GATEWAY" serve 7
resident=$!
check "traffic" traffic_flows 100
check "a quiet moment: exact" is_quiet
for way in "${quiet_ways[@]}"; do
	check "at rest: $way" read_well "$way"
done
traffic_go
check "under traffic: form" read_well form
check "under traffic: traffic goes on" traffic_flows 20

for what in "reads on" "is killed"; do
	check "amid a read: a reader stalls" reader_begin "$GATEWAY" stall $PROC/states
	check "amid a read: others read all files" others_read
	check "amid a read: unloading waits for it" unload_waits
	check "amid a read: packets pass" packets_pass
	check "amid a read: who makes a namespace waits" netns_waits
	if [ "$what" = "reads on" ]; then
		check "amid a read: it reads on, unloaded" goes_on_and_unloads
	else
		check "amid a read: it is killed, unloaded" killed_and_unloads
	fi
	traffic_pause
	check "amid a read: loads again, exact" loads_again
	traffic_go
done
check "amid an audit: a reader stalls" reader_begin "$GATEWAY" stall $PROC/audit
check "amid an audit: others audit" others_read
reader_kill

check "a file open: all of them, half read" reader_begin "$GATEWAY" removed "${FILES[@]}"
check "a file open: unloads at once" unloads_at_once
check "a file open: it can do nothing any more" reader_go
traffic_pause
check "a file open: loads again, exact" loads_again
traffic_go

check "a namespace: a reader has its files open" eval 'held_up && reader_begin "$HELD" hold "${FILES[@]}"'
check "a namespace: it has no name any more, and lives" name_is_removed
check "a namespace: the reader reads to the end, and it is gone" reads_on_and_lets_go
check "a namespace: with a reader again" eval 'held_up && reader_begin "$HELD" removed "${FILES[@]}" && name_is_removed'
check "a namespace: unloading makes an end of it" unloaded_and_let_go
module_load

check "all at once: a reader of all files" reader_begin "$GATEWAY" loop "${FILES[@]}"
check "all at once: $LOADS times unloaded and loaded" reload_under_readers
check "all at once: it has read, or found nothing" loop_ends

check "a quiet moment again: exact" is_quiet
for way in "${quiet_ways[@]}"; do
	check "in a user namespace, at rest: $way" nobody_reads_well "$way"
done
check "root reads all, and writes none" access_is "ok EACCES EACCES ok ok" "ok EACCES EACCES ok ok"
check "nobody reads all but audit" access_is "ok EACCES EACCES EPERM EPERM" "EACCES EACCES EACCES EPERM EPERM" \
	"${AS_NOBODY[@]}"
check "in a user namespace: root there neither" access_is "ok EACCES EACCES EPERM EPERM" "EACCES EACCES EACCES EPERM EPERM" \
	"${AS_NOBODY[@]}" unshare -Ur
check "nobody sees what root does" nobody_sees_the_same
check "nobody does not see the table" nobody_lists_no_table
check "of one connection nobody sees the port" one_seen
note "$(cat "$tmp/learned")"
check "no address in any file" no_address_in_it
check "in a network namespace: sees only its own" sees_only_its_own
check "in a network namespace: changes only its own" changes_its_own
check "nobody sees another namespace, but no audit" others_namespace
check "nobody cannot, if root says so" nobody_cannot_with_chmod
check "nobody can again" can_again
traffic_end

module_unload
for parameter in "${BAD[@]}"; do
	check "$parameter is refused" refused "$parameter"
done
check "an unknown parameter is named in the log, and ignored" named_and_ignored
check "port_memory cannot be changed later" cannot_be_changed
check "kernel log is clean" kernel_is_clean
finish
