// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctxstat.h"

/* Raised by the module only when an old tool would misread its tables. */
#define FORMAT 1

static const struct field_desc keys[SUM_KEYS] = {
	[SUM_FORMAT]			= { "format", FIELD_NUMBER, NULL },
	[SUM_ENTRIES]			= { "entries", FIELD_NUMBER, "entries" },
	[SUM_COUNT]			= { "count", FIELD_NUMBER, "kernel count" },
	[SUM_PEAK]			= { "peak_entries", FIELD_NUMBER, "peak" },
	[SUM_CREATED]			= { "created", FIELD_NUMBER, "created" },
	[SUM_ADOPTED]			= { "adopted", FIELD_NUMBER, "adopted" },
	[SUM_DESTROYED]			= { "destroyed", FIELD_NUMBER, "destroyed" },
	[SUM_INSERT_FAILED]		= { "insert_failed", FIELD_NUMBER, "insert failed" },
	[SUM_BUCKETS]			= { "buckets", FIELD_NUMBER, "buckets" },
	[SUM_ENTRY_SIZE]		= { "entry_size", FIELD_NUMBER, "bytes an entry" },
	[SUM_ACCT]			= { "acct", FIELD_NUMBER, "accounting" },
	[SUM_TIMESTAMP]			= { "timestamp", FIELD_NUMBER, "timestamps" },
	[SUM_VERSION]			= { "version", FIELD_TEXT, "module version" },
	[SUM_KERNEL_FOUND]		= { "kernel_found", FIELD_NUMBER, "found" },
	[SUM_KERNEL_INVALID]		= { "kernel_invalid", FIELD_NUMBER, "invalid" },
	[SUM_KERNEL_INSERT]		= { "kernel_insert", FIELD_NUMBER, "insert" },
	[SUM_KERNEL_INSERT_FAILED]	= { "kernel_insert_failed", FIELD_NUMBER, "insert failed" },
	[SUM_KERNEL_DROP]		= { "kernel_drop", FIELD_NUMBER, "drop" },
	[SUM_KERNEL_EARLY_DROP]		= { "kernel_early_drop", FIELD_NUMBER, "early drop" },
	[SUM_KERNEL_ERROR]		= { "kernel_error", FIELD_NUMBER, "error" },
	[SUM_KERNEL_SEARCH_RESTART]	= { "kernel_search_restart", FIELD_NUMBER, "search restart" },
	[SUM_KERNEL_CLASH_RESOLVE]	= { "kernel_clash_resolve", FIELD_NUMBER, "clash resolve" },
	[SUM_KERNEL_CHAINTOOLONG]	= { "kernel_chaintoolong", FIELD_NUMBER, "chain too long" },
	[SUM_MAX]			= { "max", FIELD_NUMBER, NULL },
	[SUM_PEAK_TIME]			= { "peak_time", FIELD_NUMBER, NULL },
};

int summary_load(const struct options *opt, struct summary *s)
{
	const struct field *format = &s->field[SUM_FORMAT];
	struct parse_error err;
	struct span in;
	bool ok;
	int ret;

	ret = load_file(opt, "summary", &in);
	if (ret)
		return ret;
	s->buf = (char *)in.p;
	ok = parse_keys(in, keys, SUM_KEYS, s->field, &err);

	/* Asked first: a newer format may well look garbled to us. */
	if (format->known && format->num > FORMAT) {
		complain("%s/summary: format %" PRIu64
			 " is unknown: this tool is older than the module; install the tool of the module's version",
			 opt->proc_dir, format->num);
		ret = EXIT_GARBLED;
	} else if (ok && (!format->known || format->num != FORMAT)) {
		complain("%s/summary: format is not %d; is this file from ctxstat?",
			 opt->proc_dir, FORMAT);
		ret = EXIT_GARBLED;
	} else if (!ok) {
		ret = complain_garbled(opt, "summary", &err);
	}
	if (ret)
		summary_free(s);
	return ret;
}

void summary_free(struct summary *s)
{
	free(s->buf);
}

static void print_limit(const struct options *opt, const struct summary *s)
{
	const struct field *entries = &s->field[SUM_ENTRIES];
	const struct field *max = &s->field[SUM_MAX];
	char cell[CELL_MAX];

	if (max->known && !max->num) {
		printf(", no limit");
		return;
	}
	format_number(opt, max, cell);
	printf(" of %s", cell);
	if (entries->known && max->known)
		printf(" (%.1f %%)", 100.0 * entries->num / max->num);
}

/* The two agree unless packets came in between, or something is wrong: make it easy to see. */
static void print_distance(const struct summary *s)
{
	const struct field *entries = &s->field[SUM_ENTRIES];
	const struct field *count = &s->field[SUM_COUNT];

	if (!entries->known || !count->known)
		return;
	if (count->num > entries->num)
		printf(" (%" PRIu64 " more)", count->num - entries->num);
	else if (count->num < entries->num)
		printf(" (%" PRIu64 " fewer)", entries->num - count->num);
}

static void print_value(const struct options *opt, const struct summary *s, enum summary_key key)
{
	const struct field *f = &s->field[key];
	char cell[CELL_MAX];

	if ((key == SUM_ACCT || key == SUM_TIMESTAMP) && f->known) {
		fputs(f->num ? "on" : "off", stdout);
		return;
	}
	if (keys[key].kind == FIELD_TEXT) {
		printf("%.*s", (int)f->text.len, f->text.p);
		return;
	}
	format_number(opt, f, cell);
	fputs(cell, stdout);
	if (key == SUM_ENTRIES)
		print_limit(opt, s);
	if (key == SUM_COUNT)
		print_distance(s);
	if (key == SUM_PEAK && s->field[SUM_PEAK_TIME].known) {
		format_time(&s->field[SUM_PEAK_TIME], "%Y-%m-%d %H:%M:%S", cell);
		printf(" at %s", cell);
	}
}

void summary_print(const struct options *opt, const struct summary *s, enum summary_key last)
{
	unsigned int key;

	for (key = SUM_ENTRIES; key <= last; key++) {
		if (key == SUM_KERNEL_FOUND)
			printf("\nThe kernel's own counters\n");
		printf("%-14s  ", keys[key].label);
		print_value(opt, s, key);
		putchar('\n');
	}
}
