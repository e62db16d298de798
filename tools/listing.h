/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_LISTING_H
#define CTXSTAT_LISTING_H

#include "snapshot.h"

/* Those that --proto takes; the last one is NULL. */
extern const char * const listing_protocols[];

/**
 * listing_check() - whether --sort and --proto make sense
 *
 * Return: EXIT_OK, or EXIT_USAGE after a message.
 */
int listing_check(const struct options *opt, const struct table_desc *desc);

/**
 * listing_show() - the rows of a table that are asked for, as they are asked for
 * @opt: the format; which rows; how they are sorted
 * @snap: what was read
 * @table: which table
 *
 * Return: EXIT_OK, or EXIT_SYSTEM after a message.
 */
int listing_show(const struct options *opt, const struct snapshot *snap, enum table_index table);

/* Nothing there, now or ever. What is not known may be something. */
bool row_is_zero(const struct table_desc *desc, const struct field *row);

/* The column of that name, or the number of columns. */
size_t listing_column(const struct table_desc *desc, const char *name);

#endif
