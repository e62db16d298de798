/* SPDX-License-Identifier: GPL-2.0-only */
/* The upper lines of "ctxstat top": how full, how fast, what was, what is wrong. */
#ifndef CTXSTAT_TOP_HEAD_H
#define CTXSTAT_TOP_HEAD_H

#include "findings.h"
#include "top_rows.h"

#define HEAD_LINES 5
/* More than the widest screen shows. */
#define HISTORY_MAX 512

/* Values of the past readings, the last one at @n - 1 modulo HISTORY_MAX; NAN: not known. */
struct history {
	double value[HISTORY_MAX];
	size_t n;
};

/**
 * struct head - what is shown, so that it stays when there is nothing to read
 * @when: of the reading
 * @entries: in the table now
 * @max: its limit
 * @full: seconds until it is reached
 * @created, @ended, @failed, @evicted: per second
 * @established, @syn_sent: of tcp
 * @unreplied: entries without a reply
 * @found: what is wrong
 * @nfound: how many of them
 * @past_entries, @past_created: for the sparklines
 */
struct head {
	struct field when;
	struct field entries, max;
	struct rate full;
	struct rate created, ended, failed, evicted;
	struct field established, syn_sent, unreplied;
	struct finding found[FINDINGS_MAX];
	size_t nfound;
	struct history past_entries, past_created;
};

/* Take what there is in a reading. */
void head_take(struct head *head, const struct reading *reading);

/* There was nothing to read: a gap in the sparklines. */
void head_miss(struct head *head);

/* Into the first HEAD_LINES lines of the screen. */
void head_draw(const struct head *head, const struct options *opt);

#endif
