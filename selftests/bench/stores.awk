# SPDX-License-Identifier: GPL-2.0-only
#
# That the path of an established packet writes no memory: of the hook function, as
# "objdump -dr --no-show-raw-insn" shows it, each instruction must be one of those that only
# read memory, or write a register. The one way to code that writes is the jump to
# packet_changed(), which a packet that changes nothing does not take.
#
# stdout: a result of the form of scene.sh's. Exit: 0 it writes none, 1 it may, or there is
# no such function.

/^[0-9a-f]+ <.*>:$/ { inside = $2 == "<packet_hook>:"; next }
!inside || NF < 2 { next }

# where a jump goes that the linker fills in
/R_X86_64_/ {
	if ($3 !~ /^(packet_changed|__x86_return_thunk)[-+]/)
		complain()
	next
}

function complain() { print "stores.awk: " $0 >"/dev/stderr"; bad = 1 }

{
	operands = $3
	to = operands
	if (match(operands, /,%[a-z0-9]+$/))
		to = substr(operands, RSTART + 1)
	count++
}
$2 ~ /^(cmp|test)[bwlq]?$/ { next }
$2 ~ /^(endbr64|nop[wl]?|cs|data16|ret|int3)$/ { next }
$2 ~ /^j[a-z]+$/ { next }
$2 ~ /^(mov|movzbl|movzwl|and|or|xor|shr|shl|sub|add|lea)[bwlq]?$/ && to ~ /^%[a-z0-9]+$/ { next }
{ complain() }

END {
	print "packet_hook - instructions", count + 0
	print "packet_hook - writes", bad + 0
	exit bad || !count
}
