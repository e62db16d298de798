# SPDX-License-Identifier: GPL-2.0-only
#
# The files of /proc/net/ctxstat that are given, in the format of expected.awk.

BEGIN {
	columns["transitions"] = "family l4proto from to count"
	columns["ends"] = "family l4proto state reason count"
	columns["ports"] = "l4proto port entries unreplied opened answered closed failed packets bytes adopted"
}

FNR == 1 {
	file = FILENAME
	sub(/.*\//, "", file)
	split("", at)
	for (i = 1; i <= NF; i++)
		at[$i] = i
	n = split(columns[file], column, " ")
	for (i = 1; i <= n; i++)
		if (!(column[i] in at))
			print file, "has no column", column[i]
	if (n)
		next
}

n {
	line = file
	for (i = 1; i <= n; i++)
		line = line " " $at[column[i]]
	print line
}

file == "summary" && ($1 == "destroyed" || $1 ~ /^insert_failed(_tcp|_udp)?$/ || ($1 ~ /^insert_failed_/ && $2)) {
	print file, $1, $2
}
