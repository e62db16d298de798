/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of one entry as ctxstat sees it: counted once, moved from cell to
 * cell, un-counted once.
 *
 * Whoever changes the tag with a cmpxchg, and nobody else, takes one off the
 * old cell and adds one to the new one. So every tag that was ever set is
 * balanced by exactly one increment, whichever CPUs were involved, and the
 * end takes off what the tag says, not what the entry looks like by then.
 *
 * Every connection pays for three of these: it begins, is answered, and ends.
 * What they do in the plain case is inline here, as each call would add to the
 * price; entry.c has the rest. All take no lock and do not sleep.
 */
#ifndef CTXSTAT_ENTRY_H
#define CTXSTAT_ENTRY_H

#include <linux/atomic.h>
#include <linux/preempt.h>
#include <linux/socket.h>
#include <net/netfilter/nf_conntrack.h>

#include "class.h"
#include "counters.h"
#include "netns.h"
#include "selftest.h"
#include "tag.h"

void ctxstat_entry_enable(void);
void ctxstat_entry_disable(void);
void ctxstat_entry_clear(struct nf_conn *ct);
unsigned int ctxstat_entry_cell(const struct nf_conn *ct);

/* The slow paths. Context: RCU read section, or preemption off. */
bool ctxstat_entry_update(struct nf_conn *ct, enum ctxstat_from from);
void ctxstat_entry_check(struct nf_conn *ct);

/* Context: RCU read section, or preemption off. */
static __always_inline struct ctxstat_net *
ctxstat_entry_net(const struct nf_conn *ct)
{
	const struct net_generic *ng = rcu_dereference_raw(nf_ct_net(ct)->gen);

	return ng->ptr[ctxstat_net_id];
}

/*
 * Take @ct out of cell @minus, put it into cell @plus, count @event; each of
 * them -1 for none. Context: RCU read section, or preemption off.
 */
static __always_inline void ctxstat_entry_count(const struct nf_conn *ct,
						long minus, long plus,
						long event)
{
	struct ctxstat_net *cn = ctxstat_entry_net(ct);
	struct ctxstat_counters __percpu *counters = ctxstat_net_percpu(cn);

	if (unlikely(!counters)) {
		ctxstat_count_shared(cn, minus, plus, event);
		return;
	}
	if (minus >= 0)
		this_cpu_dec(counters->live[minus]);
	if (plus >= 0)
		this_cpu_inc(counters->live[plus]);
	if (event >= 0)
		this_cpu_inc(counters->events[event]);
}

/**
 * ctxstat_entry_begin() - count an entry that is about to be inserted
 * @ct: an entry that is not in the table yet
 *
 * Context: RCU read section, or preemption off.
 */
static __always_inline void ctxstat_entry_begin(struct nf_conn *ct)
{
	unsigned long generation = READ_ONCE(ctxstat_generation);
	unsigned long row = ctxstat_rows_of[nf_ct_protonum(ct)];
	/* Without a tag; if it has one, a clone of its packet came first. */
	unsigned long old = (u32)data_race(ct->status), new;
	struct ctxstat_counters __percpu *counters;
	unsigned long mirror = (u8)old;

	if (unlikely(generation == CTXSTAT_DISABLED))
		return;
	/* Otherwise gcc masks after the shift, with a constant of 64 bits. */
	OPTIMIZER_HIDE_VAR(mirror);
	mirror |= IPS_CONFIRMED;
	new = old | generation | mirror << CTXSTAT_TAG_MIRROR;

	if (row & CTXSTAT_HAS_STATES) {
		unsigned long state = READ_ONCE(ct->proto.tcp.state);

		if (unlikely(row != (CTXSTAT_TCP_ROW | CTXSTAT_HAS_STATES) ||
			     state >= CTXSTAT_MAX_STATES))
			goto slow;
		row = (row & ~CTXSTAT_HAS_STATES) + state;
		new |= state << CTXSTAT_TAG_STATE;
	}
	if (nf_ct_l3num(ct) == AF_INET6)
		row += CTXSTAT_FAMILY_ROWS;
	new |= row << CTXSTAT_TAG_ROW;

	counters = ctxstat_net_percpu(ctxstat_entry_net(ct));
	if (unlikely(!counters || !try_cmpxchg(&ct->status, &old, new)))
		goto slow;
	this_cpu_inc(counters->live[ctxstat_cell(row, ctxstat_tag_flags(new))]);
	this_cpu_inc(counters->events[ctxstat_event(row, CTXSTAT_FROM_NEW)]);
	return;

slow:
	ctxstat_entry_update(ct, CTXSTAT_FROM_NEW);
}

/**
 * ctxstat_entry_changed() - the tag of an entry is not current
 * @ct: an entry that cannot be freed meanwhile, confirmed or not
 *
 * Context: RCU read section, or preemption off.
 *
 * The plain case is that only flags have changed: the first reply, but for tcp,
 * whose state changes with it. Then the row stays the same, and there is no need
 * to look again afterwards: flags are in the word that the cmpxchg compares, and
 * who changes the state meanwhile sees that the tag lacks it. sctp and dccp,
 * whose mirror lacks CONFIRMED, do not take it.
 */
static __always_inline void ctxstat_entry_changed(struct nf_conn *ct)
{
	unsigned long old = READ_ONCE(ct->status);
	unsigned long new = old ^ (unsigned long)(u8)(old ^ old >>
			    CTXSTAT_TAG_MIRROR) << CTXSTAT_TAG_MIRROR;
	struct ctxstat_counters __percpu *counters;
	u32 __percpu *cells;

	/* ours, confirmed, and of a protocol whose state is in tcp's byte or none */
	if (unlikely((old & (CTXSTAT_GENERATION_MASK | CTXSTAT_CONFIRMED)) !=
		     data_race(ctxstat_plain)))
		goto slow;
	if (ctxstat_status_byte(ct, CTXSTAT_TAG_STATE / 8) !=
	    data_race(ct->proto.tcp.state))
		goto slow;

	counters = ctxstat_net_percpu(ctxstat_entry_net(ct));
	if (unlikely(!counters))
		goto slow;
	cells = &counters->live[ctxstat_cell(ctxstat_tag_row(old), 0)];

	if (unlikely(!try_cmpxchg(&ct->status, &old, new)))
		goto slow;
	this_cpu_dec(cells[ctxstat_tag_flags(old)]);
	this_cpu_inc(cells[ctxstat_tag_flags(new)]);
	return;

slow:
	ctxstat_entry_check(ct);
}

/**
 * ctxstat_entry_end() - un-count an entry
 * @ct: an entry about to be given back to its slab cache: nobody else has it
 *
 * Context: any in which conntrack runs.
 */
static __always_inline void ctxstat_entry_end(const struct nf_conn *ct)
{
	unsigned long status = READ_ONCE(ct->status);
	unsigned long row = ctxstat_tag_row(status);
	unsigned long event = ctxstat_event(row, CTXSTAT_ENDED);

	if (unlikely(ctxstat_status_byte(ct, CTXSTAT_TAG_GENERATION / 8) !=
		     data_race(ctxstat_generation_byte))) {
		ctxstat_selftest_seen(ct, CTXSTAT_SELFTEST_FREE);
		return;
	}

	/* Was it ever in the table? An unlinked entry has a poisoned pointer here. */
	if (unlikely(!ct->tuplehash[IP_CT_DIR_ORIGINAL].hnnode.pprev))
		event = ctxstat_event(row, CTXSTAT_INSERT_FAILED);

	/* Freed in the context of a task there need be no RCU read section. */
	preempt_disable_notrace();
	ctxstat_entry_count(ct, ctxstat_tag_cell(status), -1, event);
	preempt_enable_notrace();
}

#endif /* CTXSTAT_ENTRY_H */
