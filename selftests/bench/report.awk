# SPDX-License-Identifier: GPL-2.0-only
#
# The table and the verdicts, from the lines of guest.sh: what was loaded, round or
# entries, what was measured, value. Variables: release, rounds, entries.
#
# Exit: 0 all targets are met, 1 one is missed, 2 a measurement is missing.

BEGIN {
	packet_target = 36	# instructions over nothing loaded
	life_target = 450	# the same, of a UDP connection
	read_target = 5		# per cent
	memory_target = 8	# bytes per connection: less than a pointer is none
	few = 1000
}

NF == 4 { value[$1, $2, $3] = $4 }

function get(loaded, round, name) {
	if (!((loaded, round, name) in value)) {
		printf "report.awk: no %s with %s, %s\n", name, loaded, round >"/dev/stderr"
		incomplete = 1
	}
	return value[loaded, round, name]
}

# 12345.6 -> 12,346
function number(n,    digits, out) {
	digits = sprintf("%.0f", n < 0 ? -n : n)
	while (length(digits) > 3) {
		out = "," substr(digits, length(digits) - 2) out
		digits = substr(digits, 1, length(digits) - 3)
	}
	return (n < 0 ? "-" : "") digits out
}

# Median, lowest and highest of the rounds; of differences, if there is a base.
function summarise(loaded, base, name,    i, j, n, v) {
	for (i = 1; i <= rounds; i++) {
		n = get(loaded, i, name) - (base == "" ? 0 : get(base, i, name))
		for (j = i; j > 1 && v[j - 1] > n; j--)
			v[j] = v[j - 1]
		v[j] = n
	}
	low = v[1]
	high = v[rounds]
	i = int((rounds + 1) / 2)
	return rounds % 2 ? v[i] : (v[i] + v[i + 1]) / 2
}

function row(title, loaded, base,    i, m, spread) {
	printf "%-24s", title
	for (i = 1; i <= columns; i++) {
		m = summarise(loaded, base, name[i])
		if (base == "") {
			printf "%20s", sprintf("%s (%s)", number(m), number(high - low))
		} else {
			printf "%20s", sprintf("%+.1f (%.1f)", m, high - low)
			over[loaded, name[i]] = m
		}
	}
	print ""
}

function parts(title, loaded, base,    i, m) {
	printf "%-24s", title
	for (i = 1; i <= columns; i++) {
		m = summarise(loaded, base, name[i])
		printf "%13s", base == "" ? number(m) : sprintf("%+.1f", m)
	}
	print ""
}

function verdict(met, text) {
	printf "%-7s %s\n", met ? "ok" : "MISSED", text
	if (!met)
		missed = 1
}

END {
	columns = split("udp-packet tcp-packet udp-life tcp-life", name)

	printf "\nLinux %s, x86_64, one CPU: instructions, median of %d rounds (highest - lowest)\n\n", release, rounds
	printf "%-24s%20s%20s%20s\n", "", "established packet", "", "whole connection"
	printf "%-24s%20s%20s%20s%20s\n", "", "UDP", "TCP", "UDP", "TCP"
	row("nothing loaded", "nothing", "")
	print "over nothing loaded:"
	row("  empty netfilter hook", "empty_hook", "nothing")
	row("  and empty callbacks", "empty_hook+trace", "nothing")
	row("  ctxstat", "ctxstat", "nothing")
	row("  with all ports in use", "ctxstat+ports", "nothing")
	row("accounts, timestamps", "nothing+extensions", "nothing")
	row("  and ctxstat, over these", "ctxstat+extensions", "nothing+extensions")

	columns = split("udp-opened udp-answered udp-ended tcp-opened tcp-answered tcp-ended", name)
	printf "\n%-24s", "parts of a connection"
	for (i = 1; i <= columns; i++)
		printf "%13s", toupper(substr(name[i], 1, 3)) substr(name[i], 4)
	print ""
	parts("nothing loaded", "nothing", "")
	parts("  empty netfilter hook", "empty_hook", "nothing")
	parts("  and empty callbacks", "empty_hook+trace", "nothing")
	parts("  ctxstat", "ctxstat", "nothing")
	parts("  with all ports in use", "ctxstat+ports", "nothing")

	sending = summarise("nothing", "", "sending")
	printf "\nEach packet: %s of the instructions are for sending it to the gateway.\n", number(sending)
	print "A connection: opened by a packet; answered: one more packet of UDP, six of TCP,"
	print "up to TIME_WAIT; ended as conntrack -D does it, and freed."
	print "Empty callbacks: of ftrace, where ctxstat sees an entry begin, deleted and end."
	print ""

	at_few = get("ctxstat", few, "read")
	at_many = get("ctxstat", entries, "read")
	grown = at_few ? (at_many - at_few) * 100 / at_few : 100
	printf "%-48s%16s\n", "reading states", "instructions"
	printf "%-48s%16s\n", sprintf("  at %s entries", number(few)), number(at_few)
	printf "%-48s%16s   %+.1f %%\n", sprintf("  at %s entries", number(entries)), number(at_many), grown
	printf "%-48s%16s\n", sprintf("cat states, as a program, at %s entries", number(few)), number(get("cat", few, "run"))
	printf "%-48s%16s\n", sprintf("conntrack -L | wc -l, at %s entries", number(few)), number(get("conntrack-L", few, "run"))

	ports = get("few-ports", few, "ports")
	ports_few = get("few-ports", few, "read")
	all_few = get("all-ports", few, "read")
	all_many = get("all-ports", entries, "read")
	printf "%-48s%16s\n", "reading ports", "instructions"
	printf "%-48s%16s\n", sprintf("  %s ports, at %s entries", number(ports), number(few)), number(ports_few)
	printf "%-48s%16s   %s a port\n", sprintf("  65,536 ports of udp, at %s entries", number(few)), number(all_few), number(all_few / 65536)
	printf "%-48s%16s   %+.1f %%\n", sprintf("  65,536 ports of udp, at %s entries", number(entries)), number(all_many), (all_many - all_few) * 100 / all_few

	size = get("nothing", entries, "object-size")
	size_with = get("ctxstat", entries, "object-size")
	memory_few = get("ctxstat", few, "memory")
	memory_many = get("ctxstat", entries, "memory")
	per_entry = (memory_many - memory_few) * 1024 / (entries - few)
	print "\nmemory"
	printf "%-48s%16s\n", "  an entry in conntrack's slab cache, without", size " bytes"
	printf "%-48s%16s\n", "  the same, with ctxstat", size_with " bytes"
	printf "%-48s%16s\n", sprintf("  loading ctxstat takes, at %s entries", number(few)), number(memory_few) " KiB"
	printf "%-48s%16s\n", sprintf("  at %s entries", number(entries)), number(memory_many) " KiB"

	printf "%-48s%16s\n", sprintf("  the table of %s ports", number(ports)), number(get("few-ports", few, "memory")) " bytes"
	printf "%-48s%16s\n", "  with 65,536 ports of udp", number(get("all-ports", few, "memory")) " bytes"

	print ""
	if (incomplete)
		exit 2
	split("udp-packet tcp-packet", name)
	split("UDP TCP", proto)
	variants = split("ctxstat ctxstat+ports ctxstat+extensions", variant)
	for (v = 1; v <= variants; v++) {
		for (i = 1; i <= 2; i++) {
			m = over[variant[v], name[i]]
			verdict(m <= packet_target, sprintf("%s: %.1f instructions per established %s packet; at most %d", variant[v], m, proto[i], packet_target))
		}
		m = over[variant[v], "udp-life"]
		if (variant[v] ~ /extensions/)
			timed = m
		else
			verdict(m <= life_target, sprintf("%s: %.1f instructions over the life of a UDP connection; at most %d", variant[v], m, life_target))
	}
	printf "%-7s %.1f instructions over the life of a UDP connection with accounts and timestamps on, over what these cost themselves; no target\n", "note", timed
	grown_ports = (all_many - all_few) * 100 / all_few
	verdict(grown_ports <= read_target && grown_ports >= -read_target, sprintf("reading all ports at %s entries: %+.1f %% of reading at %s; at most %d %%", number(entries), grown_ports, number(few), read_target))
	verdict(grown <= read_target && grown >= -read_target, sprintf("reading at %s entries: %+.1f %% of reading at %s; at most %d %%", number(entries), grown, number(few), read_target))
	verdict(size == size_with && per_entry < memory_target, sprintf("%.1f bytes of memory per connection; less than %d, a pointer, is none", per_entry, memory_target))
	exit missed
}
