// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "findings.h"
#include "listing.h"
#include "top_rows.h"

struct value value_of(const struct reading *reading, const struct pane_desc *pane, size_t row,
		      const struct column *column)
{
	const struct field *fields = table_row(&reading->new.table[pane->table], row);
	const struct field *field = &fields[column->source];
	struct value value = { .text = field->text, .number = field->num, .known = field->known };
	struct rate rate;

	if (column->kind == COLUMN_RATE) {
		rate = rate_of_column(&reading->old, &reading->new, pane->table, row, column->source);
		value.real = rate.value;
		value.known = rate.known;
	} else if (column->kind == COLUMN_SHARE) {
		value.known = field->known && fields[PORTS_ENTRIES].known && fields[PORTS_ENTRIES].num;
		value.real = share_of(field, &fields[PORTS_ENTRIES]);
	}
	return value;
}

bool column_is_there(const struct reading *reading, const struct pane_desc *pane,
		     const struct column *column)
{
	const struct field *acct = &reading->new.sum[SUM_ACCT];

	return pane->table != TABLE_PORTS || column->source != PORTS_BYTES ||
	       (acct->known && acct->num);
}

/* What qsort_r() hands to the comparison. */
struct order {
	const struct value *keys;
	enum column_kind kind;
	bool reverse;
};

/* Names and ports from the first on, the rest from the largest on. */
static int compare_values(enum column_kind kind, const struct value *a, const struct value *b)
{
	switch (kind) {
	case COLUMN_TEXT:
		return span_compare(a->text, b->text);
	case COLUMN_PORT:
		return (a->number > b->number) - (a->number < b->number);
	case COLUMN_NUMBER:
		return (a->number < b->number) - (a->number > b->number);
	default:
		return (a->real < b->real) - (a->real > b->real);
	}
}

/* What is not known is last, either way. The module's order decides among equals. */
static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct order *order = arg;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	const struct value *v = &order->keys[x], *w = &order->keys[y];
	int diff = 0;

	if (order->kind != COLUMN_TEXT && v->known != w->known)
		return v->known ? -1 : 1;
	if (order->kind == COLUMN_TEXT || v->known)
		diff = compare_values(order->kind, v, w);
	if (!diff)
		return (x > y) - (x < y);
	return order->reverse ? -diff : diff;
}

static bool is_wanted(const struct choice *choice, const struct pane_desc *pane,
		      const struct field *row)
{
	if (choice->proto && !span_is(row[pane->proto].text, choice->proto))
		return false;
	if (choice->port_given && pane->table == TABLE_PORTS &&
	    (!row[PORTS_PORT].known || row[PORTS_PORT].num != choice->port))
		return false;
	return choice->all || !row_is_zero(&table_descs[pane->table], row);
}

static bool make_room(struct rows *rows, size_t room)
{
	size_t *row;
	struct value *keys;

	if (room <= rows->room)
		return true;
	row = realloc(rows->row, room * sizeof(*row));
	if (row)
		rows->row = row;
	keys = realloc(rows->keys, room * sizeof(*keys));
	if (keys)
		rows->keys = keys;
	if (!row || !keys)
		return false;
	rows->room = room;
	return true;
}

bool rows_choose(struct rows *rows, const struct reading *reading, const struct pane_desc *pane,
		 const struct choice *choice)
{
	const struct table *table = &reading->new.table[pane->table];
	const struct column *column = &pane->columns[choice->sort];
	struct order order = { .kind = column->kind, .reverse = choice->reverse };
	size_t i;

	rows->n = 0;
	if (!make_room(rows, table->rows))
		return false;
	for (i = 0; i < table->rows; i++) {
		if (!is_wanted(choice, pane, table_row(table, i)))
			continue;
		rows->row[rows->n++] = i;
		rows->keys[i] = value_of(reading, pane, i, column);
	}
	order.keys = rows->keys;
	if (rows->n)
		qsort_r(rows->row, rows->n, sizeof(*rows->row), compare_rows, &order);
	return true;
}

void rows_free(struct rows *rows)
{
	free(rows->row);
	free(rows->keys);
	memset(rows, 0, sizeof(*rows));
}
