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
 * Every connection pays for four of these: it begins, is answered, is deleted, and
 * ends. What they do in the plain case is inline here, as each call would add to the
 * price; entry.c has the rest. None takes a lock of ours or sleeps.
 */
#ifndef CTXSTAT_ENTRY_H
#define CTXSTAT_ENTRY_H

#include <linux/atomic.h>
#include <linux/preempt.h>
#include <linux/socket.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_acct.h>

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
void ctxstat_entry_changed_tcp(struct nf_conn *ct);
/* Context: any in which conntrack runs. */
void ctxstat_entry_delete_older(struct nf_conn *ct, enum ctxstat_reason reason);
void ctxstat_entry_end_full(const struct nf_conn *ct);

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

/* The leaf of an entry's port; NULL if it has none, or it has not been made. */
static __always_inline struct ctxstat_port_leaf *
ctxstat_entry_leaf(const struct ctxstat_net *cn, const struct nf_conn *ct)
{
	return ctxstat_port_find(&cn->ports,
				 ctxstat_protos[nf_ct_protonum(ct)].ports,
				 ctxstat_port_of(ct));
}

/*
 * The table of ports: the tag of an entry has changed from @old to @new, and it is
 * not new. Was that the first reply, or the answer? In a dying namespace there is
 * no leaf.
 */
static __always_inline void ctxstat_entry_answered(struct ctxstat_net *cn,
						   const struct nf_conn *ct,
						   unsigned long old,
						   unsigned long new, bool tcp)
{
	long replied = ctxstat_tag_replied(new) - ctxstat_tag_replied(old);
	long answered = ctxstat_tag_answered(new) - ctxstat_tag_answered(old);
	struct ctxstat_port_leaf *leaf;

	leaf = ctxstat_entry_leaf(cn, ct);
	if (unlikely(!leaf))
		return;
	/* other protocols are answered when they are replied to */
	ctxstat_port_count(leaf, ctxstat_port_of(ct),
		(struct ctxstat_port_change) {
			.answered = tcp ? answered : replied,
			.unreplied = -replied,
		});
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
	unsigned long row = ctxstat_protos[nf_ct_protonum(ct)].row;
	/* Without a tag; if it has one, a clone of its packet came first. */
	unsigned long old = (u32)data_race(ct->status), new;
	struct ctxstat_counters __percpu *counters;
	struct ctxstat_port_leaf *leaf;
	unsigned long mirror = (u8)old;
	struct ctxstat_net *cn;

	if (unlikely(generation == CTXSTAT_DISABLED))
		return;
	/* Otherwise gcc masks after the shift, with a constant of 64 bits. */
	OPTIMIZER_HIDE_VAR(mirror);
	mirror |= IPS_CONFIRMED;
	new = old | generation | mirror << CTXSTAT_TAG_MIRROR;

	/* Only through ctnetlink, or when picked up, an entry begins answered. */
	if (unlikely(old & (IPS_SEEN_REPLY | IPS_ASSURED)))
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
	leaf = ctxstat_entry_leaf(cn, ct);
	if (likely(leaf))
		new |= CTXSTAT_IN_PORTS;
	else if (ctxstat_protos[nf_ct_protonum(ct)].ports != CTXSTAT_PORT_PROTOS)
		goto slow;
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
 * The plain cases are here, that only flags have changed, such as with the first
 * reply, and in ctxstat_entry_changed_tcp(), that tcp's state has. Flags are in the
 * word that the cmpxchg compares, and who changes the state meanwhile sees that
 * the tag lacks it: there is no need to look again. sctp and dccp, whose mirror
 * lacks CONFIRMED, do not take these paths.
 *
 * Whatever is called here comes last, so that no register has to be saved.
 */
static __always_inline void ctxstat_entry_changed(struct nf_conn *ct)
{
	unsigned long old = READ_ONCE(ct->status);
	unsigned long new = ctxstat_tag_mirror(old);
	struct ctxstat_counters __percpu *counters;
	struct ctxstat_net *cn;
	u32 __percpu *cells;

	if (nf_ct_protonum(ct) == IPPROTO_TCP) {
		ctxstat_entry_changed_tcp(ct);
		return;
	}
	/* ours, confirmed, of a protocol that has no state, and not being deleted */
	if (unlikely((old & (CTXSTAT_GENERATION_MASK | CTXSTAT_CONFIRMED)) !=
		     data_race(ctxstat_plain) || old >> CTXSTAT_TAG_STATE))
		goto slow;
	new |= (unsigned long)ctxstat_tag_replied(new) << CTXSTAT_TAG_ANSWERED;

	cn = ctxstat_entry_net(ct);
	counters = ctxstat_net_percpu(cn);
	if (unlikely(!counters))
		goto slow;
	if (unlikely(!try_cmpxchg(&ct->status, &old, new)))
		goto slow;
	cells = &counters->live[ctxstat_cell(ctxstat_tag_row(old), 0)];
	this_cpu_dec(cells[ctxstat_tag_flags(old)]);
	this_cpu_inc(cells[ctxstat_tag_flags(new)]);
	if (new & CTXSTAT_IN_PORTS)
		ctxstat_entry_answered(cn, ct, old, new, false);
	if (unlikely(ctxstat_has_timestamp(ct)))
		ctxstat_histogram_change(cn, ct, old, new);
	/* there was no memory for its port; there may be now */
	if (unlikely(!(new & CTXSTAT_IN_PORTS)) &&
	    ctxstat_protos[nf_ct_protonum(ct)].ports != CTXSTAT_PORT_PROTOS)
		goto slow;
	return;

slow:
	ctxstat_entry_check(ct);
}

/**
 * ctxstat_entry_delete() - note why an entry is about to be deleted
 * @ct: an entry that cannot be freed meanwhile
 * @reason: why
 *
 * If several delete it at the same time, the first reason stays. One that is older than the
 * module is counted first, if nobody has. Context: any in which conntrack runs.
 */
static __always_inline void ctxstat_entry_delete(struct nf_conn *ct,
						 enum ctxstat_reason reason)
{
	unsigned long generation = READ_ONCE(ctxstat_generation);
	unsigned long old = READ_ONCE(ct->status);

	do {
		if (unlikely(!ctxstat_tag_is_ours(old, generation))) {
			ctxstat_entry_delete_older(ct, reason);
			return;
		}
		if (unlikely(old & CTXSTAT_REASON_MASK))
			return;
	} while (!try_cmpxchg(&ct->status, &old,
			      old | (unsigned long)reason << CTXSTAT_TAG_REASON));
}

/*
 * Packets and bytes of an entry that ends. What never got into the table has none, as
 * conntrack does not report it, either.
 */
static inline void ctxstat_entry_account(const struct nf_conn *ct,
					 struct ctxstat_port_leaf *leaf)
{
	const struct nf_conn_acct *acct = nf_conn_acct_find(ct);
	const struct nf_conn_counter *counter;
	struct ctxstat_port __percpu *percpu;
	unsigned long offset;

	if (!acct || !leaf)
		return;
	counter = acct->counter;
	percpu = READ_ONCE(leaf->percpu);
	offset = ctxstat_port_offset(ctxstat_port_of(ct));
	ctxstat_port_add(leaf, percpu, offset, packets,
			 atomic64_read(&counter[0].packets) +
			 atomic64_read(&counter[1].packets));
	ctxstat_port_add(leaf, percpu, offset, bytes,
			 atomic64_read(&counter[0].bytes) +
			 atomic64_read(&counter[1].bytes));
}

/**
 * ctxstat_entry_end() - un-count an entry
 * @ct: an entry about to be given back to its slab cache: nobody else has it
 * @full: it may have accounts or a timestamp, or its namespace no per-CPU
 *	counters; if it turns out so without @full, ctxstat_entry_end_full() takes
 *	over, before anything has been counted
 *
 * Context: any in which conntrack runs.
 */
static __always_inline void ctxstat_entry_end(const struct nf_conn *ct, bool full)
{
	unsigned long tag = READ_ONCE(ct->status);
	unsigned long row = ctxstat_tag_row(tag);
	long answered = ctxstat_tag_answered(tag);
	unsigned long event = ctxstat_event(row, CTXSTAT_ENDED +
					    ctxstat_tag_reason(tag));
	struct ctxstat_counters __percpu *counters;
	struct ctxstat_port_leaf *leaf = NULL;
	struct ctxstat_net *cn;

	if (unlikely((ctxstat_status_byte(ct, CTXSTAT_TAG_GENERATION / 8) &
		      CTXSTAT_GENERATION_BYTE_MASK) !=
		     data_race(ctxstat_generation_byte))) {
		ctxstat_selftest_seen(ct, CTXSTAT_SELFTEST_FREE);
		return;
	}
	if (!full && unlikely(nf_ct_ext_exist(ct, NF_CT_EXT_ACCT) ||
			      ctxstat_has_timestamp(ct))) {
		ctxstat_entry_end_full(ct);
		return;
	}

	/* Was it ever in the table? An unlinked entry has a poisoned pointer here. */
	if (unlikely(!ct->tuplehash[IP_CT_DIR_ORIGINAL].hnnode.pprev))
		event = ctxstat_event(row, CTXSTAT_INSERT_FAILED);

	/* Freed in the context of a task there need be no RCU read section. */
	preempt_disable_notrace();
	cn = ctxstat_entry_net(ct);
	counters = ctxstat_net_percpu(cn);
	if (full) {
		ctxstat_entry_count(cn, ctxstat_tag_cell(tag), -1, event);
	} else if (unlikely(!counters)) {
		preempt_enable_notrace();
		ctxstat_entry_end_full(ct);
		return;
	} else {
		this_cpu_dec(counters->live[ctxstat_tag_cell(tag)]);
		this_cpu_inc(counters->events[event]);
	}
	if (tag & CTXSTAT_IN_PORTS)
		leaf = ctxstat_entry_leaf(cn, ct);
	if (leaf)
		ctxstat_port_count(leaf, ctxstat_port_of(ct),
			(struct ctxstat_port_change) {
				.unreplied = ctxstat_tag_replied(tag) - 1,
				.closed = answered,
				.failed = 1 - answered,
			});
	if (full && ct->tuplehash[IP_CT_DIR_ORIGINAL].hnnode.pprev) {
		ctxstat_entry_account(ct, leaf);
		if (ctxstat_has_timestamp(ct))
			ctxstat_histogram_end(cn, ct, tag);
	}
	preempt_enable_notrace();
}

#endif /* CTXSTAT_ENTRY_H */
