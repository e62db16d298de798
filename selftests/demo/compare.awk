# SPDX-License-Identifier: GPL-2.0-only
#
# What conntrack-tools and ctxstat say of the same quiet table, side by side.
#
# usage: awk -v count="$(conntrack -C)" -f compare.awk LISTED STATES
#
#   LISTED   the output of truth.awk for "conntrack -L"
#   STATES   /proc/net/ctxstat/states
#
# Where the two differ in what an entry is, both numbers are shown: listed/counted.
# The last line is the verdict; exit code 1 if they differ, or there was nothing.

BEGIN {
	form = "%-6s %-7s %-11s %12s %7s %9s %7s %6s %6s%s\n"
	printf form, "FAMILY", "PROTO", "STATE", "conntrack -L", "ctxstat", \
		"UNREPLIED", "ASSURED", "SNAT", "DNAT", ""
}

function of_these(row, column)
{
	if (listed[row, column] + 0 == counted[row, column] + 0)
		return counted[row, column] + 0
	return listed[row, column] + 0 "/" counted[row, column] + 0
}

function show(row,    word, column, differs)
{
	split(row, word, " ")
	for (column = 4; column <= 8; column++)
		differs = differs || listed[row, column] + 0 != counted[row, column] + 0
	printf form, word[1], word[2], word[3], listed[row, 4] + 0, counted[row, 4] + 0, \
		of_these(row, 5), of_these(row, 6), of_these(row, 7), of_these(row, 8), \
		differs ? "  DIFFERS" : ""
	listed_total += listed[row, 4]
	counted_total += counted[row, 4]
	differences += differs
	rows++
}

FILENAME == ARGV[1] {
	row = $1 " " $2 " " $3
	for (column = 4; column <= 8; column++)
		listed[row, column] = $column
	left[row]
	next
}

FNR > 1 {
	row = $1 " " $2 " " $3
	for (column = 4; column <= 8; column++)
		counted[row, column] = $column
	if ($4 || row in left)
		show(row)
	delete left[row]
}

END {
	for (row in left)
		show(row)
	printf "%-26s %12s %7s\n", "total", listed_total + 0, counted_total + 0
	printf "%-26s %12s\n", "conntrack -C", count
	print ""
	if (!rows) {
		print "the table is empty: no traffic came through"
		exit 1
	}
	if (differences || listed_total != count || counted_total != count) {
		print "they DIFFER"
		exit 1
	}
	print "they agree: " counted_total " entries, " rows " rows"
}
