// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "output.h"

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
		snprintf(cell, CELL_MAX, "%.*s", (int)f->text.len, f->text.p);
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

static void print_cell(const struct listing *listing, const struct layout *lay, size_t col,
		       const char *cell)
{
	bool left = listing->table->desc->columns[col].kind == FIELD_TEXT;
	bool last = col + 1 == lay->columns;

	if (left && last)
		printf("%s\n", cell);
	else if (left)
		printf("%-*s" GAP, (int)lay->width[col], cell);
	else
		printf("%*s%s", (int)lay->width[col], cell, last ? "\n" : GAP);
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

static int out_of_memory(void)
{
	complain("out of memory");
	return EXIT_SYSTEM;
}

static int output_table(const struct options *opt, const struct listing *listing)
{
	size_t columns = listing->table->desc->n;
	struct layout lay = { calloc(columns, sizeof(*lay.width)), columns };

	if (!lay.width)
		return out_of_memory();
	print_rows(opt, listing, &lay);
	free(lay.width);
	return EXIT_OK;
}

/* What is not known, or not there, is null. */
static struct json_object *json_value(enum field_kind kind, const struct field *f)
{
	if (!f->known)
		return NULL;
	if (is_number(kind))
		return json_object_new_uint64(f->num);
	return json_object_new_string_len(f->text.p, f->text.len);
}

static void json_begin(const char *name, double when, const char *what)
{
	printf("{\"schema\":%d,\"table\":\"%s\",\"time\":%.3f,\"%s\":", JSON_SCHEMA, name, when, what);
}

/* Takes @object. */
static bool json_print(struct json_object *object)
{
	const char *text = object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN)
				  : NULL;
	bool printed = text && fputs(text, stdout) >= 0;

	json_object_put(object);
	return printed || ferror(stdout);
}

static bool json_row(const struct table_desc *desc, const struct field *row)
{
	struct json_object *object = json_object_new_object();
	size_t col;

	for (col = 0; object && col < desc->n; col++)
		json_object_object_add(object, desc->columns[col].name,
				       json_value(desc->columns[col].kind, &row[col]));
	return json_print(object);
}

/* Row by row, as there may be a hundred thousand of them. */
static int output_json(const struct listing *listing)
{
	const struct table_desc *desc = listing->table->desc;
	size_t i;

	json_begin(desc->name, listing->snap->wall, "rows");
	putchar('[');
	for (i = 0; i < listing->n; i++) {
		fputs(i ? ",\n" : "\n", stdout);
		if (!json_row(desc, table_row(listing->table, listing->rows[i])))
			return out_of_memory();
	}
	puts("]}");
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
	switch (opt->format) {
	case FORMAT_JSON:
		return output_json(listing);
	case FORMAT_CSV:
		return output_csv(listing);
	default:
		return output_table(opt, listing);
	}
}

/* The values of a key that may be there more than once: call until false. */
static bool next_value(struct span *in, const char *key, struct span *value)
{
	struct span word;

	while (next_line(in, value))
		if (next_word(value, &word) && span_is(word, key)) {
			skip_blanks(value);
			return true;
		}
	return false;
}

static struct json_object *json_lines(struct span in, const char *key)
{
	struct json_object *lines = json_object_new_array();
	struct span value;

	while (lines && next_value(&in, key, &value))
		json_object_array_add(lines, json_object_new_string_len(value.p, value.len));
	return lines;
}

static int keys_json(const char *name, double when, const struct field_desc *keys,
		     const struct field *fields, size_t n, struct span in)
{
	struct json_object *object = json_object_new_object();
	size_t i;

	for (i = 0; object && i < n; i++)
		json_object_object_add(object, keys[i].name, keys[i].kind == FIELD_LINES ?
				       json_lines(in, keys[i].name) :
				       json_value(keys[i].kind, &fields[i]));
	json_begin(name, when, "values");
	if (!json_print(object))
		return out_of_memory();
	puts("}");
	return EXIT_OK;
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
		for (rest = in; next_value(&rest, keys[i].name, &value); putchar('\n')) {
			printf("%s,", keys[i].name);
			csv_text(value);
		}
	}
	return EXIT_OK;
}

int output_keys(const struct options *opt, const char *name, double when,
		const struct field_desc *keys, const struct field *fields, size_t n, struct span in)
{
	if (opt->format == FORMAT_JSON)
		return keys_json(name, when, keys, fields, n, in);
	return keys_csv(keys, fields, n, in);
}
