/* SPDX-License-Identifier: GPL-2.0-only */
/* What "ctxstat top" knows while it runs. */
#ifndef CTXSTAT_TOP_H
#define CTXSTAT_TOP_H

#include "top_head.h"
#include "top_rows.h"

/* What fits on less is not worth looking at. */
#define TOP_COLUMNS_MIN 60
#define TOP_LINES_MIN 12

#define SHOWN_MAX 16
#define MESSAGE_MAX 256
/* Longer than any protocol's name, port, or number of seconds. */
#define ANSWER_MAX 16

/**
 * struct view - how one table is looked at
 * @sort: index of the column that it is sorted by
 * @reverse: the other way round
 * @first: which of the chosen rows is the uppermost on the screen
 */
struct view {
	size_t sort;
	bool reverse;
	size_t first;
};

/**
 * struct shown - a column that fits on the screen
 * @column: its index
 * @x: where it begins
 * @width: of it
 */
struct shown {
	size_t column;
	int x;
	int width;
};

enum question {
	QUESTION_NONE,
	QUESTION_INTERVAL,
	QUESTION_PROTO,
	QUESTION_PORT,
};

/**
 * struct top - all of it
 * @opt: as on the command line, and as changed by keys since
 * @proto: what @opt.proto points to once it was answered
 * @port: the only port, if @port_given
 * @pane: the table that is looked at
 * @view: how each table is looked at
 * @reading: what was read last
 * @head: the upper lines
 * @rows: of the table that is looked at
 * @shown: its columns on the screen
 * @nshown: how many
 * @broken: the last attempt to read failed
 * @paused: nothing is read until a key says so
 * @read_now: a key says so
 * @help: the keys are shown
 * @colours: they are on
 * @question: what is being asked
 * @answer: what was typed so far
 * @message: in the last line, or empty
 */
struct top {
	struct options opt;
	char proto[ANSWER_MAX + 1];
	uint64_t port;
	bool port_given;
	enum pane pane;
	struct view view[PANES];
	struct reading reading;
	struct head head;
	struct rows rows;
	struct shown shown[SHOWN_MAX];
	size_t nshown;
	bool broken;
	bool paused;
	bool read_now;
	bool help;
	bool colours;
	enum question question;
	char answer[ANSWER_MAX + 1];
	char message[MESSAGE_MAX];
};

/* top.c: choose and sort the rows again, after something about that has changed. */
void top_choose(struct top *top);

/* top_draw.c: the whole screen, on which the terminal is then sent what differs. */
void top_draw(struct top *top);

/* Which columns are on the screen: also asked for by keys that come before it is drawn. */
void top_fit_columns(struct top *top);

/* How many rows of a table fit on the screen, at least one. */
size_t top_page(void);

/**
 * top_key() - do what a key stands for
 *
 * Return: false if that is to quit.
 */
bool top_key(struct top *top, int key);

#endif
