/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The counters of one network namespace.
 *
 * Who writes: the entry callbacks, in any context, preemptible or not, on any
 * CPU, without a lock. A busy namespace has a block of counters per CPU, and
 * a CPU only ever writes its own block, with this_cpu_add(). Until then all
 * CPUs share one block, with atomic operations: callbacks cannot allocate,
 * and most namespaces of a host never need more. The ticker in peak.c gives a
 * namespace its per-CPU blocks after the first second in which it has seen
 * CTXSTAT_BUSY_EVENTS.
 *
 * Who reads: process context, by summing the shared block and those of all
 * possible CPUs. One CPU's gauge may be negative; only the sum means
 * something. At a quiet moment the sum is exact. While entries move, a reader
 * may see one side of a move and not yet the other: a cell can then be off by
 * the number of moves under way during the reading, never by more, and never
 * for good.
 *
 * Who frees: netns.c, after the namespace's blocks were detached and an RCU
 * grace period has passed. Who counts is inside an RCU read section, or keeps
 * preemption off.
 */
#ifndef CTXSTAT_COUNTERS_H
#define CTXSTAT_COUNTERS_H

#include <linux/atomic.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>

#include "class.h"
#include "histogram.h"
#include "reason.h"

struct ctxstat_net;

/* Where an entry was before it entered a row. */
enum ctxstat_from {
	CTXSTAT_FROM_NEW,	/* created, and about to be inserted */
	CTXSTAT_FROM_OLDER,	/* older than this load of the module */
	CTXSTAT_FROM_STATE,	/* plus the state: another row of its protocol */
	CTXSTAT_FROMS = CTXSTAT_FROM_STATE + CTXSTAT_MAX_STATES,
};

/*
 * What is counted for each row and never goes down: entries that came into it,
 * by where from; entries freed in it, after they had been in the table, by why; and
 * entries freed in it without ever having been in the table.
 */
enum {
	CTXSTAT_ENDED = CTXSTAT_FROMS,	/* plus the reason */
	CTXSTAT_INSERT_FAILED = CTXSTAT_ENDED + CTXSTAT_REASONS,
	CTXSTAT_ROW_EVENTS,
};

#define CTXSTAT_EVENTS		(CTXSTAT_ROWS * CTXSTAT_ROW_EVENTS)

/* Side by side for all rows: no multiplication where @what is a constant. */
static inline unsigned long ctxstat_event(unsigned long row, unsigned long what)
{
	return what * CTXSTAT_ROWS + row;
}

/**
 * struct ctxstat_counters - a block of counters
 * @live: gauge: entries in a cell. Sums are right modulo 2^32
 * @events: see ctxstat_event()
 * @hists: of entries with a timestamp
 */
struct ctxstat_counters {
	u32 live[CTXSTAT_CELLS];
	unsigned long events[CTXSTAT_EVENTS];
	struct ctxstat_hist hists[CTXSTAT_L4PROTOS][CTXSTAT_HISTOGRAMS];
};

void ctxstat_count_shared(struct ctxstat_net *cn, long minus, long plus,
			  long event);

/* Events per tick (about a second) that make a namespace busy. */
#define CTXSTAT_BUSY_EVENTS	256

/**
 * struct ctxstat_row_sum - what /proc shows of a row
 * @entries: entries in the row
 * @unreplied: of these, without a packet in reply direction
 * @assured: of these, not to be evicted when the table is full
 * @snat: of these, with a translated source
 * @dnat: of these, with a translated destination
 * @entered: entries that ever came into the row
 * @left: entries that ever left it, to another row or for good
 */
struct ctxstat_row_sum {
	unsigned long entries, unreplied, assured, snat, dnat;
	unsigned long entered, left;
};

/**
 * struct ctxstat_totals - what /proc shows of a namespace
 * @entries: entries counted now
 * @created: entries counted when they were about to be inserted
 * @adopted: entries that were older than the module
 * @destroyed: entries freed
 * @insert_failed: entries freed that never got into the table
 * @transitions: moves of an entry from one state to another
 */
struct ctxstat_totals {
	unsigned long entries;
	unsigned long created, adopted, destroyed, insert_failed, transitions;
};

struct ctxstat_counters *ctxstat_counters_alloc(void);
void ctxstat_counters_free(struct ctxstat_counters *counters);
void ctxstat_counters_add(struct ctxstat_counters *sum,
			  const struct ctxstat_counters *block);
void ctxstat_counters_sum(struct ctxstat_counters *sum,
			  const struct ctxstat_net *cn);
unsigned long ctxstat_counters_entries(const struct ctxstat_counters *sum,
				       unsigned int row);
unsigned long ctxstat_counters_ended(const struct ctxstat_counters *sum,
				     unsigned int row);
unsigned long ctxstat_counters_created(const struct ctxstat_net *cn);
void ctxstat_counters_rows(const struct ctxstat_counters *sum,
			   struct ctxstat_row_sum rows[CTXSTAT_ROWS]);
struct ctxstat_totals ctxstat_counters_totals(const struct ctxstat_counters *sum);

#endif /* CTXSTAT_COUNTERS_H */
