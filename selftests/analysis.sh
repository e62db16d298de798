#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Programs that read the sources and look for faults find none in the module and the
# tool: gcc's and clang's analyzers, cppcheck, and coccinelle with the kernel's own
# scripts. Each is shown a planted fault first. sparse is run by source.sh; smatch is in
# no Debian.
#
# What they find and is no fault is not looked for, and the reason stands beside it. It
# takes about two minutes, and before that the sources of a kernel are fetched.

set -u
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
cd "$top" || exit 1
KERNEL=6.12

require gcc clang cppcheck spatch
vars=$("$here/vm/kernel.sh" "$KERNEL") || skip_all "no headers of $KERNEL"
eval "$vars"
source=$("$here/vm/source.sh" "$KERNEL") || skip_all "no sources of $KERNEL"

mkdir "$tmp/tool" "$tmp/kernel"
cp -r dkms.conf tools "$tmp/tool/"
cp -r Kbuild module "$tmp/kernel/"
make -s -C "$tmp/tool/tools" clean

cat >"$tmp/tool/tools/planted.c" <<'C'
#include <stdlib.h>
void planted(void);
void planted(void)
{
	char *p = malloc(10);

	free(p);
	free(p);
}
C
# a null pointer, a place behind an array, a check that kfree() makes itself
cat >"$tmp/kernel/module/planted.c" <<'C'
#include <linux/slab.h>
int planted(int n, char *q);
int planted(int n, char *q)
{
	int a[2] = {}, *p = NULL;

	if (n)
		p = &a[2];
	if (q)
		kfree(q);
	a[2] = n;
	return *p;
}
C

# Each is given the files without their endings, and prints what it finds.
tool_files() { (cd tools && printf '%s\n' *.c | sed 's/\.c$//'); }
module_files() { (cd module && printf '%s\n' *.c | sed 's/\.c$//'); }

# make_tool CC CFLAGS FILE...: with the Makefile's own options
make_tool() {
	local cc=$1 cflags=$2
	shift 2
	rm -f "$tmp/tool/tools/"*.o
	make -k -j"$(nproc)" -C "$tmp/tool/tools" CC="$cc" CFLAGS="$cflags" "${@/%/.o}" >"$tmp/log" 2>&1 || {
		cat "$tmp/log"
		return
	}
	grep -A 30 'warning:' "$tmp/log"
}

# Not optimised: gcc 12 takes structures in registers for uninitialised otherwise.
gcc_tool() { make_tool gcc "-O0 -g -fanalyzer" "$@"; }
clang_tool() { make_tool clang "--analyze --analyzer-output text" "$@"; }

# Only one thread asks for users and services. What plugin.c loads stays until the end.
cppcheck_tool() {
	(cd "$tmp/tool/tools" && cppcheck -q --std=c11 --library=posix -D_GNU_SOURCE -DCTXSTAT_VERSION='"0"' -DPLUGINDIR='"/"' \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		--suppress=getpwuidCalled:exporter.c --suppress=getpwnamCalled:exporter.c \
		--suppress=getserventCalled:print.c --suppress=resourceLeak:plugin.c "${@/%/.c}" 2>&1)
}

gcc_module() {
	local files=("${@/#/module/}")
	rm -f "$tmp/kernel/module/"*.o
	make -k -C "$KERNEL_DIR" M="$tmp/kernel" KCFLAGS=-fanalyzer "${files[@]/%/.o}" >"$tmp/log" 2>&1 || {
		cat "$tmp/log"
		return
	}
	grep -A 30 'warning:' "$tmp/log"
}

# cppcheck reads no headers of the kernel: what it must know of them
cat >"$tmp/kernel/known.h" <<'C'
#define CONFIG_64BIT 1
#define CONFIG_X86_64 1
#define CONFIG_NF_CONNTRACK 1
#define CONFIG_NF_CONNTRACK_EVENTS 1
#define CONFIG_DYNAMIC_FTRACE 1
#define CONFIG_DYNAMIC_FTRACE_WITH_ARGS 1
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < 2; (cpu)++)
#define for_each_net(net) for ((net) = first_net(); (net); (net) = next_net(net))
C
# The kernel's C counts void pointers in bytes.
cppcheck_module() {
	(cd "$tmp/kernel/module" && cppcheck -q --std=c11 -D__KERNEL__ --include=../known.h \
		--enable=warning,performance,portability --suppress=missingInclude \
		--suppress=arithOperationsOnVoidPointer "${@/%/.c}" 2>&1)
}

# All scripts that report, but for two that need a compiler for OCaml.
coccinelle_module() {
	local script
	for script in $(grep -lr '^virtual report' "$source/scripts/coccinelle" --include='*.cocci' | sort); do
		! grep -q '@ocaml\|script:ocaml' "$script" || continue
		(cd "$tmp/kernel/module" && spatch -D report --very-quiet --no-show-diff --no-includes \
			--cocci-file "$script" "${@/%/.c}" 2>"$tmp/spatch") || {
			echo "$script failed:"
			cat "$tmp/spatch"
			continue
		}
		echo "$script" >>"$tmp/scripts"
	done
}

# finds_planted ANALYSER WHAT, finds_nothing ANALYSER FILE...
finds_planted() {
	"$1" planted >"$tmp/found"
	cat "$tmp/found"
	grep -q "planted.c.*$2" "$tmp/found"
}
finds_nothing() {
	"$@" >"$tmp/found"
	cat "$tmp/found"
	[ ! -s "$tmp/found" ]
}

mapfile -t tool < <(tool_files)
mapfile -t module < <(module_files)

plan 14
check "files were found" test "${#tool[@]}" -gt 20 -a "${#module[@]}" -gt 14
check "gcc finds a planted fault in the tool" finds_planted gcc_tool "double-.*free"
check "gcc finds no other" finds_nothing gcc_tool "${tool[@]}"
check "clang finds a planted fault in the tool" finds_planted clang_tool "free released memory"
check "clang finds no other" finds_nothing clang_tool "${tool[@]}"
check "cppcheck finds a planted fault in the tool" finds_planted cppcheck_tool "doubleFree"
check "cppcheck finds no other" finds_nothing cppcheck_tool "${tool[@]}"
check "gcc finds a planted fault in the module" finds_planted gcc_module "null"
check "gcc finds no other" finds_nothing gcc_module "${module[@]}"
check "cppcheck finds a planted fault in the module" finds_planted cppcheck_module "arrayIndexOutOfBounds"
check "cppcheck finds no other" finds_nothing cppcheck_module "${module[@]}"
check "coccinelle finds a planted fault in the module" finds_planted coccinelle_module "NULL check before"
: >"$tmp/scripts"
check "coccinelle finds no other" finds_nothing coccinelle_module "${module[@]}"
check "coccinelle ran its scripts" test "$(wc -l <"$tmp/scripts")" -gt 50
finish
