# SPDX-License-Identifier: GPL-2.0-only
#
# That the path of an established packet writes no memory: of the hook function, as
# "objdump -dr --no-show-raw-insn" shows it, each instruction must be one of those that only
# read memory, or write a register, or a jump within the function. The one way to code that
# writes is the jump to packet_changed(), which a packet that changes nothing does not take.
#
# stdout: results of the form of scene.sh's: how many instructions there are, and how many
# of them are not such. Exit: 0, or 1 if there is no such function.

/^[0-9a-f]+ <.*>:$/ { inside = $2 == "<packet_hook>:"; next }
!inside || NF < 2 { next }

# where a jump goes that the linker fills in
/R_X86_64_/ {
	if ($3 !~ /^(packet_changed|__x86_return_thunk)[-+]/)
		complain()
	next
}

function complain() { print "stores.awk: " $0 >"/dev/stderr"; writes++ }

{
	operands = $3
	to = operands
	if (match(operands, /,%[a-z0-9]+$/))
		to = substr(operands, RSTART + 1)
	count++
}
$2 ~ /^(cmp|test)[bwlq]?$/ { next }
$2 ~ /^(endbr64|nop[wl]?|ret|int3)$/ { next }
$2 ~ /^(cs|data16)$/ && / nop[wl] / { next }
$2 ~ /^j[a-z]+$/ && $4 ~ /^<(packet_hook\+0x[0-9a-f]+|packet_changed|__x86_return_thunk)>$/ { next }
$2 ~ /^(mov|movzbl|movzwl|and|or|xor|shr|shl|sub|add|lea)[bwlq]?$/ && to ~ /^%[a-z0-9]+$/ { next }
{ complain() }

END {
	if (!count)
		exit 1
	print "packet_hook - instructions", count
	print "packet_hook - writes", writes + 0
}
