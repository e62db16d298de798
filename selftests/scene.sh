# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # $here and $tmp are set by ktap.sh and lib.sh; STEP is for who sources this
#
# What the tests of ctxstat beside other users of conntrack share. Sourced, instead of
# lib.sh and traffic.sh.
#
#   ct ARGUMENT...          conntrack in the gateway
#   flush                   delete all of its entries
#   value KEY               of summary
#   entries_are N           in all
#   has L4PROTO STATE "ENTRIES [UNREPLIED [ASSURED]]"
#                           what ctxstat says, IPv4 and IPv6 together
#   heals N                 an audit heals so many entries, and then all is exact
#   step NAME COMMAND...    two checks: the command, and that all is exact after it
#                           and audit finds nothing
#   talk COUNT TARGET...    open connections from the client that stay, see traffic.c
#   talk_again              a byte there and back on each of them
#   talk_ends               they are closed
#   talk_closes N           the same, and N entries of tcp have come to their end
#   server_resets           how many RSTs the server has sent
#   closed_are N RESETS     so many have come to their end since it had sent RESETS

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"

# shellcheck disable=SC2317 # called at the end
cleanup_more() {
	traffic_end
	module_restore
}

flush() { ct -F 2>/dev/null; }

entries_are() {
	local now
	now=$(value entries)
	[ "$now" = "$1" ] || { echo "$now entries, not $1"; return 1; }
}

has() {
	local now
	now=$(states_of "$GATEWAY" | awk -v row="$1 $2" '
		$2 " " $3 == row { n += $4; unreplied += $5; assured += $6 }
		END { print n + 0, unreplied + 0, assured + 0 }')
	[[ "$now " == "$3 "* ]] && return
	echo "$now of $1 in $2, not $3; the states of $1:"
	states_of "$GATEWAY" | awk -v l4proto="$1" '$2 == l4proto && $4'
	return 1
}

heals() {
	on "$GATEWAY" cat "$PROC/audit" >"$tmp/audit" || return
	cat "$tmp/audit"
	[ "$(awk '$1 == "entries_healed" { print $2 }' "$tmp/audit")" = "$1" ] && exact_and_audited "$GATEWAY"
}

step() {
	local name=$1
	shift
	check "$name" "$@"
	check "$name: exact, audit finds nothing" exact_and_audited "$GATEWAY"
}
STEP=2

talker=''
talk() {
	: >"$tmp/traffic"
	traffic_in "$CLIENT" talk "$@"
	talker=$!
	wait_for 30 traffic_ready 1 || { cat "$tmp/traffic"; return 1; }
}
talk_again() {
	local ready
	ready=$(grep -c ready "$tmp/traffic")
	kill -USR1 "$talker" || return
	wait_for 30 traffic_ready $((ready + 1)) || { cat "$tmp/traffic"; return 1; }
}
talk_ends() {
	kill "$talker" || return
	wait "$talker" 2>/dev/null
	traffic_ended "$talker"
	talker=''
}
talk_closes() {
	local resets
	resets=$(server_resets) && talk_ends && wait_for 20 closed_are "$1" "$resets"
}

# By a RST of the server, if a FIN that was sent once more comes when its end is gone: on a
# slow machine that can be all of them.
server_resets() { on "$SERVER" awk '/^Tcp:/ && names++ { print $15 }' /proc/net/snmp; }
closed_are() {
	local time_wait reset unreplied assured resets
	read -r time_wait reset unreplied assured < <(states_of "$GATEWAY" | awk '
		$2 == "tcp" && ($3 == "TIME_WAIT" || $3 == "CLOSE") { n[$3] += $4; unreplied += $5; assured += $6 }
		END { print n["TIME_WAIT"] + 0, n["CLOSE"] + 0, unreplied + 0, assured + 0 }')
	resets=$(($(server_resets) - $2))
	closed="of $1 $time_wait in TIME_WAIT, $reset in CLOSE, $resets RSTs of the server"
	((time_wait + reset == $1 && !unreplied && assured == $1 && resets >= reset)) && return
	echo "$closed, $unreplied unreplied, $assured assured"
	return 1
}
