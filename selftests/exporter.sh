#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# "ctxstat exporter" against recorded tables, on the loopback interface: what it
# serves, to whom, as whom, and when it ends; clients of all kinds; once more under
# valgrind; and what systemd says about the units. Needs no module; as root it tests
# that the exporter does not stay root, too.
#
# usage: exporter.sh
#
# Environment:
#   CTXSTAT=PROGRAM      test that one instead of building tools/ctxstat
#
# Exit: 0 all passed, 1 some failed, 4 something is missing (see ktap.sh)
# shellcheck disable=SC2154,SC2086,SC2317 # $tmp is set by ktap.sh; numbers; check calls all these

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(dirname "$here")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"

export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
unset MAKEFLAGS

require python3 valgrind systemd-analyze setpriv

# The tables as nobody may read them.
chmod 755 "$tmp"
tables=$tmp/tables
# More than sockets' buffers hold
many=60000
pids=()
pid='' port='' reader=''

cleanup_more() {
	[ -z "$reader" ] || kill "$reader" 2>/dev/null
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	wait
}

if [ -z "$CTXSTAT" ]; then
	make -C "$root/tools" >"$tmp/make.log" 2>&1 || { cat "$tmp/make.log" >&2; exit 1; }
	CTXSTAT=$root/tools/ctxstat
fi
copy_tool "$tmp" || exit 1
ctxstat=$tmp/ctxstat

fail() {
	echo "$*"
	return 1
}

client() { "$here/exporter/client.py" "$port" "$@"; }

new_tables() {
	rm -rf "$tables" && cp -r "$here/tool/gateway" "$tables" && chmod -R a+rX "$tables" &&
		"$ctxstat" prometheus --proc-dir="$tables" >"$tmp/metrics"
}

# Many ports, for an answer that takes its time.
big_tables() {
	rm -rf "$tmp/big" && cp -r "$here/tool/gateway" "$tmp/big" && chmod -R a+rX "$tmp/big" || return
	awk -v n=$many 'NR == 1 { print; next }
		NR == 2 { for (i = 1; i <= n; i++) { $1 = "tcp"; $2 = i; print } }' \
		"$here/tool/gateway/ports" >"$tmp/big/ports"
	"$ctxstat" prometheus --proc-dir="$tmp/big" --top=$many >"$tmp/big.metrics" &&
		(($(stat -c %s "$tmp/big.metrics") > 24 << 20))
}

listens() { grep -q '^ctxstat: listening on http://' "$tmp/err" || ! kill -0 "$pid" 2>/dev/null; }

# start COMMAND...: the exporter on a port that is free, $pid and $port; what it says
# is in $tmp/err.
start() {
	: >"$tmp/err"
	"$@" 2>"$tmp/err" &
	pid=$!
	pids+=("$pid")
	wait_for 30 listens
	port=$(sed -n 's,^ctxstat: listening on http://.*:\([0-9]*\)/metrics as user .*,\1,p' "$tmp/err")
	[ -n "$port" ] || fail "does not listen: $(cat "$tmp/err")"
}
exporter() { start "$ctxstat" exporter --listen=127.0.0.1:0 --proc-dir="$tables"; }

# It has to end well and soon, and to have said nothing but PATTERNs.
ends() { # SECONDS [PATTERN]
	local begin=$SECONDS code
	wait "$pid"
	code=$?
	pids=("${pids[@]/$pid/}")
	[ $code = 0 ] || fail "exit code $code: $(cat "$tmp/err")" || return
	((SECONDS - begin <= $1)) || fail "took $((SECONDS - begin)) s" || return
	! grep -vE "^ctxstat: (listening on${2:+|$2})" "$tmp/err"
}
stop() { # SIGNAL [SECONDS [PATTERN]]
	kill -"$1" "$pid" && ends "${2:-1}" "${3:-}"
}

# answers STATUS METHOD PATH [PATTERN...]: each in a line of its own
answers() {
	local status=$1 pattern
	client get "$2" "$3" >"$tmp/answer" || return
	grep -q "^HTTP/1.1 $status " "$tmp/answer" || fail "$(head -1 "$tmp/answer")" || return
	shift 3
	for pattern; do
		grep -qxE "$pattern" "$tmp/answer" || fail "no $pattern: $(head -20 "$tmp/answer")" || return
	done
}
has_no_body() { [ -z "$(sed '1,/^$/d' "$tmp/answer")" ]; }

serves() {
	client same "$tmp/metrics" &&
		answers 200 GET /metrics 'Content-Type: text/plain; version=0\.0\.4; charset=utf-8' 'Connection: close' \
			"Content-Length: $(stat -c %s "$tmp/metrics")" 'ctxstat_module_info\{.*'
}
serves_query() { answers 200 GET '/metrics?name%5B%5D=x' 'ctxstat_module_info\{.*'; }
serves_head() {
	answers 200 HEAD /metrics "Content-Length: $(stat -c %s "$tmp/metrics")" && has_no_body &&
		answers 200 HEAD / && has_no_body && answers 404 HEAD /x && has_no_body
}
serves_page() { answers 200 GET / 'Content-Type: text/html; charset=utf-8' '.*<a href="/metrics">.*'; }
serves_no_other() {
	answers 404 GET /x && answers 404 GET /metrics/ && answers 404 GET /Metrics && answers 404 GET //metrics
}
serves_no_method() {
	local method
	for method in POST PUT DELETE OPTIONS PATCH TRACE get; do
		answers 405 $method /metrics 'Allow: GET, HEAD' || return
	done
}

# The table that is gone is named to the client, and once in the log.
unreadable() {
	rm "$tables/states" || return
	answers 503 GET /metrics 'Content-Type: text/plain; charset=utf-8' "$tables/states: not found; .*" &&
		answers 503 HEAD /metrics && has_no_body && answers 200 GET / || return
	[ "$(grep -c "^ctxstat: $tables/states: not found" "$tmp/err")" = 1 ] || fail "$(cat "$tmp/err")"
}
garbled() {
	echo 'format 2' >"$tables/summary"
	answers 503 GET /metrics ".*older than the module.*" && answers 503 GET /metrics || return
	[ "$(grep -c 'older than the module' "$tmp/err")" = 1 ] || fail "$(cat "$tmp/err")"
}
recovers() {
	new_tables && client same "$tmp/metrics" && client same "$tmp/metrics" || return
	[ "$(grep -c 'can be read again' "$tmp/err")" = 1 ] || fail "$(cat "$tmp/err")"
}
follows() {
	sed -i 's/^created .*/created 18446744073709551615/' "$tables/summary"
	answers 200 GET /metrics 'ctxstat_created_total 18446744073709551615' && new_tables
}

# As root it has become nobody; as anyone else it stays that.
unprivileged() {
	local user=nobody uid gid
	[ "$(id -u)" = 0 ] || user=$(id -un)
	uid=$(id -u "$user") gid=$(id -g "$user")
	grep -q " as user $user\$" "$tmp/err" || fail "$(cat "$tmp/err")" || return
	awk -v uid="$uid" -v gid="$gid" -v root="$(id -u)" '
		$1 == "Uid:" { ids += $2 == uid && $3 == uid && $4 == uid && $5 == uid }
		$1 == "Gid:" { ids += $2 == gid && $3 == gid && $4 == gid && $5 == gid }
		$1 == "Groups:" { ids += NF == 1 || root != 0 }
		/^Cap(Inh|Prm|Eff|Amb):/ { caps += $2 ~ /^0+$/ }
		$1 == "NoNewPrivs:" { new += $2 }
		END { exit !(ids == 3 && caps == 4 && new == 1) }' "/proc/$pid/status" ||
		fail "$(cat "/proc/$pid/status")" || return
	# Each thread has its own.
	cat "/proc/$pid/task"/*/status | grep -E '^(Uid|Gid|CapEff)' | sort | uniq -c |
		awk '$1 != 2 { exit bad = 1 } END { exit bad || NR != 3 }'
}

# Root, but of a namespace that has no nobody to become.
stays_not_root() {
	local code
	timeout 10 unshare --user --map-root-user "$ctxstat" exporter --listen=127.0.0.1:0 \
		--proc-dir="$tables" 2>"$tmp/err"
	code=$?
	[ $code = 6 ] || fail "exit code $code: $(cat "$tmp/err")" || return
	grep -q '^ctxstat: cannot become user "nobody"' "$tmp/err" || fail "$(cat "$tmp/err")"
}
has_user_namespaces() { unshare --user --map-root-user true 2>/dev/null; }

# A sandbox may have capabilities without root; the exporter does not keep them.
ambient() {
	start setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin \
		"$ctxstat" exporter --listen=127.0.0.1:0 --proc-dir="$tables" || return
	grep -E '^Cap(Inh|Prm|Eff|Amb):' "/proc/$pid/status"
	[ "$(grep -cE '^Cap(Inh|Prm|Eff|Amb):[[:space:]]+0+$' "/proc/$pid/status")" = 4 ] && stop TERM
}

# fails CODE PATTERN COMMAND...: with one line of error
fails() {
	local want=$1 pattern=$2 code
	shift 2
	timeout 10 "$@" 2>"$tmp/err2"
	code=$?
	[ $code = "$want" ] || fail "exit code $code: $(cat "$tmp/err2")" || return
	[ "$(wc -l <"$tmp/err2")" = 1 ] || fail "not one line: $(cat "$tmp/err2")" || return
	grep -qe "^ctxstat: .*$pattern" "$tmp/err2" || fail "no \"$pattern\": $(cat "$tmp/err2")"
}
bad_listen() { fails 2 'address and a port in numbers' "$ctxstat" exporter --listen="$1"; }
in_use() {
	fails 6 "cannot listen on 127.0.0.1:$port: the port is in use" "$ctxstat" exporter \
		--listen="127.0.0.1:$port" && client same "$tmp/metrics"
}
no_such_address() { fails 6 'does not have that address' "$ctxstat" exporter --listen=192.0.2.1:0; }
low_port() {
	local as=()
	[ "$(id -u)" = 0 ] && as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	fails 6 'permission denied' "${as[@]}" "$ctxstat" exporter --listen=127.0.0.1:1
}
has_low_ports() { [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 1 ]; }

# over ADDRESS URL: what the exporter says that it listens on is what it does
over() {
	start "$ctxstat" exporter --listen="$1:0" --proc-dir="$tables" || return
	grep -qF "http://$1:$port/metrics" "$tmp/err" || fail "$(cat "$tmp/err")" || return
	client get GET /metrics "$2" | grep -q '^ctxstat_module_info{' && stop TERM
}
has_v6() { [ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6; }

# The log must not get into the place of a client.
closed_stdio() {
	local code
	port=$(client free)
	"$ctxstat" exporter --listen="127.0.0.1:$port" --proc-dir="$tables" <&- >&- 2>&- &
	pid=$!
	pids+=("$pid")
	wait_for 10 client same "$tmp/metrics" || return
	mv "$tables/states" "$tables/gone" && answers 503 GET /metrics && mv "$tables/gone" "$tables/states" &&
		client same "$tmp/metrics" || return
	[ "$(find "/proc/$pid/fd" -name '[012]' -lname /dev/null | wc -l)" = 3 ] ||
		fail "$(ls -l "/proc/$pid/fd")" || return
	kill -TERM "$pid"
	wait "$pid"
	code=$?
	pids=("${pids[@]/$pid/}")
	[ $code = 0 ] || fail "exit code $code"
}

files() { find "/proc/$pid/fd" -mindepth 1 | wc -l; }
memory() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status"; }
files_are() { [ "$(files)" = "$1" ]; }

# As many again leave no trace.
steady() {
	local before rss
	before=$(files)
	client many 50 "$tmp/metrics" && client aborted 100 && client many 50 "$tmp/metrics" || return
	wait_for 10 files_are "$before" || fail "$(files) files open, before $before" || return
	rss=$(memory)
	for _ in 1 2 3; do
		client many 50 "$tmp/metrics" && client aborted 100 || return
	done
	wait_for 10 files_are "$before" || fail "$(files) files open, before $before" || return
	echo "$rss kB, then $(memory) kB"
	(($(memory) < rss + 1024))
}

# Clients that outnumber the descriptors keep nobody from reading the tables.
few_files() {
	# shellcheck disable=SC2016 # expanded by that shell
	start sh -c 'ulimit -n 24 && exec "$@"' - "$ctxstat" exporter --listen=127.0.0.1:0 \
		--proc-dir="$tables" && client many 30 "$tmp/metrics" && client full 20 10 "$tmp/metrics" &&
		stop TERM
}

exporter_big() {
	start "$ctxstat" exporter --listen=127.0.0.1:0 --proc-dir="$tmp/big" --top=$many
}
stopped_in_answer() {
	exporter_big && client stopped "$pid" "$tmp/big.metrics" && ends 2
}
# stuck SIGNALS LOW HIGH: how many seconds it goes on after so many signals
stuck() {
	local lived
	exporter_big && lived=$(client stuck "$pid" "$1") && ends 1 || return
	echo "$lived s"
	awk -v s="$lived" -v low="$2" -v high="$3" 'BEGIN { exit !(s >= low && s <= high) }'
}

# Half a request keeps it for no longer than the request may be on its way.
stopped_in_request() {
	exporter || return
	exec 8<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /metrics HTTP/1.1\r\n' >&8 || return
	stop TERM
	local code=$?
	exec 8>&-
	return $code
}

unread_begins() {
	exporter_big || return
	client unread "$pid" >"$tmp/unread" 2>&1 &
	reader=$! reader_pid=$pid
}
unread_ends() {
	local code
	wait "$reader"
	code=$?
	reader=
	cat "$tmp/unread"
	pid=$reader_pid
	[ $code = 0 ] && kill -TERM "$pid" && wait "$pid"
}

under_valgrind() {
	start valgrind --quiet --vgdb=no --leak-check=full --show-leak-kinds=definite,possible \
		--errors-for-leak-kinds=definite,possible --error-exitcode=99 --log-file="$tmp/valgrind" \
		"$ctxstat" exporter --listen=127.0.0.1:0 --proc-dir="$tables" &&
		serves && serves_head && serves_page && serves_no_other && serves_no_method && unreadable &&
		recovers && client many 20 "$tmp/metrics" && client aborted 20 && client garbage "$tmp/metrics" &&
		stop TERM 30 "$tables/states: not found|the tables can be read again"
	local code=$?
	cat "$tmp/valgrind"
	[ $code = 0 ] && [ ! -s "$tmp/valgrind" ]
}

units() {
	local unit
	mkdir -p "$tmp/units"
	for unit in "$root"/tools/systemd/*; do
		sed "s,@BINDIR@,$tmp," "$unit" >"$tmp/units/$(basename "$unit" .in)" || return
	done
	systemd-analyze verify --man=no "$tmp/units"/*.service "$tmp/units"/*.timer >"$tmp/verify" 2>&1
	local code=$?
	cat "$tmp/verify"
	[ $code = 0 ] && [ ! -s "$tmp/verify" ]
}
hardened() { # UNIT TENTHS: how exposed systemd finds it
	systemd-analyze security --no-pager --offline=true --threshold="$2" "$tmp/units/$1" >"$tmp/security"
	local code=$?
	grep -E '✗|exposure level' "$tmp/security"
	return $code
}

checks=45
is_root=$([ "$(id -u)" != 0 ] || echo yes)
[ -n "$is_root" ] && checks=$((checks + 1))
has_user_namespaces && checks=$((checks + 1))
has_low_ports && checks=$((checks + 1))
has_v6 && checks=$((checks + 3))

plan $checks
check "recorded tables" new_tables
check "recorded tables, many ports" big_tables
# Goes on beside the others.
check "an answer that is not read: begins" unread_begins
check "starts" exporter
check "the user, and no privilege" unprivileged
check "the metrics" serves
check "the metrics, with a query" serves_query
check "HEAD" serves_head
check "the page" serves_page
check "other paths" serves_no_other
check "other methods" serves_no_method
check "the tables change" follows
check "a table is gone" unreadable
check "a table is not understood" garbled
check "all tables are back" recovers
check "50 clients at once" client many 50 "$tmp/metrics"
check "no requests, half ones, slow ones" client held 20 "$tmp/metrics"
check "all places taken" client full 64 5 "$tmp/metrics"
check "more clients than places" client full 150 10 "$tmp/metrics"
check "garbage" client garbage "$tmp/metrics"
check "nothing is left open, nothing grows" steady
check "the port is in use" in_use
check "SIGTERM" stop TERM 1 "$tables/|the tables can be read again"
check "starts again" exporter
check "SIGINT" stop INT
check "SIGTERM in an answer: all of it comes" stopped_in_answer
check "SIGTERM in an answer nobody reads" stuck 1 2.5 4
check "SIGTERM twice" stuck 2 0 2
check "SIGTERM in a request" stopped_in_request
check "few files" few_files
check "stdin, stdout and stderr closed" closed_stdio
for value in 10063 :10063 127.0.0.1 127.0.0.1: 127.0.0.1:65536 127.0.0.1:-1 localhost:10063 127.1:10063; do
	check "--listen=$value" bad_listen "$value"
done
check "an address of others" no_such_address
[ -z "$is_root" ] || check "capabilities without root" ambient
! has_user_namespaces || check "root that cannot become nobody" stays_not_root
! has_low_ports || check "a low port" low_port
if has_v6; then
	check "IPv6" over '[::1]' ::1
	check "all addresses, over IPv6" over '[::]' ::1
	check "all addresses, over IPv4" over '[::]' 127.0.0.1
fi
check "no memory error, no leak" under_valgrind
check "an answer that is not read: ends" unread_ends
check "units are well formed" units
check "the exporter's unit is hardened" hardened ctxstat-exporter.service 12
check "the textfile's unit is hardened" hardened ctxstat-textfile.service 12
finish
