// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctxstat.h"

enum column {
	COL_FAMILY,
	COL_L4PROTO,
	COL_STATE,
	COL_ENTRIES,
	COL_UNREPLIED,
	COL_ASSURED,
	COL_SNAT,
	COL_DNAT,
	/* From here on left out, last one first, where the terminal is too narrow. */
	COL_ENTERED,
	COL_LEFT,
	COL_PEAK,
	COL_PEAK_TIME,
	COLUMNS,
};

static const struct field_desc columns[COLUMNS] = {
	[COL_FAMILY]	= { "family", FIELD_TEXT, "FAMILY" },
	[COL_L4PROTO]	= { "l4proto", FIELD_TEXT, "PROTO" },
	[COL_STATE]	= { "state", FIELD_TEXT, "STATE" },
	[COL_ENTRIES]	= { "entries", FIELD_NUMBER, "ENTRIES" },
	[COL_UNREPLIED]	= { "unreplied", FIELD_NUMBER, "UNREPLIED" },
	[COL_ASSURED]	= { "assured", FIELD_NUMBER, "ASSURED" },
	[COL_SNAT]	= { "snat", FIELD_NUMBER, "SNAT" },
	[COL_DNAT]	= { "dnat", FIELD_NUMBER, "DNAT" },
	[COL_ENTERED]	= { "entered", FIELD_NUMBER, "ENTERED" },
	[COL_LEFT]	= { "left", FIELD_NUMBER, "LEFT" },
	[COL_PEAK]	= { "peak", FIELD_NUMBER, "PEAK" },
	[COL_PEAK_TIME]	= { "peak_time", FIELD_NUMBER, "PEAK_TIME" },
};

#define GAP "  "

/**
 * struct layout - how the table is put on the screen
 * @width: of each column
 * @columns: how many of them
 */
struct layout {
	size_t width[COLUMNS];
	unsigned int columns;
};

static const char *label(unsigned int col)
{
	return columns[col].label;
}

/* Without a terminal a time is one word, so that awk finds the columns. */
static void format_cell(const struct options *opt, const struct field *f, unsigned int col,
			char cell[CELL_MAX])
{
	if (columns[col].kind == FIELD_TEXT)
		snprintf(cell, CELL_MAX, "%.*s", (int)f->text.len, f->text.p);
	else if (col == COL_PEAK_TIME)
		format_time(f, opt->terminal ? "%Y-%m-%d %H:%M" : "%Y-%m-%dT%H:%M:%S", cell);
	else
		format_number(opt, f, cell);
}

static void widen(const struct options *opt, struct layout *lay, const struct field *row)
{
	char cell[CELL_MAX];
	unsigned int col;
	size_t len;

	for (col = 0; col < COLUMNS; col++) {
		format_cell(opt, &row[col], col, cell);
		len = strlen(cell);
		if (len > lay->width[col])
			lay->width[col] = len;
	}
}

static void fit_terminal(const struct options *opt, struct layout *lay)
{
	struct winsize size;
	unsigned int col;
	size_t total = 0;

	if (!opt->terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return;
	for (col = 0; col < COLUMNS; col++)
		total += lay->width[col] + (col ? strlen(GAP) : 0);
	while (total > size.ws_col && lay->columns > COL_ENTERED)
		total -= lay->width[--lay->columns] + strlen(GAP);
}

static void print_cell(const struct layout *lay, unsigned int col, const char *cell)
{
	if (columns[col].kind == FIELD_TEXT)
		printf("%-*s" GAP, (int)lay->width[col], cell);
	else
		printf("%*s%s", (int)lay->width[col], cell, col + 1 < lay->columns ? GAP : "\n");
}

/* On a terminal, family and protocol are written once, at the head of their group. */
static bool is_repeated(const struct options *opt, const struct field *row,
			const struct field *above, unsigned int col)
{
	if (!opt->terminal || !above || col > COL_L4PROTO)
		return false;
	return span_eq(row[COL_FAMILY].text, above[COL_FAMILY].text) &&
	       (col == COL_FAMILY || span_eq(row[COL_L4PROTO].text, above[COL_L4PROTO].text));
}

static void print_row(const struct options *opt, const struct layout *lay,
		      const struct field *row, const struct field *above)
{
	char cell[CELL_MAX];
	unsigned int col;

	for (col = 0; col < lay->columns; col++) {
		format_cell(opt, &row[col], col, cell);
		print_cell(lay, col, is_repeated(opt, row, above, col) ? "" : cell);
	}
}

/* Nothing there, now or ever. What is not known may be something. */
static bool is_zero(const struct field *row)
{
	unsigned int col;

	for (col = COL_ENTRIES; col <= COL_PEAK; col++)
		if (!row[col].known || row[col].num)
			return false;
	return true;
}

static void set_text(struct field *f, const char *text)
{
	f->text.p = text;
	f->text.len = strlen(text);
}

/*
 * A sum with a part that is not known, or beyond 64 bits, is not known. Peaks
 * of different moments do not add up: the whole table's own peak stands there.
 */
static void sum_up(const struct options *opt, const struct summary *s, const struct table *t,
		   struct field total[COLUMNS])
{
	const struct field *row;
	unsigned int col;
	size_t i;

	memset(total, 0, COLUMNS * sizeof(*total));
	set_text(&total[COL_FAMILY], "total");
	set_text(&total[COL_L4PROTO], opt->terminal ? "" : "-");
	set_text(&total[COL_STATE], opt->terminal ? "" : "-");
	for (col = COL_ENTRIES; col < COL_PEAK; col++) {
		total[col].known = true;
		for (i = 0; i < t->rows; i++) {
			row = &t->fields[i * COLUMNS];
			if (!row[col].known ||
			    __builtin_add_overflow(total[col].num, row[col].num, &total[col].num))
				total[col].known = false;
		}
	}
	total[COL_PEAK] = s->field[SUM_PEAK];
	total[COL_PEAK_TIME] = s->field[SUM_PEAK_TIME];
}

static void print_table(const struct options *opt, const struct summary *s, const struct table *t)
{
	struct layout lay = { .columns = COLUMNS };
	const struct field *row, *above = NULL;
	struct field total[COLUMNS];
	unsigned int col;
	size_t i;

	sum_up(opt, s, t, total);

	for (col = 0; col < COLUMNS; col++)
		lay.width[col] = strlen(label(col));
	widen(opt, &lay, total);
	for (i = 0; i < t->rows; i++) {
		row = &t->fields[i * COLUMNS];
		if (opt->all || !is_zero(row))
			widen(opt, &lay, row);
	}
	fit_terminal(opt, &lay);

	for (col = 0; col < lay.columns; col++)
		print_cell(&lay, col, label(col));
	for (i = 0; i < t->rows; i++) {
		row = &t->fields[i * COLUMNS];
		if (!opt->all && is_zero(row))
			continue;
		print_row(opt, &lay, row, above);
		above = row;
	}
	print_row(opt, &lay, total, NULL);
}

int states_show(const struct options *opt, const struct summary *s)
{
	struct parse_error err;
	struct table table;
	struct span in;
	int ret;

	ret = load_file(opt, "states", &in);
	if (ret)
		return ret;
	if (parse_table(in, columns, COLUMNS, &table, &err))
		print_table(opt, s, &table);
	else
		ret = complain_garbled(opt, "states", &err);
	table_free(&table);
	free((char *)in.p);
	return ret;
}
