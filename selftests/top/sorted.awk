# SPDX-License-Identifier: GPL-2.0-only
#
# Is a screen of "ctxstat top" sorted by the column that it marks, and which way?
# Prints the label and "up", "down" or "flat"; exits with 1 if it is not sorted, or if
# the mark points the wrong way. Characters have to be ASCII: LC_ALL=C in top.
#
# The mark "^" or "v" stands before a label that is written to the right, and so right
# before a letter, and otherwise behind it.

function number(text,   factor) {
	factor = index("kMGTPE", substr(text, length(text)))
	return factor ? substr(text, 1, length(text) - 1) * 1000 ^ factor : text + 0
}

# As in the C locale, whatever awk thinks
function less(a, b) {
	if (numeric)
		return number(a) < number(b)
	return a "" < b ""
}

function find_mark(   i, word) {
	numeric = 1
	for (i = 1; i <= NF; i++) {
		word = $i
		if (word ~ /[v^]/) {
			at = i
			if (word ~ /[v^]$/)
				numeric = word ~ /PORT/
			up = word ~ /\^/
			gsub(/[v^]/, "", word)
			label = word
			return
		}
	}
}

/^(FAM|PROTO)/ {
	# A mark between two labels belongs to the second one.
	if (match($0, /[A-Z\/%][v^][A-Z%]/))
		$0 = substr($0, 1, RSTART) " " substr($0, RSTART + 1)
	find_mark()
	rows = 1
	next
}
/^q quit/ { exit }
rows && NF {
	value = $at
	if (value == "-" && numeric) {
		unknown++
		next
	}
	if (unknown) {
		print label ": what is not known is not last"
		bad = 1
	}
	if (seen++ && value "" != last "") {
		way = less(last, value) ? "up" : "down"
		if (direction && way != direction) {
			print label ": " last " before " value
			bad = 1
		}
		direction = way
	}
	last = value
}
END {
	if (direction && direction != (up ? "up" : "down")) {
		print label ": the mark points " (up ? "up" : "down") ", and it is sorted " direction
		bad = 1
	}
	print label, direction ? direction : "flat"
	exit bad || seen < 2
}
