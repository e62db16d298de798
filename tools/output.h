/* SPDX-License-Identifier: GPL-2.0-only */
/* Listings as a table for people, JSON or CSV; ctxstat(8) documents the formats. */
#ifndef CTXSTAT_OUTPUT_H
#define CTXSTAT_OUTPUT_H

#include "snapshot.h"

/**
 * struct listing - a table as it is to be shown
 * @snap: where it comes from
 * @table: the whole table
 * @rows: row numbers, in the order in which to show them
 * @n: how many
 * @optional: columns from here on are left out, last one first, where the terminal is
 *	too narrow
 * @groups: columns that are written once for neighbours that agree, on a terminal
 * @total: a line that sums up the whole table, or NULL
 * @rest: a line that sums up the rows that are not shown, or NULL
 */
struct listing {
	const struct snapshot *snap;
	const struct table *table;
	const size_t *rows;
	size_t n;
	size_t optional;
	size_t groups;
	const struct field *total;
	const struct field *rest;
};

/* In the format that @opt asks for. Return: EXIT_OK, or EXIT_SYSTEM after a message. */
int output_listing(const struct options *opt, const struct listing *listing);

/**
 * output_keys() - keys and values as JSON or CSV
 * @opt: the format
 * @name: of the file that they come from
 * @when: seconds since 1970
 * @keys: descriptions
 * @fields: values
 * @n: how many
 * @in: the whole file, for FIELD_LINES
 */
int output_keys(const struct options *opt, const char *name, double when,
		const struct field_desc *keys, const struct field *fields, size_t n, struct span in);

/* The values of a key that may be there more than once: call until false. */
bool output_next_value(struct span *in, const char *key, struct span *value);

#endif
