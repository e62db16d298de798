// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "summary.h"

/* Raised by the module only when an old tool would misread its tables. */
#define FORMAT 1

int summary_load(const struct options *opt, struct field sum[SUM_KEYS], char **buf)
{
	const struct field *format = &sum[SUM_FORMAT];
	struct parse_error err;
	struct span in;
	bool ok;
	int ret;

	*buf = NULL;
	ret = load_file(opt, "summary", &in);
	if (ret)
		return ret;
	ok = parse_keys(in, summary_keys, SUM_KEYS, sum, &err);

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
		free((char *)in.p);
	else
		*buf = (char *)in.p;
	return ret;
}

static void print_limit(const struct options *opt, const struct field *sum)
{
	const struct field *entries = &sum[SUM_ENTRIES], *max = &sum[SUM_MAX];
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
static void print_distance(const struct field *sum)
{
	const struct field *entries = &sum[SUM_ENTRIES], *count = &sum[SUM_COUNT];

	if (!entries->known || !count->known)
		return;
	if (count->num > entries->num)
		printf(" (%" PRIu64 " more)", count->num - entries->num);
	else if (count->num < entries->num)
		printf(" (%" PRIu64 " fewer)", entries->num - count->num);
}

/* Which protocols, as that tells why. */
static void print_protocols(const struct options *opt, const struct field *sum)
{
	const char *before = " (";
	char cell[CELL_MAX];
	unsigned int key;

	for (key = SUM_INSERT_FAILED_TCP; key <= SUM_INSERT_FAILED_OTHER; key++) {
		if (!sum[key].num)
			continue;
		format_number(opt, &sum[key], cell);
		printf("%s%s %s", before, summary_keys[key].label, cell);
		before = ", ";
	}
	if (*before == ',')
		putchar(')');
}

static void print_when(const struct field *when)
{
	char cell[CELL_MAX];

	if (!when->known)
		return;
	format_time(when, "%Y-%m-%d %H:%M:%S", cell);
	printf(" at %s", cell);
}

/* What belongs to a value and stands on its line. */
static void print_rest(const struct options *opt, const struct field *sum, enum summary_key key)
{
	char cell[CELL_MAX];

	switch (key) {
	case SUM_ENTRIES:
		print_limit(opt, sum);
		break;
	case SUM_COUNT:
		print_distance(sum);
		break;
	case SUM_PEAK:
		print_when(&sum[SUM_PEAK_TIME]);
		break;
	case SUM_PEAK_RATE:
		print_when(&sum[SUM_PEAK_RATE_TIME]);
		break;
	case SUM_INSERT_FAILED:
		print_protocols(opt, sum);
		break;
	case SUM_PORT_MEMORY:
		format_number(opt, &sum[SUM_PORT_MEMORY_MAX], cell);
		printf(" of %s", cell);
		break;
	default:
		break;
	}
}

static void print_value(const struct options *opt, const struct field *sum, enum summary_key key)
{
	const struct field *f = &sum[key];
	char cell[CELL_MAX];

	if ((key == SUM_ACCT || key == SUM_TIMESTAMP) && f->known)
		strcpy(cell, f->num ? "on" : "off");
	else if (summary_keys[key].kind == FIELD_TEXT)
		snprintf(cell, CELL_MAX, "%.*s", (int)f->text.len, f->text.p);
	else if (summary_keys[key].kind == FIELD_TIME)
		format_time(f, "%Y-%m-%d %H:%M:%S", cell);
	else
		format_number(opt, f, cell);
	fputs(cell, stdout);
	print_rest(opt, sum, key);
}

/* Shown beside another one, or of no use to people. */
static bool has_no_line(enum summary_key key)
{
	return key == SUM_FORMAT || key == SUM_MAX || key == SUM_PEAK_TIME ||
	       key == SUM_PEAK_RATE_TIME || key == SUM_PORT_MEMORY_MAX ||
	       (key >= SUM_INSERT_FAILED_TCP && key <= SUM_INSERT_FAILED_OTHER);
}

static void print_summary(const struct options *opt, const struct field *sum)
{
	unsigned int key;

	for (key = 0; key < SUM_KEYS; key++) {
		if (has_no_line(key))
			continue;
		if (key == SUM_KERNEL_FOUND)
			printf("\nThe kernel's own counters\n");
		printf("%-15s  ", summary_keys[key].label);
		print_value(opt, sum, key);
		putchar('\n');
	}
}

int summary_run(const struct options *opt)
{
	struct span none = { NULL, 0 };
	struct snapshot snap;
	int ret;

	ret = snapshot_load(opt, 0, &snap);
	if (!ret && opt->format != FORMAT_TABLE)
		ret = output_keys(opt, "summary", snap.wall, summary_keys, snap.sum, SUM_KEYS, none);
	else if (!ret)
		print_summary(opt, snap.sum);
	snapshot_free(&snap);
	return ret;
}
