# SPDX-License-Identifier: GPL-2.0-only
#
# What transitions, ends, ports and summary should say, as lines "FILE ROW".
#
# Reads what "conntrack -E -o extended" has said, for packets and bytes, and lines
# of what was done. FAMILY is ipv4, ipv6 or both: each of them so often.
#
#   path FAMILY L4PROTO COUNT STATE...     so many entries went this way; "-": new
#   ends FAMILY L4PROTO STATE REASON COUNT
#   ports L4PROTO PORT COLUMN=COUNT...     of both families, added up
#   summary KEY COUNT
#
# -v accounted=1: with packets and bytes, else "-".

function each(family, list) {
	return split(family == "both" ? "ipv4 ipv6" : family, list, " ")
}

$1 == "path" {
	for (f = each($2, family); f; f--)
		for (i = 5; i < NF; i++)
			transitions[family[f] " " $3 " " $i " " $(i + 1)] += $4
}

$1 == "ends" {
	for (f = each($2, family); f; f--) {
		ends[family[f] " " $3 " " $4 " " $5] += $6
		summary["destroyed"] += $6
	}
}

$1 == "ports" {
	row = $2 " " $3
	ports[row]
	for (i = 4; i <= NF; i++) {
		split($i, kv, "=")
		port[row, kv[1]] += kv[2]
	}
}

$1 == "summary" {
	summary[$2] += $3
	summary["insert_failed"] += $3
}

$1 == "[DESTROY]" {
	row = ""
	for (i = 2; i <= NF; i++) {
		if ($i ~ /^ipv[46]$/)
			l4proto = $(i + 2)
		split($i, kv, "=")
		if (kv[1] == "dport" && row == "")
			row = l4proto " " kv[2]
		if (kv[1] == "packets" || kv[1] == "bytes")
			port[row, kv[1]] += kv[2]
	}
}

END {
	for (row in transitions)
		print "transitions", row, transitions[row]
	for (row in ends)
		print "ends", row, ends[row]
	for (row in ports) {
		closed = port[row, "closed"] + 0
		failed = port[row, "failed"] + 0
		opened = port[row, "opened"] + 0
		adopted = port[row, "adopted"] + 0
		print "ports", row, opened + adopted - closed - failed,
			port[row, "unreplied"] + 0, opened, port[row, "answered"] + 0, closed, failed,
			accounted ? port[row, "packets"] + 0 : "-", accounted ? port[row, "bytes"] + 0 : "-", adopted
	}
	summary["destroyed"] += 0
	summary["insert_failed"] += 0
	summary["insert_failed_tcp"] += 0
	summary["insert_failed_udp"] += 0
	for (key in summary)
		print "summary", key, summary[key]
}
