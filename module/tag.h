/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tag: what an entry is counted as right now, kept in bits 32..63 of
 * nf_conn::status.
 *
 * The kernel uses bits 0..15 of that word; bits 16..31 can be seen by users
 * (ctnetlink, nft and xtables show the lower 32) and stay untouched. Once an
 * entry is in the table every writer in the kernel uses atomic bit operations,
 * so a cmpxchg of the whole word loses nothing; before it is inserted, the only
 * writer is who holds the packet, or who made the entry. A new entry starts with a zeroed word.
 *
 *	32	  free
 *	33..37	  mirror of status bits 1..5: SEEN_REPLY, ASSURED, CONFIRMED,
 *		  SRC_NAT, DST_NAT as they were when the tag was made
 *	38	  family
 *	39	  free
 *	40..43	  protocol
 *	44..46	  free
 *	47..48	  version, one more with each change: closes the ABA window
 *		  between two CPUs that move the same entry
 *	49..59	  generation of this load of the module, never 0
 *	60..63	  protocol state
 *
 * The mirror makes the check of an established packet one xor, and the state
 * is compared without asking for the protocol: the byte that holds tcp's state
 * lies beyond what other protocols use, and stays 0 like the state in their
 * tag. (Should it not, the check fails and the entry is looked at in full.)
 *
 * sctp and dccp keep their state elsewhere, where that comparison does not
 * look. Their tags lack the CONFIRMED bit, which all others have, so that the
 * check of a confirmed entry always fails; so it does for one without a tag.
 */
#ifndef CTXSTAT_TAG_H
#define CTXSTAT_TAG_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <net/netfilter/nf_conntrack.h>

#define CTXSTAT_TAG_SHIFT	32
#define CTXSTAT_TAG_FAMILY	38
#define CTXSTAT_TAG_L4PROTO	40
#define CTXSTAT_TAG_VERSION	47
#define CTXSTAT_TAG_GENERATION	49
#define CTXSTAT_TAG_STATE	60

#define CTXSTAT_VERSION_MASK	GENMASK_ULL(48, 47)
#define CTXSTAT_GENERATION_MASK	GENMASK_ULL(59, 49)
#define CTXSTAT_GENERATION_MAX	2047

#define CTXSTAT_STATUS_FLAGS	(IPS_SEEN_REPLY | IPS_ASSURED | \
				 IPS_SRC_NAT | IPS_DST_NAT)
#define CTXSTAT_MIRRORED	(CTXSTAT_STATUS_FLAGS | IPS_CONFIRMED)

/* Everything that says how an entry is counted. */
#define CTXSTAT_CLASS_MASK	(GENMASK_ULL(63, 60) | GENMASK_ULL(43, 40) | \
				 BIT_ULL(38) | GENMASK_ULL(37, 33))

/* This load's generation, in its place in the tag; no tag's until it is set. */
extern unsigned long ctxstat_generation;

static inline bool ctxstat_tag_is_ours(unsigned long status)
{
	return (status & CTXSTAT_GENERATION_MASK) == ctxstat_generation;
}

static inline unsigned int ctxstat_tag_family(unsigned long status)
{
	return status >> CTXSTAT_TAG_FAMILY & 1;
}

static inline unsigned int ctxstat_tag_l4proto(unsigned long status)
{
	return status >> CTXSTAT_TAG_L4PROTO & 15;
}

static inline unsigned int ctxstat_tag_state(unsigned long status)
{
	return status >> CTXSTAT_TAG_STATE;
}

/**
 * ctxstat_tag_is_current() - is a confirmed entry still what its tag says?
 * @ct: an entry the caller holds a reference to
 *
 * The packet path's whole cost for an established packet. May say no where
 * the answer is yes.
 *
 * If two CPUs change an entry at the same time and back again, a stale tag can
 * stay behind until the entry's next packet; nothing short of a full barrier
 * for every packet would close that window.
 *
 * Whoever sees a tag sees at least the state from which it was made.
 */
static __always_inline bool ctxstat_tag_is_current(const struct nf_conn *ct)
{
	/* pairs with the cmpxchg in ctxstat_entry_update() */
	unsigned long status = smp_load_acquire(&ct->status);

	if (unlikely((status ^ status >> CTXSTAT_TAG_SHIFT) & CTXSTAT_MIRRORED))
		return false;
	/* One byte, compared in memory: READ_ONCE() would cost an instruction. */
	return (u8)ctxstat_tag_state(status) == data_race(ct->proto.tcp.state);
}

#endif /* CTXSTAT_TAG_H */
