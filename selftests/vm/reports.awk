# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel's log without the reports of two checks that find much in others, if ctxstat has
# no part in them: KCSAN's of races, between two lines of equal signs, where code that an
# interrupt has only interrupted has no part in what that does; and of lists that
# nf_tables reads under a mutex of its own, which PROVE_RCU_LIST does not know, from such a
# line to the end of a backtrace. A report within a report is kept.
#
# And without one leak: when there is no memory for a slab cache's folder in sysfs, the
# kernel's sysfs_slab_add() does not give back the folder's name.

# mawk has no {20,}.
function print_if(wanted) {
	if (wanted)
		printf "%s", report
	report = ""
}

# kmemleak's list: the first line, and its own lines, which are indented.
function end_of_leak() {
	if (leak ~ / sysfs_slab_add[+]/ && leak ~ / kobject_set_name_vargs[+]/)
		names++
	else
		printf "%s", leak
	leak = ""
}
/ unreferenced object 0x/ { end_of_leak(); leak = $0 "\n"; next }
leak != "" && /^(\[ *[0-9.]+\] )?  / { leak = leak $0 "\n"; next }
leak != "" { end_of_leak() }
# What comes before the list is how many there are.
/ kmemleak: [0-9]+ new suspected memory leak/ {
	match($0, /[0-9]+ new suspected/)
	suspected += substr($0, RSTART)
	suspicion = suspicion $0 "\n"
	next
}

report == "" && /====================$/ { report = $0 "\n"; lines = complaints = lists = ours = interrupted = 0; next }

report != "" {
	report = report $0 "\n"
	complaints += /BUG:|WARNING:|Oops|UBSAN:|INFO: |detected.*stall|unregister_netdevice: waiting|general protection/ ||
		      races && /Call [Tt]race/
	lists += /RCU-list traversed in non-reader section/
	# Each of a race's backtraces begins so; in the end it says at which work the CPU was.
	if (/ of [0-9]+ bytes by /)
		interrupted = 0
	ours += !interrupted && !(races && / Workqueue: /) && /\[ctxstat\]|ctxstat_/
	interrupted += races && / asm_(sysvec_|common_interrupt)/
	if (++lines == 1) {
		races = /BUG: KCSAN/
		if (!races && !/suspicious RCU usage/)
			print_if(1)
	} else if (races ? /====================$/ : /<\/TASK>/) {
		print_if(complaints > 1 || ours ||
			 !races && !(lists && report ~ /\[nf_tables\]/))
	} else if (lines > 300) {
		print_if(1)	# it was something else
	}
	next
}

{ print }
END {
	end_of_leak()
	printf "%s", report
	if (suspected > names)
		printf "%s", suspicion
}
