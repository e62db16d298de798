#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# "ctxstat top" on a terminal: tmux is the terminal, and recorded tables, which change
# while it runs, stand in for the module. Needs neither the module nor root.
#
# CTXSTAT=PROGRAM tests that one instead of building tools/ctxstat.
# Exit: 0 all passed, 1 some failed, 4 it cannot run here.
# shellcheck disable=SC2154,SC2016 # $tmp is set by ktap.sh; the rest is awk's

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
tables=$here/tool/gateway
# Seconds to wait for what should be there at once, on a machine that may be busy.
PATIENCE=10

require tmux script stty python3
if [ -z "${CTXSTAT:-}" ]; then
	make -s -C "$here/../tools" >&2 || exit 1
	CTXSTAT=$here/../tools/ctxstat
fi
copy_tool "$tmp" || exit 1
# A server of its own, which knows nothing of the user's settings.
export TMUX_TMPDIR=$tmp
unset TMUX NO_COLOR LINES COLUMNS LC_CTYPE LANG
export LC_ALL=C.UTF-8 TZ=UTC

# A socket for each start: a server that is told to go may still be there for a moment.
server=0
terminal() { tmux -u -L "top$server" -f /dev/null "$@"; }

cleanup_more() {
	terminal kill-server 2>/dev/null
	if is_running; then
		kill -KILL "$pid"
	fi
}

# What runs on the terminal: top, and around it what sees what becomes of both.
cat >"$tmp/run" <<'END'
#!/bin/bash
trap : INT QUIT TERM
[ -z "$IGNORE_HUP" ] || trap '' HUP
rm -f "$RESULT"/{pid,before,after,code,err}
stty -a >"$RESULT/before"
(echo $BASHPID >"$RESULT/pid"; exec "$RESULT/ctxstat" top --proc-dir="$RESULT/dir" "$@" 2>"$RESULT/err")
code=$?
stty -a >"$RESULT/after"
echo $code >"$RESULT/code"
exec cat
END
chmod +x "$tmp/run"

until_true() { wait_for "$PATIENCE" "$@"; } # COMMAND...
is_running() { [ -s "$tmp/pid" ] && pid=$(cat "$tmp/pid") && [ -e "/proc/$pid" ] && ! is_zombie; }
is_zombie() { grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null; }
is_gone() { ! is_running; }
has_ended() { [ -s "$tmp/code" ]; }

screen() { terminal capture-pane -p; }
on_screen() { screen >"$tmp/screen" && grep -qe "$1" "$tmp/screen"; }
off_screen() { ! on_screen "$1"; }

# shows PATTERN: wait until it is on the screen
shows() {
	until_true on_screen "$1" && return
	echo "not on the screen: $1"
	cat "$tmp/screen" "$tmp/err" 2>/dev/null
	return 1
}

hides() {
	until_true off_screen "$1" && return
	echo "still on the screen: $1"
	cat "$tmp/screen"
	return 1
}

key() { terminal send-keys "$@"; }
answer() { key "$1" && shows 'two readings\|only this' && key "$2" Enter; }

fresh() { # tables as they were recorded
	rm -rf "$tmp/dir" "$tmp/next"
	cp -r "$tables" "$tmp/dir"
}

new_terminal() {
	terminal kill-server 2>/dev/null
	server=$((server + 1))
}

# on_terminal COLUMNS LINES [NAME=VALUE]... [-- ARGUMENT...]: run top there
on_terminal() {
	local size=(-x "$1" -y "$2") env=()
	shift 2
	while (($#)) && [ "$1" != -- ]; do
		env+=("$1")
		shift
	done
	shift
	new_terminal
	until_true is_gone || { echo "the last one still runs"; return 1; }
	rm -f "$tmp"/{pid,before,after,code,err}
	terminal new-session -d "${size[@]}" \
		"$(printf '%q ' env RESULT="$tmp" "${env[@]}" "$tmp/run" "$@")" || return
	until_true is_running
}

# begin COLUMNS LINES ...: the same, with fresh tables, until there is something to see
begin() {
	fresh
	on_terminal "$@" && shows '^entries '
}

# change AWK FILE...: another table instead, all at once
change() {
	local program=$1 file
	shift
	for file; do
		awk "$program" "$tmp/dir/$file" >"$tmp/next" || return
		mv "$tmp/next" "$tmp/dir/$file"
	done
}

# Each counter rises, by another amount in each row.
traffic() {
	change '$1 ~ /^(created|destroyed)$/ { $2 += 9000 } { print }' summary &&
		change 'FNR > 1 { $9 += FNR * 1000; $10 += FNR * 900 % 7000 } { print }' states &&
		change 'FNR > 1 { $5 += FNR * 500; $6 += FNR * 300 % 7000; $7 += int(40000 / FNR)
			$8 += FNR % 5 * 200 } { print }' ports &&
		change 'FNR > 1 { $5 += FNR * 700 % 9000 } { print }' ends
}

# What is drawn at once may be seen half-way: so all is waited for.
# rows: the rows on the screen, with one blank between two words
rows() {
	screen | awk '/^(FAM|PROTO)/ { rows = 1; next } /^q quit/ { exit }
		rows && NF { $1 = $1; print }'
}

expected() { # TABLE [NAME=VALUE]... : in the module's order
	local table=$1 set=()
	shift
	for assignment; do
		set+=(-v "$assignment")
	done
	awk -v table="$table" "${set[@]}" -f "$here/top/expected.awk" "$tmp/dir/$table"
}

same_rows() { # FILE: what should be there
	rows >"$tmp/rows"
	diff "$1" "$tmp/rows" >"$tmp/diff"
}

shows_rows() { # waits, too; expected rows on stdin
	cat >"$tmp/want"
	[ -s "$tmp/want" ] || { echo "nothing expected"; return 1; }
	until_true same_rows "$tmp/want" || { cat "$tmp/diff"; return 1; }
}

states_agree() {
	begin 100 40 -- --interval=600 && expected states | shows_rows
}
ports_agree() {
	begin 100 40 -- --interval=600 && key 2 && expected ports | sort_by_table 3 ports | shows_rows
}
ends_agree() {
	begin 100 40 -- --interval=600 && key 3 && expected ends | sort_by_table 5 ends | shows_rows
}

# Rows as expected are in the table's order; by this column of the table instead.
sort_by_table() { # COLUMN TABLE
	paste -d' ' <(awk -v column="$1" 'FNR > 1 { print $column }' "$tmp/dir/$2") - |
		sort -s -k 1,1nr | cut -d' ' -f2-
}

all_rows() {
	begin 100 100 -- --interval=600 && key a && expected states all=1 | shows_rows &&
		key a && expected states | shows_rows
}

# What the upper lines say, from the tables
head_agrees() {
	begin 80 24 -- --interval=600 || return
	shows ' 70\.3 %  184k of 262k  *[0-9:]\{8\}$' && shows '^new -   ended -   failed -   evicted -$' &&
		shows '^established 104k   syn_sent 1\.38k   unreplied 5\.61k$' &&
		shows '^nothing wrong to be seen$' && shows '1-16 of 22 rows by FAM'
}

# number TEXT: without its suffix
number() { awk -v text="$1" 'BEGIN { f = index("kMGTPE", substr(text, length(text)))
	printf "%.0f\n", f ? substr(text, 1, length(text) - 1) * 1000 ^ f : text }'; }

now() { date +%s.%N; }
later() { awk -v a="$1" -v b="$(now)" 'BEGIN { exit b - a < 1 }'; } # a second

# read_once PATTERN: while paused, read; then that is on the screen
read_once() { key Space && shows "$1"; }

between() { # NUMBER LOW HIGH: but for the third digit
	awk -v a="$(number "$1")" -v b="$2" -v c="$3" 'BEGIN { exit !(a >= 0.99 * b && a <= 1.01 * c) }' ||
		{ echo "$1 is not from $2 to $3"; return 1; }
}

has_moved() { rows | awk '$6 != 0 && $6 != "-" { n++ } END { exit n != 2 }'; }

# Rates, from readings of which it is known from when to when they took place
rates_agree() {
	local before after again last row low high
	begin 100 40 -- --interval=600 && key p && shows 'paused$' && key 2 || return
	before=$(now)
	change '$1 ~ /^(entries|count)$/ { $2 = 777 } { print }' summary && read_once ' 777 of ' || return
	after=$(now)
	until_true later "$after" || return
	change '$1 == "created" { $2 += 5000 } $1 ~ /^(entries|count)$/ { $2 = 888 } { print }' summary &&
		change '$2 == 443 && $1 == "tcp" { $5 += 8000; $8 += 2000 }
			$2 == 80 { $5 += 4000 } { print }' ports || return
	again=$(now)
	read_once ' 888 of ' || return
	last=$(now)
	until_true has_moved || return
	row=$(rows | awk '$1 == "tcp" && $2 == 443')
	# shellcheck disable=SC2086
	set -- $row
	low=$(awk "BEGIN { print 1 / ($last - $before) }") high=$(awk "BEGIN { print 1 / ($again - $after) }")
	echo "$row, 1/s from $low to $high"
	between "$6" "$(awk "BEGIN { print 8000 * $low }")" "$(awk "BEGIN { print 8000 * $high }")" &&
		between "$9" "$(awk "BEGIN { print 2000 * $low }")" "$(awk "BEGIN { print 2000 * $high }")" &&
		between "$(rows | awk '$2 == 80 { print $6 }')" \
			"$(awk "BEGIN { print 4000 * $low }")" "$(awk "BEGIN { print 4000 * $high }")" &&
		between "$(awk '/^new/ { sub("/s", "", $2); print $2 }' "$tmp/screen")" \
			"$(awk "BEGIN { print 5000 * $low }")" "$(awk "BEGIN { print 5000 * $high }")" &&
		[ "$7 $8" = "0 0" ]
}

# All columns of a table, both ways; LABEL...: all there are, from the first choice on
sorts() { # TABLE LABEL...
	local label first=$2
	begin 120 60 LC_ALL=C -- --interval=600 && key "$1" p && shows 'paused$' || return
	shift
	# Some have no share of anything, or no bytes.
	traffic && change 'FNR == 9 { $3 = $4 = 0 } FNR == 12 { $10 = "-" } { print }' ports &&
		read_once '^new [1-9]' || return
	for label; do
		sort_marked "$label" && key r && sort_marked "$label" && key r b || return
	done
	sort_marked "$first" && key B && sort_marked "$label" && key '>' && sort_marked "$first" &&
		key '<' && sort_marked "$label"
}

is_sorted() { # LABEL
	on_screen "rows by $1\$" && LC_ALL=C awk -f "$here/top/sorted.awk" "$tmp/screen" >"$tmp/order" &&
		grep -q "^$1 " "$tmp/order"
}
sort_marked() { # and another way than the last time, unless all are the same
	cp "$tmp/order" "$tmp/order.last" 2>/dev/null
	until_true is_sorted "$1" || { cat "$tmp/screen" "$tmp/order"; return 1; }
}

reverses() {
	begin 100 40 -- --interval=600 && key 2 && expected ports | sort_by_table 3 ports >"$tmp/there" || return
	shows 'PORT▼ENTRIES' && shows_rows <"$tmp/there" && key r && shows 'PORT▲ENTRIES' &&
		tac "$tmp/there" | shows_rows && key r && shows_rows <"$tmp/there"
}

filters_proto() {
	begin 100 40 -- --interval=600 && answer P udp && shows ' udp only ' &&
		expected states | grep ' udp ' | shows_rows && key 2 &&
		expected ports | sort_by_table 3 ports | grep '^udp' | shows_rows && key 3 &&
		expected ends | sort_by_table 5 ends | grep ' udp ' | shows_rows && answer P '' &&
		expected ends | sort_by_table 5 ends | shows_rows && hides ' only '
}

filters_port() { # and the protocol stays what it was
	begin 100 40 -- --interval=600 && answer D 443 && shows ' port 443 only ' && shows '2 rows by' &&
		expected ports | grep ' 443 ' | shows_rows && answer P tcp && shows ' 1 row by' && answer P '' &&
		answer D '' && shows '24 rows by' && hides ' only ' && answer D 1 && shows '^no rows$'
}

refuses_answers() {
	begin 80 24 -- --interval=600 && answer P tpc && shows '^unknown protocol "tpc"; one of: tcp' &&
		key 1 && hides '^unknown' && answer D 65536 && shows '^a port is a number' &&
		answer R 0.05 && shows '^the interval has to be at least' && answer R 1.2.3 &&
		shows '^the interval must be' && answer R 86401 && shows '^the interval must be' &&
		key 1 && shows ' 600 s$' && key R && shows 'two readings' && key 7 Escape && shows ' 600 s$'
}

takes_interval() { # and reads as often then
	begin 80 24 -- --interval=600 && key R && shows 'now 600' && key 9 BSpace 0 . 2 && shows ': 0\.2' &&
		key Enter && shows ' 0\.2 s$' && change '$1 ~ /^(entries|count)$/ { $2 = 777 } { print }' summary &&
		shows ' 777 of '
}

pauses() {
	local stamp
	begin 80 24 -- --interval=0.2 && shows '^new 0/s' && key p && shows 'paused$' || return
	change '$1 ~ /^(entries|count)$/ { $2 = 777 } { print }' summary && stamp=$(now) &&
		until_true later "$stamp" && ! on_screen ' 777 of ' && read_once ' 777 of ' && shows 'paused$' &&
		change '$1 ~ /^(entries|count)$/ { $2 = 888 } { print }' summary && key p && shows ' 888 of ' &&
		hides 'paused$'
}

helps() {
	begin 80 24 -- --interval=600 && key h && shows '^q Ctrl-C *quit$' && shows '^Home End ' &&
		key x && shows '^entries ' && key '?' && shows '^keys of' && key q && shows '^entries ' &&
		is_running
}

# Keys that come before the screen has followed: on a slow line they queue up.
keys_at_once() {
	begin 100 40 -- --interval=600 || return
	key 3 b b b && shows 'rows by PROTO' && key 2 b b && shows 'rows by %' &&
		key 1 B B B && shows 'rows by IN/S'
}

panes_turn() { # Tab and arrows go around
	begin 80 24 -- --interval=600 && key Tab && shows ' by ENTRIES' && key Tab && shows ' by COUNT' &&
		key Tab && shows ' by FAM' && key Left && shows ' by COUNT' && key Right && shows ' by FAM' &&
		key BTab && shows ' by COUNT'
}

scrolls() {
	begin 80 24 -- --interval=600 && key 2 && shows '1-16 of 24 rows' && key Down Down && shows '3-18 of 24' &&
		key Up && shows '2-17 of' && key PPage && shows '1-16 of' && key NPage && shows '9-24 of' &&
		key Down && shows '9-24 of' && key Home && shows '1-16 of' && key End && shows '9-24 of' &&
		expected ports | sort_by_table 3 ports | tail -n 16 | shows_rows
}

# What is looked at stays where it is when numbers change, and when rows go
stays() {
	begin 80 24 -- --interval=0.2 && key 2 End && shows '9-24 of 24' && traffic && full 50 &&
		shows ' 50\.0 %' && shows '9-24 of 24' && change 'FNR < 22 { print }' ports && shows '5-20 of 20'
}

names() {
	begin 100 40 -- --names --sort=entries --interval=600 && shows '^tcp *https ' && shows '^udp *domain ' &&
		key n && shows '^tcp *443 '
}

# sizes: the terminal's size changes while it runs
sizes() {
	begin 80 24 -- --interval=0.3 && key 2 && shows '1-16 of 24 rows' &&
		resize 120 40 && shows '^tcp *51413 ' && shows_whole &&
		resize 40 10 && shows '^too small: needs 60x12, has 40x10$' && until_true is_alone &&
		resize 12 5 && shows '^needs 60x12,$' &&
		resize 1 1 && until_true is_size 1 1 &&
		resize 80 24 && shows '1-16 of 24 rows' && shows_whole && resize 60 12 && shows '1-4 of 24 rows' &&
		shows_whole && resize 300 100 && shows '24 rows' && shows_whole
}
is_alone() { [ "$(screen | grep -c .)" = 1 ]; }
resize() { terminal resize-window -x "$1" -y "$2"; }
is_size() { [ "$(terminal display -p '#{pane_width} #{pane_height}')" = "$1 $2" ]; }
# Nothing of the old screen is left, nothing is there twice
shows_whole() { until_true is_whole || { cat "$tmp/screen"; return 1; }; }
is_whole() {
	local lines
	lines=$(terminal display -p '#{pane_height}')
	screen >"$tmp/screen"
	[ "$(grep -c '^entries ' "$tmp/screen")" = 2 ] && [ "$(grep -c '^PROTO' "$tmp/screen")" = 1 ] &&
		[ "$(grep -c '^q quit' "$tmp/screen")" = 1 ] && ! grep -q 'too small\|needs' "$tmp/screen" &&
		sed -n "${lines}p" "$tmp/screen" | grep -q '^q quit'
}

columns_fit() { # from the right, one after the other, and the sort goes over what is there
	begin 100 24 -- --interval=600 && key 2 && shows ' BYTES$' && resize 78 24 && shows 'FAILED/S$' &&
		resize 72 24 && shows 'CLOSED/S$' && resize 63 24 && shows 'ANSWERED/S$' && key B B B &&
		shows 'by ANSWERED/S'
}
no_accounting() {
	fresh
	change '$1 == "acct" { $2 = 0 } { print }' summary
	on_terminal 100 24 -- --interval=600 && shows '^entries ' && key 2 && shows 'FAILED/S$'
}

# refuses PATTERN COMMAND...: one line about it, and the exit code
refuses() {
	local pattern=$1 code
	shift
	fresh
	"$@" >"$tmp/out" 2>&1 </dev/null
	code=$?
	cat "$tmp/out"
	[ "$code" = 6 ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -q "^ctxstat: $pattern.*ctxstat watch" "$tmp/out"
}
# TERM is set inside of script(1)
as_terminal() { # ENV-ARGUMENT...
	script -qec "$(printf '%q ' env "$@" "$tmp/ctxstat" top --proc-dir="$tmp/dir")" /dev/null
}
no_input() { "$tmp/ctxstat" top --proc-dir="$tmp/dir"; }
no_output() {
	script -qec "$(printf '%q ' bash -o pipefail -c "$(printf '%q ' "$tmp/ctxstat" top --proc-dir="$tmp/dir") | cat")" /dev/null
}

wrong_usage() { # PATTERN ARGUMENT...
	local pattern=$1 code
	shift
	fresh
	"$tmp/ctxstat" top --proc-dir="$tmp/dir" "$@" >"$tmp/out" 2>&1
	code=$?
	cat "$tmp/out"
	[ "$code" = 2 ] && grep -q "^ctxstat: $pattern" "$tmp/out"
}
no_tables() {
	local code
	"$tmp/ctxstat" top --proc-dir="$tmp/nowhere" >"$tmp/out" 2>&1
	code=$?
	[ "$code" = 3 ] && grep -q "nowhere: not found" "$tmp/out"
}

begins_as_told() {
	begin 100 40 -- --sort=unreplied --reverse --proto=udp --interval=5 &&
		shows '10 rows by UNREPLIED$' && shows ' udp only ' && shows '▲UNREPLIED' && shows ' 5 s$' &&
		begin 100 40 -- --sort=assured && shows '22 rows by ASSURED$' && shows ' 2 s$' &&
		begin 100 40 -- --sort=reason && shows '20 rows by REASON$' && begin 100 40 -- --all &&
		shows '1-32 of 6[0-9] rows'
}

# Sparklines: higher blocks for more entries; a gap where nothing was known
sparkline() { # WANTED NAME=VALUE
	local entries
	begin 80 24 "$2" -- --interval=600 && key p && shows 'paused$' || return
	for entries in 1000 2000 8000 4500; do
		change "\$1 ~ /^(entries|count)\$/ { \$2 = $entries } { print }" summary && read_once " $(short "$entries") of " || return
	done
	shows "^entries 1\\.00k-184k  *$1  "
}
short() { awk -v n="$1" 'BEGIN { printf "%.2fk", n / 1000 }'; }

full() { # PER-CENT
	change "\$1 ~ /^(entries|count)\$/ { \$2 = int(262144 * $1 / 100) } { print }" summary
}
coloured() { terminal capture-pane -pe | grep -q $'\033\\[[0-9;]*3[0-7]m'; }
on_coloured_screen() { terminal capture-pane -pe | grep -q "$1"; }
colours() {
	begin 80 24 -- --interval=0.2 && ! coloured && full 85 && shows '^the table is 85 % full' &&
		until_true on_coloured_screen $'\033\\[33mthe table is' && until_true on_coloured_screen $'\033\\[33m#####' &&
		full 95 && until_true on_coloured_screen $'31mthe table is 95' && until_true on_coloured_screen '31m#####' &&
		key c && until_true not_coloured && key c && until_true coloured
}
not_coloured() { ! coloured; }
no_colours() { # NAME=VALUE
	begin 80 24 "$1" -- --interval=0.2 && full 95 && shows '^the table is 95' && ! coloured
}

# A table that goes away and comes back
recovers() {
	begin 80 24 -- --interval=0.2 && shows '^new 0/s' && mv "$tmp/dir/states" "$tmp/states" || return
	shows 'states: not found' && shows '^new 0/s' && shows '^ipv4 tcp *SYN_SENT ' && key 2 && shows '^tcp *443' &&
		shows 'states: not found' && key p && read_once 'states: not found' || return
	traffic_while_away
	mv "$tmp/states" "$tmp/dir/states" && read_once '^new -' && shows '^q quit' && shows '^tcp *443 .* - ' &&
		key p && shows '^new 0/s'
}
traffic_while_away() { change '$1 == "created" { $2 += 1000000 } { print }' summary; }

# The module was loaded anew: counters begin again
reloads() {
	begin 100 40 -- --interval=600 && key p && shows 'paused$' && key 2 && read_once '^new 0/s' || return
	change '$1 == "start_time" { $2 += 500 } $1 ~ /^(created|destroyed|adopted)$/ { $2 = 12 }
		$1 ~ /^(entries|count)$/ { $2 = 777 } { print }' summary &&
		change 'FNR > 1 { $5 = $6 = $7 = $8 = 3 } { print }' ports || return
	read_once ' 777 of ' && shows '^new -   ended -   failed -   evicted -$' && until_true all_unknown &&
		read_once '^new 0/s' && ! on_screen '[ (]-[0-9]'
}
all_unknown() { rows | awk '$6 $7 $8 $9 != "----" { bad = 1 } END { exit bad || NR != 24 }'; }
# The counters alone, within the same second
forgets() {
	begin 100 40 -- --interval=600 && key p && shows 'paused$' && key 2 && read_once '^new 0/s' || return
	change '$1 ~ /^(created|destroyed)$/ { $2 = 12 } $1 ~ /^(entries|count)$/ { $2 = 777 } { print }' summary &&
		change 'FNR > 1 { $5 = 9 ^ 9 } { print }' ports && read_once ' 777 of ' && shows '^new -' && until_true all_unknown
}

# ends CODE COMMAND...: top has ended with this code, and the terminal is as it was
ends() {
	local code=$1
	shift
	begin 80 24 -- --interval=600 || return
	"$@" && ended "$code"
}
ended() { # CODE
	until_true has_ended || { screen; echo "still there"; return 1; }
	until_true is_gone || return
	[ "$(cat "$tmp/code")" = "$1" ] || { echo "exit code $(cat "$tmp/code")"; cat "$tmp/err"; return 1; }
	cat "$tmp/err"
	[ ! -s "$tmp/err" ] && diff "$tmp/before" "$tmp/after" && until_true is_restored
}
is_restored() { # the other screen, and the cursor
	[ "$(terminal display -p '#{alternate_on}#{cursor_flag}#{keypad_flag}')" = 010 ] && off_screen .
}
signalled() { kill -s "$1" "$pid"; }

# The last reading is to be seen until the next one would be due.
counts() {
	begin 80 24 -- --count=2 --interval=600 && key Space && shows '^new 0/s' && is_running && key Space && ended 0
}

hangs_up() { # [NAME=VALUE]: the terminal is gone
	begin 80 24 "$@" -- --interval=600 && terminal kill-server && until_true is_gone
}

# Ctrl-S: nothing can be written, and then it has to end and to tidy up
stopped_output() { # COMMAND...
	begin 80 24 -- --interval=0.2 && key C-s && until_true later "$(now)" && "$@" && ended 0
}

suspends() { # Ctrl-Z and fg, in a shell that has jobs
	fresh
	new_terminal
	echo "PS1='ready> '" >"$tmp/jobs"
	terminal new-session -d -x 80 -y 24 "bash --noprofile --rcfile $(printf %q "$tmp/jobs") -i" || return
	shows '^ready>' && key "$(printf %q "$tmp/ctxstat") top --proc-dir=$(printf %q "$tmp/dir") --interval=0.2" Enter &&
		shows '^q quit' && key C-z && shows 'Stopped' && hides '^q quit' &&
		key 'stty -a | grep -o " echo "; clear' Enter && shows '^ready>' && full 50 && resize 90 30 &&
		key fg Enter && shows '^q quit' && shows ' 50\.0 % ' && hides 'ready>' && key 2 &&
		shows '1-22 of 24 rows' && shows_whole && key q && shows '^ready>'
}

# Over a slow line: what did not change is not sent
sends_little() {
	local bytes
	begin 80 24 -- --interval=0.1 && shows '^new 0/s' && terminal pipe-pane -o "cat >$(printf %q "$tmp/sent")" || return
	until_true sent_enough || return
	terminal pipe-pane
	bytes=$(wc -c <"$tmp/sent")
	echo "$bytes bytes in 3 seconds, 30 readings"
	((bytes < 3000))
}
# The clock on the screen is in it, once a second
sent_enough() { [ "$(grep -aoE '[0-9]' "$tmp/sent" 2>/dev/null | wc -l)" -ge 3 ] && enough_time; }
enough_time() { [ -z "${sent_since:=$(now)}" ] || awk -v a="$sent_since" -v b="$(now)" 'BEGIN { exit b - a < 3 }'; }

# All ports of a protocol, and it does what a key says at once
many_ports() {
	local start
	fresh
	awk 'NR == 1 { print; for (p = 0; p < 65536; p++)
		print "tcp", p, p % 977, p % 5, p, p * 7 % 1009, 0, 0, p * 3, p * 64, 1 }' "$tables/ports" >"$tmp/dir/ports"
	on_terminal 80 24 -- --interval=1 && shows '^new 0/s' && start=$(now) && key 2 &&
		shows '1-16 of 65536 rows by ENTRIES' && key b b b b && shows 'by ANSWERED/S' && key End &&
		shows '65521-65536 of' && answer D 65535 && shows '1 row by' && answer D '' && key B &&
		shows '65536 rows by OPENED/S' || return
	awk -v a="$start" -v b="$(now)" 'BEGIN { print b - a " seconds"; exit b - a > 6 }' && cheap
}
cheap() { # in seconds of a CPU, as others may want it, too
	local ticks
	ticks=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
	echo "$ticks ticks of $(getconf CLK_TCK) per second"
	((ticks < 5 * $(getconf CLK_TCK)))
}

plan 59
check "states: the table's numbers" states_agree
check "ports: the table's numbers" ports_agree
check "ends: the table's numbers" ends_agree
check "rows that are zero, on demand" all_rows
check "the upper lines: the table's numbers" head_agrees
check "rates: what happened, by the time it took" rates_agree
check "states: sorted by each column, both ways" sorts 1 \
	FAM PROTO STATE ENTRIES UNREPLIED ASSURED SNAT DNAT IN/S OUT/S PEAK
check "ports: sorted by each column, both ways" sorts 2 \
	ENTRIES UNREPLIED % OPENED/S ANSWERED/S CLOSED/S FAILED/S BYTES PROTO PORT
check "ends: sorted by each column, both ways" sorts 3 COUNT ENDED/S FAM PROTO STATE REASON
check "reverse" reverses
check "filter: protocol" filters_proto
check "filter: port" filters_port
check "answers that make no sense" refuses_answers
check "another interval" takes_interval
check "pause, read once, go on" pauses
check "help" helps
check "another table" panes_turn
check "keys that come at once" keys_at_once
check "scroll" scrolls
check "scrolled: stays there" stays
check "names of ports" names
check "sizes of the terminal" sizes
check "columns that do not fit" columns_fit
check "no accounting: no bytes" no_accounting
check "options" begins_as_told
check "options: no such column" wrong_usage 'top shows no column "adopted"; those of states: family ' --sort=adopted
check "options: no such protocol" wrong_usage 'unknown protocol "tpc"' --proto=tpc
check "options: interval too short" wrong_usage 'the interval has to be' --interval=0.05
check "no tables" no_tables
check "TERM=dumb" refuses 'top cannot work on a terminal of the kind "dumb"' as_terminal TERM=dumb
check "TERM unknown" refuses 'top cannot work on a terminal of the kind "nosuch"' as_terminal TERM=nosuch
check "TERM empty" refuses 'top has to know the terminal, but TERM is not set' as_terminal TERM=
check "TERM not set" refuses 'top has to know the terminal, but TERM is not set' as_terminal -u TERM
check "no input or output is a terminal" refuses 'top needs a terminal' no_input
check "the output is no terminal" refuses 'top needs a terminal' no_output
check "sparkline" sparkline '█▁▁▁▁' LC_ALL=C.UTF-8
check "sparkline, in ASCII" sparkline '#____' LC_ALL=C
check "sparkline, on the console" sparkline '#____' TERM=linux
check "colours" colours
check "NO_COLOR" no_colours NO_COLOR=1
check "a terminal without colours" no_colours TERM=vt100
check "a table goes away and comes back" recovers
check "the module is loaded anew" reloads
check "the counters alone began anew" forgets
check "q: the terminal is as it was" ends 0 key q
check "Ctrl-C: the terminal is as it was" ends 0 key C-c
for signal in INT TERM HUP QUIT; do
	check "SIG$signal: the terminal is as it was" ends 0 signalled $signal
done
check "--count" counts
check "the terminal is gone" hangs_up
check "the terminal is gone, SIGHUP ignored" hangs_up IGNORE_HUP=1
check "Ctrl-S, and then q" stopped_output key q
check "Ctrl-S, and then SIGTERM" stopped_output signalled TERM
check "the terminal takes no output" python3 "$here/top/deaf.py" "$tmp/ctxstat" "$tables"
check "Ctrl-Z and fg" suspends
check "what did not change is not sent" sends_little
check "65,536 ports" many_ports
finish
