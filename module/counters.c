// SPDX-License-Identifier: GPL-2.0-only
/* The counters of one network namespace: counters.h says who may do what. */
#include <linux/cpumask.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "counters.h"
#include "netns.h"

/**
 * ctxstat_count_shared() - count in a namespace that is not busy
 * @cn: the namespace; a dying one has nothing to count in
 * @minus: cell to take an entry out of, or -1
 * @plus: cell to put an entry into, or -1
 * @event: event to count, or -1
 *
 * Context: RCU read section, or preemption off.
 */
void ctxstat_count_shared(struct ctxstat_net *cn, long minus, long plus,
			  long event)
{
	struct ctxstat_counters *shared = READ_ONCE(cn->shared);

	if (!shared)
		return;
	if (minus >= 0)
		atomic_dec((atomic_t *)&shared->live[minus]);
	if (plus >= 0)
		atomic_inc((atomic_t *)&shared->live[plus]);
	if (event >= 0)
		atomic_long_inc((atomic_long_t *)&shared->events[event]);
}

/**
 * ctxstat_counters_alloc() - a zeroed block that is not per CPU
 *
 * Of whole pages: a power of two would be a third more.
 *
 * Context: may sleep.
 * Return: the block, or NULL.
 */
struct ctxstat_counters *ctxstat_counters_alloc(void)
{
	return __vmalloc(sizeof(struct ctxstat_counters),
			 GFP_KERNEL_ACCOUNT | __GFP_ZERO);
}

/**
 * ctxstat_counters_free() - the undo of ctxstat_counters_alloc()
 * @counters: a block that nobody uses, or NULL
 */
void ctxstat_counters_free(struct ctxstat_counters *counters)
{
	vfree(counters);
}

/**
 * ctxstat_counters_add() - add one block to another
 * @sum: the reader's own block
 * @block: a block that may be written at the same time
 */
void ctxstat_counters_add(struct ctxstat_counters *sum,
			  const struct ctxstat_counters *block)
{
	unsigned long *to = (unsigned long *)sum->hists;
	const unsigned long *from = (const unsigned long *)block->hists;
	unsigned int i;

	for (i = 0; i < CTXSTAT_CELLS; i++)
		sum->live[i] += READ_ONCE(block->live[i]);
	for (i = 0; i < CTXSTAT_EVENTS; i++)
		sum->events[i] += READ_ONCE(block->events[i]);
	for (i = 0; i < sizeof(sum->hists) / sizeof(*to); i++)
		to[i] += READ_ONCE(from[i]);
}

/**
 * ctxstat_counters_sum() - sum all blocks of a namespace
 * @sum: overwritten
 * @cn: a namespace that cannot go away meanwhile
 *
 * Context: may sleep.
 */
void ctxstat_counters_sum(struct ctxstat_counters *sum,
			  const struct ctxstat_net *cn)
{
	struct ctxstat_counters __percpu *percpu = ctxstat_net_percpu(cn);
	int cpu;

	memset(sum, 0, sizeof(*sum));
	ctxstat_counters_add(sum, cn->shared);
	if (!percpu)
		return;
	for_each_possible_cpu(cpu) {
		ctxstat_counters_add(sum, per_cpu_ptr(percpu, cpu));
		cond_resched();
	}
}

/* A gauge summed while entries move can come out below zero for a moment. */
static unsigned long gauge(u32 sum)
{
	return (s32)sum < 0 ? 0 : sum;
}

/**
 * ctxstat_counters_entries() - entries in a row
 * @sum: from ctxstat_counters_sum()
 * @row: the row
 */
unsigned long ctxstat_counters_entries(const struct ctxstat_counters *sum,
				       unsigned int row)
{
	unsigned int flags;
	u32 n = 0;

	for (flags = 0; flags < CTXSTAT_FLAGS; flags++)
		n += sum->live[ctxstat_cell(row, flags)];
	return gauge(n);
}

/**
 * ctxstat_counters_ended() - entries freed in a row after they were in the table
 * @sum: from ctxstat_counters_sum()
 * @row: the row
 *
 * Those of namespaces that were torn down are shown in the initial one, but
 * were never counted among its own.
 */
unsigned long ctxstat_counters_ended(const struct ctxstat_counters *sum,
				     unsigned int row)
{
	unsigned long n = 0;
	unsigned int reason;

	for (reason = 0; reason < CTXSTAT_END_NETNS; reason++)
		n += sum->events[ctxstat_event(row, CTXSTAT_ENDED + reason)];
	return n;
}

static unsigned long block_created(const struct ctxstat_counters *block)
{
	unsigned long n = 0;
	unsigned int row;

	for (row = 0; row < CTXSTAT_ROWS; row++)
		n += READ_ONCE(block->events[ctxstat_event(row,
							   CTXSTAT_FROM_NEW)]);
	return n;
}

/**
 * ctxstat_counters_created() - entries that were ever created, without all the rest
 * @cn: a namespace that cannot go away meanwhile
 */
unsigned long ctxstat_counters_created(const struct ctxstat_net *cn)
{
	struct ctxstat_counters __percpu *percpu = ctxstat_net_percpu(cn);
	unsigned long n = block_created(cn->shared);
	int cpu;

	if (percpu)
		for_each_possible_cpu(cpu)
			n += block_created(per_cpu_ptr(percpu, cpu));
	return n;
}

static unsigned long entries_with(const struct ctxstat_counters *sum,
				  unsigned int row, unsigned int flag)
{
	unsigned int flags;
	u32 n = 0;

	for (flags = 0; flags < CTXSTAT_FLAGS; flags++)
		if (flags & flag)
			n += sum->live[ctxstat_cell(row, flags)];
	return gauge(n);
}

/**
 * ctxstat_counters_rows() - what /proc shows of each row
 * @sum: from ctxstat_counters_sum()
 * @rows: overwritten
 */
void ctxstat_counters_rows(const struct ctxstat_counters *sum,
			   struct ctxstat_row_sum rows[CTXSTAT_ROWS])
{
	unsigned int i, from;

	memset(rows, 0, sizeof(*rows) * CTXSTAT_ROWS);
	for (i = 0; i < CTXSTAT_ROWS; i++) {
		const unsigned int first_of_proto =
			i - ctxstat_class_of_row(i).state;
		struct ctxstat_row_sum *row = &rows[i];
		unsigned long replied;

		row->entries = ctxstat_counters_entries(sum, i);
		replied = entries_with(sum, i, CTXSTAT_F_REPLIED);
		row->unreplied = gauge(row->entries - replied);
		row->assured = entries_with(sum, i, CTXSTAT_F_ASSURED);
		row->snat = entries_with(sum, i, CTXSTAT_F_SNAT);
		row->dnat = entries_with(sum, i, CTXSTAT_F_DNAT);

		for (from = 0; from < CTXSTAT_FROMS; from++) {
			unsigned long n = sum->events[ctxstat_event(i, from)];

			row->entered += n;
			if (n && from >= CTXSTAT_FROM_STATE)
				rows[first_of_proto + from -
				     CTXSTAT_FROM_STATE].left += n;
		}
		row->left += ctxstat_counters_ended(sum, i) +
			sum->events[ctxstat_event(i, CTXSTAT_INSERT_FAILED)];
	}
}

/**
 * ctxstat_counters_totals() - what /proc shows of the whole namespace
 * @sum: from ctxstat_counters_sum()
 */
struct ctxstat_totals ctxstat_counters_totals(const struct ctxstat_counters *sum)
{
	struct ctxstat_totals t = {};
	unsigned int row, i;
	u32 entries = 0;

	for (i = 0; i < CTXSTAT_CELLS; i++)
		entries += sum->live[i];
	t.entries = gauge(entries);

	for (row = 0; row < CTXSTAT_ROWS; row++) {
		t.created += sum->events[ctxstat_event(row, CTXSTAT_FROM_NEW)];
		t.adopted += sum->events[ctxstat_event(row, CTXSTAT_FROM_OLDER)];
		for (i = CTXSTAT_FROM_STATE; i < CTXSTAT_FROMS; i++)
			t.transitions += sum->events[ctxstat_event(row, i)];
		t.destroyed += ctxstat_counters_ended(sum, row);
		t.insert_failed +=
			sum->events[ctxstat_event(row, CTXSTAT_INSERT_FAILED)];
	}
	return t;
}
