/* SPDX-License-Identifier: GPL-2.0-only */
/* The terminal of "ctxstat top": taken over, waited for, and given back whatever happens. */
#ifndef CTXSTAT_TOP_TERM_H
#define CTXSTAT_TOP_TERM_H

#include <stdbool.h>

/* How something is meant to look. Without colours only what is bold or reversed shows. */
enum style {
	STYLE_PLAIN,
	STYLE_TITLE,	/* names of what is shown, and of columns */
	STYLE_CHOSEN,	/* the one of several that is looked at */
	STYLE_ZERO,
	STYLE_WARNING,
	STYLE_CRITICAL,
};

enum event {
	EVENT_KEY,
	EVENT_TIME,	/* it is time for what was waited for */
	EVENT_DRAW,	/* the terminal takes output again */
	EVENT_RESIZE,	/* all has to be drawn anew */
	EVENT_QUIT,	/* a signal says that it is enough */
	EVENT_GONE,	/* nobody is there any more */
};

/**
 * term_begin() - take over the terminal
 *
 * Return: EXIT_OK, or EXIT_SYSTEM after a message.
 */
int term_begin(void);

/* Gives the terminal back as it was, within seconds even if it takes no output. */
void term_end(void);

/**
 * term_wait() - wait for something to happen
 * @until: in seconds of the monotonic clock; below 0: for ever
 * @draw: there is something to draw, once the terminal takes it
 * @key: the key, for EVENT_KEY
 */
enum event term_wait(double until, bool draw, int *key);

/* Send what changed to the terminal. It should be ready for it: EVENT_DRAW says so. */
void term_update(void);

/* Whether output would be taken now: no key stopped it, no line is slow. */
bool term_is_ready(void);

/* Characters beyond ASCII are fine: small blocks, for example. */
bool term_is_utf8(void);

bool term_has_colours(void);
void term_set_colours(bool on);

/**
 * term_put() - write text into one line of the screen
 * @y: line
 * @x: column
 * @width: nothing is written beyond so many columns, nor beyond the screen
 * @style: how
 * @text: ASCII, or if term_is_utf8() characters that take one column each
 */
void term_put(int y, int x, int width, enum style style, const char *text);

#endif
