#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The parser under a fuzzer, libFuzzer with AddressSanitizer and UBSan: whatever a
# table holds, fuzz/parse.c says what must be true of what was read. Needs neither the
# module nor root.
#
#   fuzz.sh             run
#   fuzz.sh FILE...     try these inputs only, and show what happens
#
# Environment:
#   FUZZ_SECONDS=N      how long to look for faults (60)
#   CLANG=PROGRAM       the compiler (clang)
#
# An input that breaks something is printed as base64: "base64 -d >FILE" brings it back.
# Exit: 0 all is well, 1 a fault was found, 4 it cannot run here.
# shellcheck disable=SC2154 # $tmp is set by ktap.sh

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
tools=$here/../tools
clang=${CLANG:-clang}
seconds=${FUZZ_SECONDS:-60}
SANITIZE=("-fsanitize=fuzzer,address,undefined,float-cast-overflow" -fno-sanitize-recover=all)
# What it is built from, besides fuzz/parse.c; that one stands in for load.c and plugin.c.
SOURCES=(parse tables interval snapshot summary print listing output json findings histograms audit prometheus textfile)
LIMITS=(-max_len=4096 -timeout=30 -rss_limit_mb=2048)

fuzzer=
cleanup_more() {
	[ -z "$fuzzer" ] || { kill -KILL -- "-$fuzzer"; wait "$fuzzer"; } 2>/dev/null
}

# build PROGRAM SOURCES: the target with the tool's sources in that folder
build() {
	local name files=()
	for name in "${SOURCES[@]}"; do
		files+=("$2/$name.c")
	done
	# shellcheck disable=SC2046 # two words
	"$clang" -std=gnu11 -D_GNU_SOURCE -DCTXSTAT_VERSION='"0"' -Wall -Wextra -Werror -g -O1 "${SANITIZE[@]}" -I"$2" -o "$1" \
		"$here/fuzz/parse.c" "${files[@]}" $(pkg-config --cflags --libs json-c) -lm
}

# target PROGRAM ARGUMENT...: in the background, so that a signal ends the test at once,
# and in a group of its own, as it starts a program that finds the names of functions
target() {
	local status
	set -m
	"$@" "${LIMITS[@]}" -artifact_prefix="$tmp/found-" >"$tmp/target.out" 2>&1 &
	fuzzer=$!
	set +m
	wait "$fuzzer"
	status=$?
	fuzzer=
	return $status
}

# what the target said, and the input, to be run again
report() {
	local file
	grep -vE '^(#[0-9]+\s+(NEW|REDUCE|pulse|RELOAD|INITED)|INFO:|0x|MS:|Executed )' "$tmp/target.out" | head -60
	for file in "$tmp"/found-*; do
		[ -e "$file" ] || continue
		echo "the input is, as base64:"
		base64 "$file"
		rm "$file"
	done
}

# fuzz PROGRAM SECONDS ARGUMENT...: from a copy of the corpus
fuzz() {
	local program=$1 seconds=$2
	shift 2
	rm -rf "$tmp/corpus" && cp -r "$here/fuzz/corpus" "$tmp/corpus" || return
	target "$program" -max_total_time="$seconds" -dict="$here/fuzz/dictionary" "$@" "$tmp/corpus"
}

finds_nothing() {
	fuzz "$tmp/target" "$seconds" || { report; return 1; }
	# a target that refuses at once, or is slow beyond use, has tested nothing
	grep -q "^Done [0-9]\{$((seconds < 10 ? 3 : 4)),\} runs" "$tmp/target.out" || { report; return 1; }
}

# Or a corpus that is out of date would test the first lines of the parser only.
understands_corpus() {
	FUZZ_UNDERSTOOD=1 target "$tmp/target" "$here"/fuzz/corpus/* || { report; return 1; }
}

# planted FILE SED PATTERN: with this fault, the fuzzer says so
planted() {
	rm -rf "$tmp/planted" && mkdir "$tmp/planted" || return
	cp "$tools"/*.[ch] "$tmp/planted" && sed -i "$2" "$tmp/planted/$1" || return
	! cmp -s "$tools/$1" "$tmp/planted/$1" || { echo "$1 has changed: plant another fault"; return 1; }
	build "$tmp/target-planted" "$tmp/planted" || return
	fuzz "$tmp/target-planted" 120 -seed=1 && { echo "not found"; return 1; }
	grep -e "$3" "$tmp/target.out" || { report; return 1; }
}

# try FILE...: what the target says to these inputs
try() {
	local status
	build "$tmp/target" "$tools" || exit
	target "$tmp/target" "$@"
	status=$?
	cat "$tmp/target.out"
	exit $((status > 0))
}

require "$clang" pkg-config base64
pkg-config --exists json-c || skip_all "libjson-c-dev is not installed"
echo 'int LLVMFuzzerTestOneInput(void *p, long n) { return !p && n; }' |
	"$clang" "${SANITIZE[@]}" -x c -o /dev/null - 2>/dev/null || skip_all "clang has no libFuzzer here"

(($#)) && try "$@"

plan 5
check "the fuzzer's target builds without a warning" build "$tmp/target" "$tools"
check "all of the corpus is understood" understands_corpus
check "a fault is found: a row longer than its header" planted parse.c \
	's/if (fields >= header->fields)/if (0)/' "heap-buffer-overflow"
check "a fault is found: the end of a line not looked for" planted parse.c \
	's/while (s->len && is_blank(\*s->p))/while (is_blank(*s->p))/' "heap-buffer-overflow"
check "$seconds seconds find no fault" finds_nothing
finish
