# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel's log without the reports in which ctxstat has no part, of two checks that find
# much in others: KCSAN's of races, between two lines of equal signs; and of lists that are
# read without rcu_read_lock() (PROVE_RCU_LIST), which nf_tables does under a mutex of its
# own, from such a line to the end of a backtrace.

# mawk has no {20,}.
function print_if(wanted) {
	if (wanted)
		printf "%s", report
	report = ""
}

report == "" && /====================$/ { report = $0 "\n"; lines = 1; next }

report != "" {
	report = report $0 "\n"
	if (++lines == 2) {
		races = /BUG: KCSAN/
		if (!races && !/suspicious RCU usage/)
			print_if(1)
	} else if (races ? /====================$/ : /<\/TASK>/) {
		print_if(report ~ /\[ctxstat\]|ctxstat_/)
	} else if (lines > 300) {
		print_if(1)	# it was something else
	}
	next
}

{ print }
END { printf "%s", report }
