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
 * Every connection pays for four of these: it begins, is answered, is deleted,
 * and ends. What they do in the plain case is inline here, as each call would add to the
 * price; entry.c has the rest. None takes a
 * lock of ours or sleeps.
 */
#ifndef CTXSTAT_ENTRY_H
#define CTXSTAT_ENTRY_H

#include <linux/atomic.h>
#include <linux/preempt.h>
#include <linux/socket.h>
#include <net/netfilter/nf_conntrack.h>

#include "class.h"
#include "counters.h"
#include "histogram.h"
#include "netns.h"
#include "ports.h"
#include "reason.h"
#include "selftest.h"
#include "tag.h"

void ctxstat_entry_enable(void);
void ctxstat_entry_disable(void);
void ctxstat_entry_clear(struct nf_conn *ct);
unsigned int ctxstat_entry_cell(const struct nf_conn *ct);

/* The slow paths. Context: RCU read section, or preemption off. */
bool ctxstat_entry_update(struct nf_conn *ct, enum ctxstat_from from);
void ctxstat_entry_check(struct nf_conn *ct);
void ctxstat_entry_end_extensions(struct ctxstat_net *cn,
				  const struct nf_conn *ct, unsigned long tag,
				  struct ctxstat_port_leaf *leaf);

/* Context: RCU read section, or preemption off. */
static __always_inline struct ctxstat_net *
ctxstat_entry_net(const struct nf_conn *ct)
{
	const struct net_generic *ng = rcu_dereference_raw(nf_ct_net(ct)->gen);

	return ng->ptr[ctxstat_net_id];
}

/*
 * In a namespace take an entry out of cell @minus, put it into cell @plus, count
 * @event; each of them -1 for none. Context: RCU read section, or preemption off.
 */
static __always_inline void ctxstat_entry_count(struct ctxstat_net *cn,
						long minus, long plus,
						long event)
{
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

/* The leaf of an entry whose protocol has ports; NULL if it has not been made. */
static __always_inline struct ctxstat_port_leaf *
ctxstat_entry_leaf(const struct ctxstat_net *cn, const struct nf_conn *ct)
{
	return ctxstat_port_find(READ_ONCE(cn->ports),
				 ctxstat_port_protos[nf_ct_protonum(ct)],
				 ctxstat_port_of(ct));
}

/*
 * The tag of an entry has changed from @old to @new, and it is not new: was that
 * the first reply, or the answer? In a dying namespace there is no leaf.
 */
static __always_inline void ctxstat_entry_answered(struct ctxstat_net *cn,
						   const struct nf_conn *ct,
						   unsigned long old,
						   unsigned long new)
{
	struct ctxstat_port_leaf *leaf;

	if (!((old ^ new) & (CTXSTAT_REPLIED | CTXSTAT_ANSWERED)))
		return;
	if (new & CTXSTAT_IN_PORTS) {
		leaf = ctxstat_entry_leaf(cn, ct);
		if (leaf)
			ctxstat_port_count(leaf, ctxstat_port_of(ct),
				(struct ctxstat_port_change) {
					.answered = ctxstat_tag_answered(new) -
						    ctxstat_tag_answered(old),
					.unreplied = ctxstat_tag_replied(old) -
						     ctxstat_tag_replied(new),
				});
	}
	if (unlikely(ctxstat_has_timestamp(ct)))
		ctxstat_histogram_change(cn, ct, old, new);
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
	unsigned long proto = ctxstat_port_protos[nf_ct_protonum(ct)];
	/* Without a tag; if it has one, a clone of its packet came first. */
	unsigned long old = (u32)data_race(ct->status), new;
	struct ctxstat_counters __percpu *counters;
	struct ctxstat_port_leaf *leaf = NULL;
	unsigned long mirror = (u8)old;
	struct ctxstat_net *cn;

	if (unlikely(generation == CTXSTAT_DISABLED))
		return;
	/* Otherwise gcc masks after the shift, with a constant of 64 bits. */
	OPTIMIZER_HIDE_VAR(mirror);
	mirror |= IPS_CONFIRMED;
	new = old | generation | mirror << CTXSTAT_TAG_MIRROR;

	/* Only through ctnetlink, or when picked up, an entry begins answered. */
	if (unlikely(old & IPS_SEEN_REPLY))
		goto slow;
	if (row & CTXSTAT_HAS_STATES) {
		unsigned long state = READ_ONCE(ct->proto.tcp.state);

		if (unlikely(row != (CTXSTAT_TCP_ROW | CTXSTAT_HAS_STATES) ||
			     state >= TCP_CONNTRACK_ESTABLISHED))
			goto slow;
		row = (row & ~CTXSTAT_HAS_STATES) + state;
		new |= state << CTXSTAT_TAG_STATE;
	}
	if (nf_ct_l3num(ct) == AF_INET6)
		row += CTXSTAT_FAMILY_ROWS;
	new |= row << CTXSTAT_TAG_ROW;

	cn = ctxstat_entry_net(ct);
	counters = ctxstat_net_percpu(cn);
	if (unlikely(!counters))
		goto slow;
	if (proto != CTXSTAT_PORT_PROTOS) {
		leaf = ctxstat_port_find(READ_ONCE(cn->ports), proto,
					 ctxstat_port_of(ct));
		if (unlikely(!leaf))
			goto slow;
		new |= CTXSTAT_IN_PORTS;
	}
	if (unlikely(!try_cmpxchg(&ct->status, &old, new)))
		goto slow;
	this_cpu_inc(counters->live[ctxstat_cell(row, ctxstat_tag_flags(new))]);
	this_cpu_inc(counters->events[ctxstat_event(row, CTXSTAT_FROM_NEW)]);
	if (leaf)
		ctxstat_port_count(leaf, ctxstat_port_of(ct),
			(struct ctxstat_port_change) { .opened = 1, .unreplied = 1 });
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
 * The plain cases are that only flags have changed, such as with the first reply,
 * or that tcp's state has, and the entry is not being deleted. Flags are in the
 * word that the cmpxchg compares; for the state, look again afterwards, as
 * ctxstat_entry_update() does. sctp and dccp, whose mirror lacks CONFIRMED, do not
 * take this path.
 */
static __always_inline void ctxstat_entry_changed(struct nf_conn *ct)
{
	/* pairs with the cmpxchg below: at least the state it was made of */
	unsigned long old = smp_load_acquire(&ct->status);
	unsigned long new = old ^ (unsigned long)(u8)(old ^ old >>
			    CTXSTAT_TAG_MIRROR) << CTXSTAT_TAG_MIRROR;
	unsigned long state = READ_ONCE(ct->proto.tcp.state);
	/* with the reason, if there is one: out of range then */
	unsigned long was = old >> CTXSTAT_TAG_STATE;
	unsigned long row = ctxstat_tag_row(old);
	struct ctxstat_counters __percpu *counters;
	struct ctxstat_net *cn;

	/* ours, confirmed, and of a protocol whose state is in tcp's byte or none */
	if (unlikely((old & (CTXSTAT_GENERATION_MASK | CTXSTAT_CONFIRMED)) !=
		     data_race(ctxstat_plain)))
		goto slow;
	if (was != state) {
		if (unlikely(nf_ct_protonum(ct) != IPPROTO_TCP ||
			     was >= CTXSTAT_MAX_STATES ||
			     state >= CTXSTAT_MAX_STATES))
			goto slow;
		row += state - was;
		new += (state - was) * (BIT_ULL(CTXSTAT_TAG_STATE) |
					BIT_ULL(CTXSTAT_TAG_ROW));
		if (state == TCP_CONNTRACK_ESTABLISHED)
			new |= CTXSTAT_ANSWERED;
	} else if (nf_ct_protonum(ct) != IPPROTO_TCP) {
		new |= (unsigned long)ctxstat_tag_replied(new) <<
		       CTXSTAT_TAG_ANSWERED;
	}

	cn = ctxstat_entry_net(ct);
	counters = ctxstat_net_percpu(cn);
	if (unlikely(!counters))
		goto slow;
	if (unlikely(!try_cmpxchg(&ct->status, &old, new)))
		goto slow;
	this_cpu_dec(counters->live[ctxstat_tag_cell(old)]);
	this_cpu_inc(counters->live[ctxstat_cell(row, ctxstat_tag_flags(new))]);
	ctxstat_entry_answered(cn, ct, old, new);
	if (was == state)
		return;
	this_cpu_inc(counters->events[ctxstat_event(row, CTXSTAT_FROM_STATE + was)]);
	if (likely(READ_ONCE(ct->proto.tcp.state) == state))
		return;

slow:
	ctxstat_entry_check(ct);
}

/**
 * ctxstat_entry_delete() - note why an entry is about to be deleted
 * @ct: an entry that cannot be freed meanwhile
 * @reason: why
 *
 * If several delete it at the same time, the first reason stays. Context: any in
 * which conntrack runs.
 */
static __always_inline void ctxstat_entry_delete(struct nf_conn *ct,
						 enum ctxstat_reason reason)
{
	unsigned long generation = READ_ONCE(ctxstat_generation);
	unsigned long old = READ_ONCE(ct->status);

	do {
		if (unlikely(!ctxstat_tag_is_ours(old, generation) ||
			     old & CTXSTAT_REASON_MASK))
			return;
	} while (!try_cmpxchg(&ct->status, &old,
			      old | (unsigned long)reason << CTXSTAT_TAG_REASON));
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
	unsigned long event = ctxstat_event(row, CTXSTAT_ENDED +
					    ctxstat_tag_reason(status));
	long answered = ctxstat_tag_answered(status);
	struct ctxstat_port_leaf *leaf = NULL;
	struct ctxstat_net *cn;

	if (unlikely((ctxstat_status_byte(ct, CTXSTAT_TAG_GENERATION / 8) &
		      CTXSTAT_GENERATION_BYTE_MASK) !=
		     data_race(ctxstat_generation_byte))) {
		ctxstat_selftest_seen(ct, CTXSTAT_SELFTEST_FREE);
		return;
	}

	/* Was it ever in the table? An unlinked entry has a poisoned pointer here. */
	if (unlikely(!ct->tuplehash[IP_CT_DIR_ORIGINAL].hnnode.pprev))
		event = ctxstat_event(row, CTXSTAT_INSERT_FAILED);

	/* Freed in the context of a task there need be no RCU read section. */
	preempt_disable_notrace();
	cn = ctxstat_entry_net(ct);
	ctxstat_entry_count(cn, ctxstat_tag_cell(status), -1, event);
	if (status & CTXSTAT_IN_PORTS)
		leaf = ctxstat_entry_leaf(cn, ct);
	if (leaf)
		ctxstat_port_count(leaf, ctxstat_port_of(ct),
			(struct ctxstat_port_change) {
				.unreplied = ctxstat_tag_replied(status) - 1,
				.closed = answered,
				.failed = 1 - answered,
			});
	if (unlikely(nf_ct_ext_exist(ct, NF_CT_EXT_ACCT) ||
		     ctxstat_has_timestamp(ct)))
		ctxstat_entry_end_extensions(cn, ct, status, leaf);
	preempt_enable_notrace();
}

#endif /* CTXSTAT_ENTRY_H */
