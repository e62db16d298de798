# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154 # $tmp is set by ktap.sh
#
# Programs of others that a test runs beside ctxstat, taken from PATH or from where
# vm/fetch.sh puts them, as installing them would start services. Sourced after lib.sh; a
# test that has daemons has a cleanup_more that calls daemons_end.
#
#   $packages               the folder that has a folder of each package
#   fetched PACKAGE...      what is to be run of these is in PATH
#   daemon NAMESPACE NAME COMMAND...
#                           in that namespace, until the end; its output goes to
#                           $tmp/NAME.log
#   daemons_end             end them all

packages=${CTXSTAT_CACHE:-/var/cache/ctxstat}/packages
daemons=()

fetched() {
	local package
	for package; do
		PATH=$PATH:$packages/$package/usr/sbin:$packages/$package/usr/bin:$packages/$package/sbin
	done
}

# Not through on(): the pid is that of the daemon then.
daemon() {
	local ns=$1 name=$2
	shift 2
	ip netns exec "$ns" "$@" >"$tmp/$name.log" 2>&1 </dev/null &
	daemons+=($!)
}

daemons_end() {
	local pid
	((${#daemons[@]})) || return 0
	kill "${daemons[@]}" 2>/dev/null
	# Whoever does not go is made to.
	for pid in "${daemons[@]}"; do
		wait_for 20 daemon_gone "$pid" || kill -KILL "$pid" 2>/dev/null
	done
	wait "${daemons[@]}" 2>/dev/null
	daemons=()
}

daemon_gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null; }
