// SPDX-License-Identifier: GPL-2.0-only
/* The columns of "ctxstat top": in the program, as its help names them, too. */
#include <string.h>

#include "top_rows.h"

/* In 80 columns all of these fit as long as no state has a long name. */
static const struct column states_columns[] = {
	{ COLUMN_TEXT, STATES_FAMILY, 3, "FAM" },
	{ COLUMN_TEXT, STATES_L4PROTO, 5, "PROTO" },
	{ COLUMN_TEXT, STATES_STATE, 5, "STATE" },
	{ COLUMN_NUMBER, STATES_ENTRIES, 7, "ENTRIES" },
	{ COLUMN_NUMBER, STATES_UNREPLIED, 9, "UNREPLIED" },
	{ COLUMN_NUMBER, STATES_ASSURED, 7, "ASSURED" },
	{ COLUMN_NUMBER, STATES_SNAT, 5, "SNAT" },
	{ COLUMN_NUMBER, STATES_DNAT, 5, "DNAT" },
	{ COLUMN_RATE, STATES_ENTERED, 5, "IN/S" },
	{ COLUMN_RATE, STATES_LEFT, 5, "OUT/S" },
	{ COLUMN_NUMBER, STATES_PEAK, 5, "PEAK" },
};

static const struct column ports_columns[] = {
	{ COLUMN_TEXT, PORTS_L4PROTO, 5, "PROTO" },
	{ COLUMN_PORT, PORTS_PORT, 5, "PORT" },
	{ COLUMN_NUMBER, PORTS_ENTRIES, 7, "ENTRIES" },
	{ COLUMN_NUMBER, PORTS_UNREPLIED, 9, "UNREPLIED" },
	{ COLUMN_SHARE, PORTS_UNREPLIED, 5, "%" },
	{ COLUMN_RATE, PORTS_OPENED, 8, "OPENED/S" },
	{ COLUMN_RATE, PORTS_ANSWERED, 10, "ANSWERED/S" },
	{ COLUMN_RATE, PORTS_CLOSED, 8, "CLOSED/S" },
	{ COLUMN_RATE, PORTS_FAILED, 8, "FAILED/S" },
	{ COLUMN_NUMBER, PORTS_BYTES, 5, "BYTES" },
};

static const struct column ends_columns[] = {
	{ COLUMN_TEXT, ENDS_FAMILY, 3, "FAM" },
	{ COLUMN_TEXT, ENDS_L4PROTO, 5, "PROTO" },
	{ COLUMN_TEXT, ENDS_STATE, 5, "STATE" },
	{ COLUMN_TEXT, ENDS_REASON, 8, "REASON" },
	{ COLUMN_NUMBER, ENDS_COUNT, 7, "COUNT" },
	{ COLUMN_RATE, ENDS_COUNT, 7, "ENDED/S" },
};

#define COLUMNS_OF(array) .columns = (array), .n = ARRAY_SIZE(array)

/* The states stay where they are: sorted by family they are in the module's order. */
const struct pane_desc panes[PANES] = {
	[PANE_STATES]	= { TABLE_STATES, COLUMNS_OF(states_columns), STATES_L4PROTO, .sort = 0 },
	[PANE_PORTS]	= { TABLE_PORTS, COLUMNS_OF(ports_columns), PORTS_L4PROTO, .sort = 2 },
	[PANE_ENDS]	= { TABLE_ENDS, COLUMNS_OF(ends_columns), ENDS_L4PROTO, .sort = 4 },
};

size_t pane_column(const struct pane_desc *pane, const char *name)
{
	const struct table_desc *desc = &table_descs[pane->table];
	size_t i;

	for (i = 0; i < pane->n; i++)
		if (!strcmp(name, desc->columns[pane->columns[i].source].name))
			break;
	return i;
}

const char *pane_source(const struct pane_desc *pane, size_t column)
{
	return table_descs[pane->table].columns[pane->columns[column].source].name;
}

/* Whether a column of that name is in one of the first @n panes. */
static bool is_in_panes(const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (pane_column(&panes[i], name) != panes[i].n)
			return true;
	return false;
}

void top_print_columns(void)
{
	const char *name;
	size_t i, k;

	for (i = 0; i < PANES; i++)
		for (k = 0; k < panes[i].n; k++) {
			name = pane_source(&panes[i], k);
			if (pane_column(&panes[i], name) == k && !is_in_panes(name, i))
				printf(" %s", name);
		}
}
