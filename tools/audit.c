// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctxstat.h"

enum audit_key {
	AUDIT_SEEN,
	AUDIT_COUNTED,
	AUDIT_COUNT,
	/* The verdict: not zero means that something was wrong. */
	AUDIT_DIFFER,
	AUDIT_HEALED,
	AUDIT_LEFT,
	AUDIT_PORTS_DIFFER,
	AUDIT_PORTS_LEFT,
	/* No fault of the counters. */
	AUDIT_NOT_IN_PORTS,
	/* One line for each cell that differed, and for the first ports that did. */
	AUDIT_DIFFERENCE,
	AUDIT_PORT_DIFFERENCE,
	AUDIT_KEYS,
};

static const struct field_desc keys[AUDIT_KEYS] = {
	[AUDIT_SEEN]		= { "entries_seen", FIELD_NUMBER, "entries found by walking the table" },
	[AUDIT_COUNTED]		= { "entries_counted", FIELD_NUMBER, "entries counted before the walk" },
	[AUDIT_COUNT]		= { "count", FIELD_NUMBER, "the kernel's own count" },
	[AUDIT_DIFFER]		= { "cells_differ", FIELD_NUMBER, "counters that differed" },
	[AUDIT_HEALED]		= { "entries_healed", FIELD_NUMBER, "entries put right" },
	[AUDIT_LEFT]		= { "cells_left", FIELD_NUMBER, "counters that still differ" },
	[AUDIT_PORTS_DIFFER]	= { "ports_differ", FIELD_NUMBER, "ports that differed" },
	[AUDIT_PORTS_LEFT]	= { "ports_left", FIELD_NUMBER, "ports that still differ" },
	[AUDIT_NOT_IN_PORTS]	= { "entries_not_in_ports", FIELD_NUMBER, "entries without memory for ports" },
	[AUDIT_DIFFERENCE]	= { "difference", FIELD_LINES, NULL },
	[AUDIT_PORT_DIFFERENCE]	= { "port_difference", FIELD_LINES, NULL },
};

static void print_verdict(const struct field *f, bool differs)
{
	if (f[AUDIT_LEFT].num || f[AUDIT_PORTS_LEFT].num)
		puts("Counters still differ from the table. If they do so again when no packets move, it is a bug: please report it with this output.");
	else if (differs)
		puts("Counters differed from the table, and have been put right.");
	else
		puts("Every counter agrees with the table.");
}

static void print_lines(struct span in, enum audit_key key)
{
	struct span line, word;

	while (next_line(&in, &line)) {
		if (!next_word(&line, &word) || !span_is(word, keys[key].name))
			continue;
		fputs(" ", stdout);
		while (next_word(&line, &word))
			printf(" %.*s", (int)word.len, word.p);
		putchar('\n');
	}
}

static void print_differences(struct span in, const struct field *f)
{
	if (f[AUDIT_DIFFERENCE].num) {
		puts("\nThe counters that differed");
		print_lines(in, AUDIT_DIFFERENCE);
	}
	if (!f[AUDIT_PORT_DIFFERENCE].num)
		return;
	puts("\nThe ports that differed: entries, and of these unreplied");
	print_lines(in, AUDIT_PORT_DIFFERENCE);
	/* The module does not list them all. */
	if (f[AUDIT_PORTS_DIFFER].num > f[AUDIT_PORT_DIFFERENCE].num)
		printf("  and %" PRIu64 " more\n",
		       f[AUDIT_PORTS_DIFFER].num - f[AUDIT_PORT_DIFFERENCE].num);
}

static int report(const struct options *opt, struct span in, const struct field *f)
{
	bool differs = false;
	char cell[CELL_MAX];
	unsigned int i;

	for (i = AUDIT_DIFFER; i <= AUDIT_PORTS_LEFT; i++) {
		if (!f[i].known) {
			complain("%s/audit: %s is not known, so there is no result; try again",
				 opt->proc_dir, keys[i].name);
			return EXIT_GARBLED;
		}
		differs = differs || f[i].num;
	}
	print_verdict(f, differs);
	putchar('\n');
	for (i = 0; i < AUDIT_DIFFERENCE; i++) {
		format_number(opt, &f[i], cell);
		printf("%-34s  %s\n", keys[i].label, cell);
	}
	print_differences(in, f);
	return differs ? EXIT_DIFFERS : EXIT_OK;
}

int audit_show(const struct options *opt)
{
	struct field field[AUDIT_KEYS];
	struct parse_error err;
	struct span in;
	int ret;

	ret = load_file(opt, "audit", &in);
	if (ret)
		return ret;
	if (parse_keys(in, keys, AUDIT_KEYS, field, &err))
		ret = report(opt, in, field);
	else
		ret = complain_garbled(opt, "audit", &err);
	free((char *)in.p);
	return ret;
}
