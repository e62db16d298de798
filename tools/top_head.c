// SPDX-License-Identifier: GPL-2.0-only
#include <curses.h>
#include <math.h>
#include <string.h>

#include "top_head.h"
#include "top_term.h"

/* The bar's line without the bar: "entries [] 100.0 %  ", numbers, "full in ...", the time. */
#define BESIDE_BAR 61
#define CLOCK_WIDTH 9
#define BAR_MIN 8
#define BAR_MAX 60
/* Between two numbers. */
#define GAP 3

static void remember(struct history *past, double value)
{
	past->value[past->n++ % HISTORY_MAX] = value;
}

void head_miss(struct head *head)
{
	remember(&head->past_entries, NAN);
	remember(&head->past_created, NAN);
}

void head_take(struct head *head, const struct reading *reading)
{
	const struct snapshot *old = &reading->old, *new = &reading->new;

	head->when = (struct field){ .num = new->wall, .known = true };
	head->entries = fill_of(new);
	head->max = new->sum[SUM_MAX];
	head->full = seconds_to_full(old, new);
	head->created = rate_of_key(old, new, SUM_CREATED);
	head->ended = rate_of_key(old, new, SUM_DESTROYED);
	head->failed = rate_of_key(old, new, SUM_INSERT_FAILED);
	head->evicted = rate_of_evictions(old, new);
	head->established = tcp_entries(new, "ESTABLISHED");
	head->syn_sent = tcp_entries(new, "SYN_SENT");
	head->unreplied = unreplied_entries(new);
	head->nfound = findings(old, new, head->found);
	remember(&head->past_entries, head->entries.known ? head->entries.num : NAN);
	remember(&head->past_created, head->created.known ? head->created.value : NAN);
}

/* Writes behind what is there. Return: where the next one goes. */
static int put(int y, int x, enum style style, const char *text)
{
	term_put(y, x, COLS - x, style, text);
	return x + strlen(text);
}

static enum style style_of_fill(double full)
{
	return full >= FULL_CRITICAL ? STYLE_CRITICAL :
	       full >= FULL_WARNING ? STYLE_WARNING : STYLE_PLAIN;
}

/* As much room as there is, but always the same, whatever stands beside it. */
static int bar_width(void)
{
	int width = COLS - BESIDE_BAR;

	if (width < BAR_MIN)
		width += CLOCK_WIDTH;
	return width < BAR_MIN ? 0 : width > BAR_MAX ? BAR_MAX : width;
}

static int draw_bar(int x, double full)
{
	char bar[BAR_MAX + 16];
	int width = bar_width(), used = (full < 100 ? full : 100) / 100 * width + 0.5;

	memset(bar, '.', sizeof(bar));
	memset(bar, '#', used);
	snprintf(bar + width, sizeof(bar) - width, "] %.1f %%", full);
	x = put(0, x, STYLE_PLAIN, "[");
	return put(0, x, style_of_fill(full), bar) + 2;
}

static void draw_fill(const struct head *head, const struct options *opt)
{
	bool limit = head->entries.known && head->max.known && head->max.num;
	char cell[CELL_MAX], max[CELL_MAX], text[2 * CELL_MAX + 8];
	int x = put(0, 0, STYLE_TITLE, "entries ");

	if (limit)
		x = draw_bar(x, share_of(&head->entries, &head->max));
	format_number(opt, &head->entries, cell);
	format_number(opt, &head->max, max);
	snprintf(text, sizeof(text), limit || !head->max.known ? "%s of %s" : "%s, no limit", cell, max);
	x = put(0, x, STYLE_PLAIN, text);
	if (head->full.known && head->full.value <= FULL_SOON) {
		format_duration(head->full.value, cell);
		snprintf(text, sizeof(text), "  full in %s", cell);
		x = put(0, x, STYLE_PLAIN, text);
	}
	format_time(&head->when, "%H:%M:%S", cell);
	if (x + CLOCK_WIDTH <= COLS)
		put(0, COLS - strlen(cell), STYLE_PLAIN, cell);
}

static int draw_rate(const struct options *opt, int x, const char *name, struct rate rate, bool bad)
{
	char cell[CELL_MAX];

	format_rate(opt, rate.value, rate.known, cell);
	x = put(1, x, STYLE_TITLE, name);
	x = put(1, x + 1, bad && rate.known && rate.value > 0 ? STYLE_WARNING : STYLE_PLAIN, cell);
	return (rate.known ? put(1, x, STYLE_PLAIN, "/s") : x) + GAP;
}

static int draw_number(const struct options *opt, int x, const char *name, const struct field *field)
{
	char cell[CELL_MAX];

	format_number(opt, field, cell);
	x = put(2, x, STYLE_TITLE, name);
	return put(2, x + 1, STYLE_PLAIN, cell) + GAP;
}

/* The lowest and the highest of the last @n values. Return: whether any is known. */
static bool range(const struct history *past, size_t n, double *low, double *high)
{
	double value;
	size_t i;

	*low = INFINITY;
	*high = -INFINITY;
	for (i = past->n - n; i < past->n; i++) {
		value = past->value[i % HISTORY_MAX];
		if (isnan(value))
			continue;
		*low = fmin(*low, value);
		*high = fmax(*high, value);
	}
	return *low <= *high;
}

static void draw_spark(int x, double value, double low, double high)
{
	static const char * const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char * const ascii[] = { "_", ".", ",", "-", "=", "+", "*", "#" };
	unsigned int level;

	if (isnan(value))
		return;
	level = high > low ? (value - low) / (high - low) * (ARRAY_SIZE(blocks) - 1) + 0.5 : 0;
	term_put(3, x, 1, STYLE_PLAIN, (term_is_utf8() ? blocks : ascii)[level]);
}

/* The range that is drawn stands before it, as nothing else tells how much a step is. */
static void draw_history(const struct options *opt, int x, int width, const char *name,
			 const struct history *past)
{
	size_t i, n = past->n < HISTORY_MAX ? past->n : HISTORY_MAX, room;
	char low_cell[CELL_MAX], high_cell[CELL_MAX];
	int end = x + width;
	double low, high;

	x = put(3, x, STYLE_TITLE, name) + 1;
	/* "1.23k-4.56M " */
	room = end - x > 12 ? end - x - 12 : 0;
	if (n > room)
		n = room;
	if (!range(past, n, &low, &high))
		return;
	format_rate(opt, low, true, low_cell);
	format_rate(opt, high, true, high_cell);
	x = put(3, x, STYLE_PLAIN, low_cell);
	x = put(3, x, STYLE_PLAIN, "-");
	put(3, x, STYLE_PLAIN, high_cell);
	for (i = 0; i < n; i++)
		draw_spark(end - n + i, past->value[(past->n - n + i) % HISTORY_MAX], low, high);
}

static void draw_finding(const struct head *head)
{
	const struct finding *first = &head->found[0];
	char text[sizeof(first->text) + 32];

	if (!head->nfound) {
		term_put(4, 0, COLS, STYLE_PLAIN, "nothing wrong to be seen");
		return;
	}
	if (head->nfound > 1)
		snprintf(text, sizeof(text), "1 of %zu: %s", head->nfound, first->text);
	else
		snprintf(text, sizeof(text), "%s", first->text);
	term_put(4, 0, COLS, first->critical ? STYLE_CRITICAL : STYLE_WARNING, text);
}

void head_draw(const struct head *head, const struct options *opt)
{
	int x;

	draw_fill(head, opt);
	x = draw_rate(opt, 0, "new", head->created, false);
	x = draw_rate(opt, x, "ended", head->ended, false);
	x = draw_rate(opt, x, "failed", head->failed, true);
	draw_rate(opt, x, "evicted", head->evicted, true);
	x = draw_number(opt, 0, "established", &head->established);
	x = draw_number(opt, x, "syn_sent", &head->syn_sent);
	draw_number(opt, x, "unreplied", &head->unreplied);
	draw_history(opt, 0, COLS / 2 - 2, "entries", &head->past_entries);
	draw_history(opt, COLS / 2, COLS - COLS / 2, "new/s", &head->past_created);
	draw_finding(head);
}
