// SPDX-License-Identifier: GPL-2.0-only
/* Keys as in iptstate(8), where it has them. */
#include <curses.h>
#include <stdlib.h>
#include <string.h>

#include "interval.h"
#include "listing.h"
#include "top.h"
#include "top_term.h"

#define CTRL(letter) ((letter) & 0x1f)
#define ESCAPE 0x1b
#define DELETE 0x7f

static void say(struct top *top, const char *what)
{
	snprintf(top->message, sizeof(top->message), "%s", what);
}

/* Wraps around, over the columns on the screen only. */
static void sort_by_next(struct top *top, int step)
{
	struct view *view = &top->view[top->pane];
	size_t i;

	if (!top->nshown)
		return;
	for (i = 0; i < top->nshown && top->shown[i].column != view->sort; i++)
		;
	/* Sorted by one that does not fit: the nearest that does. */
	if (i == top->nshown)
		i = step > 0 ? top->nshown - 1 : 0;
	view->sort = top->shown[(i + top->nshown + step) % top->nshown].column;
	view->reverse = false;
	top_choose(top);
}

static void look_at(struct top *top, int pane)
{
	top->pane = (pane + PANES) % PANES;
	top_choose(top);
	top_fit_columns(top);
}

static bool scroll_key(struct top *top, int key)
{
	size_t *first = &top->view[top->pane].first, page = top_page();

	switch (key) {
	case KEY_UP:
		*first -= *first > 0;
		return true;
	case KEY_DOWN:
		*first += 1;
		return true;
	case KEY_PPAGE:
		*first -= *first < page ? *first : page;
		return true;
	case KEY_NPAGE:
		*first += page;
		return true;
	case KEY_HOME:
		*first = 0;
		return true;
	case KEY_END:
		*first = top->rows.n;
		return true;
	}
	return false;
}

static bool pane_key(struct top *top, int key)
{
	switch (key) {
	case '1':
	case '2':
	case '3':
		look_at(top, key - '1');
		return true;
	case '\t':
	case KEY_RIGHT:
		look_at(top, top->pane + 1);
		return true;
	case KEY_BTAB:
	case KEY_LEFT:
		look_at(top, (int)top->pane - 1);
		return true;
	}
	return false;
}

static bool order_key(struct top *top, int key)
{
	switch (key) {
	case 'b':
	case '>':
		sort_by_next(top, 1);
		return true;
	case 'B':
	case '<':
		sort_by_next(top, -1);
		return true;
	case 'r':
		top->view[top->pane].reverse = !top->view[top->pane].reverse;
		top_choose(top);
		return true;
	case 'a':
		top->opt.all = !top->opt.all;
		top_choose(top);
		return true;
	}
	return false;
}

static void ask(struct top *top, enum question question)
{
	top->question = question;
	top->answer[0] = '\0';
}

static bool question_key(struct top *top, int key)
{
	switch (key) {
	case 'R':
		ask(top, QUESTION_INTERVAL);
		return true;
	case 'P':
		ask(top, QUESTION_PROTO);
		return true;
	case 'D':
		ask(top, QUESTION_PORT);
		return true;
	}
	return false;
}

static bool switch_key(struct top *top, int key)
{
	switch (key) {
	case 'h':
	case '?':
		top->help = true;
		return true;
	case 'p':
		top->paused = !top->paused;
		top->read_now = !top->paused;
		return true;
	case ' ':
		top->read_now = true;
		return true;
	case 'n':
		top->opt.names = !top->opt.names;
		return true;
	case 'c':
		if (!term_has_colours())
			say(top, "this terminal has no colours");
		top->colours = !top->colours;
		term_set_colours(top->colours);
		return true;
	}
	return false;
}

static void set_interval(struct top *top)
{
	char *end;
	double seconds = strtod(top->answer, &end);

	if (!top->answer[0])
		return;
	if (*end || seconds > INTERVAL_MAX)
		say(top, "the interval must be seconds, such as 1 or 0.5, up to a day");
	else if (!interval_check(seconds))
		top->opt.interval = seconds;
}

static void set_proto(struct top *top)
{
	struct options asked = { .proto = top->answer[0] ? top->answer : NULL };

	if (listing_check(&asked, &table_descs[TABLE_STATES]))
		return;
	strcpy(top->proto, top->answer);
	top->opt.proto = top->proto[0] ? top->proto : NULL;
	top_choose(top);
}

/* It is for the table of ports only, and so that is shown. */
static void set_port(struct top *top)
{
	unsigned long port = strtoul(top->answer, NULL, 10);

	if (port > UINT16_MAX) {
		say(top, "a port is a number from 0 to 65535");
		return;
	}
	top->port_given = top->answer[0];
	top->port = port;
	look_at(top, PANE_PORTS);
}

static void take_answer(struct top *top)
{
	enum question question = top->question;

	top->question = QUESTION_NONE;
	switch (question) {
	case QUESTION_INTERVAL:
		set_interval(top);
		break;
	case QUESTION_PROTO:
		set_proto(top);
		break;
	default:
		set_port(top);
	}
}

static bool fits_in_answer(enum question question, int key)
{
	switch (question) {
	case QUESTION_INTERVAL:
		return (key >= '0' && key <= '9') || key == '.';
	case QUESTION_PROTO:
		return (key >= 'a' && key <= 'z') || (key >= '0' && key <= '9');
	default:
		return key >= '0' && key <= '9';
	}
}

static void answer_key(struct top *top, int key)
{
	size_t len = strlen(top->answer);

	if (key == '\r' || key == '\n' || key == KEY_ENTER) {
		take_answer(top);
	} else if (key == ESCAPE) {
		top->question = QUESTION_NONE;
	} else if (key == CTRL('u')) {
		top->answer[0] = '\0';
	} else if (key == KEY_BACKSPACE || key == DELETE || key == CTRL('h')) {
		if (len)
			top->answer[len - 1] = '\0';
	} else if (fits_in_answer(top->question, key) && len < ANSWER_MAX) {
		top->answer[len] = key;
		top->answer[len + 1] = '\0';
	}
}

bool top_key(struct top *top, int key)
{
	/* What the last key led to was there to be read; what is still wrong stays. */
	if (!top->broken)
		top->message[0] = '\0';
	if (key == CTRL('l')) {
		clearok(curscr, TRUE);
	} else if (top->question) {
		answer_key(top, key);
	} else if (top->help) {
		top->help = false;
	} else if (key == 'q') {
		return false;
	} else if (!scroll_key(top, key) && !pane_key(top, key) && !order_key(top, key) &&
		   !question_key(top, key)) {
		switch_key(top, key);
	}
	return true;
}
