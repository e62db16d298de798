#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck disable=SC2016 # what looks like a variable is sed's "$"
#
# The tool against recorded tables; needs neither the module nor root.
#
#   tool.sh             run
#   tool.sh --record    write what the tool prints now to tool/expected: look
#                       at the difference before you commit it
#
# CTXSTAT=PROGRAM tests that one instead of building tools/ctxstat.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(dirname "$here")
tables=$here/tool
expected=$tables/expected
record=
[ "$1" = --record ] && record=yes

export TZ=UTC LC_ALL=C
unset POSIXLY_CORRECT MAKEFLAGS

tmp=$(mktemp -d "${TMPDIR:-/tmp}/ctxstat.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
# For the user that the test of permissions becomes.
chmod 755 "$tmp"

skip_all() {
	echo "TAP version 13"
	echo "1..0 # SKIP $*"
	exit 4
}

if [ -z "$CTXSTAT" ]; then
	if ! command -v make >/dev/null || ! command -v "${CC:-cc}" >/dev/null; then
		skip_all "no make, or no compiler"
	fi
	if ! make -C "$root/tools" >"$tmp/make.log" 2>&1; then
		echo "TAP version 13"
		echo "1..1"
		echo "not ok 1 build"
		sed 's/^/# /' "$tmp/make.log"
		exit 1
	fi
	CTXSTAT=$root/tools/ctxstat
fi
# A copy that any user may run, wherever the source tree is; and one without its shared objects.
mkdir "$tmp/alone" && install -m 0755 "$CTXSTAT" "$tmp/ctxstat" && install -m 0755 "$CTXSTAT" "$tmp/alone/" || exit 1
for plugin in "$(dirname "$CTXSTAT")"/ctxstat-*.so; do
	[ ! -e "$plugin" ] || install -m 0644 "$plugin" "$tmp/" || exit 1
done
ctxstat=$tmp/ctxstat

names=()
checks=()
add() { # NAME COMMAND...
	names+=("$1")
	shift
	checks+=("$(printf '%q ' "$@")")
}

fail() {
	echo "$*"
	return 1
}

# run WANTED-EXIT-CODE ARGUMENT... : output in $tmp/out and $tmp/err
run() {
	local want=$1 got
	shift
	"$ctxstat" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	got=$?
	[ $got = "$want" ] || fail "exit code $got, not $want: $(cat "$tmp/err")"
}

one_line() { # of error, that has PATTERN in it
	[ "$(wc -l <"$tmp/err")" = 1 ] || fail "not one line: $(cat "$tmp/err")" || return
	grep -q '^ctxstat: ' "$tmp/err" || fail "no prefix: $(cat "$tmp/err")" || return
	grep -qe "$1" "$tmp/err" || fail "no \"$1\" in: $(cat "$tmp/err")"
}

# fails EXIT-CODE PATTERN ARGUMENT... : one line of error that has PATTERN in it
fails() {
	local code=$1 pattern=$2
	shift 2
	run "$code" "$@" && one_line "$pattern"
}

same() { # GOLDEN
	if [ -n "$record" ]; then
		mkdir -p "$expected" && cp "$tmp/out" "$expected/$1"
		return
	fi
	diff -u "$expected/$1" "$tmp/out"
}

golden() { # GOLDEN EXIT-CODE TABLES ARGUMENT...
	local file=$1 code=$2 dir=$3
	shift 3
	run "$code" --proc-dir="$tables/$dir" "$@" || return
	[ -s "$tmp/err" ] && { fail "$(cat "$tmp/err")"; return 1; }
	same "$file"
}

# The same on a terminal of so many columns; 0: width not known.
terminal() { # GOLDEN COLUMNS TABLES ARGUMENT...
	local file=$1 columns=$2 dir=$3 cmd
	shift 3
	cmd=$(printf '%q ' "$ctxstat" --proc-dir="$tables/$dir" "$@")
	script -qec "stty cols $columns && $cmd" /dev/null </dev/null >"$tmp/tty" || return
	tr -d '\r' <"$tmp/tty" >"$tmp/out"
	same "$file"
}

fresh_dir() { # copy the good tables to $tmp/dir
	rm -rf "$tmp/dir" && cp -r "$tables/gateway" "$tmp/dir"
}

# A good table spoilt by SED: which subcommand cannot understand it, and why.
spoilt() { # SUBCOMMAND SED PATTERN
	fresh_dir && sed -i "$2" "$tmp/dir/$1" || return
	cmp -s "$tables/gateway/$1" "$tmp/dir/$1" && { fail "nothing spoilt"; return 1; }
	fails 4 "/dir/$1: $3" --proc-dir="$tmp/dir" "$1"
}

# A change that must not matter.
harmless() { # SUBCOMMAND SED
	fresh_dir && sed -i "$2" "$tmp/dir/$1" || return
	cmp -s "$tables/gateway/$1" "$tmp/dir/$1" && { fail "nothing changed"; return 1; }
	run 0 --proc-dir="$tables/gateway" "$1" && mv "$tmp/out" "$tmp/before" || return
	run 0 --proc-dir="$tmp/dir" "$1" && cmp "$tmp/before" "$tmp/out"
}

replaced() { # FILE PATTERN, with the contents from stdin
	fresh_dir && cat >"$tmp/dir/$1" || return
	fails 4 "$2" --proc-dir="$tmp/dir" "$1"
}

empty() { replaced "$1" "/$1: empty" </dev/null; }
header_only() { head -1 "$tables/gateway/states" | replaced states "no rows"; }
binary() { head -c 65536 "$ctxstat" | replaced "$1" "line 1: byte 0x7f is not text"; }
nul_bytes() { head -c 4096 /dev/zero | replaced "$1" "line 1: byte 0x00 is not text"; }
long_line() { head -c 500000 /dev/zero | tr '\0' x | replaced states "line 1: no column"; }
too_long() { # a table without an end must not fill the memory
	fresh_dir && rm "$tmp/dir/states" && ln -s /dev/zero "$tmp/dir/states" || return
	fails 3 "/states: cannot read: File too large" --proc-dir="$tmp/dir" states
}
long_name() {
	fresh_dir && sed -i "2s/ipv4/$(printf 'x%.0s' {1..3000})/" "$tmp/dir/states" || return
	fails 4 "line 2: .* is too long" --proc-dir="$tmp/dir" states
}

# Cut off after every byte: an answer or one line of error, never a crash.
truncated() { # SUBCOMMAND
	local file=$tables/gateway/$1 size step i code
	fresh_dir || return
	size=$(wc -c <"$file")
	step=$((size / 97 + 1))
	for ((i = 0; i < size; i += step)); do
		head -c "$i" "$file" >"$tmp/dir/$1"
		"$ctxstat" --proc-dir="$tmp/dir" "$1" >"$tmp/out" 2>"$tmp/err"
		code=$?
		[ $code = 0 ] && continue
		[ $code = 4 ] || fail "exit code $code after $i bytes" || return
		one_line . || return
	done
	# Half of the keys are not enough; half of the rows might be all there are.
	head -c $((size / 2)) "$file" >"$tmp/dir/$1"
	[ "$1" = states ] || fails 4 . --proc-dir="$tmp/dir" "$1"
}

no_newline() {
	fresh_dir && truncate -s -1 "$tmp/dir/states" && truncate -s -1 "$tmp/dir/summary" || return
	run 0 --proc-dir="$tables/gateway" && mv "$tmp/out" "$tmp/before" || return
	run 0 --proc-dir="$tmp/dir" && cmp "$tmp/before" "$tmp/out"
}

newer_format() {
	fresh_dir && printf 'format 2\n\n\001 what is this\n' >"$tmp/dir/summary" || return
	fails 4 "older than the module" --proc-dir="$tmp/dir" "$@"
}

total_too_big() { # 2^64 - 1 in two rows: each is fine, the sum is not
	fresh_dir || return
	sed -i '2s/ 0/ 18446744073709551615/; 3s/ 1284/ 18446744073709551615/' "$tmp/dir/states"
	run 0 --proc-dir="$tmp/dir" states || return
	grep -q '^ipv4 *tcp *NONE *18446744073709551615 ' "$tmp/out" || fail "no big number" || return
	grep -Eq '^total +- +- +- ' "$tmp/out" || fail "$(tail -1 "$tmp/out")"
}

unknown_numbers() {
	fresh_dir && sed -i '/ESTABLISHED/s/ 91310 / - /' "$tmp/dir/states" || return
	run 0 --proc-dir="$tmp/dir" states || return
	awk '$3 == "ESTABLISHED" && $1 == "ipv4" && $7 == "-" { row++ }
	     $1 == "total" && $7 == "-" && $6 == 169925 { row++ }
	     END { exit row != 2 }' "$tmp/out" || fail "$(cat "$tmp/out")"
}

totals_add_up() { # the totals line, against awk over the recorded table
	run 0 --proc-dir="$tables/gateway" states || return
	awk 'FNR == 1 { file++; next }
	     file == 1 { for (i = 4; i <= 10; i++) sum[i] += $i }
	     file == 2 && $1 == "total" { seen = 1; for (i = 4; i <= 10; i++) if ($i != sum[i]) exit 1 }
	     END { exit !seen }' "$tables/gateway/states" "$tmp/out"
}

# The recorded tables keep the module's promise, or the rest proves little.
recorded_exact() { # TABLES
	awk 'FILENAME ~ /summary$/ { s[$1] = $2 }
	     FILENAME ~ /states$/ && FNR > 1 { sum += $4; if ($4 != $9 - $10) exit bad = 1 }
	     END { exit bad || sum != s["entries"] ||
		   sum != s["created"] + s["adopted"] - s["destroyed"] - s["insert_failed"] }' \
		"$tables/$1/summary" "$tables/$1/states"
}

# One line for the monitoring system; what is unknown is said on stderr, too.
plugin() { # EXIT-CODE TABLES PATTERN ARGUMENT...
	local code=$1 dir=$2 pattern=$3
	shift 3
	run "$code" --proc-dir="$tables/$dir" check "$@" || return
	[ "$(wc -l <"$tmp/out")" = 1 ] || fail "not one line: $(cat "$tmp/out")" || return
	grep -qe "^CTXSTAT .*$pattern" "$tmp/out" || fail "$(cat "$tmp/out")" || return
	if [ "$code" = 3 ]; then
		one_line .
	else
		[ ! -s "$tmp/err" ] || fail "$(cat "$tmp/err")"
	fi
}

plugin_not_known() {
	fresh_dir && sed -i 's/^max .*/max -/' "$tmp/dir/summary" || return
	run 3 --proc-dir="$tmp/dir" check && grep -q '^CTXSTAT UNKNOWN - ' "$tmp/out"
}

plugin_worst() {
	fresh_dir && sed -i '2,$s/ 1284 1284 / 1284 - /' "$tmp/dir/states" || return
	run 2 --proc-dir="$tmp/dir" check --critical=70% || return
	grep -q '^CTXSTAT CRITICAL - 184231 of .*, unreplied entries not known | entries=' "$tmp/out" ||
		fail "$(cat "$tmp/out")"
}

# The module is loaded anew between the two readings
plugin_reload() {
	local code pid
	fresh_dir || return
	: >"$tmp/out"
	"$ctxstat" --proc-dir="$tmp/dir" check --evicted=1 --insert-failed=1 -n 1 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	timeout 10 sh -c 'until grep -q "^230 " /proc/$1/syscall; do sleep 0.01; done' - $pid || return
	sed 's/^start_time .*/start_time 1710441800/' "$tmp/dir/summary" >"$tmp/dir/new" &&
		mv "$tmp/dir/new" "$tmp/dir/summary"
	wait $pid
	code=$?
	[ $code = 3 ] && grep -q '^CTXSTAT UNKNOWN - .*not known: counting began anew' "$tmp/out" ||
		fail "exit code $code: $(cat "$tmp/out" "$tmp/err")"
}

# Packets that wait in an NFQUEUE are entries for the kernel, and not yet for ctxstat
plugin_kernel_count() {
	fresh_dir && sed -i 's/^count .*/count 262144/' "$tmp/dir/summary" || return
	run 2 --proc-dir="$tmp/dir" check && grep -q '^CTXSTAT CRITICAL - 262144 of 262144' "$tmp/out" || return
	run 0 --proc-dir="$tmp/dir" && grep -q '^wrong .*the table is 100 % full' "$tmp/out"
}

# --output replaces a file, whole, and nothing else
output_file() {
	rm -rf "$tmp/dir" && mkdir "$tmp/dir" && echo old >"$tmp/dir/f" || return
	run 0 --proc-dir="$tables/gateway" prometheus --output="$tmp/dir/f" || return
	[ "$(stat -c %a "$tmp/dir/f")" = 644 ] && grep -q '^ctxstat_entries{' "$tmp/dir/f" &&
		[ "$(ls -A "$tmp/dir")" = f ]
}
output_refused() { # what makes the file, which stays as it is
	rm -rf "$tmp/dir" && mkdir "$tmp/dir" && "$@" "$tmp/dir/f" || return
	stat -c '%F %N' "$tmp/dir/f" >"$tmp/before"
	fails 2 'is no regular file' --proc-dir="$tables/gateway" prometheus --output="$tmp/dir/f" || return
	stat -c '%F %N' "$tmp/dir/f" | diff "$tmp/before" - && [ "$(ls -A "$tmp/dir")" = f ]
}
output_stays() { # after an error
	rm -rf "$tmp/dir" && mkdir "$tmp/dir" && echo old >"$tmp/dir/f" || return
	fails 3 'not found' --proc-dir=/nonexistent prometheus --output="$tmp/dir/f" || return
	[ "$(cat "$tmp/dir/f")" = old ] && [ "$(ls -A "$tmp/dir")" = f ]
}
output_nowhere() { fails 5 'cannot write .*No such file' --proc-dir="$tables/gateway" prometheus -o "$tmp/none/f"; }

watch_head() { # the reader goes: it ends, and says why
	local codes
	codes=$("$ctxstat" --proc-dir="$tables/gateway" watch -n 0.1 2>"$tmp/err" | head -2 >"$tmp/out"
		echo "${PIPESTATUS[@]}")
	[ "$codes" = "5 0" ] || fail "exit codes $codes" || return
	one_line 'Broken pipe'
}

# In time that the CPU was busy with it, as the machine may be
quick() {
	local i TIMEFORMAT='%U %S'
	{ time for i in 1 2 3 4 5 6 7 8 9 10; do
		"$ctxstat" --proc-dir="$tables/gateway" states >"$tmp/out"
	done; } 2>"$tmp/time"
	awk '{ print 1000 * ($1 + $2) / 10, "ms"; exit ($1 + $2) / 10 > 0.05 }' "$tmp/time"
}

plugin_closed() {
	local code
	"$ctxstat" --proc-dir="$tables/gateway" check >&- 2>"$tmp/err"
	code=$?
	[ $code = 3 ] || fail "exit code $code"
}

watch_line() { # one header, one line, in 80 columns; no rates yet
	run 0 --proc-dir="$tables/gateway" watch --count=1 || return
	awk 'length > 80 || NF != 9 { exit bad = 1 }
	     NR == 1 && $0 !~ /^TIME +ENTRIES +NEW\/S +ENDED\/S +ESTABLISHED +SYN_SENT +UNREPLIED +FAILED +EVICTED$/ { exit bad = 1 }
	     NR == 2 && $0 !~ /^[0-9:]+ +184231 +- +- +104132 +1380 +5613 +- +-$/ { exit bad = 1 }
	     END { exit bad || NR != 2 }' "$tmp/out" || fail "$(cat "$tmp/out")"
}

watch_formats() { # FORMAT LINE...: what two readings are, the time left out
	local format=$1
	shift
	run 0 --proc-dir="$tables/gateway" watch -n 0.1 -c 2 --format="$format" || return
	sed -E 's/^([^T]*)[0-9]{10}\.[0-9]{3}/\1T/' "$tmp/out" | diff -u <(printf '%s\n' "$@") -
}

watch_header() { # again for each screen, here of five lines
	local cmd
	cmd=$(printf '%q ' "$ctxstat" --proc-dir="$tables/gateway" watch -n 0.1 -c 9)
	script -qec "stty cols 80 rows 5 && $cmd" /dev/null </dev/null >"$tmp/tty" || return
	[ "$(grep -n ^TIME "$tmp/tty" | cut -d: -f1 | xargs)" = "1 5 9" ] || fail "$(cat "$tmp/tty")"
}

watch_ends() { # SIGNAL: at once, and well
	local pid
	# What an earlier check left must not look like the first line.
	: >"$tmp/out"
	"$ctxstat" --proc-dir="$tables/gateway" watch -n 1000 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	timeout 10 sh -c 'until [ -s "$1" ]; do sleep 0.05; done' - "$tmp/out" || return
	kill -"$1" $pid && wait $pid || fail "exit code $?: $(cat "$tmp/err")" || return
	[ ! -s "$tmp/err" ] && [ "$(wc -l <"$tmp/out")" = 2 ]
}

all_rows() {
	run 0 --proc-dir="$tables/gateway" states --all || return
	[ "$(wc -l <"$tmp/out")" = 68 ] || fail "$(wc -l <"$tmp/out") lines"
}

human() { # NUMBER SHORT
	fresh_dir && sed -i "s/^created .*/created $1/" "$tmp/dir/summary" || return
	script -qec "$(printf '%q ' "$ctxstat" --proc-dir="$tmp/dir" summary)" /dev/null \
		</dev/null >"$tmp/tty"
	grep -q "^created  *$2.\$" "$tmp/tty" || fail "$(grep ^created "$tmp/tty")"
}
human_numbers() {
	human 0 0 && human 999 999 && human 1000 1.00k && human 9994 9.99k &&
		human 9995 10.0k && human 99949 99.9k && human 99950 100k &&
		human 999499 999k && human 999500 1.00M && human 12345 12.3k &&
		human 4560000 4.56M && human 18446744073709551615 18.4E
}

percent() { # MAX WHAT
	fresh_dir && sed -i "s/^max .*/max $1/" "$tmp/dir/summary" || return
	run 0 --proc-dir="$tmp/dir" summary || return
	[ "$(sed -n '1s/^entries  *//p' "$tmp/out")" = "$2" ] || fail "$(head -1 "$tmp/out")"
}
percents() {
	percent 0 "184231, no limit" && percent 184231 "184231 of 184231 (100.0 %)" &&
		percent - "184231 of -" && percent 1 "184231 of 1 (18423100.0 %)"
}

peak_never() {
	run 0 --proc-dir="$tables/fresh" summary && grep -qx 'peak             0' "$tmp/out"
}

audit_ports_left() { # of all counters, only these
	fresh_dir && sed -i 's/^ports_left .*/ports_left 1/' "$tmp/dir/audit" || return
	run 1 --proc-dir="$tmp/dir" audit || return
	grep -q '^Counters still differ' "$tmp/out" || fail "$(cat "$tmp/out")"
}

audit_more_ports() {
	rm -rf "$tmp/dir" && cp -r "$tables/ports" "$tmp/dir" || return
	sed -i 's/^ports_differ .*/ports_differ 70000/' "$tmp/dir/audit"
	run 1 --proc-dir="$tmp/dir" audit || return
	[ "$(tail -1 "$tmp/out")" = "  and 69998 more" ] || fail "$(cat "$tmp/out")"
}

escapes() { # a name must not reach the terminal as a command to it
	fresh_dir && sed -i '2s/NONE/\x1b[2J/' "$tmp/dir/states" || return
	fails 4 "byte 0x1b" --proc-dir="$tmp/dir" states || return
	fails 3 "not found" --proc-dir=$'/x\ny\e[2J' || return
	grep -q $'\e' "$tmp/err" && { fail "escape sequence in the error"; return 1; }
	return 0
}

head_1() {
	local codes
	codes=$("$ctxstat" --proc-dir="$tables/gateway" --all 2>"$tmp/err" | head -1 >"$tmp/out"
		echo "${PIPESTATUS[@]}")
	[ "$(wc -l <"$tmp/out")" = 1 ] || fail "no line" || return
	# The pipe holds more than the table, so the reader may come too late to refuse it.
	[[ $codes == "0 0" || $codes == "5 0" ]] || fail "exit codes $codes"
}

no_reader() {
	{
		trap '' PIPE
		while echo 2>/dev/null; do :; done
		"$ctxstat" --proc-dir="$tables/gateway" 2>"$tmp/err"
		echo $? >"$tmp/code"
	} | true
	[ "$(cat "$tmp/code")" = 5 ] || fail "exit code $(cat "$tmp/code")" || return
	one_line "Broken pipe"
}

disk_full() {
	"$ctxstat" --proc-dir="$tables/gateway" "$@" >/dev/full 2>"$tmp/err"
	local code=$?
	[ $code = 5 ] || fail "exit code $code" || return
	one_line "No space left"
}

closed() {
	"$ctxstat" --proc-dir="$tables/gateway" "$@" >&- 2>"$tmp/err"
	local code=$?
	[ $code = 5 ] || fail "exit code $code" || return
	one_line "Bad file descriptor"
}

# What takes long to load is loaded by who needs it.
few_libraries() {
	ldd "$ctxstat" >"$tmp/out" && grep -q libc "$tmp/out" || return
	! grep -E 'microhttpd|curses|tinfo|json' "$tmp/out"
}

# As run, but the copy that has no shared objects beside it
alone() { local ctxstat=$tmp/alone/ctxstat; run "$@"; }

part_missing() { # NAME ARGUMENT...
	local name=$1
	shift
	alone 6 "$@" && [ ! -s "$tmp/out" ] &&
		one_line "ctxstat-$name.so is missing: it is neither in $tmp/alone nor in /.*/lib/ctxstat; "
}

part_not_needed() {
	run 0 --proc-dir="$tables/gateway" states --format=csv && mv "$tmp/out" "$tmp/before" &&
		alone 0 --proc-dir="$tables/gateway" states --format=csv && cmp "$tmp/before" "$tmp/out" &&
		run 0 help top && mv "$tmp/out" "$tmp/before" && alone 0 help top && cmp "$tmp/before" "$tmp/out" &&
		grep -q '^Columns: family ' "$tmp/out"
}

part_broken() { # PATTERN, with the shared object from stdin
	cat >"$tmp/alone/ctxstat-json.so" && alone 6 --proc-dir="$tables/gateway" states --format=json &&
		[ ! -s "$tmp/out" ] && one_line "alone/ctxstat-json.so $1"
}

part_empty() { part_broken 'cannot be loaded: .*too short' </dev/null; }
part_made() { # PATTERN SOURCE
	"${CC:-cc}" -shared -fPIC -xc -o "$tmp/made.so" - <<<"$2" && part_broken "$1" <"$tmp/made.so"
}

no_module() {
	[ -e /proc/net/ctxstat ] && { echo "the module is loaded: not tested"; return 0; }
	fails 3 "/proc/net/ctxstat: not found; is the module loaded? try: modprobe ctxstat"
}

no_table() {
	fresh_dir && rm "$tmp/dir/states" || return
	fails 3 "dir/states: not found" --proc-dir="$tmp/dir"
}

is_directory() {
	fresh_dir && rm "$tmp/dir/states" && mkdir "$tmp/dir/states" || return
	fails 3 "dir/states: cannot read" --proc-dir="$tmp/dir"
}

unreadable() { # FILE PATTERN ARGUMENT...
	local file=$1 pattern=$2 as=() code
	shift 2
	[ "$(id -u)" = 0 ] && as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	fresh_dir && chmod 755 "$tmp/dir" && chmod 000 "$tmp/dir/$file" || return
	(cd / && "${as[@]}" "$ctxstat" --proc-dir="$tmp/dir" "$@") >"$tmp/out" 2>"$tmp/err"
	code=$?
	[ $code = 3 ] || fail "exit code $code: $(cat "$tmp/err")" || return
	one_line "$pattern"
}

help_for() { # SUBCOMMAND
	run 0 help "$1" && [ ! -s "$tmp/err" ] && mv "$tmp/out" "$tmp/before" || return
	grep -q "^Usage: ctxstat $1" "$tmp/before" || fail "no usage" || return
	run 0 "$1" --help && cmp "$tmp/before" "$tmp/out" || return
	run 0 --help "$1" && cmp "$tmp/before" "$tmp/out"
}

subcommands() {
	"$ctxstat" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

help_for_all() {
	local name n=0
	for name in $(subcommands); do
		help_for "$name" || fail "help for $name" || return
		n=$((n + 1))
	done
	[ $n -gt 10 ] || fail "$n subcommands"
}

version() {
	local want
	want=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$root/dkms.conf")
	[ -n "$want" ] || fail "no version in dkms.conf" || return
	run 0 --version || return
	[ "$(cat "$tmp/out")" = "ctxstat $want" ] || fail "$(cat "$tmp/out") is not $want" || return
	run 0 -V
}

add "no argument: one screen" golden overview.txt 0 gateway
add "no argument, some ports" golden overview-top.txt 0 gateway --top=2 --names
add "no argument, all rows" golden overview-all.txt 0 gateway --all
add "summary" golden summary.txt 0 gateway summary
add "states" golden states.txt 0 gateway states
add "states, all rows" golden states-all.txt 0 gateway states -a
add "nothing counted yet" golden fresh.txt 0 fresh
add "nothing counted yet: summary" golden fresh-summary.txt 0 fresh summary
add "newer module: unknown columns, rows and keys" golden newer.txt 0 newer
add "ports" golden ports.txt 0 gateway ports
add "ports: the first ones" golden ports-top.txt 0 gateway ports --top=3
add "ports: one protocol, by a column" golden ports-failed.txt 0 gateway ports -p udp -s failed
add "ports: the other way round" golden ports-reverse.txt 0 gateway ports --sort=port --reverse
add "ports: by name" golden ports-names.txt 0 gateway ports -r -t 5
add "ports: none yet" golden ports-none.txt 0 fresh ports
add "transitions" golden transitions.txt 0 gateway transitions
add "transitions: none yet" golden transitions-none.txt 0 fresh transitions
add "ends" golden ends.txt 0 gateway ends --sort=reason
add "histograms" golden histograms.txt 0 gateway histograms --proto=gre
add "states: one protocol" golden states-udp.txt 0 gateway states --proto=udp
add "states: by a column" golden states-unreplied.txt 0 gateway states --sort=unreplied --top=3
add "newer module: ports" golden newer-ports.txt 0 newer ports
add "newer module: summary" golden newer-summary.txt 0 newer summary
add "newer module: audit" golden newer-audit.txt 0 newer audit
add "terminal: short numbers" terminal terminal.txt 200 gateway
add "terminal: width not known" terminal terminal.txt 0 gateway
add "terminal: exactly wide enough" terminal terminal.txt 111 gateway
add "terminal: 80 columns" terminal terminal-80.txt 80 gateway states
add "terminal: 30 columns keep what matters" terminal terminal-30.txt 30 gateway states
add "terminal: three digits, rounded" human_numbers
add "terminal: histograms as bars" terminal histograms-bars.txt 100 gateway histograms
add "terminal: histograms, narrow" terminal histograms-narrow.txt 40 gateway histograms -p tcp
add "terminal: no values yet" terminal histograms-none.txt 80 fresh histograms
add "terminal: histograms as a table" terminal histograms-table.txt 80 gateway histograms -t 3
add "terminal: twenty ports" terminal ports-terminal.txt 100 gateway ports
add "terminal: all ports" terminal ports-terminal-all.txt 200 gateway ports --all
add "audit: all is well" golden audit.txt 0 gateway audit
add "audit: differences, healed" golden audit-healed.txt 1 healed audit
add "audit: differences left" golden audit-left.txt 1 left audit
add "audit: ports differ, healed" golden audit-ports.txt 1 ports audit
add "audit: ports left" audit_ports_left
add "audit: more ports than are listed" audit_more_ports
add "recorded tables are exact: gateway" recorded_exact gateway
add "recorded tables are exact: newer" recorded_exact newer
add "totals add up" totals_add_up
add "--all shows every row" all_rows
add "percentages" percents
add "no peak yet" peak_never
add "numbers that are not known" unknown_numbers
add "sum beyond 64 bits is not known" total_too_big
add "last line without newline" no_newline
add "tabs and many blanks" harmless states 's/ / \t  /g; s/^/ /; s/$/ \t/'
for table in summary states audit; do
	add "empty: $table" empty $table
	add "binary: $table" binary $table
	add "NUL bytes: $table" nul_bytes $table
	add "truncated anywhere: $table" truncated $table
	add "empty line: $table" spoilt $table '3s/.*//' "line 3: "
done
add "header only" header_only
add "very long line" long_line
add "very long name" long_name
add "table without an end" too_long
add "escape sequences" escapes
for column in family l4proto state entries unreplied assured snat dnat entered left peak peak_time; do
	add "column missing: $column" spoilt states "1s/\\b$column\\b/x$column/" "line 1: no column \"$column\""
done
add "column twice" spoilt states '1s/$/ snat/; 2,$s/$/ 0/' 'line 1: column "snat" is there twice'
add "unknown column twice" harmless states '1s/$/ new new/; 2,$s/$/ 0 x/'
add "columns in another order" harmless states 's/^\([^ ]*\) \([^ ]*\) /\2 \1 /'
add "row too short" spoilt states '9s/ [^ ]*$//' "line 9: 11 fields where the header has 12"
add "row too long" spoilt states '9s/$/ 1/' "line 9: 13 fields where the header has 12"
add "row twice" spoilt states '5p' "line 6: the same row as line 5"
add "number: text" spoilt states '5s/ 96417 / 96k17 /' 'line 5: entries "96k17" is not'
add "number: negative" spoilt states '5s/ 96417 / -96417 /' 'line 5: entries "-96417" is not'
add "number: fraction" spoilt states '5s/ 96417 / 96.417 /' 'line 5: entries "96.417" is not'
add "number: hex" spoilt states '5s/ 96417 / 0x96417 /' 'line 5: entries "0x96417" is not'
add "number: 2^64" spoilt states '5s/ 96417 / 18446744073709551616 /' 'line 5: entries "18446744073709551616" is not'
add "number: huge" spoilt states '5s/ 96417 / 99999999999999999999999999999999999 /' 'line 5: entries "9*\.\.\." is not'
add "key missing" spoilt summary '/^buckets/d' 'no line "buckets"'
add "key twice" spoilt summary '/^created/p' 'line 7: created is there twice'
add "key without value" spoilt summary '/^created/s/ .*//' 'line 6: created has no value'
add "key with two values" spoilt summary '/^created/s/$/ 1/' 'line 6: created has more than one'
add "key: not a number" spoilt summary '/^created/s/ .*/ many/' 'line 6: created "many" is not'
add "key: 2^64" spoilt summary '/^max/s/ .*/ 18446744073709551616/' 'line 11: max "18446744073709551616" is not'
add "format newer: no argument" newer_format
add "format newer: summary" newer_format summary
add "format newer: states" newer_format states
add "format newer: audit" newer_format audit
add "format 0" spoilt summary 's/^format .*/format 0/' 'format is not 1'
add "format not known" spoilt summary 's/^format .*/format -/' 'format is not 1'
add "format missing" spoilt summary '/^format/d' 'no line "format"'
add "audit: key missing" spoilt audit '/^cells_left/d' 'no line "cells_left"'
add "audit: key missing, of ports" spoilt audit '/^ports_left/d' 'no line "ports_left"'
add "audit: no result" spoilt audit 's/^cells_left .*/cells_left -/' 'cells_left is not known'
add "audit: difference without value" spoilt audit '$a difference' 'line 10: difference has no value'
add "audit: port difference without value" spoilt audit '$a port_difference' 'line 10: port_difference has no value'
add "audit: no result for ports" spoilt audit 's/^ports_differ .*/ports_differ -/' 'ports_differ is not known'
add "output: | head -1" head_1
add "output: reader gone" no_reader
add "output: reader of watch gone" watch_head
add "output: a file" output_file
add "output: a file that is a FIFO" output_refused mkfifo
add "output: a file that is a link" output_refused ln -s /dev/null
add "output: a file that is a folder" output_refused mkdir
add "output: the old file stays after an error" output_stays
add "output: no folder for the file" output_nowhere
add "output: disk full" disk_full
add "output: disk full, summary" disk_full summary
add "output: disk full, audit" disk_full audit
add "output: disk full, help" disk_full --help
add "output: disk full, version" disk_full --version
add "output: closed" closed
add "output: closed, summary" closed summary
add "output: closed, help" closed --help
add "watch: a line" watch_line
add "watch: CSV" watch_formats csv \
	time,entries,new_per_second,ended_per_second,established,syn_sent,unreplied,failed_per_second,evicted_per_second \
	T,184231,,,104132,1380,5613,, T,184231,0.000,0.000,104132,1380,5613,0.000,0.000
add "watch: JSON" watch_formats json \
	'{"schema":1,"time":T,"entries":184231,"new_per_second":null,"ended_per_second":null,"established":104132,"syn_sent":1380,"unreplied":5613,"failed_per_second":null,"evicted_per_second":null}' \
	'{"schema":1,"time":T,"entries":184231,"new_per_second":0.000,"ended_per_second":0.000,"established":104132,"syn_sent":1380,"unreplied":5613,"failed_per_second":0.000,"evicted_per_second":0.000}'
add "terminal: watch repeats its header" watch_header
add "watch: SIGTERM" watch_ends TERM
add "watch: SIGINT" watch_ends INT
add "check: OK" plugin 0 gateway 'OK - 184231 of 262144 entries (70.3 %), 3.0 % unreplied |'
add "check: WARNING" plugin 1 gateway 'WARNING - 184231 of 262144' --warning=70%
add "check: CRITICAL" plugin 2 gateway 'CRITICAL - 184231 of 262144' --warning=60% --critical=70%
add "check: limits in entries" plugin 1 gateway 'WARNING - ' --warning=184230
add "check: not above the limit" plugin 0 gateway 'OK - ' --warning=184231 --critical=184231
add "check: one limit alone moves the other's default" plugin 2 gateway 'CRITICAL - ' --critical=70%
add "check: one limit alone, in entries" plugin 0 gateway '| entries=184231;250000;250000;' --warning=250000
add "check: unreplied" plugin 1 gateway 'WARNING - 3.0 % unreplied, 184231 of' --unreplied=3,10%
add "check: unanswered port" plugin 2 gateway 'CRITICAL - udp port 443 15.8 % unanswered, ' --unanswered=10%,15%
add "check: nothing moves" plugin 0 gateway '0.0 failed inserts per second, 0.0 evictions per second' \
	--insert-failed=0 --evicted=0,1 --interval=0.1
add "check: performance data" plugin 0 gateway \
	'| entries=184231;209715.2;235929.6;0;262144 unreplied=3.05%;4;5;0;100 unanswered=15.75%;50;;0;100$' \
	--unreplied=4,5 --unanswered=50
add "check: no limit" plugin 0 fresh 'OK - 0 entries, no limit, 0.0 % unreplied | entries=0;;;0; '
add "check: not known" plugin_not_known
add "check: no module" plugin 3 nonexistent 'UNKNOWN - .*: not found'
add "check: worst first, unknown hides nothing" plugin_worst
for value in x '' 80%% % -1 101% 1e2 0x10 nan inf ' 80' 80:90 . 1.2.3 , 5, ,5 1,2,3 @10 ~:5; do
	for option in warning critical unreplied unanswered insert-failed evicted; do
		add "check: --$option=$value" plugin 3 gateway 'UNKNOWN - ' --$option="$value"
	done
done
add "check: --warning=1,2" plugin 3 gateway 'UNKNOWN - ' --warning=1,2
add "check: --unreplied=101" plugin 3 gateway 'UNKNOWN - .*--unreplied=101: not understood' --unreplied=101
add "check: warning above critical" plugin 3 gateway 'UNKNOWN - .*above' --warning=80% --critical=70%
add "check: two limits, wrong order" plugin 3 gateway 'UNKNOWN - .*above' --evicted=2,1
add "check: unknown option" plugin 3 gateway 'UNKNOWN - unknown option "--colour"' --colour
add "check: option of another subcommand" plugin 3 gateway 'UNKNOWN - "check" takes no option --all' --all
add "check: the module is loaded anew" plugin_reload
add "check: full by the kernel's own count" plugin_kernel_count
add "check: units mixed, wrong order" plugin 3 gateway 'UNKNOWN - .*above' --warning=50000 --critical=10%
add "check: no bar in a message" plugin 3 gateway 'UNKNOWN - [^|]*80/0' --warning='80|0'
add "check: output closed" plugin_closed
add "starts and ends within milliseconds" quick
add "no library but libc" few_libraries
add "shared object missing: exporter" part_missing exporter exporter
add "shared object missing: json" part_missing json --proc-dir="$tables/gateway" states --format=json
add "shared object missing: json, keys" part_missing json --proc-dir="$tables/gateway" summary --format=json
add "shared object missing: json, watch" part_missing json --proc-dir="$tables/gateway" watch --count=1 --format=json
add "shared object missing: top" part_missing top top
add "shared object missing, and not needed" part_not_needed
add "shared object broken: empty" part_empty
add "shared object broken: needs what is not there" part_made 'cannot be loaded: .*undefined symbol: not_there' \
	'extern int not_there; int *plugin = &not_there;'
add "shared object broken: something else" part_made 'cannot be loaded: .*undefined symbol: plugin' 'int other;'
add "shared object broken: of another version" part_made 'is of version 0, and this is ' 'const struct { char *version; } plugin = { "0" };'
add "module not loaded" no_module
add "no such directory" fails 3 "/nonexistent: not found" --proc-dir=/nonexistent
add "no such table" no_table
add "directory instead of a table" is_directory
add "no permission: audit" unreadable audit "only root may read it" audit
add "no permission: states" unreadable states "states: permission denied" states
add "usage: unknown option" fails 2 'unknown option "--colour"' --colour
add "usage: unknown letter" fails 2 'unknown option "-x"' -x
add "usage: abbreviation" fails 2 'unknown option "--al"' --al
add "usage: unknown subcommand" fails 2 'unknown subcommand "status"' status
add "usage: unknown subcommand with more" fails 2 'unknown subcommand "status"' status now
add "usage: extra argument" fails 2 'unexpected argument "tcp"' states tcp
add "usage: extra argument of help" fails 2 'unexpected argument "audit"' help states audit
add "usage: help for what is not there" fails 2 'unknown subcommand "status"' help status
add "usage: option without value" fails 2 'needs a value' --proc-dir
add "usage: option of another subcommand" fails 2 '"summary" takes no option --all' summary --all
add "usage: option that needs a subcommand" fails 2 '--format needs a subcommand' --format=json
add "usage: unknown format" fails 2 'must be table, json or csv' states --format=xml
add "usage: unknown column" fails 2 'ports has no column "states"; its columns: l4proto port' ports --sort=states
add "usage: unknown protocol" fails 2 'unknown protocol "tpc"; one of: tcp udp' ports --proto=tpc
add "usage: names in CSV" fails 2 'JSON and CSV have numbers' ports --names --format=csv
for value in x -1 1x 0x10 1.5 18446744073709551616 ' 1'; do
	add "usage: --top=$value" fails 2 'must be a whole number' ports --top="$value"
done
for value in x -1 1x 0x1 1e3 nan inf 86401 1.2.3 .; do
	add "usage: --interval=$value" fails 2 'must be seconds' watch --interval="$value"
done
add "usage: interval too short" fails 2 'at least 0.1 seconds' watch --interval=0.05
add "usage: interval too short for the screen" fails 2 'at least 0.1 seconds' --interval=0.05 --proc-dir="$tables/gateway"
add "netns: no such namespace" fails 3 'no network namespace "nowhere"' --netns=nowhere
add "netns: no name" fails 2 'is no name of a network namespace' --netns=../../etc/passwd
add "usage: option with empty value" fails 2 'needs a value' --proc-dir=
add "usage: value for an option without" fails 2 'takes no value' --all=yes
add "usage: option after --" fails 2 'unknown subcommand "--all"' -- --all
add "value behind its letter" run 0 --proc-dir "$tables/gateway" ports -t3 -sentries
add "value as a word of its own" run 0 --proc-dir "$tables/gateway" states
add "help for every subcommand" help_for_all
add "version is that of dkms.conf" version

needs() { # what a check cannot do without
	case $1 in
	terminal*|human*) command -v script >/dev/null || echo "no script(1)" ;;
	unreadable*) [ "$(id -u)" != 0 ] || command -v setpriv >/dev/null || echo "no setpriv(1)" ;;
	disk_full*) [ -c /dev/full ] || echo "no /dev/full" ;;
	few_libraries*) command -v ldd >/dev/null || echo "no ldd(1)" ;;
	part_missing*) { [ -e /usr/lib/ctxstat ] || [ -e /usr/local/lib/ctxstat ]; } && echo "they are installed" ;;
	part_made*) command -v "${CC:-cc}" >/dev/null || echo "no compiler" ;;
	esac
}

echo "TAP version 13"
echo "1..${#checks[@]}"
failed=0
for i in "${!checks[@]}"; do
	nr=$((i + 1))
	missing=$(needs "${checks[i]}")
	if [ -n "$missing" ]; then
		echo "ok $nr ${names[i]} # SKIP $missing"
	elif eval "${checks[i]}" >"$tmp/log" 2>&1; then
		echo "ok $nr ${names[i]}"
	else
		echo "not ok $nr ${names[i]}"
		sed 's/^/# /' "$tmp/log"
		failed=$((failed + 1))
	fi
done
[ $failed = 0 ]
