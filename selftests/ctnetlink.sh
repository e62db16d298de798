#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Entries that come, change and go by netlink, while "conntrack -E" listens all
# the time: insertion in every state and with every flag, a duplicate, updates,
# deletion, flush, and restoring a dump of thousands, also twice at once. After
# each step every cell is exact, and the listener has seen just the step's events.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

RESTORED=2000

require_module
topology_up || skip_all "no namespaces can be made"

# The listener, and what it should have seen
declare -A expected=([NEW]=0 [UPDATE]=0 [DESTROY]=0)

listener_ready() { on "$GATEWAY" awk '$2 == 12 && $4 !~ /^0*$/ { n++ } END { exit !n }' /proc/net/netlink; }
listener_lost() { on "$GATEWAY" awk '$2 == 12 { n += $9 } END { exit !n }' /proc/net/netlink; }

# A flush of thousands makes its events all at once. The buffer's size is set from
# outside, as conntrack 1.4.7's own option (-b) sets it for another socket.
listener_start() {
	local rmem
	rmem=$(sysctl -n net.core.rmem_default) && sysctl -qw net.core.rmem_default=67108864 || return
	ip netns exec "$GATEWAY" conntrack -E >"$tmp/events" 2>"$tmp/events.err" &
	listener=$!
	wait_for 10 listener_ready
	sysctl -qw net.core.rmem_default="$rmem"
	listener_ready
}

listener_stop() {
	local total=$((expected[NEW] + expected[UPDATE] + expected[DESTROY]))

	! listener_lost || echo "events were lost"
	kill -TERM "$listener" && wait_for 10 not_running "$listener"
	cat "$tmp/events.err"
	! grep -i enobufs "$tmp/events.err" && grep "$total flow events" "$tmp/events.err"
}

not_running() { ! kill -0 "$1" 2>/dev/null; }

events() { grep -c "\[$1\]" "$tmp/events"; }

events_seen() {
	local kind
	for kind in NEW UPDATE DESTROY; do
		[ "$(events "$kind")" = "${expected[$kind]}" ] || return
	done
}

# expect NEW UPDATE DESTROY: so many more
expect() {
	expected[NEW]=$((expected[NEW] + $1))
	expected[UPDATE]=$((expected[UPDATE] + $2))
	expected[DESTROY]=$((expected[DESTROY] + $3))
}

events_as_expected() {
	local kind
	wait_for 30 events_seen && return
	for kind in NEW UPDATE DESTROY; do
		echo "$kind: $(events "$kind") events, not ${expected[$kind]}"
	done
	return 1
}

# step NAME NEW UPDATE DESTROY COMMAND...: what it does, what is seen, what is counted
step() {
	local name=$1
	expect "$2" "$3" "$4"
	shift 4
	check "$name" "$@"
	check "$name: the listener saw each event" events_as_expected
	check "$name: exact" exact "$GATEWAY"
}
STEP=3

# What the commands below act on
v4=(-s 10.1.0.2 -d 10.2.0.2)
v6=(-s fd01::2 -d fd02::2)
states=(NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE LISTEN)

look() { states_of "$GATEWAY" >"$tmp/now"; }
# cell_is FAMILY L4PROTO STATE "ENTRIES UNREPLIED ASSURED SNAT DNAT": when last looked
cell_is() {
	local row
	row=$(awk -v row="$1 $2 $3" '$1 " " $2 " " $3 == row { print $4, $5, $6, $7, $8 }' "$tmp/now")
	[ "$row" = "$4" ] || { echo "$1 $2 $3: $row, not $4"; return 1; }
}

tcp_in_every_state() {
	local port=0 state
	for state in "${states[@]}"; do
		port=$((port + 1))
		ct -I -p tcp "${v4[@]}" --sport "$port" --dport 80 -t 900 --state "$state" &&
			ct -I -p tcp "${v6[@]}" --sport "$port" --dport 80 -t 900 --state "$state" || return
	done
	look
	# conntrack's LISTEN is SYN_SENT2
	for state in "${states[@]/LISTEN/SYN_SENT2}"; do
		cell_is ipv4 tcp "$state" "1 1 0 0 0" && cell_is ipv6 tcp "$state" "1 1 0 0 0" || return
	done
}

udp_with_every_flag() {
	local dst=("${v4[0]}" "${v4[1]}" -d 10.2.0.1)
	ct -I -p udp "${v4[@]}" --sport 1 --dport 53 -t 900 &&
		ct -I -p udp "${v4[@]}" --sport 2 --dport 53 -t 900 --status SEEN_REPLY &&
		ct -I -p udp "${v4[@]}" --sport 3 --dport 53 -t 900 --status ASSURED &&
		ct -I -p udp "${v4[@]}" --sport 4 --dport 53 -t 900 --status SEEN_REPLY,ASSURED &&
		ct -I -p udp "${v4[@]}" --sport 5 --dport 53 -t 900 -n 10.2.0.1:6000 &&
		ct -I -p udp "${dst[@]}" --sport 6 --dport 53 -t 900 -g 10.2.0.2:54 &&
		ct -I -p udp "${dst[@]}" --sport 7 --dport 53 -t 900 -g 10.2.0.2:54 -n 10.2.0.1:6001 \
			--status SEEN_REPLY,ASSURED &&
		ct -I -p udp "${v6[@]}" --sport 5 --dport 53 -t 900 -n '[fd02::1]:6000' &&
		ct -I -p udp -s fd01::2 -d fd02::1 --sport 6 --dport 53 -t 900 -g '[fd02::2]:54' --status ASSURED || return
	look
	cell_is ipv4 udp - "7 4 3 2 2" && cell_is ipv6 udp - "2 2 1 1 1"
}

# The kernel may lack the trackers of sctp and dccp, and conntrack their options.
tracked() { on "$GATEWAY" ls /proc/sys/net/netfilter | grep -q "^nf_conntrack_$1_"; }
others=(
	"icmp - ${v4[*]} --icmp-type 8 --icmp-code 0 --icmp-id 77"
	"icmpv6 - ${v6[*]} --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 77"
	"udplite - ${v4[*]} --sport 5 --dport 53"
	"gre - ${v4[*]} --srckey 5 --dstkey 6"
	"89 - ${v4[*]}"
)
if tracked sctp; then
	for state in CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT; do
		others+=("sctp $state ${v4[*]} --sport $((++sport)) --dport 53 --state $state --orig-vtag 1 --reply-vtag 2")
	done
else
	note "this kernel does not track sctp"
fi
if tracked dccp; then
	for state in REQUEST RESPOND PARTOPEN OPEN CLOSEREQ CLOSING TIMEWAIT; do
		others+=("dccp $state ${v6[*]} --sport $((++sport)) --dport 53 --state $state --role client")
	done
else
	note "this kernel does not track dccp"
fi

other_protocols() {
	local other l4proto state options family
	for other in "${others[@]}"; do
		read -r l4proto state options <<<"$other"
		# shellcheck disable=SC2086 # words
		ct -I -p "$l4proto" $options -t 900 || return
	done
	look
	for other in "${others[@]}"; do
		read -r l4proto state options <<<"$other"
		family=ipv4
		[[ $options != *fd01::* ]] || family=ipv6
		cell_is "$family" "${l4proto/89/other}" "$state" "1 1 0 0 0" || return
	done
}

# refused COMMAND...: fails, and no cell but insert_failed notices
refused() {
	local before after
	before=$(summary_of "$GATEWAY" entries)
	! "$@" || { echo "was not refused"; return 1; }
	after=$(summary_of "$GATEWAY" entries)
	[ "$before" = "$after" ] || { echo "$before entries, then $after"; return 1; }
}

update_state() {
	ct -U -p tcp "${v4[@]}" --sport 2 --dport 80 --state ESTABLISHED && look &&
		cell_is ipv4 tcp SYN_SENT "0 0 0 0 0" && cell_is ipv4 tcp ESTABLISHED "2 2 0 0 0" &&
		ct -U -p tcp "${v6[@]}" --sport 4 --dport 80 --state TIME_WAIT && look &&
		cell_is ipv6 tcp ESTABLISHED "0 0 0 0 0" && cell_is ipv6 tcp TIME_WAIT "2 2 0 0 0"
}

update_flags() {
	ct -U -p tcp "${v4[@]}" --sport 3 --dport 80 --status ASSURED && look &&
		cell_is ipv4 tcp SYN_RECV "1 1 1 0 0" &&
		ct -U -p udp "${v4[@]}" --sport 5 --dport 53 --status SEEN_REPLY,ASSURED && look &&
		cell_is ipv4 udp - "7 3 4 2 2"
}

delete_two() {
	ct -D -p tcp "${v4[@]}" --sport 3 --dport 80 && look && cell_is ipv4 tcp SYN_RECV "0 0 0 0 0" &&
		ct -D -p udp "${v6[@]}" --sport 5 --dport 53 && look && cell_is ipv6 udp - "1 1 1 0 1"
}

# While it is away an entry comes and one goes, one changes.
module_away() {
	module_unload &&
		ct -I -p udp "${v4[@]}" --sport 8 --dport 53 -t 900 &&
		ct -D -p tcp "${v4[@]}" --sport 5 --dport 80 &&
		ct -U -p tcp "${v4[@]}" --sport 6 --dport 80 --state CLOSE &&
		module_load && look && cell_is ipv4 tcp CLOSE "2 2 0 0 0"
}

entries() { summary_of "$GATEWAY" entries; }
created() { summary_of "$GATEWAY" created; }
failed() { summary_of "$GATEWAY" insert_failed; }

# A file for "conntrack -R", an entry a line
restore_file() {
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) {
		status = i % 3 == 0 ? "SEEN_REPLY,ASSURED" : i % 3 == 1 ? "SEEN_REPLY" : "UNSET"
		a = "10.1." int(i / 250) "." i % 250 + 1
		b = "fd01::" i
		if (i % 4 == 0)
			print "-A -t 900 -u", status, "-s", a, "-d 10.2.0.2 -r 10.2.0.2 -q", a, "-p tcp --sport", 1000 + i, "--dport 80 --reply-port-src 80 --reply-port-dst", 1000 + i, "--state", i % 8 ? "ESTABLISHED" : "TIME_WAIT"
		else if (i % 4 == 1)
			print "-A -t 900 -u", status, "-s", a, "-d 10.2.0.2 -r 10.2.0.2 -q", a, "-p udp --sport", 1000 + i, "--dport 53 --reply-port-src 53 --reply-port-dst", 1000 + i
		else if (i % 4 == 2)
			print "-A -t 900 -u", status, "-s", b, "-d fd02::2 -r fd02::2 -q", b, "-p tcp --sport", 1000 + i, "--dport 80 --reply-port-src 80 --reply-port-dst", 1000 + i, "--state", i % 8 == 2 ? "SYN_SENT" : "FIN_WAIT"
		else
			print "-A -t 900 -u", status, "-s", a, "-d 10.2.0.2 -r 10.2.0.2 -n 10.2.0.1 -p udp --sport", 1000 + i, "--dport 54 --reply-port-src 54 --reply-port-dst", 1000 + i
	} }'
}

restore() {
	local created_before failed_before
	created_before=$(created) failed_before=$(failed)
	ct -R "$1" || return
	[ "$(created)" = $((created_before + RESTORED)) ] && [ "$(failed)" = "$failed_before" ] && return
	echo "created $created_before, then $(created); insert_failed $failed_before, then $(failed)"
	return 1
}

restore_own_dump() {
	# without -f: both families
	ct -L -o save >"$tmp/dump" && [ "$(wc -l <"$tmp/dump")" = "$RESTORED" ] &&
		ct -F && restore "$tmp/dump"
}

# Whoever comes second with an entry is refused, or changes nothing. Entries
# without NAT: with it, the tool stops at the first that exists.
restore_twice_at_once() {
	local created_before failed_before n first second=0
	grep -v -e ' -n ' "$tmp/restore" >"$tmp/restore.plain"
	n=$(wc -l <"$tmp/restore.plain")
	created_before=$(created) failed_before=$(failed)
	ip netns exec "$GATEWAY" conntrack -R "$tmp/restore.plain" &
	first=$!
	ct -R "$tmp/restore.plain" || second=$?
	wait "$first" || [ "$second" = 0 ] || { echo "both stopped half-way"; return 1; }
	raced=$(($(failed) - failed_before))
	[ "$(entries)" = "$n" ] && [ $(($(created) - created_before)) = $((n + raced)) ] && return
	echo "$(entries) entries, created $created_before, then $(created), refused $raced"
	return 1
}

# An update event for each entry that the second one found in the table
events_of_two_restores() {
	local n
	n=$(wc -l <"$tmp/restore.plain")
	expect "$n" 0 0
	expected[UPDATE]=$(events UPDATE)
	events_as_expected
}

books_balance() {
	on "$GATEWAY" awk '{ v[$1] = $2 }
		/^(entries|created|adopted|destroyed|insert_failed) / { print }
		END { exit v["created"] + v["adopted"] != v["destroyed"] + v["insert_failed"] || v["entries"] }' "$PROC/summary"
}

plan $((14 * STEP + 10))

check "the listener runs" listener_start
step "tcp in every state" $((2 * ${#states[@]})) 0 0 tcp_in_every_state
step "udp with every flag" 9 0 0 udp_with_every_flag
step "other protocols" "${#others[@]}" 0 0 other_protocols
step "a duplicate is refused" 0 0 0 refused ct -I -p tcp "${v4[@]}" --sport 1 --dport 80 -t 900 --state NONE
step "a duplicate in another state is refused" 0 0 0 refused ct -I -p tcp "${v6[@]}" --sport 1 --dport 80 -t 900 --state CLOSE
step "a reply tuple in use is refused" 0 0 0 refused ct -I -p udp -s 10.9.0.1 -d 10.2.0.2 -r 10.2.0.2 -q 10.1.0.2 \
	--sport 1 --dport 53 --reply-port-src 53 --reply-port-dst 1 -t 900
step "updates to another state" 0 2 0 update_state
step "updates of flags" 0 2 0 update_flags
step "deletion" 0 0 2 delete_two
step "the module unloaded and loaded" 1 1 1 module_away
check "audit finds nothing" audit_clean "$GATEWAY"
step "flush" 0 0 "$(ct -C)" ct -F

check "nothing is left" books_balance
restore_file "$RESTORED" >"$tmp/restore"
step "$RESTORED entries restored" "$RESTORED" 0 0 restore "$tmp/restore"
step "restored from the kernel's own dump" "$RESTORED" 0 "$RESTORED" restore_own_dump
step "flush of $RESTORED" 0 0 "$RESTORED" ct -F

check "a file restored twice at once" restore_twice_at_once
note "refused at insertion: ${raced:-?}"
check "a file restored twice at once: the listener saw each entry once" events_of_two_restores
check "a file restored twice at once: exact" exact "$GATEWAY"

expect 0 0 "$(ct -C)"
ct -F 2>/dev/null
check "the listener lost nothing" events_as_expected
if [ -z "$loaded_before" ]; then
	check "the listener outlives the module" module_unload
else
	check "the listener runs to the end" kill -0 "$listener"
fi
check "the listener says how many events it saw" listener_stop
check "kernel log is clean" kernel_is_clean
finish
