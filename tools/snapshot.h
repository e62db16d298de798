/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables at one moment, and what happened between two. */
#ifndef CTXSTAT_SNAPSHOT_H
#define CTXSTAT_SNAPSHOT_H

#include "ctxstat.h"
#include "tables.h"

/**
 * struct snapshot - tables read one after the other, within milliseconds
 * @mono: when, in seconds of a clock that nobody sets
 * @wall: when, in seconds since 1970
 * @sum: the values of "summary", by enum summary_key
 * @sum_buf: what they point into
 * @table: those that were asked for; the others have no rows and no desc
 */
struct snapshot {
	double mono;
	double wall;
	struct field sum[SUM_KEYS];
	char *sum_buf;
	struct table table[TABLES];
};

#define WANT(table) (1u << (table))
#define WANT_ALL (WANT(TABLES) - 1)

/**
 * snapshot_load() - read "summary" and the tables that are wanted
 * @opt: says where
 * @want: WANT() of each table
 * @snap: to be given to snapshot_free() in the end, error or not
 *
 * Return: EXIT_OK, or after a message EXIT_READ or EXIT_GARBLED.
 */
int snapshot_load(const struct options *opt, unsigned int want, struct snapshot *snap);

/* Leaves an empty snapshot; one that is all zero may be given, too. */
void snapshot_free(struct snapshot *snap);

/**
 * snapshot_comparable() - whether counters went on from one moment to the other
 * @old: the earlier one, or NULL
 * @new: the later one, of the same tables
 *
 * Not if the module was loaded anew in between, or still found entries older than
 * itself, the clock stood still, or anything went backwards that never does.
 */
bool snapshot_comparable(const struct snapshot *old, const struct snapshot *new);

/* Per second. Not known where the two moments are not comparable. */
struct rate {
	double value;
	bool known;
};

/**
 * rate_of_key() - how fast a counter of "summary" rose
 * @old: the earlier snapshot, or NULL
 * @new: the later one
 * @key: a FIELD_COUNTER; those of the kernel may wrap
 */
struct rate rate_of_key(const struct snapshot *old, const struct snapshot *new,
			enum summary_key key);

/**
 * rate_of_column() - how fast a counter of one row rose
 * @old: the earlier snapshot, or NULL
 * @new: the later one
 * @table: which table
 * @row: which row of it in @new
 * @column: a FIELD_COUNTER
 */
struct rate rate_of_column(const struct snapshot *old, const struct snapshot *new,
			   enum table_index table, size_t row, size_t column);

/**
 * struct query - which rows to sum up
 * @column: compared with @value, or NULL: all rows
 */
struct query {
	size_t column;
	const char *value;
};

/**
 * sum_of() - a column summed up over the rows that match both queries
 * @table: the table
 * @column: a gauge or counter
 * @a: what a row has to have
 * @b: and this, or NULL in value
 *
 * Return: the sum; not known if a part of it is not, or if it is beyond 64 bits.
 */
struct field sum_of(const struct table *table, size_t column, struct query a, struct query b);

/* Entries of tcp in a state, of both families; of "states". */
struct field tcp_entries(const struct snapshot *snap, const char *state);

/* Entries without a packet in reply direction; of "states". */
struct field unreplied_entries(const struct snapshot *snap);

/* How many entries were evicted; of "ends". */
struct rate rate_of_evictions(const struct snapshot *old, const struct snapshot *new);

/* How fast such a sum rose. */
struct rate rate_of_sum(const struct snapshot *old, const struct snapshot *new,
			enum table_index table, size_t column, struct query a, struct query b);

#endif
