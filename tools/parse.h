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

enum field_kind {
	FIELD_TEXT,	/* one printable word */
	FIELD_NUMBER,	/* unsigned 64-bit decimal, or "-": not known */
	FIELD_LINES,	/* keys only: may repeat, the value is the rest of the line */
};

/**
 * struct field_desc - a column of a table, or a key of a list
 * @name: as the module writes it
 * @kind: what its values look like
 * @label: what people read instead
 */
struct field_desc {
	const char *name;
	enum field_kind kind;
	const char *label;
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

/* @fields holds @rows times as many fields as there were descriptors. */
struct table {
	struct field *fields;
	size_t rows;
};

/* @line is 0 when the whole input is meant. */
struct parse_error {
	unsigned long line;
	char what[160];
};

/* No name the module prints comes near; keeps the output in shape. */
#define PARSE_NAME_MAX 64
/* Far above what the module prints; keeps the search for duplicates short. */
#define PARSE_ROWS_MAX 4096

bool span_is(struct span s, const char *word);
bool span_eq(struct span a, struct span b);

/**
 * next_line() - take one line off the front
 * @rest: what is left of the input
 * @line: the line, without its newline; the last one may lack it
 *
 * Return: false at the end.
 */
bool next_line(struct span *rest, struct span *line);

/**
 * next_word() - take one word off the front
 * @rest: what is left of the line
 * @word: the word
 *
 * Return: false at the end.
 */
bool next_word(struct span *rest, struct span *word);

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
 * @desc: columns wanted, found by name; text columns come first and identify a row
 * @n: how many
 * @out: to be given to table_free(), error or not
 * @err: set on error
 *
 * Return: whether the input was understood.
 */
bool parse_table(struct span in, const struct field_desc *desc, size_t n,
		 struct table *out, struct parse_error *err);

void table_free(struct table *table);

#endif
