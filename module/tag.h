/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tag: what an entry is counted as right now, kept in bits 32..63 of
 * nf_conn::status.
 *
 * The kernel uses bits 0..15 of that word; bits 16..31 can be seen by users
 * (ctnetlink, nft and xtables show the lower 32) and stay untouched. Once an
 * entry is in the table every writer in the kernel uses atomic bit operations,
 * so a cmpxchg of the whole word loses nothing; before that, the only writer is
 * who made the entry, or holds its packet. (Who holds a clone of an unconfirmed
 * packet would be another; the kernel avoids and warns of that.) A new entry
 * starts with a zeroed word.
 *
 *	32..39	  mirror of status bits 0..7 as they were when the tag was made;
 *		  SEEN_REPLY, ASSURED, SRC_NAT and DST_NAT are what counts
 *	40..46	  row
 *	47	  counted in the table of ports
 *	48..54	  generation of this load of the module, 1 to 126
 *	55	  answered: was ESTABLISHED once (tcp), or saw a reply (all others)
 *	56..59	  protocol state, as in the entry
 *	60..62	  why it ends, once that is known; see reason.h
 *	63	  free
 *
 * Mirror and state have whole bytes, so that the check of an established packet
 * compares memory with memory and masks nothing. The state is compared without
 * asking for the protocol: the byte that holds tcp's state lies beyond what other
 * protocols use, and stays 0 like the state in their tag. (Should it not, the check
 * fails and the entry is looked at in full.) An entry that is being deleted has a
 * reason in that byte, and is looked at in full as well.
 *
 * CONFIRMED is set in the mirror from the beginning. But sctp and dccp keep
 * their state elsewhere, where that comparison does not look: the mirror in
 * their tags lacks CONFIRMED, so that the check of a confirmed entry always
 * fails; so it does for one without a tag.
 *
 * An entry that only a queued packet held when the module was unloaded keeps its tag.
 * So whoever changes this layout, or the rows, must give the new one generations
 * that the old one did not use: rows of a tag that is ours are not checked.
 */
#ifndef CTXSTAT_TAG_H
#define CTXSTAT_TAG_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <net/netfilter/nf_conntrack.h>

#include "class.h"

#define CTXSTAT_TAG_MIRROR	32
#define CTXSTAT_TAG_ROW		40
#define CTXSTAT_TAG_GENERATION	48
#define CTXSTAT_TAG_ANSWERED	55
#define CTXSTAT_TAG_STATE	56
#define CTXSTAT_TAG_REASON	60

#define CTXSTAT_ROW_MASK	GENMASK_ULL(46, 40)
#define CTXSTAT_IN_PORTS	BIT_ULL(47)
#define CTXSTAT_GENERATION_MASK	GENMASK_ULL(54, 48)
#define CTXSTAT_ANSWERED	BIT_ULL(CTXSTAT_TAG_ANSWERED)
#define CTXSTAT_STATE_MASK	GENMASK_ULL(59, 56)
#define CTXSTAT_REASON_MASK	GENMASK_ULL(62, 60)

/* SEEN_REPLY in the mirror */
#define CTXSTAT_REPLIED		BIT_ULL(CTXSTAT_TAG_MIRROR + IPS_SEEN_REPLY_BIT)

#define CTXSTAT_GENERATIONS	126
#define CTXSTAT_GENERATION_BYTE_MASK	127	/* in the byte that it is part of */

/*
 * This load's generation, in its place in the tag. While nothing is counted it
 * is CTXSTAT_DISABLED, and no tag is ours.
 */
#define CTXSTAT_DISABLED	(~0UL)

extern unsigned long ctxstat_generation;

/* The same with both CONFIRMED bits, the entry's own and the mirror's. */
#define CTXSTAT_CONFIRMED	(IPS_CONFIRMED | (unsigned long)IPS_CONFIRMED \
						 << CTXSTAT_TAG_MIRROR)

extern unsigned long ctxstat_plain;

/* The same as the byte of the tag that it is; 255 while nothing is counted. */
extern u8 ctxstat_generation_byte;

static __always_inline bool ctxstat_tag_is_ours(unsigned long status,
						unsigned long generation)
{
	return (status & CTXSTAT_GENERATION_MASK) == generation;
}

static __always_inline unsigned long ctxstat_tag_row(unsigned long tag)
{
	return (tag & CTXSTAT_ROW_MASK) >> CTXSTAT_TAG_ROW;
}

static __always_inline unsigned int ctxstat_tag_state(unsigned long tag)
{
	return (tag & CTXSTAT_STATE_MASK) >> CTXSTAT_TAG_STATE;
}

static __always_inline unsigned long ctxstat_tag_reason(unsigned long tag)
{
	return (tag & CTXSTAT_REASON_MASK) >> CTXSTAT_TAG_REASON;
}

/* 1 or 0 */
static __always_inline long ctxstat_tag_replied(unsigned long tag)
{
	return tag >> (CTXSTAT_TAG_MIRROR + IPS_SEEN_REPLY_BIT) & 1;
}

static __always_inline long ctxstat_tag_answered(unsigned long tag)
{
	return tag >> CTXSTAT_TAG_ANSWERED & 1;
}

static __always_inline unsigned long ctxstat_tag_flags(unsigned long tag)
{
	return tag >> (CTXSTAT_TAG_MIRROR + 1) & (CTXSTAT_FLAGS - 1);
}

/* The same tag with a mirror of the status as it is now. */
static __always_inline unsigned long ctxstat_tag_mirror(unsigned long tag)
{
	u8 differs = tag ^ tag >> CTXSTAT_TAG_MIRROR;

	return tag ^ (unsigned long)differs << CTXSTAT_TAG_MIRROR;
}

/* The cell in which an entry with this tag is counted. */
static __always_inline unsigned long ctxstat_tag_cell(unsigned long tag)
{
	return ctxstat_cell(ctxstat_tag_row(tag), ctxstat_tag_flags(tag));
}

/* Byte @n of the status word, the lowest is 0. */
static __always_inline u8 ctxstat_status_byte(const struct nf_conn *ct, int n)
{
	const u8 *bytes = (const u8 *)&ct->status;

#ifdef __BIG_ENDIAN
	n = 7 - n;
#endif
	return data_race(bytes[n]);
}

/**
 * ctxstat_tag_is_current() - is a confirmed entry still what its tag says?
 * @ct: an entry the caller holds a reference to
 *
 * The packet path's whole cost for an established packet. May say no where
 * the answer is yes.
 *
 * Who has changed an entry sees its own change here, and a tag that agrees
 * with it only after somebody made one. If two CPUs change an entry at the
 * same time and back again, a stale tag can stay behind until the entry's next
 * packet; nothing short of a full barrier for every packet would close that
 * window.
 */
static __always_inline bool ctxstat_tag_is_current(const struct nf_conn *ct)
{
	if (unlikely(ctxstat_status_byte(ct, 0) !=
		     ctxstat_status_byte(ct, CTXSTAT_TAG_MIRROR / 8)))
		return false;
	return ctxstat_status_byte(ct, CTXSTAT_TAG_STATE / 8) ==
	       data_race(ct->proto.tcp.state);
}

#endif /* CTXSTAT_TAG_H */
