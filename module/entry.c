// SPDX-License-Identifier: GPL-2.0-only
/* The life of one entry: what entry.h leaves to be done out of line. */
#include <linux/ktime.h>

#include "compat.h"
#include "entry.h"

unsigned long ctxstat_generation __read_mostly = CTXSTAT_DISABLED;
unsigned long ctxstat_plain __read_mostly = CTXSTAT_DISABLED;
u8 ctxstat_generation_byte __read_mostly = U8_MAX;

/**
 * ctxstat_entry_enable() - let entries be counted
 *
 * Context: may sleep.
 *
 * From here on ctxstat_entry_end() must be called for every entry that ends, or
 * what is counted would never be un-counted. Until here no tag is taken for
 * ours, and the callbacks need no memory of a namespace.
 *
 * Chooses this load's generation. The walk at unload clears the tags of all
 * entries that it can reach; one taken out of the table while a queued packet
 * still holds it keeps a tag of an older generation, which must not be mistaken
 * for ours. A clock that moves on every 67 ms gives each load its own, and comes
 * back to the same one after 8 s: a packet that is queued for longer, over an unload
 * and a load, is mistaken once in 126 times. There is nowhere to remember more.
 */
void ctxstat_entry_enable(void)
{
	unsigned long ticks = ktime_get_boottime_ns() >> 26;
	unsigned long generation = ticks % CTXSTAT_GENERATIONS + 1;

	BUILD_BUG_ON(sizeof_field(struct nf_conn, status) != 8);
	BUILD_BUG_ON(__IPS_MAX_BIT > CTXSTAT_TAG_MIRROR);
	BUILD_BUG_ON(CTXSTAT_ROWS > 128 || CTXSTAT_F_DNAT >= CTXSTAT_FLAGS);
	BUILD_BUG_ON(CTXSTAT_MAX_STATES > 16 || CTXSTAT_END_NETNS > 7);
	/* what tag.h says of the byte that holds tcp's state */
	BUILD_BUG_ON(offsetof(union nf_conntrack_proto, tcp.state) <
		     max(sizeof(struct ip_ct_sctp), sizeof(struct nf_ct_gre)));
	BUILD_BUG_ON(offsetof(union nf_conntrack_proto, tcp.state) <
		     sizeof(struct nf_ct_udp));

	/* The end first: nothing may be counted that is not un-counted. */
	WRITE_ONCE(ctxstat_generation_byte, generation);
	synchronize_rcu();

	generation <<= CTXSTAT_TAG_GENERATION;
	WRITE_ONCE(ctxstat_plain, generation | CTXSTAT_CONFIRMED);
	WRITE_ONCE(ctxstat_generation, generation);
}

/**
 * ctxstat_entry_disable() - let nothing be counted or moved any more
 *
 * Takes effect when all callbacks and hooks have been waited for. What is
 * counted is no longer un-counted, either.
 */
void ctxstat_entry_disable(void)
{
	WRITE_ONCE(ctxstat_generation_byte, U8_MAX);
	WRITE_ONCE(ctxstat_generation, CTXSTAT_DISABLED);
	WRITE_ONCE(ctxstat_plain, CTXSTAT_DISABLED);
}

/*
 * A status word with the tag that the entry should have. A state that is not in
 * the protocol's table is counted as its first, NONE.
 */
static unsigned long tagged(const struct nf_conn *ct, unsigned long status,
			    unsigned long generation)
{
	unsigned long row = ctxstat_protos[nf_ct_protonum(ct)].row;
	unsigned long mirror = (u8)status | IPS_CONFIRMED;
	enum ctxstat_l4proto l4proto = CTXSTAT_TCP;
	unsigned long state = 0;

	if (row & CTXSTAT_HAS_STATES) {
		switch (nf_ct_protonum(ct)) {
		case IPPROTO_TCP:
			state = READ_ONCE(ct->proto.tcp.state);
			break;
		case IPPROTO_SCTP:
			l4proto = CTXSTAT_SCTP;
			state = ctxstat_sctp_state(ct);
			break;
		case IPPROTO_DCCP:
			l4proto = CTXSTAT_DCCP;
			state = ctxstat_dccp_state(ct);
			break;
		}
		/* tag.h says why */
		if (l4proto != CTXSTAT_TCP)
			mirror &= ~IPS_CONFIRMED;
		if (state >= ctxstat_l4[l4proto].nr_states)
			state = 0;
		row = (row & ~CTXSTAT_HAS_STATES) + state;
	}
	if (nf_ct_l3num(ct) == AF_INET6)
		row += CTXSTAT_FAMILY_ROWS;

	return (u32)status | mirror << CTXSTAT_TAG_MIRROR |
	       row << CTXSTAT_TAG_ROW | generation | state << CTXSTAT_TAG_STATE;
}

/**
 * ctxstat_entry_cell() - the cell in which an entry should be counted
 * @ct: an entry that cannot be freed meanwhile
 */
unsigned int ctxstat_entry_cell(const struct nf_conn *ct)
{
	return ctxstat_tag_cell(tagged(ct, READ_ONCE(ct->status), 0));
}

/*
 * Has an entry with this tag been answered, as far as it shows? If it is older than
 * the module, it may have left ESTABLISHED already.
 */
static bool looks_answered(const struct nf_conn *ct, unsigned long tag, bool older)
{
	unsigned int state = ctxstat_tag_state(tag);

	if (nf_ct_protonum(ct) != IPPROTO_TCP)
		return ctxstat_tag_replied(tag);
	/* it becomes ASSURED in ESTABLISHED only, which another packet may have left */
	if (state == TCP_CONNTRACK_ESTABLISHED || tag & IPS_ASSURED)
		return true;
	return older && state > TCP_CONNTRACK_ESTABLISHED &&
	       state <= TCP_CONNTRACK_TIME_WAIT;
}

/*
 * The table of ports: an entry was counted as @old says (0: not at all), and now is
 * as @new.
 */
static void update_port(struct ctxstat_net *cn, const struct nf_conn *ct,
			unsigned long old, unsigned long new,
			enum ctxstat_from from)
{
	const bool opened = !old && from == CTXSTAT_FROM_NEW;
	struct ctxstat_port_leaf *leaf = ctxstat_entry_leaf(cn, ct);
	struct ctxstat_port_change c = {};

	if (!leaf)
		return;
	if (opened || old)
		c.answered = ctxstat_tag_answered(new) - ctxstat_tag_answered(old);
	if (old & CTXSTAT_IN_PORTS) {
		c.unreplied = ctxstat_tag_replied(old) - ctxstat_tag_replied(new);
	} else {
		c.opened = opened;
		c.adopted = !opened;
		c.unreplied = 1 - ctxstat_tag_replied(new);
	}
	ctxstat_port_count(leaf, ctxstat_port_of(ct), c);
}

/**
 * ctxstat_entry_update() - count an entry as what it is now
 * @ct: an entry that cannot be freed meanwhile: in the table, or about to be
 * @from: how it comes to be counted, if it is not counted yet
 *
 * Context: RCU read section, or preemption off.
 *
 * Looks again after each change, until tag and entry agree: a change made by
 * another CPU between our reading the entry and our cmpxchg is then seen by
 * us, if that CPU saw the tag before we changed it.
 *
 * Return: true if the entry was not yet counted as what it is.
 */
bool ctxstat_entry_update(struct nf_conn *ct, enum ctxstat_from from)
{
	const unsigned long kept = CTXSTAT_IN_PORTS | CTXSTAT_ANSWERED |
				   CTXSTAT_REASON_MASK;
	unsigned long proto = ctxstat_protos[nf_ct_protonum(ct)].ports;
	unsigned long generation = READ_ONCE(ctxstat_generation);
	struct ctxstat_port_leaf *leaf = NULL;
	struct ctxstat_net *cn;
	bool changed = false, tried = false;

	/* until all namespaces are set up there may be none to look for */
	if (generation == CTXSTAT_DISABLED)
		return false;
	cn = ctxstat_entry_net(ct);

	for (;;) {
		/* pairs with the cmpxchg below: at least the state it was made of */
		unsigned long old = smp_load_acquire(&ct->status);
		bool ours = ctxstat_tag_is_ours(old, generation);
		unsigned long new = tagged(ct, old, generation);
		unsigned long row = ctxstat_tag_row(new);
		long cell = -1, event = -1;

		/* It began to end before that could be seen, and will be gone. */
		if (!ours && from == CTXSTAT_FROM_OLDER && old & IPS_DYING)
			return changed;
		if (ours)
			new |= old & kept;
		/* Once, and not for one that is about to end. */
		if (proto != CTXSTAT_PORT_PROTOS && !tried &&
		    !(new & (CTXSTAT_IN_PORTS | CTXSTAT_REASON_MASK)))
			leaf = ctxstat_port_make(&cn->ports, proto,
						 ctxstat_port_of(ct));
		tried = true;
		if (leaf)
			new |= CTXSTAT_IN_PORTS;
		if (looks_answered(ct, new, !ours && from == CTXSTAT_FROM_OLDER))
			new |= CTXSTAT_ANSWERED;

		if (old == new)
			return changed;
		if (!try_cmpxchg(&ct->status, &old, new))
			continue;

		if (!ours) {
			event = ctxstat_event(row, from);
			if (proto != CTXSTAT_PORT_PROTOS && !(new & CTXSTAT_IN_PORTS))
				atomic_long_inc(&cn->ports.overflow);
		} else {
			cell = ctxstat_tag_cell(old);
			if (row != ctxstat_tag_row(old))
				event = ctxstat_event(row, CTXSTAT_FROM_STATE +
						      ctxstat_tag_state(old));
		}
		ctxstat_entry_count(cn, cell, ctxstat_tag_cell(new), event);
		if (new & CTXSTAT_IN_PORTS)
			update_port(cn, ct, ours ? old : 0, new, from);
		if (ours && unlikely(ctxstat_has_timestamp(ct)))
			ctxstat_histogram_change(cn, ct, old, new);
		changed = true;
	}
}

/**
 * ctxstat_entry_changed_tcp() - the plain change of a tcp entry
 * @ct: as for ctxstat_entry_changed()
 *
 * Unless the entry is being deleted. As in ctxstat_entry_update(), look again after
 * a change of state.
 */
void notrace ctxstat_entry_changed_tcp(struct nf_conn *ct)
{
	/* pairs with the cmpxchg below: at least the state it was made of */
	unsigned long old = smp_load_acquire(&ct->status);
	unsigned long new = ctxstat_tag_mirror(old);
	unsigned long state = READ_ONCE(ct->proto.tcp.state);
	/* with the reason, if there is one: out of range then */
	unsigned long was = old >> CTXSTAT_TAG_STATE;
	unsigned long row = ctxstat_tag_row(old);
	struct ctxstat_counters __percpu *counters;
	struct ctxstat_net *cn;

	if (unlikely((old & (CTXSTAT_GENERATION_MASK | CTXSTAT_CONFIRMED)) !=
		     data_race(ctxstat_plain)))
		goto slow;
	if (unlikely(was >= CTXSTAT_MAX_STATES || state >= CTXSTAT_MAX_STATES))
		goto slow;
	row += state - was;
	new += (state - was) * (BIT_ULL(CTXSTAT_TAG_STATE) |
				BIT_ULL(CTXSTAT_TAG_ROW));
	/* as in looks_answered() */
	if (state == TCP_CONNTRACK_ESTABLISHED || old & IPS_ASSURED)
		new |= CTXSTAT_ANSWERED;

	cn = ctxstat_entry_net(ct);
	counters = ctxstat_net_percpu(cn);
	if (unlikely(!counters))
		goto slow;
	if (unlikely(!try_cmpxchg(&ct->status, &old, new)))
		goto slow;
	this_cpu_dec(counters->live[ctxstat_tag_cell(old)]);
	this_cpu_inc(counters->live[ctxstat_cell(row, ctxstat_tag_flags(new))]);
	if (was != state)
		this_cpu_inc(counters->events[ctxstat_event(row,
						CTXSTAT_FROM_STATE + was)]);
	if ((old ^ new) & (CTXSTAT_REPLIED | CTXSTAT_ANSWERED)) {
		if (new & CTXSTAT_IN_PORTS)
			ctxstat_entry_answered(cn, ct, old, new, true);
		if (unlikely(ctxstat_has_timestamp(ct)))
			ctxstat_histogram_change(cn, ct, old, new);
	}
	if (likely(READ_ONCE(ct->proto.tcp.state) == state &&
		   new & CTXSTAT_IN_PORTS))
		return;
slow:
	ctxstat_entry_check(ct);
}

/**
 * ctxstat_entry_end_full() - un-count an entry, in whatever case
 * @ct: as for ctxstat_entry_end()
 */
void notrace ctxstat_entry_end_full(const struct nf_conn *ct)
{
	ctxstat_entry_end(ct, true);
}

/**
 * ctxstat_entry_check() - look at an entry in full
 * @ct: an entry that cannot be freed meanwhile
 *
 * Context: RCU read section, or preemption off.
 *
 * Before it is confirmed an entry belongs to the CPU that holds its packet,
 * and NAT still writes its status without atomic operations: not ours yet. A
 * template of the raw table looks confirmed, but is no entry.
 */
void ctxstat_entry_check(struct nf_conn *ct)
{
	if ((READ_ONCE(ct->status) & (IPS_CONFIRMED | IPS_TEMPLATE)) ==
	    IPS_CONFIRMED)
		ctxstat_entry_update(ct, CTXSTAT_FROM_OLDER);
}

/**
 * ctxstat_entry_delete_older() - note it of an entry that is not counted
 * @ct: as for ctxstat_entry_delete()
 * @reason: as for ctxstat_entry_delete()
 *
 * While the module is being loaded an entry may be deleted before the walk has come to it.
 * It is still in the table, so it is counted, now: a moment later it is dying, and no
 * longer would be. (With preemption off as trace_report() says.)
 */
void ctxstat_entry_delete_older(struct nf_conn *ct, enum ctxstat_reason reason)
{
	preempt_disable_notrace();
	ctxstat_entry_check(ct);
	preempt_enable_notrace();
	if (ctxstat_tag_is_ours(READ_ONCE(ct->status),
				READ_ONCE(ctxstat_generation)))
		ctxstat_entry_delete(ct, reason);
}

/**
 * ctxstat_entry_clear() - remove the tag
 * @ct: an entry that cannot be freed meanwhile; counting is off
 */
void ctxstat_entry_clear(struct nf_conn *ct)
{
	unsigned long old = READ_ONCE(ct->status);

	while (!try_cmpxchg(&ct->status, &old, (unsigned long)(u32)old))
		;
}
