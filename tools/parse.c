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

static void skip_blanks(struct span *s)
{
	while (s->len && is_blank(*s->p))
		skip(s, 1);
}

bool next_word(struct span *rest, struct span *word)
{
	skip_blanks(rest);
	word->p = rest->p;
	word->len = 0;
	while (rest->len && !is_blank(*rest->p)) {
		word->len++;
		skip(rest, 1);
	}
	return word->len;
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

static bool parse_number(struct span s, uint64_t *num)
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

static size_t find_desc(const struct field_desc *desc, size_t n, struct span name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (span_is(name, desc[i].name))
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

/* @at[i]: which field of a line column i is; @fields: how many fields a line has. */
static bool parse_header(struct span line, const struct field_desc *desc, size_t n,
			 size_t *at, size_t *fields, struct parse_error *err)
{
	struct span name;
	size_t i;

	for (i = 0; i < n; i++)
		at[i] = NOT_FOUND;
	for (*fields = 0; next_word(&line, &name); (*fields)++) {
		i = find_desc(desc, n, name);
		if (i == NOT_FOUND)
			continue;
		if (at[i] != NOT_FOUND)
			return fail(err, 1, "column \"%s\" is there twice", desc[i].name);
		at[i] = *fields;
	}
	for (i = 0; i < n; i++)
		if (at[i] == NOT_FOUND)
			return fail(err, 1, "no column \"%s\"", desc[i].name);
	return true;
}

static bool parse_row(struct span line, unsigned long nr, const struct field_desc *desc, size_t n,
		      const size_t *at, size_t fields, struct field *row, struct parse_error *err)
{
	struct span word;
	size_t i, pos;

	for (pos = 0; next_word(&line, &word); pos++)
		for (i = 0; i < n; i++)
			if (at[i] == pos && !set_field(&row[i], &desc[i], word, nr, err))
				return false;
	if (pos != fields)
		return fail(err, nr, "%zu fields where the header has %zu", pos, fields);
	return true;
}

static bool same_row(const struct field *a, const struct field *b,
		     const struct field_desc *desc, size_t n)
{
	size_t i;

	for (i = 0; i < n && desc[i].kind == FIELD_TEXT; i++)
		if (!span_eq(a[i].text, b[i].text))
			return false;
	return true;
}

static bool grow(struct table *table, size_t n, size_t *room)
{
	size_t more = *room ? *room * 2 : 64;
	struct field *fields;

	if (table->rows < *room)
		return true;
	fields = realloc(table->fields, more * n * sizeof(*fields));
	if (!fields)
		return false;
	table->fields = fields;
	*room = more;
	return true;
}

static bool parse_rows(struct span in, const struct field_desc *desc, size_t n, const size_t *at,
		       size_t fields, struct table *out, struct parse_error *err)
{
	unsigned long nr = 1;
	struct field *row;
	struct span line;
	size_t room = 0;
	size_t i;

	while (next_line(&in, &line)) {
		nr++;
		if (out->rows == PARSE_ROWS_MAX)
			return fail(err, nr, "more than %d rows", PARSE_ROWS_MAX);
		if (!grow(out, n, &room))
			return fail(err, nr, "out of memory");
		row = &out->fields[out->rows * n];
		memset(row, 0, n * sizeof(*row));
		if (!check_bytes(line, nr, err) ||
		    !parse_row(line, nr, desc, n, at, fields, row, err))
			return false;
		for (i = 0; i < out->rows; i++)
			if (same_row(row, &out->fields[i * n], desc, n))
				return fail(err, nr, "the same row as line %zu", i + 2);
		out->rows++;
	}
	return out->rows ? true : fail(err, 0, "no rows");
}

bool parse_table(struct span in, const struct field_desc *desc, size_t n,
		 struct table *out, struct parse_error *err)
{
	size_t fields, *at;
	struct span line;
	bool ok;

	memset(out, 0, sizeof(*out));
	if (!next_line(&in, &line))
		return fail(err, 0, "empty");

	at = calloc(n, sizeof(*at));
	if (!at)
		return fail(err, 0, "out of memory");
	ok = check_bytes(line, 1, err) &&
	     parse_header(line, desc, n, at, &fields, err) &&
	     parse_rows(in, desc, n, at, fields, out, err);
	free(at);
	return ok;
}

void table_free(struct table *table)
{
	free(table->fields);
	memset(table, 0, sizeof(*table));
}
