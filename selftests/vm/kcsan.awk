# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel's log without KCSAN's reports of races in which ctxstat has no part: the kernel
# has many of its own. A report is between two lines of equal signs.

/={50,}$/ {
	if (report == "") {
		report = $0 "\n"
		next
	}
	report = report $0 "\n"
	if (report !~ /BUG: KCSAN/ || report ~ /\[ctxstat\]|ctxstat_/)
		printf "%s", report
	report = ""
	next
}

report != "" {
	report = report $0 "\n"
	# it was something else
	if (length(report) > 20000) {
		printf "%s", report
		report = ""
	}
	next
}

{ print }
END { printf "%s", report }
