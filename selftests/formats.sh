#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# JSON, CSV and the metrics for Prometheus against the tables they are made from: every
# number is there, as it is in the table, and nothing else. The programs in formats/
# read the tables by themselves. Needs neither the module nor root.
#
# CTXSTAT=PROGRAM tests that one instead of building tools/ctxstat.
# Exit: 0 all passed, 1 some failed, 4 it cannot run here.
# shellcheck disable=SC2154 # $tmp is set by ktap.sh

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
tables=$here/tool
TABLES=(states ports transitions ends histograms)
UINT64_MAX=18446744073709551615
ROWS_MAX=$((1 << 19))
export LC_ALL=C TZ=UTC PYTHONDONTWRITEBYTECODE=1

require jq python3
if [ -z "${CTXSTAT:-}" ]; then
	make -s -C "$here/../tools" >&2 || exit 1
	CTXSTAT=$here/../tools/ctxstat
fi
copy_tool "$tmp" || exit 1

ctxstat() { "$tmp/ctxstat" "$@"; }
listing() { python3 "$here/formats/listings.py" "$tmp/ctxstat" "$@"; }
metrics() { python3 "$here/formats/metrics.py" "$tmp/ctxstat" "$@"; }
top_ports() { python3 "$here/formats/metrics.py" --ports "$tmp/ctxstat" "$1" | sort; }

# every FORMAT FOLDER: all that can be listed from it
every() { listing "$2" "$1" "${TABLES[@]}" summary audit; }
orders() { listing "$2" "$1" --orders "${TABLES[@]}"; }

jq_reads() { # FOLDER
	local table what
	for table in "${TABLES[@]}" summary audit; do
		what=rows
		[[ $table == summary || $table == audit ]] && what=values
		ctxstat "$table" --proc-dir="$1" --format=json >"$tmp/json"
		# "inputs": there is nothing behind the first document
		jq -en --arg table "$table" --arg what "$what" 'input as $in | ([inputs] | length == 0)
			and $in.schema == 1 and $in.table == $table and ($in.time | type == "number")
			and ($in[$what] | type == (if $what == "rows" then "array" else "object" end))' \
			"$tmp/json" || { head -3 "$tmp/json"; return 1; }
	done
}

# What the README promises scripts: a number of a row, from its keys
jq_finds() {
	[ "$(ctxstat states --proc-dir="$tables/gateway" -f json |
		jq -r '.rows[] | select(.family == "ipv4" and .state == "SYN_SENT").unreplied' | head -1)" = 1284 ]
}

audit_lines() { # a key that is there several times, as none, and as many
	local dir format
	for dir in gateway healed left ports; do
		for format in json csv; do
			listing "$tables/$dir" "$format" audit || return
		done
	done
	ctxstat audit --proc-dir="$tables/healed" -f json | jq -e '.values.difference | length == 3'
}

# changed NAME AWK: the good tables, each row changed, but for the headers
changed() {
	local file
	mkdir "$tmp/$1" || return
	for file in "$tables"/gateway/*; do
		awk -v file="${file##*/}" -v max=$UINT64_MAX '
			function number(field) { return $field ~ /^[0-9]+$/ }
			file != "summary" && file != "audit" && FNR == 1 { print; next }'"
			$2" "$file" >"$tmp/$1/${file##*/}" || return
	done
}

# Keys stay, or rows would be the same; so does what would be refused.
huge() {
	changed huge '
		file ~ /summary|audit/ { if (number(2) && $1 != "format") $2 = max; print; next }
		{ for (i = file == "ports" ? 3 : 4; i <= NF; i++) if (number(i)) $i = max; print }' || return
	! cmp -s "$tables/gateway/states" "$tmp/huge/states"
}

# A few of them, so that sums can be told from single numbers
unknown() {
	changed unknown '
		file == "audit" { print; next }
		file == "summary" { if ($1 !~ /format|start_time/ && NR % 2) $2 = "-"; print; next }
		{ for (i = file == "ports" ? 3 : 4; i <= NF; i++) if (number(i) && (FNR + i) % 3 == 0) $i = "-"
		  print }' && grep -q ' - .*[0-9]$' "$tmp/unknown/ports"
}

# But for histograms: the module knows them always, and one with a gap is none.
unknown_metrics() { cp "$tables/gateway/histograms" "$tmp/unknown" && metrics "$tmp/unknown"; }

quoted() {
	changed quoted '
		file == "summary" { if ($1 == "version") $2 = "0.1,\"x\\y\""; print; next }
		file == "audit" { print; next }
		file == "histograms" { sub(/^udplite/, "u\"d,p\\"); print; next }
		{ sub(/^ipv6/, "\"ip,v\"6\\n"); sub(/^udp/, ",udp\"\""); print }' || return
	printf '%s\n' 'difference a "b", c\d , counted 1' 'difference ""' 'port_difference ,' \
		>>"$tmp/quoted/audit"
}

huge_json() { # jq would round it
	local n
	n=$(ctxstat states --proc-dir="$tmp/huge" -f json | grep -o "\":${UINT64_MAX}[,}]" | wc -l)
	((n > 66)) && every json "$tmp/huge"
}

samples_of() { # FOLDER [TOP]: as many as are allowed
	metrics "$@" >"$tmp/samples" || return
	cat "$tmp/samples"
	[ "$(sed 's/ .*//' "$tmp/samples")" -lt 1500 ]
}

# Over all ports, with a name and without, in the text itself
adds_up() { # TOP...
	local top want
	want=$(awk 'FNR > 1 { sum[$1] += $3 } END { print sum["tcp"], sum["udp"] }' "$tables/gateway/ports")
	for top; do
		[ "$(ctxstat prometheus --top="$top" --proc-dir="$tables/gateway" | awk '
			/^ctxstat_port_entries{l4proto="tcp"/ { tcp += $2 }
			/^ctxstat_port_entries{l4proto="udp"/ { udp += $2 }
			END { print tcp, udp }')" = "$want" ] || return
	done
}

tops() {
	local top
	for top in 0 1 2 23 24 25 $UINT64_MAX; do
		samples_of "$tables/gateway" $top || return
	done
}

# A few entries more or less make no new series, as a series of its own is for good.
steady_top() {
	changed steady 'file == "ports" { $3 += $3 > 2 ? FNR % 2 * 2 - 1 : 0 } { print }' || return
	! cmp -s "$tables/gateway/ports" "$tmp/steady/ports" || return
	metrics "$tmp/steady" && diff <(top_ports "$tables/gateway") <(top_ports "$tmp/steady")
}

# But a port that holds much of the table is seen, however new it is.
rising_top() {
	changed rising 'file == "ports" && $2 == 51413 { $3 = 50000 } { print }' || return
	! top_ports "$tables/gateway" | grep -x "tcp 51413" || { echo "in the top before"; return 1; }
	metrics "$tmp/rising" && top_ports "$tmp/rising" | grep -x "tcp 51413"
}

# Whatever order they are in: a sample that is there twice, and Prometheus takes none.
mixed_ports() {
	mkdir "$tmp/mixed" && cp "$tables"/gateway/* "$tmp/mixed" || return
	{
		head -1 "$tables/gateway/ports"
		tail -n +2 "$tables/gateway/ports" | sort -n -k 2
	} >"$tmp/mixed/ports"
	metrics "$tmp/mixed"
}

# many_ports: all ports of two protocols
many_ports() {
	mkdir "$tmp/many" && cp "$tables"/gateway/* "$tmp/many" || return
	awk 'NR == 1 { print
		for (p = 1; p <= 65536; p++) print "tcp", p - 1, p % 7, p % 3, p, 0, 0, 0, p * 3, p * 64, 0
		for (p = 1; p <= 65536; p++) print "udp", p - 1, p % 5, p % 2, p, 0, 0, 0, "-", "-", 1 }' \
		"$tables/gateway/ports" >"$tmp/many/ports"
	[ "$(wc -l <"$tmp/many/ports")" = 131073 ]
}

# Seconds of a CPU, and not of a clock: other tests may be running, too.
modest() { # ARGUMENT...
	(
		ulimit -t 3 -v 262144
		ctxstat --proc-dir="$tmp/many" "$@" >"$tmp/out"
	) || { echo "$*: exit code $?"; return 1; }
	[ -s "$tmp/out" ]
}

modest_all() {
	modest prometheus && modest prometheus --top=0 && modest ports -f json && modest ports -f csv &&
		modest ports --sort=bytes --top=10
}

same_file() { # --output writes what would be on standard output
	ctxstat prometheus --proc-dir="$tables/gateway" >"$tmp/out" &&
		ctxstat prometheus --proc-dir="$tables/gateway" --output="$tmp/file" &&
		cmp "$tmp/out" "$tmp/file"
}

rows() { # N: so many rows of "ends"
	rm -rf "$tmp/rows" && mkdir "$tmp/rows" && cp "$tables"/gateway/* "$tmp/rows" || return
	awk -v n="$1" 'BEGIN { print "family l4proto state reason count"
		for (i = 0; i < n; i++) print "a b c", i, i }' >"$tmp/rows/ends"
}

most_rows() {
	rows $ROWS_MAX || return
	[ "$(ctxstat ends --proc-dir="$tmp/rows" -f csv | wc -l)" = $((ROWS_MAX + 1)) ]
}

too_many_rows() {
	rows $((ROWS_MAX + 1)) || return
	ctxstat ends --proc-dir="$tmp/rows" -f csv >"$tmp/out" 2>"$tmp/err"
	[ $? = 4 ] && [ ! -s "$tmp/out" ] && grep -q "more than $ROWS_MAX rows" "$tmp/err"
}

plan 37
for dir in gateway newer fresh; do
	check "$dir: JSON has every value, and no other" every json "$tables/$dir"
	check "$dir: CSV has every value, and no other" every csv "$tables/$dir"
	check "$dir: jq reads the JSON" jq_reads "$tables/$dir"
	check "$dir: the metrics have every number, and no other" metrics "$tables/$dir"
done
check "jq finds a number by its keys" jq_finds
check "JSON: --sort, --reverse, --top, --proto" orders json "$tables/newer"
check "CSV: --sort, --reverse, --top, --proto" orders csv "$tables/newer"
check "audit: differences are lists in JSON and lines in CSV" audit_lines

huge || exit 1
check "2^64 - 1: JSON" huge_json
check "2^64 - 1: CSV" every csv "$tmp/huge"
check "2^64 - 1: metrics" metrics "$tmp/huge"

unknown || exit 1
check "not known: null in JSON" every json "$tmp/unknown"
check "not known: empty in CSV" every csv "$tmp/unknown"
check "not known: last when sorted" orders json "$tmp/unknown"
check "not known: no sample" unknown_metrics

quoted || exit 1
check "commas and quotes: JSON" every json "$tmp/quoted"
check "commas and quotes: CSV" every csv "$tmp/quoted"
check "commas and quotes: metrics" metrics "$tmp/quoted"

check "metrics: top ports and others add up to the table" adds_up 0 1 5 20 24
check "metrics: --top from none to all" tops
check "metrics: a few entries do not change which ports have a name" steady_top
check "metrics: a port that fills the table has a name" rising_top
check "metrics: rows of ports in any order" mixed_ports
check "metrics: --output is the same" same_file

many_ports || exit 1
check "131,072 ports: metrics are bounded, and right" samples_of "$tmp/many"
check "131,072 ports: JSON has them all" listing "$tmp/many" json ports
check "131,072 ports: a few seconds, and 256 MiB" modest_all

check "as many rows as there may be" most_rows
check "one row more is refused" too_many_rows
finish
