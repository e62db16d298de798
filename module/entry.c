// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of one entry as ctxstat sees it: counted once, moved from cell to
 * cell, un-counted once.
 *
 * Whoever changes the tag with a cmpxchg, and nobody else, takes one off the
 * old cell and adds one to the new one. So every tag that was ever set is
 * balanced by exactly one increment, whichever CPUs were involved, and the
 * end takes off what the tag says, not what the entry looks like by then.
 */
#include <linux/atomic.h>
#include <linux/socket.h>
#include <linux/ktime.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_l4proto.h>

#include "class.h"
#include "compat.h"
#include "counters.h"
#include "entry.h"
#include "netns.h"
#include "tag.h"

unsigned long ctxstat_generation __read_mostly = ~0UL;

/* Off before the end of entries can be seen, and again before it no longer can. */
static bool ctxstat_enabled __read_mostly;

/**
 * ctxstat_entry_init() - choose this load's generation
 *
 * The walk at unload clears the tags of all entries in the table. What it
 * cannot reach (an entry taken out of the table while a queued packet still
 * holds it) keeps a tag of an older generation, which must not be mistaken
 * for ours. A clock that moves on every 67 ms gives each load its own, and
 * comes back to the same one after 137 s.
 *
 * Until then, no tag is taken for ours, and the callbacks need no memory of a
 * namespace.
 */
void ctxstat_entry_init(void)
{
	unsigned long ticks = ktime_get_boottime_ns() >> 26;

	BUILD_BUG_ON(sizeof_field(struct nf_conn, status) != 8);
	BUILD_BUG_ON(__IPS_MAX_BIT > CTXSTAT_TAG_SHIFT);
	BUILD_BUG_ON(CTXSTAT_L4PROTOS > 16 || CTXSTAT_MAX_STATES > 16);
	/* what tag.h says of the byte that holds tcp's state */
	BUILD_BUG_ON(offsetof(union nf_conntrack_proto, tcp.state) <
		     max(sizeof(struct ip_ct_sctp), sizeof(struct nf_ct_gre)));
	BUILD_BUG_ON(offsetof(union nf_conntrack_proto, tcp.state) <
		     sizeof(struct nf_ct_udp));

	ctxstat_generation = (ticks % CTXSTAT_GENERATION_MAX + 1)
			     << CTXSTAT_TAG_GENERATION;
}

/**
 * ctxstat_entry_enable() - let entries be counted and moved, or no longer
 * @on: counting may only be on while ctxstat_entry_end() is called for every
 *	entry that ends, or what is counted would never be un-counted
 *
 * Switching off takes effect when all callbacks and hooks have been waited
 * for.
 */
void ctxstat_entry_enable(bool on)
{
	/* pairs with smp_load_acquire() in ctxstat_entry_update() */
	smp_store_release(&ctxstat_enabled, on);
}

/* The state within the protocol's table; one that we do not know is NONE. */
static unsigned int entry_state(const struct nf_conn *ct,
				enum ctxstat_l4proto l4proto)
{
	unsigned int state;

	switch (l4proto) {
	case CTXSTAT_TCP:
		state = READ_ONCE(ct->proto.tcp.state);
		break;
	case CTXSTAT_SCTP:
		state = ctxstat_sctp_state(ct);
		break;
	case CTXSTAT_DCCP:
		state = ctxstat_dccp_state(ct);
		break;
	default:
		return 0;
	}
	return state < ctxstat_l4[l4proto].nr_states ? state : 0;
}

/**
 * ctxstat_entry_class() - what an entry should be counted as
 * @ct: the entry
 * @status: its status word, as loaded (with acquire) by the caller
 *
 * Return: the bits under CTXSTAT_CLASS_MASK.
 */
unsigned long ctxstat_entry_class(const struct nf_conn *ct,
				  unsigned long status)
{
	enum ctxstat_l4proto l4proto = ctxstat_l4proto_of(nf_ct_protonum(ct));
	unsigned long mirror = status & CTXSTAT_STATUS_FLAGS;
	unsigned long class;

	/* tag.h says why */
	if (l4proto != CTXSTAT_SCTP && l4proto != CTXSTAT_DCCP)
		mirror |= IPS_CONFIRMED;

	class = mirror << CTXSTAT_TAG_SHIFT |
		(unsigned long)l4proto << CTXSTAT_TAG_L4PROTO |
		(unsigned long)entry_state(ct, l4proto) << CTXSTAT_TAG_STATE;
	if (nf_ct_l3num(ct) == AF_INET6)
		class |= (unsigned long)CTXSTAT_IPV6 << CTXSTAT_TAG_FAMILY;
	return class;
}

static unsigned int tag_row(unsigned long tag)
{
	return ctxstat_row(ctxstat_tag_family(tag), ctxstat_tag_l4proto(tag),
			   ctxstat_tag_state(tag));
}

static unsigned int tag_flags(unsigned long tag)
{
	unsigned long mirror = tag >> CTXSTAT_TAG_SHIFT;

	BUILD_BUG_ON(IPS_SEEN_REPLY >> 1 != CTXSTAT_F_REPLIED ||
		     IPS_ASSURED >> 1 != CTXSTAT_F_ASSURED ||
		     IPS_SRC_NAT >> 2 != CTXSTAT_F_SNAT ||
		     IPS_DST_NAT >> 2 != CTXSTAT_F_DNAT);

	return (mirror >> 1 & (CTXSTAT_F_REPLIED | CTXSTAT_F_ASSURED)) |
	       (mirror >> 2 & (CTXSTAT_F_SNAT | CTXSTAT_F_DNAT));
}

/**
 * ctxstat_entry_cell() - number of the cell that a tag stands for
 * @tag: a status word, or what ctxstat_entry_class() returned
 */
unsigned int ctxstat_entry_cell(unsigned long tag)
{
	return tag_row(tag) * CTXSTAT_FLAGS + tag_flags(tag);
}

static void count_move(const struct nf_conn *ct, unsigned long old,
		       unsigned long new)
{
	unsigned int from = tag_row(old), to = tag_row(new);
	struct ctxstat_counting c;

	ctxstat_counting_begin(&c, nf_ct_net(ct));
	ctxstat_count(&c, live[from][tag_flags(old)], -1);
	ctxstat_count(&c, live[to][tag_flags(new)], 1);
	if (from != to)
		ctxstat_count(&c, entered[to][CTXSTAT_FROM_STATE +
					      ctxstat_tag_state(old)], 1);
	ctxstat_counting_end();
}

static void count_first(const struct nf_conn *ct, unsigned long new,
			enum ctxstat_from from)
{
	unsigned int to = tag_row(new);
	struct ctxstat_counting c;

	ctxstat_counting_begin(&c, nf_ct_net(ct));
	ctxstat_count(&c, live[to][tag_flags(new)], 1);
	ctxstat_count(&c, entered[to][from], 1);
	ctxstat_counting_end();
}

/**
 * ctxstat_entry_update() - count an entry as what it is now
 * @ct: an entry that cannot be freed meanwhile
 * @from: how it comes to be counted, if it is not counted yet
 *
 * Context: any in which conntrack runs; takes no lock, does not sleep.
 *
 * Looks again after each change, until tag and entry agree: a change made by
 * another CPU between our reading the entry and our cmpxchg is then seen by
 * us, if that CPU saw the tag before we changed it.
 *
 * Return: true if the entry was not yet counted as what it is.
 */
bool ctxstat_entry_update(struct nf_conn *ct, enum ctxstat_from from)
{
	bool changed = false;

	/* pairs with smp_store_release(): the generation is set by then */
	if (!smp_load_acquire(&ctxstat_enabled))
		return false;

	for (;;) {
		/* pairs with the cmpxchg below, see ctxstat_tag_is_current() */
		unsigned long old = smp_load_acquire(&ct->status);
		unsigned long class = ctxstat_entry_class(ct, old);
		bool ours = ctxstat_tag_is_ours(old);
		unsigned long new;

		if (ours && (old & CTXSTAT_CLASS_MASK) == class)
			return changed;

		new = (u32)old | class | ctxstat_generation;
		if (ours)
			new |= (old + BIT_ULL(CTXSTAT_TAG_VERSION)) &
			       CTXSTAT_VERSION_MASK;

		if (!try_cmpxchg(&ct->status, &old, new))
			continue;

		if (ours)
			count_move(ct, old, new);
		else
			count_first(ct, new, from);
		changed = true;
	}
}

/**
 * ctxstat_entry_changed() - an entry may have changed
 * @ct: an entry that cannot be freed meanwhile
 *
 * Context: any in which conntrack runs; takes no lock, does not sleep.
 *
 * Before it is confirmed an entry belongs to the CPU that holds its packet,
 * and NAT still writes its status without atomic operations: not ours yet. A
 * template of the raw table looks confirmed, but is no entry.
 */
void ctxstat_entry_changed(struct nf_conn *ct)
{
	if ((READ_ONCE(ct->status) & (IPS_CONFIRMED | IPS_TEMPLATE)) ==
	    IPS_CONFIRMED)
		ctxstat_entry_update(ct, CTXSTAT_FROM_OLDER);
}

/* Was it ever in the table? An unlinked entry has a poisoned pointer here. */
static bool entry_was_inserted(const struct nf_conn *ct, unsigned long status)
{
	return status & IPS_CONFIRMED &&
	       READ_ONCE(ct->tuplehash[IP_CT_DIR_ORIGINAL].hnnode.pprev);
}

/**
 * ctxstat_entry_end() - un-count an entry
 * @ct: an entry about to be given back to its slab cache: nobody else has it
 *
 * Context: any in which conntrack runs; takes no lock, does not sleep.
 *
 * Return: false if it was not counted.
 */
bool ctxstat_entry_end(const struct nf_conn *ct)
{
	unsigned long status = READ_ONCE(ct->status);
	struct ctxstat_counting c;
	unsigned int row;

	if (!ctxstat_tag_is_ours(status))
		return false;

	row = tag_row(status);
	ctxstat_counting_begin(&c, nf_ct_net(ct));
	ctxstat_count(&c, live[row][tag_flags(status)], -1);
	if (likely(entry_was_inserted(ct, status)))
		ctxstat_count(&c, ended[row], 1);
	else
		ctxstat_count(&c, insert_failed[row], 1);
	ctxstat_counting_end();
	return true;
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
