// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nothing here trusts its input or writes to it: tables come from a newer
 * module, from a file somebody edited, or from a fuzzer.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

#define NOT_FOUND SIZE_MAX

static bool __attribute__((format(printf, 3, 4)))
fail(struct parse_error *err, unsigned long line, const char *fmt, ...)
{
	va_list ap;

	err->line = line;
	va_start(ap, fmt);
	vsnprintf(err->what, sizeof(err->what), fmt, ap);
	va_end(ap);
	return false;
}

/* For "%.*s" in messages: enough to recognise it by. */
static int shown(struct span s)
{
	return s.len > 32 ? 32 : (int)s.len;
}

bool span_is(struct span s, const char *word)
{
	return s.len == strlen(word) && !memcmp(s.p, word, s.len);
}

bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && !memcmp(a.p, b.p, a.len);
}

int span_compare(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int diff = memcmp(a.p, b.p, len);

	return diff ? diff : (a.len > b.len) - (a.len < b.len);
}

static void skip(struct span *s, size_t n)
{
	s->p += n;
	s->len -= n;
}

bool next_line(struct span *rest, struct span *line)
{
	const char *end;

	if (!rest->len)
		return false;
	end = memchr(rest->p, '\n', rest->len);
	line->p = rest->p;
	line->len = end ? (size_t)(end - rest->p) : rest->len;
	skip(rest, line->len + !!end);
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

void skip_blanks(struct span *s)
{
	while (s->len && is_blank(*s->p))
		skip(s, 1);
}

bool next_word(struct span *rest, struct span *word)
{
	size_t len = 0;

	skip_blanks(rest);
	word->p = rest->p;
	while (len < rest->len && !is_blank(rest->p[len]))
		len++;
	word->len = len;
	skip(rest, len);
	return len;
}

/*
 * What is read here ends on a terminal: a byte outside printable ASCII is no
 * name of the kernel's, and might be an escape sequence.
 */
static bool check_bytes(struct span line, unsigned long nr, struct parse_error *err)
{
	size_t i;

	for (i = 0; i < line.len; i++) {
		unsigned char c = line.p[i];

		if ((c < ' ' && c != '\t') || c > '~')
			return fail(err, nr, "byte 0x%02x is not text", c);
	}
	return true;
}

bool parse_number(struct span s, uint64_t *num)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, s.p[i] - '0', &v))
			return false;
	}
	*num = v;
	return s.len;
}

static bool set_field(struct field *field, const struct field_desc *desc, struct span word,
		      unsigned long nr, struct parse_error *err)
{
	field->text = word;
	field->known = !span_is(word, "-");
	if (desc->kind == FIELD_TEXT) {
		if (word.len > PARSE_NAME_MAX)
			return fail(err, nr, "%s \"%.*s...\" is too long", desc->name,
				    shown(word), word.p);
		return true;
	}
	if (field->known && !parse_number(word, &field->num)) {
		field->known = false;
		return fail(err, nr, "%s \"%.*s%s\" is not an unsigned 64-bit number", desc->name,
			    shown(word), word.p, word.len > 32 ? "..." : "");
	}
	return true;
}

/* @name is a word: not empty. */
static size_t find_desc(const struct field_desc *desc, size_t n, struct span name)
{
	size_t i;

	/* Most differ in their first letter. */
	for (i = 0; i < n; i++)
		if (*name.p == *desc[i].name && span_is(name, desc[i].name))
			return i;
	return NOT_FOUND;
}

static bool parse_key(struct span line, unsigned long nr, const struct field_desc *desc, size_t n,
		      struct field *out, struct parse_error *err)
{
	struct span key, value, extra;
	size_t i;

	if (!next_word(&line, &key))
		return fail(err, nr, "empty line");
	i = find_desc(desc, n, key);
	if (i == NOT_FOUND)
		return true;
	if (out[i].text.p && desc[i].kind != FIELD_LINES)
		return fail(err, nr, "%s is there twice", desc[i].name);

	if (desc[i].kind == FIELD_LINES) {
		skip_blanks(&line);
		out[i].text = line;
		out[i].known = true;
		out[i].num++;
		return line.len ? true : fail(err, nr, "%s has no value", desc[i].name);
	}
	if (!next_word(&line, &value))
		return fail(err, nr, "%s has no value", desc[i].name);
	if (next_word(&line, &extra))
		return fail(err, nr, "%s has more than one value", desc[i].name);
	return set_field(&out[i], &desc[i], value, nr, err);
}

bool parse_keys(struct span in, const struct field_desc *desc, size_t n,
		struct field *out, struct parse_error *err)
{
	unsigned long nr = 0;
	struct span line;
	size_t i;

	memset(out, 0, n * sizeof(*out));
	if (!in.len)
		return fail(err, 0, "empty");

	while (next_line(&in, &line)) {
		nr++;
		if (!check_bytes(line, nr, err) || !parse_key(line, nr, desc, n, out, err))
			return false;
	}
	for (i = 0; i < n; i++)
		if (!out[i].text.p && desc[i].kind != FIELD_LINES)
			return fail(err, 0, "no line \"%s\"", desc[i].name);
	return true;
}

/* What the header says of each field of a line: its column, or NOT_FOUND. */
struct header {
	size_t *column;
	size_t fields;
};

static size_t count_words(struct span line)
{
	struct span word;
	size_t n = 0;

	while (next_word(&line, &word))
		n++;
	return n;
}

static bool parse_header(struct span line, const struct table_desc *desc, struct header *header,
			 struct parse_error *err)
{
	bool found[desc->n];
	struct span name;
	size_t i, col;

	memset(found, 0, sizeof(found));
	header->fields = count_words(line);
	header->column = calloc(header->fields + 1, sizeof(*header->column));
	if (!header->column)
		return fail(err, 0, "out of memory");

	for (i = 0; next_word(&line, &name); i++) {
		col = find_desc(desc->columns, desc->n, name);
		header->column[i] = col;
		if (col == NOT_FOUND)
			continue;
		if (found[col])
			return fail(err, 1, "column \"%s\" is there twice", desc->columns[col].name);
		found[col] = true;
	}
	for (col = 0; col < desc->n; col++)
		if (!found[col])
			return fail(err, 1, "no column \"%s\"", desc->columns[col].name);
	return true;
}

static bool parse_row(struct span line, unsigned long nr, const struct table_desc *desc,
		      const struct header *header, struct field *row, struct parse_error *err)
{
	size_t fields, col;
	struct span word;

	for (fields = 0; next_word(&line, &word); fields++) {
		if (fields >= header->fields)
			continue;
		col = header->column[fields];
		if (col != NOT_FOUND && !set_field(&row[col], &desc->columns[col], word, nr, err))
			return false;
	}
	if (fields != header->fields)
		return fail(err, nr, "%zu fields where the header has %zu", fields, header->fields);
	return true;
}

/* At most as many as may be rows. */
static size_t count_lines(struct span in)
{
	struct span line;
	size_t n = 0;

	while (n < PARSE_ROWS_MAX && next_line(&in, &line))
		n++;
	return n;
}

static bool parse_rows(struct span in, const struct header *header, struct table *out,
		       struct parse_error *err)
{
	const struct table_desc *desc = out->desc;
	unsigned long nr = 1;
	struct field *row;
	struct span line;

	/* At least one, as there may be no row. */
	out->fields = malloc((count_lines(in) + 1) * desc->n * sizeof(*out->fields));
	if (!out->fields)
		return fail(err, 0, "out of memory");
	while (next_line(&in, &line)) {
		nr++;
		if (out->rows == PARSE_ROWS_MAX)
			return fail(err, nr, "more than %d rows", PARSE_ROWS_MAX);
		row = &out->fields[out->rows * desc->n];
		memset(row, 0, desc->n * sizeof(*row));
		if (!check_bytes(line, nr, err) || !parse_row(line, nr, desc, header, row, err))
			return false;
		out->rows++;
	}
	return out->rows || desc->may_be_empty ? true : fail(err, 0, "no rows");
}

static int compare_keys(const struct table *table, const struct field *a, const struct field *b)
{
	size_t i;
	int diff;

	for (i = 0; i < table->desc->keys; i++) {
		diff = span_compare(a[i].text, b[i].text);
		if (diff)
			return diff;
	}
	return 0;
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct table *table = arg;

	return compare_keys(table, table_row(table, *(const size_t *)a),
			    table_row(table, *(const size_t *)b));
}

/* A row that is there twice would be counted twice. */
static bool sort_rows(struct table *table, struct parse_error *err)
{
	size_t i, first, second, *order = calloc(table->rows + 1, sizeof(*order));

	table->order = order;
	if (!order)
		return fail(err, 0, "out of memory");
	for (i = 0; i < table->rows; i++)
		order[i] = i;
	qsort_r(order, table->rows, sizeof(*order), compare_rows, table);
	for (i = 1; i < table->rows; i++) {
		if (compare_rows(&order[i - 1], &order[i], table))
			continue;
		first = order[i - 1] < order[i] ? order[i - 1] : order[i];
		second = order[i - 1] < order[i] ? order[i] : order[i - 1];
		return fail(err, second + 2, "the same row as line %zu", first + 2);
	}
	return true;
}

const struct field *table_find(const struct table *table, const struct field *keys)
{
	size_t low = 0, high = table->rows, middle;
	const struct field *row;
	int diff;

	while (low < high) {
		middle = low + (high - low) / 2;
		row = table_row(table, table->order[middle]);
		diff = compare_keys(table, keys, row);
		if (!diff)
			return row;
		if (diff < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool parse_table(struct span in, const struct table_desc *desc, struct table *out,
		 struct parse_error *err)
{
	struct header header = { NULL, 0 };
	struct span line;
	bool ok;

	memset(out, 0, sizeof(*out));
	out->desc = desc;
	if (!next_line(&in, &line))
		return fail(err, 0, "empty");

	ok = check_bytes(line, 1, err) &&
	     parse_header(line, desc, &header, err) &&
	     parse_rows(in, &header, out, err) &&
	     sort_rows(out, err);
	free(header.column);
	return ok;
}

void table_free(struct table *table)
{
	free(table->fields);
	free(table->order);
	free(table->buf);
	memset(table, 0, sizeof(*table));
}
