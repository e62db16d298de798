/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables of /proc/net/ctxstat, from bytes to fields. */
#ifndef CTXSTAT_PARSE_H
#define CTXSTAT_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of the input: never terminated, never longer than the input. */
struct span {
	const char *p;
	size_t len;
};

/* What a value is, and so how it may be shown, summed up, sorted and exported. */
enum field_kind {
	FIELD_TEXT,	/* one printable word; "-": none */
	FIELD_ID,	/* a number that is a name, such as a port */
	FIELD_GAUGE,	/* goes up and down */
	FIELD_COUNTER,	/* only goes up, until the module is loaded anew */
	FIELD_PEAK,	/* a gauge's highest value; peaks do not add up */
	FIELD_TIME,	/* seconds since 1970 */
	FIELD_LINES,	/* keys only: may repeat, the value is the rest of the line */
};

/**
 * struct field_desc - a column of a table, or a key of a list
 * @name: as the module writes it
 * @kind: what its values are; all but FIELD_TEXT and FIELD_LINES are unsigned 64-bit
 *	decimal numbers, or "-": not known
 * @label: what people read instead
 */
struct field_desc {
	const char *name;
	enum field_kind kind;
	const char *label;
};

/**
 * struct table_desc - a table of the module's
 * @name: of the file
 * @columns: wanted, found by name; those that identify a row come first
 * @n: how many
 * @keys: how many of them identify a row
 * @may_be_empty: a header without rows is fine
 */
struct table_desc {
	const char *name;
	const struct field_desc *columns;
	size_t n;
	size_t keys;
	bool may_be_empty;
};

/**
 * struct field - one value found
 * @text: as written
 * @num: the number, or for FIELD_LINES how many lines there were
 * @known: false for "-", and for what was not found
 */
struct field {
	struct span text;
	uint64_t num;
	bool known;
};

/**
 * struct table - a table that was read
 * @desc: what it is
 * @fields: @rows times as many fields as it has columns
 * @rows: how many
 * @order: row numbers, sorted by what identifies a row
 * @buf: what the fields point into, if it is the table's own
 */
struct table {
	const struct table_desc *desc;
	struct field *fields;
	size_t rows;
	size_t *order;
	char *buf;
};

/* @line is 0 when the whole input is meant. */
struct parse_error {
	unsigned long line;
	char what[160];
};

/* No name the module prints comes near; keeps the output in shape. */
#define PARSE_NAME_MAX 64
/* All ports of five protocols, and some. */
#define PARSE_ROWS_MAX (1 << 19)

bool span_is(struct span s, const char *word);
bool span_eq(struct span a, struct span b);

/* As strcmp() does. */
int span_compare(struct span a, struct span b);

/**
 * next_line() - take one line off the front
 * @rest: what is left of the input
 * @line: the line, without its newline; the last one may lack it
 *
 * Return: false at the end.
 */
bool next_line(struct span *rest, struct span *line);

void skip_blanks(struct span *s);

/**
 * next_word() - take one word off the front
 * @rest: what is left of the line
 * @word: the word
 *
 * Return: false at the end.
 */
bool next_word(struct span *rest, struct span *word);

/**
 * parse_number() - read digits, and nothing else
 * @s: the digits
 * @num: set if there is an unsigned 64-bit number
 *
 * Return: whether there is.
 */
bool parse_number(struct span s, uint64_t *num);

/**
 * parse_keys() - read lines of "key value"
 * @in: the input
 * @desc: keys wanted; all but FIELD_LINES must be there, others are skipped
 * @n: how many
 * @out: @n fields, all set even if an error is found
 * @err: set on error
 *
 * Return: whether the input was understood.
 */
bool parse_keys(struct span in, const struct field_desc *desc, size_t n,
		struct field *out, struct parse_error *err);

/**
 * parse_table() - read a header line and its rows
 * @in: the input; must outlive @out, which points into it
 * @desc: the table; unknown columns are skipped
 * @out: to be given to table_free(), error or not
 * @err: set on error
 *
 * Return: whether the input was understood.
 */
bool parse_table(struct span in, const struct table_desc *desc, struct table *out,
		 struct parse_error *err);

void table_free(struct table *table);

/**
 * table_find() - look for a row
 * @table: where
 * @keys: the fields that identify it, such as a row of an earlier reading
 *
 * Return: the row, or NULL.
 */
const struct field *table_find(const struct table *table, const struct field *keys);

static inline const struct field *table_row(const struct table *table, size_t row)
{
	return &table->fields[row * table->desc->n];
}

static inline bool is_number(enum field_kind kind)
{
	return kind != FIELD_TEXT && kind != FIELD_LINES;
}

#endif
