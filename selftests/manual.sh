#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The help, the manual pages and the completion say the same as the program does:
# each option, subcommand, exit code, column, key and metric is in all of them, and
# nothing else. Needs neither the module nor root.
#
# CTXSTAT=PROGRAM tests that one instead of building tools/ctxstat.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
tools=$here/../tools
tables=$here/tool/gateway
COMPLETION=/usr/share/bash-completion/bash_completion

require groff mandoc make
[ -e $COMPLETION ] || skip_all "bash-completion is not installed"
if [ -z "${CTXSTAT:-}" ]; then
	make -s -C "$tools" >&2 || exit 1
	CTXSTAT=$tools/ctxstat
fi
# The completion calls it by name.
mkdir "$tmp/bin" && copy_tool "$tmp/bin" || exit 1
PATH=$tmp/bin:$PATH

help_subcommands() { ctxstat help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p'; }
help_options() { # [SUBCOMMAND]
	ctxstat help "$@" | sed -n '/^Options:/,/^$/p' | grep -oE -- '(^| )(-[a-zA-Z]|--[a-z-]+)' | tr -d ' '
}
help_codes() { ctxstat help | sed -n '/^Exit status:/,$s/^  \([0-9]\) .*/\1/p'; }

# A section of a page, without its macros: words as they are written in it
man_section() { # PAGE SECTION
	sed -n "/^\.SH \"\{0,1\}$2\"\{0,1\}$/,/^\.SH /p" "$tools/$1" |
		sed -e 's/\\-/-/g; s/\\(aq/'\''/g; s/\\c$//; s/ "\([^"]*\)"/\1/g'
}
man_text() { # PAGE
	sed -e 's/\\-/-/g; s/\\(aq/'\''/g; s/^\.[A-Z]* //; s/\\c$//; s/"//g' "$tools/$1"
}
# Tags of a section: the lines behind .TP and .TQ
man_tags() { man_section "$1" "$2" | sed -n '/^\.T[PQ]/{n;s/^\.[A-Z]* //p}'; }
man_options() { man_tags ctxstat.8 OPTIONS | grep -oE -- '(^|[ ,])(-[a-zA-Z]|--[a-z-]+)' | tr -d ' ,'; }
man_subcommands() { man_tags ctxstat.8 SUBCOMMANDS | sed 's/ .*//'; }
man_codes() { man_tags ctxstat.8 "EXIT STATUS" | grep -xE '[0-9]'; }

same() { # NAME NAME, whose output is to be the same
	diff --label "$1" --label "$2" -u <("$1" | sort -u) <("$2" | sort -u) &&
		[ "$("$1" | wc -l)" -gt 3 ]
}

options_of_all() {
	local name
	for name in $(help_subcommands); do
		help_options "$name"
	done
}

# What bash offers for the words of a command line, of which the last is completed;
# bash takes the "=" of an option for a word
offers() {
	bash --norc -c '
		. "$1" && . "$2" && shift 2
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$*
		COMP_LINE=${COMP_LINE// = /=} COMP_POINT=${#COMP_LINE}
		compopt() { :; }
		_ctxstat
		printf "%s\n" "${COMPREPLY[@]}"' - $COMPLETION "$tools/completion/ctxstat" "$@"
}

completed_options() { # SUBCOMMAND
	diff -u <(help_options "$1" | grep ^-- | sort) <(offers ctxstat "$1" -- | sed 's/=$//' | sort) || return
	# the value of an option is no subcommand
	diff -u <(help_options "$1" | grep ^-- | sort) \
		<(offers ctxstat --proc-dir "$tables" "$1" -- | sed 's/=$//' | sort)
}

completion_options() {
	local name
	for name in $(help_subcommands); do
		completed_options "$name" || return
	done
}

completion_subcommands() { offers ctxstat ""; }

# The words that are offered, in one line
offered() { # WORDS WORD...
	local want=$1
	shift
	[ "$(offers "$@" | sort | xargs)" = "$want" ] || { echo "$*: not \"$want\" but \"$(offers "$@" | xargs)\""; return 1; }
}

completion_values() {
	offered "csv json table" ctxstat states --format = "" &&
		offered "csv json table" ctxstat states --format "" &&
		offered "csv" ctxstat states -f c &&
		offered "icmp icmpv6" ctxstat states --proto i &&
		offered "from" ctxstat transitions --sort fr &&
		offered "packets port" ctxstat ports -s p &&
		offered "peak port" ctxstat top --sort p &&
		offered "" ctxstat --sort "" &&
		offered "" ctxstat --netns "none-of-that-name" &&
		offered "states summary" ctxstat help s &&
		offered "states summary" ctxstat --proc-dir "$tables" s &&
		offered "" ctxstat states ""
}

# Names in the tags of a section of ctxstat(5); what stands in parentheses is the tool's
defined() { # SECTION
	man_section ctxstat.5 "$1" | sed '/^\.SS/,$d' | sed -n '/^\.T[PQ]/{n;:more;/, *$/{N;b more};s/\n\.[A-Z]* / /g;s/^\.[A-Z]* //;s/ (.*//;s/ *, */\n/g;p}' |
		tr -d ' '
}

# Each column and key has a definition, and nothing has that is not there
columns_defined() { # TABLE SECTION
	head -n 1 "$tables/$1" | tr ' ' '\n' | sort >"$tmp/there"
	defined "$2" | sort >"$tmp/defined"
	diff --label "$1" --label "ctxstat(5), $2" -u "$tmp/there" "$tmp/defined"
}
keys_defined() { # TABLE SECTION KEY...
	{ cut -d' ' -f1 "$tables/$1"; (($# < 3)) || printf '%s\n' "${@:3}"; } | sort >"$tmp/there"
	defined "$2" | sort >"$tmp/defined"
	diff --label "$1" --label "ctxstat(5), $2" -u "$tmp/there" "$tmp/defined"
}

metrics() { ctxstat prometheus --proc-dir="$tables" | sed -n 's/^# TYPE \([^ ]*\) .*/\1/p'; }
man_metrics() { man_tags ctxstat.8 METRICS | grep -o 'ctxstat_[a-z_]*'; }

# The keys that top's help shows, and those in the page
top_keys() { sed -n '/^} help\[\]/,/^};/s/^\t{ "\([^"]*\)".*/\1/p' "$tools/top_draw.c" | tr ' ' '\n'; }
man_keys() { man_tags ctxstat.8 TOP | sed 's/ *, */ /g' | tr -s ' ' '\n'; }

clean() { # PAGE
	groff -ww -man -Tutf8 "$tools/$1" 2>&1 >/dev/null | tee "$tmp/warnings"
	mandoc -T lint -W warning "$tools/$1" | tee -a "$tmp/warnings"
	[ ! -s "$tmp/warnings" ]
}

plan 18
check "options: the help of all subcommands has them all" same help_options options_of_all
check "options: help and ctxstat(8)" same help_options man_options
check "subcommands: help and ctxstat(8)" same help_subcommands man_subcommands
check "exit codes: help and ctxstat(8)" same help_codes man_codes
check "options: help and completion" completion_options
check "subcommands: help and completion" same help_subcommands completion_subcommands
check "values are completed" completion_values
for table in states ports transitions ends histograms; do
	check "$table: columns and ctxstat(5)" columns_defined $table ${table^^}
done
check "summary: keys and ctxstat(5)" keys_defined summary SUMMARY
check "audit: keys and ctxstat(5)" keys_defined audit AUDIT difference port_difference
check "every metric is in ctxstat(8), and no other" same metrics man_metrics
check "keys: the help of top and ctxstat(8)" same top_keys man_keys
check "ctxstat(8) has no warnings" clean ctxstat.8
check "ctxstat(5) has no warnings" clean ctxstat.5
finish
