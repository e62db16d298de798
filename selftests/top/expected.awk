# SPDX-License-Identifier: GPL-2.0-only
#
# The rows of a table as "ctxstat top" has to show them after its first reading, in the
# module's order: awk -v table=states|ports|ends [-v all=1] [-v rates=0] -f expected.awk FILE
#
# rates: what stands for a counter that did not move since; "-" if not given.

# Three digits, rounded half up, in whole numbers as long as awk has them
function digits(number, unit, parts) {
	return int((number * parts + unit / 2) / unit)
}
function short(number,   unit, suffix) {
	if (number == "-" || number < 1000)
		return number
	for (suffix = 1; digits(number, 1000 ^ suffix, 1) >= 1000; suffix++)
		;
	unit = 1000 ^ suffix
	suffix = substr("kMGTPE", suffix, 1)
	if (digits(number, unit, 100) < 1000)
		return sprintf("%.2f%s", digits(number, unit, 100) / 100, suffix)
	if (digits(number, unit, 10) < 1000)
		return sprintf("%.1f%s", digits(number, unit, 10) / 10, suffix)
	return digits(number, unit, 1) suffix
}

function share(part, whole) {
	return whole ? sprintf("%.1f", 100 * part / whole) : "-"
}

BEGIN {
	if (rates == "")
		rates = "-"
	keys = table == "ends" ? 4 : table == "ports" ? 2 : 3
}

FNR == 1 { next }
{
	zero = 1
	for (i = keys + 1; i <= NF; i++)
		if ($i != 0 && !(table == "states" && i == NF))
			zero = 0
	if (zero && !all)
		next
}
table == "states" {
	print $1, $2, $3, short($4), short($5), short($6), short($7), short($8), rates, rates, short($11)
}
table == "ports" {
	print $1, $2, short($3), short($4), share($4, $3), rates, rates, rates, rates, short($10)
}
table == "ends" { print $1, $2, $3, $4, short($5), rates }
