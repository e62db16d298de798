// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "plugin.h"

#define GAP "  "

/* How wide each column is, and how many of them there is room for. */
struct layout {
	size_t *width;
	size_t columns;
};

/* Without a terminal a time is one word, so that awk finds the columns. */
static void format_cell(const struct options *opt, const struct listing *listing,
			const struct field *row, size_t col, char cell[CELL_MAX])
{
	const struct field *f = &row[col];

	switch (listing->table->desc->columns[col].kind) {
	case FIELD_ID:
		format_port(opt, row[PORTS_L4PROTO].text, f, cell);
		break;
	case FIELD_TEXT:
		/* A name: PARSE_NAME_MAX at most. */
		memcpy(cell, f->text.p, f->text.len);
		cell[f->text.len] = '\0';
		break;
	case FIELD_TIME:
		format_time(f, opt->terminal ? "%Y-%m-%d %H:%M" : "%Y-%m-%dT%H:%M:%S", cell);
		break;
	default:
		format_number(opt, f, cell);
	}
}

static void widen(const struct options *opt, const struct listing *listing, struct layout *lay,
		  const struct field *row)
{
	char cell[CELL_MAX];
	size_t col, len;

	for (col = 0; row && col < lay->columns; col++) {
		format_cell(opt, listing, row, col, cell);
		len = strlen(cell);
		if (len > lay->width[col])
			lay->width[col] = len;
	}
}

static void fit_terminal(const struct options *opt, const struct listing *listing,
			 struct layout *lay)
{
	struct winsize size;
	size_t col, total = 0;

	if (!opt->terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return;
	for (col = 0; col < lay->columns; col++)
		total += lay->width[col] + (col ? strlen(GAP) : 0);
	while (total > size.ws_col && lay->columns > listing->optional)
		total -= lay->width[--lay->columns] + strlen(GAP);
}

static void print_blanks(size_t n)
{
	while (n--)
		putchar(' ');
}

static void print_cell(const struct listing *listing, const struct layout *lay, size_t col,
		       const char *cell)
{
	bool left = listing->table->desc->columns[col].kind == FIELD_TEXT;
	bool last = col + 1 == lay->columns;
	size_t pad = lay->width[col] - strlen(cell);

	if (!left)
		print_blanks(pad);
	fputs(cell, stdout);
	if (left && !last)
		print_blanks(pad);
	fputs(last ? "\n" : GAP, stdout);
}

/* On a terminal, what a group has in common is written once, at its head. */
static bool is_repeated(const struct options *opt, const struct listing *listing,
			const struct field *row, const struct field *above, size_t col)
{
	size_t i;

	if (!opt->terminal || !above || col >= listing->groups)
		return false;
	for (i = 0; i <= col; i++)
		if (!span_eq(row[i].text, above[i].text))
			return false;
	return true;
}

static void print_row(const struct options *opt, const struct listing *listing,
		      const struct layout *lay, const struct field *row, const struct field *above)
{
	char cell[CELL_MAX];
	size_t col;

	for (col = 0; row && col < lay->columns; col++) {
		format_cell(opt, listing, row, col, cell);
		print_cell(listing, lay, col,
			   is_repeated(opt, listing, row, above, col) ? "" : cell);
	}
}

static void print_rows(const struct options *opt, const struct listing *listing, struct layout *lay)
{
	const struct table_desc *desc = listing->table->desc;
	const struct field *row, *above = NULL;
	size_t i, col;

	for (col = 0; col < lay->columns; col++)
		lay->width[col] = strlen(desc->columns[col].label);
	for (i = 0; i < listing->n; i++)
		widen(opt, listing, lay, table_row(listing->table, listing->rows[i]));
	widen(opt, listing, lay, listing->rest);
	widen(opt, listing, lay, listing->total);
	fit_terminal(opt, listing, lay);

	for (col = 0; col < lay->columns; col++)
		print_cell(listing, lay, col, desc->columns[col].label);
	for (i = 0; i < listing->n; i++) {
		row = table_row(listing->table, listing->rows[i]);
		print_row(opt, listing, lay, row, above);
		above = row;
	}
	print_row(opt, listing, lay, listing->rest, NULL);
	print_row(opt, listing, lay, listing->total, NULL);
}

static int output_table(const struct options *opt, const struct listing *listing)
{
	size_t columns = listing->table->desc->n;
	struct layout lay = { calloc(columns, sizeof(*lay.width)), columns };

	if (!lay.width) {
		complain("out of memory");
		return EXIT_SYSTEM;
	}
	print_rows(opt, listing, &lay);
	free(lay.width);
	return EXIT_OK;
}

/* RFC 4180, but for the ends of lines, which are those of all text here. */
static void csv_text(struct span s)
{
	size_t i;

	if (!memchr(s.p, ',', s.len) && !memchr(s.p, '"', s.len)) {
		printf("%.*s", (int)s.len, s.p);
		return;
	}
	putchar('"');
	for (i = 0; i < s.len; i++)
		printf(s.p[i] == '"' ? "\"\"" : "%c", s.p[i]);
	putchar('"');
}

/* What is not known, or not there, is empty. */
static void csv_value(enum field_kind kind, const struct field *f)
{
	if (f->known && is_number(kind))
		printf("%" PRIu64, f->num);
	else if (f->known)
		csv_text(f->text);
}

static int output_csv(const struct listing *listing)
{
	const struct table_desc *desc = listing->table->desc;
	const struct field *row;
	size_t i, col;

	for (col = 0; col < desc->n; col++)
		printf("%s%s", col ? "," : "", desc->columns[col].name);
	for (i = 0; i < listing->n; i++) {
		row = table_row(listing->table, listing->rows[i]);
		for (col = 0; col < desc->n; col++) {
			putchar(col ? ',' : '\n');
			csv_value(desc->columns[col].kind, &row[col]);
		}
	}
	putchar('\n');
	return EXIT_OK;
}

int output_listing(const struct options *opt, const struct listing *listing)
{
	const struct json_writer *json;

	switch (opt->format) {
	case FORMAT_JSON:
		json = plugin_json();
		return json ? json->listing(listing) : EXIT_SYSTEM;
	case FORMAT_CSV:
		return output_csv(listing);
	default:
		return output_table(opt, listing);
	}
}

bool output_next_value(struct span *in, const char *key, struct span *value)
{
	struct span word;

	while (next_line(in, value))
		if (next_word(value, &word) && span_is(word, key)) {
			skip_blanks(value);
			return true;
		}
	return false;
}

static int keys_csv(const struct field_desc *keys, const struct field *fields, size_t n,
		    struct span in)
{
	struct span rest, value;
	size_t i;

	puts("key,value");
	for (i = 0; i < n; i++) {
		if (keys[i].kind != FIELD_LINES) {
			printf("%s,", keys[i].name);
			csv_value(keys[i].kind, &fields[i]);
			putchar('\n');
			continue;
		}
		for (rest = in; output_next_value(&rest, keys[i].name, &value); putchar('\n')) {
			printf("%s,", keys[i].name);
			csv_text(value);
		}
	}
	return EXIT_OK;
}

int output_keys(const struct options *opt, const char *name, double when,
		const struct field_desc *keys, const struct field *fields, size_t n, struct span in)
{
	const struct json_writer *json;

	if (opt->format != FORMAT_JSON)
		return keys_csv(keys, fields, n, in);
	json = plugin_json();
	return json ? json->keys(name, when, keys, fields, n, in) : EXIT_SYSTEM;
}
