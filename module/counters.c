// SPDX-License-Identifier: GPL-2.0-only
/* The counters of one network namespace: counters.h says who may do what. */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "counters.h"
#include "netns.h"

/**
 * ctxstat_counting_begin() - find where the running CPU counts
 * @c: filled in
 * @net: namespace of the entry
 *
 * Context: any. Enters an RCU read section, which ctxstat_counting_end()
 * leaves: the blocks stay until then.
 */
void ctxstat_counting_begin(struct ctxstat_counting *c, const struct net *net)
	__acquires(RCU)
{
	const struct ctxstat_net *cn;

	rcu_read_lock();
	cn = ctxstat_net(net);
	/* pairs with smp_store_release() in ctxstat_net_make_percpu() */
	c->percpu = smp_load_acquire(&cn->percpu);
	c->shared = READ_ONCE(cn->shared);
}

/**
 * ctxstat_counters_alloc() - a zeroed block that is not per CPU
 *
 * Context: may sleep.
 * Return: the block, or NULL.
 */
struct ctxstat_counters *ctxstat_counters_alloc(void)
{
	return kvzalloc(sizeof(struct ctxstat_counters), GFP_KERNEL_ACCOUNT);
}

/**
 * ctxstat_counters_free() - the undo of ctxstat_counters_alloc()
 * @counters: a block that nobody uses, or NULL
 */
void ctxstat_counters_free(struct ctxstat_counters *counters)
{
	kvfree(counters);
}

/**
 * ctxstat_counters_add() - add one block to another
 * @sum: the reader's own block
 * @block: a block that may be written at the same time
 */
void ctxstat_counters_add(struct ctxstat_counters *sum,
			  const struct ctxstat_counters *block)
{
	const unsigned long *from = (const unsigned long *)block;
	unsigned long *to = (unsigned long *)sum;
	size_t i;

	for (i = 0; i < sizeof(*sum) / sizeof(*to); i++)
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
	/* pairs with smp_store_release() in ctxstat_net_make_percpu() */
	struct ctxstat_counters __percpu *percpu = smp_load_acquire(&cn->percpu);
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
static void clamp_gauges(struct ctxstat_row_sum *row)
{
	unsigned long *gauges[] = { &row->entries, &row->unreplied,
				    &row->assured, &row->snat, &row->dnat };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gauges); i++)
		if ((long)*gauges[i] < 0)
			*gauges[i] = 0;
}

/**
 * ctxstat_counters_rows() - what /proc shows of each row
 * @sum: from ctxstat_counters_sum()
 * @rows: overwritten
 */
void ctxstat_counters_rows(const struct ctxstat_counters *sum,
			   struct ctxstat_row_sum rows[CTXSTAT_ROWS])
{
	unsigned int i, flags, from;

	memset(rows, 0, sizeof(*rows) * CTXSTAT_ROWS);
	for (i = 0; i < CTXSTAT_ROWS; i++) {
		const unsigned int first_of_proto =
			i - ctxstat_class_of_row(i).state;
		struct ctxstat_row_sum *row = &rows[i];

		for (flags = 0; flags < CTXSTAT_FLAGS; flags++) {
			unsigned long n = sum->live[i][flags];

			row->entries += n;
			if (!(flags & CTXSTAT_F_REPLIED))
				row->unreplied += n;
			if (flags & CTXSTAT_F_ASSURED)
				row->assured += n;
			if (flags & CTXSTAT_F_SNAT)
				row->snat += n;
			if (flags & CTXSTAT_F_DNAT)
				row->dnat += n;
		}
		clamp_gauges(row);

		for (from = 0; from < CTXSTAT_FROMS; from++) {
			unsigned long n = sum->entered[i][from];

			row->entered += n;
			if (n && from >= CTXSTAT_FROM_STATE)
				rows[first_of_proto + from -
				     CTXSTAT_FROM_STATE].left += n;
		}
		row->left += sum->ended[i] + sum->insert_failed[i];
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

	for (row = 0; row < CTXSTAT_ROWS; row++) {
		for (i = 0; i < CTXSTAT_FLAGS; i++)
			t.entries += sum->live[row][i];
		t.created += sum->entered[row][CTXSTAT_FROM_NEW];
		t.adopted += sum->entered[row][CTXSTAT_FROM_OLDER];
		for (i = CTXSTAT_FROM_STATE; i < CTXSTAT_FROMS; i++)
			t.transitions += sum->entered[row][i];
		t.destroyed += sum->ended[row];
		t.insert_failed += sum->insert_failed[row];
	}
	if ((long)t.entries < 0)
		t.entries = 0;
	return t;
}
