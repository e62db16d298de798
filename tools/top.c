// SPDX-License-Identifier: GPL-2.0-only
/* A full screen that is kept up to date. */
#include <curses.h>
#include <string.h>

#include "interval.h"
#include "listing.h"
#include "plugin.h"
#include "top.h"
#include "top_term.h"

/* In seconds. */
#define INTERVAL 2
/* A key that is held down asks for readings that are too near for a rate. */
#define PAUSE_MIN 0.1

#define OUT_OF_MEMORY "out of memory"

/* What complain() said last; it knows no other place. */
static char complaint[MESSAGE_MAX];

static void keep_complaint(const char *line)
{
	snprintf(complaint, sizeof(complaint), "%s", line);
}

void top_choose(struct top *top)
{
	const struct view *view = &top->view[top->pane];
	struct choice choice = {
		.all = top->opt.all,
		.proto = top->opt.proto,
		.port = top->port,
		.port_given = top->port_given,
		.sort = view->sort,
		.reverse = view->reverse,
	};

	if (!rows_choose(&top->rows, &top->reading, &panes[top->pane], &choice))
		snprintf(top->message, sizeof(top->message), OUT_OF_MEMORY);
}

static int complain_column(const char *name)
{
	char list[512];
	const char *source;
	size_t i, k, len = 0;

	for (i = 0; i < PANES; i++) {
		len += snprintf(list + len, sizeof(list) - len, "%s %s:", i ? "," : "",
				table_descs[panes[i].table].name);
		for (k = 0; k < panes[i].n; k++) {
			source = pane_source(&panes[i], k);
			/* Two columns of the screen may be made from one of the table. */
			if (pane_column(&panes[i], source) == k)
				len += snprintf(list + len, sizeof(list) - len, " %s", source);
		}
	}
	complain("top shows no column \"%s\"; those of%s", name, list);
	return EXIT_USAGE;
}

/* A column is looked for in the ports first, as there are so many of them. */
static int begin_sorted(struct top *top)
{
	static const enum pane order[] = { PANE_PORTS, PANE_STATES, PANE_ENDS };
	size_t i, column;

	for (i = 0; i < PANES; i++)
		top->view[i].sort = panes[i].sort;
	for (i = 0; top->opt.sort && i < PANES; i++) {
		column = pane_column(&panes[order[i]], top->opt.sort);
		if (column == panes[order[i]].n)
			continue;
		top->pane = order[i];
		top->view[top->pane].sort = column;
		break;
	}
	top->view[top->pane].reverse = top->opt.reverse;
	return i == PANES ? complain_column(top->opt.sort) : EXIT_OK;
}

static int check_options(struct top *top)
{
	struct options proto = { .proto = top->opt.proto };
	int ret;

	if (!top->opt.interval_given)
		top->opt.interval = INTERVAL;
	ret = interval_check(top->opt.interval);
	if (!ret)
		ret = listing_check(&proto, &table_descs[TABLE_STATES]);
	if (!ret)
		ret = begin_sorted(top);
	return ret;
}

static void take_reading(struct top *top, struct snapshot *new)
{
	struct reading *reading = &top->reading;

	snapshot_free(&reading->old);
	/* What happened while nothing could be read may be anything. */
	if (top->broken)
		snapshot_free(&reading->new);
	reading->old = reading->new;
	reading->new = *new;
	if (top->broken)
		top->message[0] = '\0';
	top->broken = false;
	head_take(&top->head, reading);
	top_choose(top);
}

/* When there is nothing to read, the last screen stays. */
static void read_again(struct top *top)
{
	struct snapshot new;

	if (!snapshot_load(&top->opt, FINDINGS_TABLES, &new)) {
		take_reading(top, &new);
		return;
	}
	snapshot_free(&new);
	head_miss(&top->head);
	top->broken = true;
	memcpy(top->message, complaint, sizeof(top->message));
}

static int first_reading(struct top *top)
{
	struct snapshot new;
	int ret = snapshot_load(&top->opt, FINDINGS_TABLES, &new);

	if (ret)
		snapshot_free(&new);
	else
		take_reading(top, &new);
	return ret;
}

/* When to read next: not before a moment has passed, and never while paused. */
static double next_reading(const struct top *top, double last)
{
	if (top->read_now)
		return last + PAUSE_MIN;
	return top->paused ? -1 : last + top->opt.interval;
}

/* What a key complains about, it says in the last line. */
static bool take_keys(struct top *top, int key)
{
	complaint[0] = '\0';
	if (!top_key(top, key))
		return false;
	if (complaint[0])
		memcpy(top->message, complaint, sizeof(top->message));
	return true;
}

/* Return: EXIT_OK if somebody said that it is enough, EXIT_SYSTEM if nobody is there. */
static int run(struct top *top)
{
	double last = monotonic(), due;
	uint64_t readings = 1;
	bool draw = true;
	int key;

	for (;;) {
		due = next_reading(top, last);
		switch (term_wait(due, draw, &key)) {
		case EVENT_QUIT:
			return EXIT_OK;
		case EVENT_GONE:
			return EXIT_SYSTEM;
		case EVENT_DRAW:
			top_draw(top);
			draw = false;
			continue;
		case EVENT_KEY:
			if (!take_keys(top, key))
				return EXIT_OK;
			break;
		case EVENT_TIME:
			/* The last one stays for as long as all others did. */
			if (readings++ == top->opt.count && top->opt.count)
				return EXIT_OK;
			/* Readings do not drift; but there is no catching up. */
			last = top->read_now || monotonic() > due + top->opt.interval ? monotonic() : due;
			top->read_now = false;
			read_again(top);
			break;
		case EVENT_RESIZE:
			break;
		}
		draw = true;
	}
}

static void set_colours(struct top *top)
{
	top->colours = term_has_colours() && use_colour(&top->opt);
	term_set_colours(top->colours);
}

static int run_on_terminal(struct top *top)
{
	int ret = term_begin();

	if (!ret) {
		complain_to(keep_complaint);
		set_colours(top);
		ret = run(top);
	}
	term_end();
	complain_to(NULL);
	return ret;
}

static int run_top(const struct options *opt)
{
	struct top top = { .opt = *opt };
	int ret;

	top.opt.terminal = true;
	ret = check_options(&top);
	if (!ret)
		ret = first_reading(&top);
	if (!ret)
		ret = run_on_terminal(&top);
	snapshot_free(&top.reading.old);
	snapshot_free(&top.reading.new);
	rows_free(&top.rows);
	return ret;
}

const struct plugin plugin = { .version = CTXSTAT_VERSION, .run = run_top };
