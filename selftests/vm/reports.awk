# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel's log without the reports of two checks that find much in others, if ctxstat has
# no part in them: KCSAN's of races, between two lines of equal signs; and of lists that
# nf_tables reads under a mutex of its own, which PROVE_RCU_LIST does not know, from such a
# line to the end of a backtrace. A report within a report is kept.

# mawk has no {20,}.
function print_if(wanted) {
	if (wanted)
		printf "%s", report
	report = ""
}

report == "" && /====================$/ { report = $0 "\n"; lines = complaints = 0; lists = 0; next }

report != "" {
	report = report $0 "\n"
	complaints += /BUG:|WARNING:/
	lists += /RCU-list traversed in non-reader section/
	if (++lines == 1) {
		races = /BUG: KCSAN/
		if (!races && !/suspicious RCU usage/)
			print_if(1)
	} else if (races ? /====================$/ : /<\/TASK>/) {
		print_if(complaints > 1 || report ~ /\[ctxstat\]|ctxstat_/ ||
			 !races && !(lists && report ~ /\[nf_tables\]/))
	} else if (lines > 300) {
		print_if(1)	# it was something else
	}
	next
}

{ print }
END { printf "%s", report }
