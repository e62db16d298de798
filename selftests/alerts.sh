#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The alert rules: promtool takes them, and finds that each alert fires, does not fire
# just below its limit, and clears. They ask for metrics that exist, and their limits are
# those of the tool. Needs neither the module nor root.
#
# promtool is taken from PATH, or from where vm/fetch.sh puts it: vm/fetch.sh prometheus
#
# Environment:
#   CTXSTAT=PROGRAM      test that one instead of tools/ctxstat
#   CTXSTAT_CACHE        see vm/fetch.sh
# shellcheck disable=SC2154 # $tmp is set by ktap.sh

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"

RULES=$here/../tools/prometheus/ctxstat.rules.yml
TESTS=$here/prometheus/rules_test.yml
FINDINGS=$here/../tools/findings.h
CTXSTAT=${CTXSTAT:-$here/../tools/ctxstat}
# shellcheck source=selftests/vm/cache.sh
. "$here/vm/cache.sh"
PATH=$PATH:$cache/packages/prometheus/usr/bin

require promtool
[ -x "$CTXSTAT" ] || skip_all "tools/ctxstat is not built"

expressions() { sed -n '/^ *expr:/,/^ *for:/p' "$RULES"; }

alerts() { sed -n 's/^ *- alert: //p' "$RULES" | sort -u; }

# Each alert has a test in which it fires, and one in which it does not.
all_tested() {
	local alert
	for alert in $(alerts); do
		if ! grep -q "^ *- alertname: $alert\$" "$TESTS" ||
			! grep -q "{ alertname: $alert, eval_time: [0-9a-z]* }" "$TESTS"; then
			echo "$alert is not tested"
			return 1
		fi
	done
	[ "$(alerts | wc -l)" -gt 10 ]
}

metrics_exist() {
	local metric n=0
	"$CTXSTAT" prometheus --proc-dir="$here/tool/gateway" >"$tmp/metrics" || return
	for metric in $(expressions | grep -o 'ctxstat_[a-z_]*' | sort -u); do
		n=$((n + 1))
		grep -q "^${metric}[{ ]" "$tmp/metrics" || { echo "there is no $metric"; return 1; }
	done
	[ $n -gt 8 ]
}

# limit NAME: as the tool's source has it
limit() { sed -n "s/^#define $1[[:blank:]]*\([0-9.]*\).*/\1/p" "$FINDINGS"; }

# asks ALERT COMPARISON NAME [DIVISOR]: whether the rule compares with the tool's limit
asks() {
	local value
	value=$(awk -v value="$(limit "$3")" -v divisor="${4:-1}" 'BEGIN { if (value != "") print value / divisor }')
	echo "$1: $2 $value ($3)"
	[ -n "$value" ] &&
		sed -n "/- alert: $1\$/,/for:/p" "$RULES" | grep -Eq "$2 ${value//./\\.}( |\$)"
}

same_limits() {
	asks CtxstatTableNearlyFull '>=' FULL_WARNING 100 &&
		asks CtxstatTableNearlyFull '>=' FULL_CRITICAL 100 &&
		asks CtxstatInsertsFailing '>' FAILED_PER_SECOND &&
		asks CtxstatInsertsFailing '>' FAILED_SHARE 100 &&
		asks CtxstatPacketsDropped '>' DROPPED_PER_SECOND &&
		asks CtxstatPortUnanswered '>' UNREPLIED_SHARE 100 &&
		asks CtxstatPortUnanswered '>=' PORT_ENTRIES &&
		asks CtxstatPortUnanswered '>=' PORT_SHARE 100 &&
		asks CtxstatMostlyUnreplied '>' UNREPLIED_SHARE 100 &&
		asks CtxstatMostlyUnreplied '>=' UNREPLIED_ENTRIES
}

plan 5
check "promtool takes the rules" promtool check rules "$RULES"
check "each alert fires, and clears, when it should" promtool test rules "$TESTS"
check "each alert is tested" all_tested
check "the metrics exist" metrics_exist
check "the limits are those of the tool" same_limits
finish
