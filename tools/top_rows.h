/* SPDX-License-Identifier: GPL-2.0-only */
/* What "ctxstat top" shows of a table: which columns, which rows, in which order. */
#ifndef CTXSTAT_TOP_ROWS_H
#define CTXSTAT_TOP_ROWS_H

#include "snapshot.h"

enum pane {
	PANE_STATES,
	PANE_PORTS,
	PANE_ENDS,
	PANES,
};

enum column_kind {
	COLUMN_TEXT,
	COLUMN_PORT,
	COLUMN_NUMBER,
	COLUMN_RATE,	/* per second, of a counter */
	COLUMN_SHARE,	/* of a row's entries, in per cent */
};

/**
 * struct column - a column on the screen
 * @kind: what is made of it
 * @source: the column of the table that it is made from
 * @width: characters, or at least so many for COLUMN_TEXT
 * @label: its name on the screen
 */
struct column {
	enum column_kind kind;
	size_t source;
	int width;
	const char *label;
};

/**
 * struct pane_desc - a table on the screen
 * @table: which table
 * @columns: the leftmost first
 * @n: how many
 * @proto: the table's column with the protocol
 * @sort: the one to sort by if nothing else is asked for
 */
struct pane_desc {
	enum table_index table;
	const struct column *columns;
	size_t n;
	size_t proto;
	size_t sort;
};

/* top_columns.c */
extern const struct pane_desc panes[PANES];

/* Index of the column that is made from the table's column of that name, or their number. */
size_t pane_column(const struct pane_desc *pane, const char *name);

/* What that column is called in the table. */
const char *pane_source(const struct pane_desc *pane, size_t column);

/* What a cell holds: @text for COLUMN_TEXT, else @number, or @real for rates and shares. */
struct value {
	struct span text;
	uint64_t number;
	double real;
	bool known;
};

/**
 * struct reading - the last two readings
 * @old: the one before, or empty if its rates would mean nothing
 * @new: the last one
 */
struct reading {
	struct snapshot old;
	struct snapshot new;
};

struct value value_of(const struct reading *reading, const struct pane_desc *pane, size_t row,
		      const struct column *column);

/**
 * struct choice - which rows, in which order
 * @all: those that are zero, too
 * @proto: only of this protocol, or NULL
 * @port: only this port, where there are ports
 * @port_given: @port is wanted
 * @sort: index of a column on the screen
 * @reverse: the other way round
 */
struct choice {
	bool all;
	const char *proto;
	uint64_t port;
	bool port_given;
	size_t sort;
	bool reverse;
};

/**
 * struct rows - the rows that were chosen
 * @row: row numbers, the first one to show first
 * @n: how many
 * @keys: what they are sorted by, by row number
 * @room: for how many there is memory
 */
struct rows {
	size_t *row;
	size_t n;
	struct value *keys;
	size_t room;
};

/**
 * rows_choose() - choose and sort rows
 * @rows: replaced; all zero at first
 *
 * Return: false if memory is short; there are no rows then.
 */
bool rows_choose(struct rows *rows, const struct reading *reading, const struct pane_desc *pane,
		 const struct choice *choice);

void rows_free(struct rows *rows);

/* Whether a table's column can be shown: bytes are counted only where accounting is on. */
bool column_is_there(const struct reading *reading, const struct pane_desc *pane,
		     const struct column *column);

#endif
