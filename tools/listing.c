// SPDX-License-Identifier: GPL-2.0-only
/* The subcommands that show a table: which rows, in which order. */
#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "output.h"

/* Rows of the longest table on a terminal, if nothing else is asked for. */
#define TERMINAL_TOP 20

#define NO_COLUMN SIZE_MAX

/**
 * struct view - how a table is shown
 * @sort: column to sort by if nothing else is asked for, or NO_COLUMN
 * @optional: see struct listing
 * @groups: see struct listing
 * @total: whether there is a line of totals
 * @long_table: whether to show a part only on a terminal
 */
struct view {
	size_t sort;
	size_t optional;
	size_t groups;
	bool total;
	bool long_table;
};

static const struct view views[TABLES] = {
	[TABLE_STATES]		= { NO_COLUMN, STATES_ENTERED, STATES_STATE, true, false },
	[TABLE_PORTS]		= { PORTS_ENTRIES, PORTS_CLOSED, 0, true, true },
	[TABLE_TRANSITIONS]	= { NO_COLUMN, TRANSITIONS_COLUMNS, TRANSITIONS_TO, false, false },
	[TABLE_ENDS]		= { NO_COLUMN, ENDS_COLUMNS, ENDS_REASON, false, false },
	[TABLE_HISTOGRAMS]	= { NO_COLUMN, HISTOGRAMS_COLUMNS, HISTOGRAMS_LE, false, false },
};

const char * const listing_protocols[] = {
	"tcp", "udp", "udplite", "icmp", "icmpv6", "sctp", "dccp", "gre", "other", NULL,
};

size_t listing_column(const struct table_desc *desc, const char *name)
{
	size_t col;

	for (col = 0; col < desc->n; col++)
		if (!strcmp(name, desc->columns[col].name))
			break;
	return col;
}

static size_t proto_column(const struct table_desc *desc)
{
	return listing_column(desc, "l4proto");
}

/* Adds a word to a list in a message. */
static void append(char *list, size_t room, const char *word)
{
	size_t len = strlen(list);

	snprintf(list + len, room - len, "%s%s", len ? " " : "", word);
}

int listing_check(const struct options *opt, const struct table_desc *desc)
{
	char list[256] = "";
	size_t i;

	if (opt->sort && listing_column(desc, opt->sort) == desc->n) {
		for (i = 0; i < desc->n; i++)
			append(list, sizeof(list), desc->columns[i].name);
		complain("%s has no column \"%s\"; its columns: %s", desc->name, opt->sort, list);
		return EXIT_USAGE;
	}
	for (i = 0; opt->proto && listing_protocols[i]; i++) {
		if (!strcmp(opt->proto, listing_protocols[i]))
			return EXIT_OK;
		append(list, sizeof(list), listing_protocols[i]);
	}
	if (opt->proto) {
		complain("unknown protocol \"%s\"; one of: %s", opt->proto, list);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

/* What qsort_r() hands to the comparison. */
struct order {
	const struct table *table;
	size_t column;
	bool reverse;
};

/* Names from the first on, numbers from the largest on. */
static int compare_fields(enum field_kind kind, const struct field *a, const struct field *b)
{
	if (kind == FIELD_TEXT)
		return span_compare(a->text, b->text);
	if (kind == FIELD_ID)
		return (a->num > b->num) - (a->num < b->num);
	return (a->num < b->num) - (a->num > b->num);
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct order *order = arg;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	const struct field *f, *g;
	enum field_kind kind;
	int diff = 0;

	if (order->column != NO_COLUMN) {
		kind = order->table->desc->columns[order->column].kind;
		f = &table_row(order->table, x)[order->column];
		g = &table_row(order->table, y)[order->column];
		/* What is not known comes last, either way. */
		if (is_number(kind) && f->known != g->known)
			return f->known ? -1 : 1;
		diff = compare_fields(kind, f, g);
	}
	/* The module's order decides the rest. */
	if (!diff)
		diff = (x > y) - (x < y);
	return order->reverse ? -diff : diff;
}

bool row_is_zero(const struct table_desc *desc, const struct field *row)
{
	size_t col;

	for (col = desc->keys; col < desc->n; col++)
		if (desc->columns[col].kind != FIELD_TIME && (!row[col].known || row[col].num))
			return false;
	return true;
}

static bool is_wanted(const struct options *opt, const struct table_desc *desc,
		      const struct field *row)
{
	if (opt->proto && !span_is(row[proto_column(desc)].text, opt->proto))
		return false;
	return opt->all || opt->format != FORMAT_TABLE || !row_is_zero(desc, row);
}

/* Return: how many of the rows to show. */
static size_t limit(const struct options *opt, const struct view *view, size_t n)
{
	uint64_t top = n;

	if (opt->top_given)
		top = opt->top;
	else if (view->long_table && opt->terminal && opt->format == FORMAT_TABLE && !opt->all)
		top = TERMINAL_TOP;
	return top < n ? top : n;
}

static void set_text(struct field *f, const char *text)
{
	f->text.p = text;
	f->text.len = strlen(text);
}

/* Adds a row to a sum. A sum with a part that is not known, or beyond 64 bits, is not known. */
static void add_row(const struct table_desc *desc, struct field *sum, const struct field *row)
{
	size_t col;

	for (col = desc->keys; col < desc->n; col++)
		if (!row[col].known || __builtin_add_overflow(sum[col].num, row[col].num, &sum[col].num))
			sum[col].known = false;
}

static void begin_sum(const struct options *opt, const struct table_desc *desc, const char *name,
		      struct field *sum)
{
	size_t col;

	memset(sum, 0, desc->n * sizeof(*sum));
	for (col = 0; col < desc->n; col++) {
		if (col < desc->keys)
			set_text(&sum[col], col ? opt->terminal ? "" : "-" : name);
		else
			sum[col].known = desc->columns[col].kind == FIELD_GAUGE ||
					 desc->columns[col].kind == FIELD_COUNTER;
	}
}

/*
 * Over all rows that are asked for, zero or not. Peaks of different moments do not
 * add up: the peak of the whole table stands there.
 */
static void sum_all(const struct options *opt, const struct snapshot *snap,
		    const struct table *table, struct field *sum)
{
	const struct field *row;
	size_t i;

	begin_sum(opt, table->desc, "total", sum);
	for (i = 0; i < table->rows; i++) {
		row = table_row(table, i);
		if (!opt->proto || span_is(row[proto_column(table->desc)].text, opt->proto))
			add_row(table->desc, sum, row);
	}
	if (table->desc == &table_descs[TABLE_STATES] && !opt->proto) {
		sum[STATES_PEAK] = snap->sum[SUM_PEAK];
		sum[STATES_PEAK_TIME] = snap->sum[SUM_PEAK_TIME];
	}
}

static int show_rows(const struct options *opt, const struct snapshot *snap,
		     enum table_index index, size_t *rows)
{
	const struct table *table = &snap->table[index];
	const struct view *view = &views[index];
	struct order order = { table, view->sort, opt->reverse };
	struct field total[table->desc->n], rest[table->desc->n];
	struct listing listing = {
		.snap = snap, .table = table, .rows = rows,
		.optional = view->optional, .groups = opt->sort || opt->reverse ? 0 : view->groups,
		.total = view->total ? total : NULL,
	};
	size_t i, n = 0;

	for (i = 0; i < table->rows; i++)
		if (is_wanted(opt, table->desc, table_row(table, i)))
			rows[n++] = i;
	if (opt->sort)
		order.column = listing_column(table->desc, opt->sort);
	qsort_r(rows, n, sizeof(*rows), compare_rows, &order);

	sum_all(opt, snap, table, total);
	listing.n = limit(opt, view, n);
	if (listing.n < n && view->total) {
		begin_sum(opt, table->desc, "others", rest);
		for (i = listing.n; i < n; i++)
			add_row(table->desc, rest, table_row(table, rows[i]));
		listing.rest = rest;
	}
	return output_listing(opt, &listing);
}

int listing_show(const struct options *opt, const struct snapshot *snap, enum table_index table)
{
	size_t *rows = calloc(snap->table[table].rows + 1, sizeof(*rows));
	int ret;

	if (!rows) {
		complain("out of memory");
		return EXIT_SYSTEM;
	}
	ret = show_rows(opt, snap, table, rows);
	free(rows);
	return ret;
}

static int run(const struct options *opt, enum table_index table)
{
	struct snapshot snap;
	int ret;

	ret = listing_check(opt, &table_descs[table]);
	if (ret)
		return ret;
	ret = snapshot_load(opt, WANT(table), &snap);
	if (!ret)
		ret = listing_show(opt, &snap, table);
	snapshot_free(&snap);
	return ret;
}

int states_run(const struct options *opt)
{
	return run(opt, TABLE_STATES);
}

int ports_run(const struct options *opt)
{
	return run(opt, TABLE_PORTS);
}

int transitions_run(const struct options *opt)
{
	return run(opt, TABLE_TRANSITIONS);
}

int ends_run(const struct options *opt)
{
	return run(opt, TABLE_ENDS);
}
