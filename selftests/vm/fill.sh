# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts share that put something into the cache. Sourced after cache.sh, by
# scripts that have say().
#
#   fill_lock FILE   wait until no other script has it, and keep it to the end
#   $new             what is being made: a folder that goes away with the script, unless
#                    that empties the variable first
#   run COMMAND...   its output goes to stderr. It can be interrupted, with this script, and
#                    does not hold the lock
#
# bash runs no trap before a foreground command ends, so what takes long is put into the
# background and waited for.

new='' child=''

# shellcheck disable=SC2317 # called by the trap
fill_end()
{
	if [[ -n $child ]]; then
		kill "$child" 2>/dev/null || :
		wait "$child" 2>/dev/null || :
	fi
	[[ -z $new ]] || rm -rf "$new"
}
trap fill_end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fill_lock()
{
	exec {lock}>"$1"
	flock -n "$lock" && return
	say "waiting for another ${0##*/}"
	# It gets the lock for this script, which has it open.
	flock "$lock" &
	child=$!
	wait "$child"
	child=''
}

run()
{
	local status=0
	"$@" {lock}>&- >&2 &
	child=$!
	wait "$child" || status=$?
	child=''
	return $status
}
