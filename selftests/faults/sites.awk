# SPDX-License-Identifier: GPL-2.0-only
#
# Where a module calls what allocates memory, or what does so inside, as its functions
# appear in a trace: FUNCTION+0xOFFSET, that of the next instruction. Input: objdump -dr
# --no-show-raw-insn MODULE. A function that ends with a jump there is not in the trace
# itself, so that its callers are the places.

function allocates(name) {
	return name !~ /^(ctxstat_|free_)/ &&
		name ~ /alloc|kmem_cache_(create|destroy)|^ftrace_set_filter_ip$|^register_|^nf_(un)?register_|^_?proc_(mkdir|create|net_mkdir)/
}

/^[0-9a-f]+ <.*>:$/ {
	start = $1
	name = substr($2, 2, length($2) - 3)
	# its other name
	sub(/^init_module$/, "ctxstat_init", name)
	sub(/^cleanup_module$/, "ctxstat_exit", name)
	next
}

/R_X86_64_P(LT|C)32/ {
	if (!match(instruction, /^(call|jmp)/))
		next
	target = $3
	sub(/[-+]0x.*/, "", target)
	n++
	kind[n] = substr(instruction, RSTART, RLENGTH)
	in_function[n] = name
	of[n] = start
	calls[n] = target
	want = n
	next
}

/^ *[0-9a-f]+:/ {
	if (want)
		next_at[want] = substr($1, 1, length($1) - 1)
	want = 0
	instruction = $2
}

function hex(digits,   i, value) {
	digits = tolower(digits)
	for (i = 1; i <= length(digits); i++)
		value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
	return value
}

END {
	do {
		more = 0
		for (i = 1; i <= n; i++)
			if (kind[i] == "jmp" && (calls[i] in jumps || allocates(calls[i])) && !(in_function[i] in jumps)) {
				jumps[in_function[i]]
				more = 1
			}
	} while (more)
	for (i = 1; i <= n; i++)
		if (kind[i] == "call" && (calls[i] in jumps || allocates(calls[i])))
			printf "%s+0x%x %s\n", in_function[i], hex(next_at[i]) - hex(of[i]), calls[i]
}
