# SPDX-License-Identifier: GPL-2.0-only
#
# The tables and the verdicts, from the results of all parts: what was loaded, round or
# entries, what was measured, value. Variables: release, rounds, sizes (of tables).
#
# Exit: 0 all targets are met, 1 one is missed, 2 a measurement is missing.

BEGIN {
	packet_target = 36	# instructions over nothing loaded
	life_target = 450	# the same, of a UDP connection
	read_target = 5		# per cent
	memory_target = 8	# bytes per connection: less than a pointer is none
	ratio_target = 10000	# of conntrack -L | awk to reading states, at
	ratio_entries = 1000000
	few = 1000
	number_of_sizes = split(sizes, size_of_table, " ")
	many = size_of_table[number_of_sizes]
}

/^#/ { next }
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

# The lowest of the rounds, and how much higher the highest is, in "spread". What comes on top
# of the lowest is not of what is loaded: see packets.sh.
function lowest(loaded, name, after,    i, n, low, high) {
	for (i = 1; i <= rounds; i++) {
		n = get(loaded, i, name) + (after ? get(loaded, i, name "-after") : 0)
		low = i == 1 || n < low ? n : low
		high = i == 1 || n > high ? n : high
	}
	spread = high - low
	return low
}

# The same over a base, if there is one; the spread is not the base's.
function summarise(loaded, base, name,    after, less) {
	after = loaded in listens && name ~ /-packet$/
	less = base == "" ? 0 : lowest(base, name, after)
	return lowest(loaded, name, after) - less
}

function row(title, loaded, base,    i, m) {
	printf "%-28s", title
	for (i = 1; i <= columns; i++) {
		m = summarise(loaded, base, name[i])
		if (base == "") {
			printf "%18s", sprintf("%s (%s)", number(m), number(spread))
		} else {
			printf "%18s", m < 1000 ? sprintf("%+.1f (%.1f)", m, spread) : sprintf("+%s (%s)", number(m), number(spread))
			over[loaded, name[i]] = m
		}
	}
	print ""
}

function parts(title, loaded, base,    i, m) {
	printf "%-28s", title
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

function packets_table(    i) {
	columns = split("udp-packet tcp-packet udp-life tcp-life", name)
	printf "\nLinux %s, x86_64, one CPU: instructions, lowest of %d rounds (highest - lowest)\n\n", release, rounds
	printf "%-28s%18s%18s%18s\n", "", "established packet", "", "whole connection"
	printf "%-28s%18s%18s%18s%18s\n", "", "UDP", "TCP", "UDP", "TCP"
	row("nothing loaded", "nothing", "")
	print "over nothing loaded:"
	row("  empty netfilter hook", "empty_hook", "nothing")
	row("  and empty callbacks", "empty_hook+trace", "nothing")
	row("  ctxstat", "ctxstat", "nothing")
	row("  with all ports in use", "ctxstat+ports", "nothing")
	row("  events=1, no listener", "events", "nothing")
	for (i = 1; i <= others; i++)
		row("  " title[other[i]], other[i], "nothing")
	row("accounts, timestamps", "nothing+extensions", "nothing")
	row("  and ctxstat, over these", "ctxstat+extensions", "nothing+extensions")

	columns = split("udp-opened udp-answered udp-ended tcp-opened tcp-answered tcp-ended", name)
	printf "\n%-28s", "parts of a connection"
	for (i = 1; i <= columns; i++)
		printf "%13s", toupper(substr(name[i], 1, 3)) substr(name[i], 4)
	print ""
	parts("nothing loaded", "nothing", "")
	parts("  empty netfilter hook", "empty_hook", "nothing")
	parts("  and empty callbacks", "empty_hook+trace", "nothing")
	parts("  ctxstat", "ctxstat", "nothing")
	parts("  with all ports in use", "ctxstat+ports", "nothing")
	printf "\nEach packet: %s of the instructions are for sending it to the gateway.\n", number(summarise("nothing", "", "sending"))
}

# What takes long was measured only once, with timers.
function cost(what, entries) {
	return get(what, entries, (what, entries, "run") in value ? "run" : "run-probed")
}

# More than this, if it was stopped.
function at_least(what, entries) { return (what, entries, "stopped") in value ? ">" : "" }

# How many times cheaper ctxstat states is than this.
function times(what, entries) {
	return (at_least(what, entries) ? "more than " : "") number(cost(what, entries) / cost("ctxstat", entries))
}

function cost_row(title, what, entries,    total, user, kernel, more) {
	total = cost(what, entries)
	user = get(what, entries, "in-user")
	kernel = get(what, entries, "in-kernel")
	if (user + kernel)
		user = total * user / (user + kernel)
	more = at_least(what, entries)
	printf "  %-27s%17s%18s%18s%14s%14s\n", title, more number(total), more number(user), more number(total - user),
		more ? "-" : number(get(what, entries, "mean")), more ? "-" : number(get(what, entries, "longest"))
}

function reading_table(    i, n) {
	printf "\n%-28s%18s%18s%18s%14s%14s\n", "one reading of all states", "instructions", "user", "system", "a packet", "at most"
	printf "%-28s%18s%18s%18s%14s%14s\n", "", "", "", "", "waits for", ""
	for (i = 1; i <= number_of_sizes; i++) {
		n = size_of_table[i]
		printf "at %s entries\n", number(n)
		cost_row("a program that does nothing", "nothing", n)
		printf "  %-27s%17s\n", "open, read, close states", number(get("states", n, "read"))
		cost_row("cat states", "cat", n)
		cost_row("ctxstat states", "ctxstat", n)
		cost_row("conntrack -L | awk", "conntrack-L", n)
		cost_row("awk nf_conntrack", "proc", n)
		cost_row("iptstate -1", "iptstate", n)
		cost_row("conntrack -C", "conntrack-C", n)
		cost_row("conntrack -S", "conntrack-S", n)
	}
}

function line(text, amount, more) { printf "%-52s%16s%s\n", text, amount, more == "" ? "" : "   " more }

function memory_table(    ports, ports_few) {
	ports = get("few-ports", few, "ports")
	ports_few = get("few-ports", few, "read")
	all_few = get("all-ports", few, "read")
	all_many = get("all-ports", many, "read")
	print ""
	line("reading ports", "instructions")
	line(sprintf("  %s ports, at %s entries", number(ports), number(few)), number(ports_few))
	line(sprintf("  65,536 ports of udp, at %s entries", number(few)), number(all_few), number(all_few / 65536) " a port")
	line(sprintf("  65,536 ports of udp, at %s entries", number(many)), number(all_many), sprintf("%+.1f %%", (all_many - all_few) * 100 / (all_few ? all_few : 1)))

	size = get("nothing", many, "object-size")
	size_with = get("ctxstat", many, "object-size")
	memory_few = get("ctxstat", few, "memory")
	memory_many = get("ctxstat", many, "memory")
	per_entry = (memory_many - memory_few) * 1024 / (many - few)
	print "\nmemory"
	line("  an entry in conntrack's slab cache, without", size " bytes")
	line("  the same, with ctxstat", size_with " bytes")
	line(sprintf("  loading ctxstat takes, at %s entries", number(few)), number(memory_few) " KiB")
	line(sprintf("  at %s entries", number(many)), number(memory_many) " KiB")
	line(sprintf("  the table of %s ports", number(ports)), number(get("few-ports", few, "memory")) " bytes")
	line("  with 65,536 ports of udp", number(get("all-ports", few, "memory")) " bytes",
		number((get("all-ports", few, "memory") - get("few-ports", few, "memory")) / (65536 - ports)) " a port")
	line("  a namespace that tracks nothing, 1 CPU", sprintf("%.1f KiB", get("ctxstat", 1, "idle-namespace") - get("nothing", 1, "idle-namespace")))
	line("  the same, 8 CPUs", sprintf("%.1f KiB", get("ctxstat", 8, "idle-namespace") - get("nothing", 8, "idle-namespace")))
	line("  when it is busy, more than that, 1 CPU", number(get("ctxstat", 1, "busy-namespace")) " KiB")
	line("  the same, 8 CPUs", number(get("ctxstat", 8, "busy-namespace")) " KiB",
		sprintf("%.1f KiB for each CPU", (get("ctxstat", 8, "busy-namespace") - get("ctxstat", 1, "busy-namespace")) / 7))
}

function background_table(    n) {
	printf "\n%-28s%18s%18s\n", "each second, in background", "few ports", "65,536 ports"
	for (n = 1; n <= 8; n += 7)
		printf "%-28s%18s%18s\n", sprintf("  ctxstat, %d CPU%s", n, n == 1 ? "" : "s"),
			number(get("ctxstat", n, "tick")), number(get("ctxstat+ports", n, "tick"))
}

function scaling_table(    n) {
	printf "\n%-28s%18s%18s%18s%18s\n", "a UDP packet, on each of", "1 CPU", "2 CPUs", "4 CPUs", "8 CPUs"
	printf "%-28s", "nothing loaded"
	for (n = 1; n <= 8; n *= 2)
		printf "%18s", number(summarise("nothing-" n "-cpus", "", "packet"))
	printf "\n%-28s", "  ctxstat, over this"
	for (n = 1; n <= 8; n *= 2) {
		over_on[n] = summarise("ctxstat-" n "-cpus", "nothing-" n "-cpus", "packet")
		printf "%18s", sprintf("%+.1f", over_on[n])
	}
	print ""
}

# How many times cheaper this many instructions are than conntrack -L | awk.
function ratio_verdict(text, instructions,    ratio) {
	ratio = cost("conntrack-L", many) / instructions
	verdict(ratio >= ratio_target, sprintf("%s: %s times cheaper than conntrack -L | awk at %s entries; at least %s",
		text, number(ratio), number(many), number(ratio_target)))
}

function verdicts(    i, v, m, ahead, text, n, grown) {
	split("UDP TCP", proto)
	split("udp-packet tcp-packet udp-life tcp-life", name)
	variants = split("ctxstat ctxstat+ports ctxstat+extensions", variant)
	for (v = 1; v <= variants; v++) {
		for (i = 1; i <= 2; i++) {
			m = over[variant[v], name[i]]
			verdict(m <= packet_target, sprintf("%s: %.1f instructions per established %s packet; at most %d", variant[v], m, proto[i], packet_target))
		}
		m = over[variant[v], "udp-life"]
		if (variant[v] ~ /extensions/)
			printf "%-7s %.1f instructions over the life of a UDP connection with accounts and timestamps on, over what these cost themselves; no target\n", "note", m
		else
			verdict(m <= life_target, sprintf("%s: %.1f instructions over the life of a UDP connection; at most %d", variant[v], m, life_target))
	}
	for (i = 1; i <= others; i++) {
		ahead = 1
		text = ""
		for (v = 1; v <= 4; v++) {
			ahead = ahead && over["ctxstat", name[v]] < over[other[i], name[v]]
			text = text (v == 1 ? "" : ", ") sprintf("%s %s", name[v], number(over[other[i], name[v]]))
		}
		verdict(ahead, sprintf("ctxstat costs less than %s in each column: %s", title[other[i]], text))
	}
	for (i = 1; i <= number_of_sizes; i++) {
		n = size_of_table[i]
		m = cost("ctxstat", n)
		verdict(m < cost("conntrack-L", n) && m < cost("proc", n) && m < cost("iptstate", n),
			sprintf("ctxstat states at %s entries: %s times cheaper than conntrack -L | awk, %s than awk nf_conntrack, %s than iptstate -1", number(n),
				times("conntrack-L", n), times("proc", n), times("iptstate", n)))
	}
	if (many >= ratio_entries) {
		ratio_verdict("reading states, without a program's start", get("states", many, "read"))
		ratio_verdict("ctxstat states, a whole program", cost("ctxstat", many))
		printf "%-7s cat states: %s times; a program that does nothing: %s\n", "note",
			number(cost("conntrack-L", many) / cost("cat", many)), number(cost("conntrack-L", many) / cost("nothing", many))
	}
	m = get("ctxstat", many, "longest")
	verdict(m < get("conntrack-L", many, "longest") && m < get("iptstate", many, "longest"),
		sprintf("in one reading at %s entries a packet waits %s at most with ctxstat states; %s with conntrack -L | awk, %s with iptstate -1, %s with a program that does nothing",
			number(many), number(m), number(get("conntrack-L", many, "longest")), number(get("iptstate", many, "longest")), number(get("nothing", many, "longest"))))
	grown = (get("states", many, "read") - get("states", few, "read")) * 100 / get("states", few, "read")
	verdict(grown <= read_target && grown >= -read_target, sprintf("reading states at %s entries: %+.1f %% of reading at %s; at most %d %%", number(many), grown, number(few), read_target))
	grown = (all_many - all_few) * 100 / all_few
	verdict(grown <= read_target && grown >= -read_target, sprintf("reading all ports at %s entries: %+.1f %% of reading at %s; at most %d %%", number(many), grown, number(few), read_target))
	verdict(size == size_with && per_entry < memory_target, sprintf("%.1f bytes of memory per connection; less than %d, a pointer, is none", per_entry, memory_target))
	m = over_on[8] - over_on[1]
	verdict(m <= 1 && m >= -1, sprintf("an established packet with 8 CPUs: %+.1f instructions to one with 1; at most 1", m))
	verdict(get("packet_hook", "-", "writes") == 0, sprintf("of the packet hook's %d instructions %d may write memory", get("packet_hook", "-", "instructions"), get("packet_hook", "-", "writes")))
}

END {
	others = split("conntrack-E conntrackd nft iptables-legacy iptables-nft bpftrace", other)
	listens["conntrack-E"]
	listens["conntrackd"]
	title["conntrack-E"] = "conntrack -E >/dev/null"
	title["conntrackd"] = "conntrackd, statistics"
	title["nft"] = "nft rules"
	title["iptables-legacy"] = "iptables-legacy rules"
	title["iptables-nft"] = "iptables-nft rules"
	title["bpftrace"] = "bpftrace script"

	packets_table()
	reading_table()
	memory_table()
	background_table()
	scaling_table()
	print ""
	if (incomplete)
		exit 2
	verdicts()
	exit incomplete ? 2 : missed
}
