# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Results as KTAP, after kselftest's conventions, and waiting. Sourced by all tests.
#
#   plan N                  how many checks follow
#   check NAME COMMAND...   one check: passes if the command succeeds
#   skip_all REASON         the test cannot run here (exit code 4)
#   require TOOL...         skip_all if one is not installed
#   note TEXT               for the reader
#   finish                  last line of a test
#   wait_for SECONDS COMMAND...
#                           until the command succeeds; fails at the deadline, which is
#                           $patience times as far: 8 on kernels that look for faults
#   copy_tool FOLDER        a copy of $CTXSTAT there, and of the plugins that are beside it,
#                           for any user, wherever the source tree is
#
# $tmp is a folder that is gone afterwards. A test that has more to clean up
# defines cleanup_more.

KSFT_SKIP=4
checks_planned=0 checks_run=0 checks_failed=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ctxstat.XXXXXX")

case $(</proc/sys/kernel/osrelease) in
*-debug | *-kcsan) patience=8 ;;
*) patience=1 ;;
esac

plan() {
	checks_planned=$1
	echo "TAP version 13"
	echo "1..$checks_planned"
}

wait_for() {
	local deadline=$((SECONDS + $1 * patience))
	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		# a moment, without a process of its own
		read -rt 0.05 <> <(:) || :
	done
}

skip_all() {
	echo "1..0 # SKIP $*"
	exit $KSFT_SKIP
}

note() { sed 's/^/# /' <<<"$*"; }

check() {
	local name=$1
	shift
	checks_run=$((checks_run + 1))
	if "$@" >"$tmp/check.out" 2>&1; then
		echo "ok $checks_run $name"
	else
		checks_failed=$((checks_failed + 1))
		echo "not ok $checks_run $name"
		echo "# failed: $*"
		sed 's/^/# /' "$tmp/check.out"
	fi
}

finish() {
	if ((checks_run != checks_planned)); then
		echo "# planned $checks_planned checks, ran $checks_run"
		exit 1
	fi
	exit $((checks_failed > 0))
}

cleanup_more() { :; }
cleanup() {
	local status=$?
	cleanup_more
	# What a test has mounted there is not its own.
	rm -rf --one-file-system "$tmp"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

copy_tool() {
	local plugin
	install -m 755 "$CTXSTAT" "$1/ctxstat" || return
	for plugin in "$(dirname "$CTXSTAT")"/ctxstat-*.so; do
		[ ! -e "$plugin" ] || install -m 644 "$plugin" "$1/" || return
	done
}

require() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip_all "$tool is not installed"
	done
}
