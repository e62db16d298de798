// SPDX-License-Identifier: GPL-2.0-only
#include <curses.h>
#include <inttypes.h>
#include <string.h>

#include "top.h"
#include "top_term.h"

#define TABS_LINE HEAD_LINES
#define LABELS_LINE (HEAD_LINES + 1)
#define ROWS_LINE (HEAD_LINES + 2)

/* Longest name of a port that is written out. */
#define PORT_NAME_WIDTH 13
#define HELP_WIDTH 30
#define HELP_KEYS_WIDTH 11

static const struct {
	const char *keys;
	const char *what;
} help[] = {
	{ "q Ctrl-C", "quit" },
	{ "h ?", "this help" },
	{ "1 2 3", "states ports ends" },
	{ "Tab", "the next table" },
	{ "left right", "neighbouring table" },
	{ "b >", "sort by the next" },
	{ "B <", "sort by one before" },
	{ "r", "the other way" },
	{ "P", "one protocol only" },
	{ "D", "one port only" },
	{ "a", "rows that are zero" },
	{ "n", "ports by name" },
	{ "R", "set the interval" },
	{ "space", "read now" },
	{ "p", "pause" },
	{ "c", "colours" },
	{ "Ctrl-L", "draw all again" },
	{ "up down", "scroll" },
	{ "PgUp PgDn", "by a page" },
	{ "Home End", "to either end" },
};

size_t top_page(void)
{
	return LINES > ROWS_LINE + 2 ? LINES - ROWS_LINE - 1 : 1;
}

static bool is_left(const struct top *top, const struct column *column)
{
	return column->kind == COLUMN_TEXT || (column->kind == COLUMN_PORT && top->opt.names);
}

/* As wide as its longest text, over all rows: it stays when they are scrolled. */
static int width_of(const struct top *top, const struct column *column)
{
	const struct table *table = &top->reading.new.table[panes[top->pane].table];
	size_t i, len, width = column->width;

	if (column->kind == COLUMN_PORT && top->opt.names)
		return PORT_NAME_WIDTH;
	if (column->kind != COLUMN_TEXT)
		return width;
	for (i = 0; i < top->rows.n; i++) {
		len = table_row(table, top->rows.row[i])[column->source].text.len;
		if (len > width)
			width = len;
	}
	return width;
}

/* Where there is no room for a column, there is none for those to its right. */
void top_fit_columns(struct top *top)
{
	const struct pane_desc *pane = &panes[top->pane];
	int x = 0, width;
	size_t i;

	top->nshown = 0;
	for (i = 0; i < pane->n && top->nshown < SHOWN_MAX; i++) {
		if (!column_is_there(&top->reading, pane, &pane->columns[i]))
			continue;
		width = width_of(top, &pane->columns[i]);
		if (x + width > COLS)
			break;
		top->shown[top->nshown++] = (struct shown){ i, x, width };
		x += width + 1;
	}
}

static void format_value(const struct top *top, const struct column *column,
			 const struct field *row, const struct value *value, char cell[CELL_MAX])
{
	const struct field field = { .num = value->number, .known = value->known };

	switch (column->kind) {
	case COLUMN_TEXT:
		snprintf(cell, CELL_MAX, "%.*s", (int)value->text.len, value->text.p);
		break;
	case COLUMN_PORT:
		format_port(&top->opt, row[PORTS_L4PROTO].text, &row[PORTS_PORT], cell);
		break;
	case COLUMN_NUMBER:
		format_number(&top->opt, &field, cell);
		break;
	case COLUMN_RATE:
		format_rate(&top->opt, value->real, value->known, cell);
		break;
	case COLUMN_SHARE:
		snprintf(cell, CELL_MAX, value->known ? "%.1f" : "-", value->real);
		break;
	}
}

static enum style style_of(const struct top *top, const struct column *column,
			   const struct field *row, const struct value *value)
{
	switch (column->kind) {
	case COLUMN_NUMBER:
		return value->known && !value->number ? STYLE_ZERO : STYLE_PLAIN;
	case COLUMN_RATE:
		return value->known && value->real <= 0 ? STYLE_ZERO : STYLE_PLAIN;
	case COLUMN_SHARE:
		if (value->real > UNREPLIED_SHARE && port_matters(&top->reading.new, row))
			return STYLE_WARNING;
		return value->known && value->real <= 0 ? STYLE_ZERO : STYLE_PLAIN;
	default:
		return STYLE_PLAIN;
	}
}

/* @skip: columns of the screen to leave free, so that numbers end where they should. */
static int skip(const struct top *top, const struct column *column, int width, const char *text)
{
	int len = strlen(text);

	return is_left(top, column) || len >= width ? 0 : width - len;
}

static void draw_row(const struct top *top, int y, size_t nr)
{
	const struct pane_desc *pane = &panes[top->pane];
	const struct field *row = table_row(&top->reading.new.table[pane->table], nr);
	char cell[CELL_MAX];
	size_t i;

	for (i = 0; i < top->nshown; i++) {
		const struct shown *shown = &top->shown[i];
		const struct column *column = &pane->columns[shown->column];
		struct value value = value_of(&top->reading, pane, nr, column);
		int left;

		format_value(top, column, row, &value, cell);
		left = skip(top, column, shown->width, cell);
		term_put(y, shown->x + left, shown->width - left,
			 style_of(top, column, row, &value), cell);
	}
}

/* The mark stands in the gap beside the label: where names begin, or numbers end. */
static void draw_mark(const struct top *top, const struct shown *shown,
		      const struct column *column, int left)
{
	bool up = (column->kind == COLUMN_TEXT || column->kind == COLUMN_PORT) !=
		  top->view[top->pane].reverse;
	const char *mark = term_is_utf8() ? up ? "▲" : "▼" : up ? "^" : "v";

	if (is_left(top, column))
		term_put(LABELS_LINE, shown->x + strlen(column->label), 1, STYLE_CHOSEN, mark);
	else
		term_put(LABELS_LINE, shown->x + left - 1, 1, STYLE_CHOSEN, mark);
}

static void draw_labels(const struct top *top)
{
	size_t i;

	for (i = 0; i < top->nshown; i++) {
		const struct shown *shown = &top->shown[i];
		const struct column *column = &panes[top->pane].columns[shown->column];
		bool chosen = shown->column == top->view[top->pane].sort;
		int left = skip(top, column, shown->width, column->label);

		term_put(LABELS_LINE, shown->x + left, shown->width - left,
			 chosen ? STYLE_CHOSEN : STYLE_TITLE, column->label);
		if (chosen)
			draw_mark(top, shown, column, left);
	}
}

static void describe_rows(const struct top *top, char *text, size_t room)
{
	const struct view *view = &top->view[top->pane];
	const struct pane_desc *pane = &panes[top->pane];
	size_t page = top_page(), last = view->first + page;

	if (top->rows.n <= page)
		snprintf(text, room, "%zu row%s by %s", top->rows.n, top->rows.n == 1 ? "" : "s",
			 pane->columns[view->sort].label);
	else
		snprintf(text, room, "%zu-%zu of %zu rows by %s", view->first + 1,
			 last < top->rows.n ? last : top->rows.n, top->rows.n,
			 pane->columns[view->sort].label);
}

static void draw_tabs(const struct top *top)
{
	char text[128];
	int i, x = 0;

	for (i = 0; i < PANES; i++) {
		snprintf(text, sizeof(text), " %d %s ", i + 1, table_descs[panes[i].table].name);
		term_put(TABS_LINE, x, COLS - x, i == (int)top->pane ? STYLE_CHOSEN : STYLE_PLAIN, text);
		x += strlen(text) + 1;
	}
	if (top->opt.proto) {
		snprintf(text, sizeof(text), " %s only", top->opt.proto);
		term_put(TABS_LINE, x, COLS - x, STYLE_WARNING, text);
		x += strlen(text);
	}
	if (top->port_given && top->pane == PANE_PORTS) {
		snprintf(text, sizeof(text), " port %" PRIu64 " only", top->port);
		term_put(TABS_LINE, x, COLS - x, STYLE_WARNING, text);
		x += strlen(text);
	}
	describe_rows(top, text, sizeof(text));
	if (x + 1 + (int)strlen(text) <= COLS)
		term_put(TABS_LINE, COLS - strlen(text), COLS, STYLE_PLAIN, text);
}

/* Never beyond the end: there may be fewer rows than before, or more lines. */
static void stay_in_table(const struct top *top, struct view *view)
{
	size_t page = top_page(), last = top->rows.n > page ? top->rows.n - page : 0;

	if (view->first > last)
		view->first = last;
}

static void draw_table(struct top *top)
{
	const struct view *view = &top->view[top->pane];
	size_t i, page = top_page();

	top_fit_columns(top);
	draw_labels(top);
	for (i = 0; i < page && view->first + i < top->rows.n; i++)
		draw_row(top, ROWS_LINE + i, top->rows.row[view->first + i]);
	if (!top->rows.n)
		term_put(ROWS_LINE, 0, COLS, STYLE_PLAIN, "no rows");
}

static void draw_help(void)
{
	int lines = LINES - 2, i, x, y;

	term_put(0, 0, COLS, STYLE_TITLE, "keys of ctxstat top");
	for (i = 0; i < (int)ARRAY_SIZE(help); i++) {
		x = i / lines * HELP_WIDTH;
		y = 1 + i % lines;
		term_put(y, x, HELP_KEYS_WIDTH - 1, STYLE_TITLE, help[i].keys);
		term_put(y, x + HELP_KEYS_WIDTH, HELP_WIDTH - HELP_KEYS_WIDTH - 1, STYLE_PLAIN, help[i].what);
	}
	term_put(LINES - 1, 0, COLS, STYLE_PLAIN, "any key goes back");
}

static void draw_question(const struct top *top)
{
	char text[96];

	switch (top->question) {
	case QUESTION_INTERVAL:
		snprintf(text, sizeof(text), "seconds between two readings (now %g): %s", top->opt.interval,
			 top->answer);
		break;
	case QUESTION_PROTO:
		snprintf(text, sizeof(text), "only this protocol (nothing: all): %s", top->answer);
		break;
	default:
		snprintf(text, sizeof(text), "only this destination port (nothing: all): %s", top->answer);
	}
	term_put(LINES - 1, 0, COLS, STYLE_TITLE, text);
	term_put(LINES - 1, strlen(text), 1, STYLE_CHOSEN, " ");
}

static void draw_status(const struct top *top)
{
	char text[32] = "paused";
	int x;

	if (top->question) {
		draw_question(top);
		return;
	}
	if (top->message[0]) {
		term_put(LINES - 1, 0, COLS, top->broken ? STYLE_CRITICAL : STYLE_TITLE, top->message);
		return;
	}
	term_put(LINES - 1, 0, COLS, STYLE_PLAIN,
		 COLS < 80 ? "q quit  h help  Tab table  b sort  p pause" :
		 "q quit  h help  Tab table  b sort  r reverse  P proto  D port  p pause");
	if (!top->paused)
		snprintf(text, sizeof(text), "%g s", top->opt.interval);
	x = COLS - strlen(text);
	term_put(LINES - 1, x, COLS, top->paused ? STYLE_CHOSEN : STYLE_PLAIN, text);
}

/* In three lines where even that is too long for one. */
static void draw_too_small(void)
{
	char needs[32], has[32], line[96];

	snprintf(needs, sizeof(needs), "needs %dx%d,", TOP_COLUMNS_MIN, TOP_LINES_MIN);
	snprintf(has, sizeof(has), "has %dx%d", COLS, LINES);
	snprintf(line, sizeof(line), "too small: %s %s", needs, has);
	if ((int)strlen(line) <= COLS || LINES < 3) {
		term_put(0, 0, COLS, STYLE_PLAIN, line);
		return;
	}
	term_put(0, 0, COLS, STYLE_PLAIN, "too small:");
	term_put(1, 0, COLS, STYLE_PLAIN, needs);
	term_put(2, 0, COLS, STYLE_PLAIN, has);
}

void top_draw(struct top *top)
{
	erase();
	if (COLS < TOP_COLUMNS_MIN || LINES < TOP_LINES_MIN) {
		draw_too_small();
	} else if (top->help) {
		draw_help();
	} else {
		stay_in_table(top, &top->view[top->pane]);
		head_draw(&top->head, &top->opt);
		draw_tabs(top);
		draw_table(top);
		draw_status(top);
	}
	term_update();
}
