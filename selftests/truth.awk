# SPDX-License-Identifier: GPL-2.0-only
#
# Count the entries that "conntrack -L -o extended" lists, per row of states:
# family l4proto state entries unreplied assured snat dnat

/^ipv[46] / {
	split("", value)
	tuple = 0
	state = "-"
	replied = 1
	assured = 0
	proto = $3
	if (proto !~ /^(tcp|udp|udplite|icmp|icmpv6|sctp|dccp|gre)$/)
		proto = "other"
	for (i = 5; i <= NF; i++) {
		if ($i == "[UNREPLIED]")
			replied = 0
		else if ($i == "[ASSURED]")
			assured = 1
		else if ($i ~ /^src=/)
			tuple++
		else if ($i ~ /^[A-Z_0-9]+$/ && $i ~ /[A-Z]/)
			state = $i
		if (split($i, kv, "=") == 2)
			value[tuple, kv[1]] = kv[2]
	}
	# conntrack -L calls the state LISTEN in which both sides have sent a SYN
	if (proto == "tcp" && state == "LISTEN")
		state = "SYN_SENT2"

	row = $1 " " proto " " state
	entries[row]++
	unreplied[row] += !replied
	is_assured[row] += assured
	snat[row] += value[1, "src"] != value[2, "dst"] || value[1, "sport"] != value[2, "dport"] || value[1, "id"] != value[2, "id"]
	dnat[row] += value[1, "dst"] != value[2, "src"] || value[1, "dport"] != value[2, "sport"]
}

END {
	for (row in entries)
		print row, entries[row], unreplied[row] + 0, is_assured[row] + 0, snat[row] + 0, dnat[row] + 0
}
