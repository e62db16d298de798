// SPDX-License-Identifier: GPL-2.0-only
/* How long entries live and wait: histogram.h says which. */
#include <linux/bitops.h>
#include <linux/ktime.h>
#include <net/netfilter/nf_conntrack_timestamp.h>

#include "counters.h"
#include "histogram.h"
#include "netns.h"
#include "tag.h"

const char *const ctxstat_histogram_names[CTXSTAT_HISTOGRAMS] = {
	[CTXSTAT_LIFETIME]  = "lifetime",
	[CTXSTAT_REPLY]	    = "reply",
	[CTXSTAT_HANDSHAKE] = "handshake",
};

/* The first bucket whose bound, in @unit, is not below @ns. */
static __always_inline unsigned int bucket_of(u64 ns, u64 unit)
{
	unsigned int i = ns <= unit ? 0 : fls64((ns - 1) / unit);

	return min_t(unsigned int, i, CTXSTAT_BUCKETS - 1);
}

/* conntrack's clock is that of the wall, and may be set back meanwhile. */
static __always_inline void count(struct ctxstat_net *cn, unsigned long tag,
				  enum ctxstat_histogram what, s64 ns)
{
	struct ctxstat_counters __percpu *percpu = ctxstat_net_percpu(cn);
	const u64 unit = what == CTXSTAT_LIFETIME ? NSEC_PER_SEC : NSEC_PER_MSEC;
	unsigned int l4proto = ctxstat_l4proto_of_row[ctxstat_tag_row(tag) %
						      CTXSTAT_FAMILY_ROWS];
	struct ctxstat_counters *shared;
	unsigned int i;
	u64 ms;

	ns = max(ns, 0LL);
	i = bucket_of(ns, unit);
	ms = ns / NSEC_PER_MSEC;

	if (likely(percpu)) {
		struct ctxstat_hist __percpu *hist = &percpu->hists[l4proto][what];

		this_cpu_inc(hist->buckets[i]);
		this_cpu_add(hist->sum, ms);
		return;
	}
	shared = READ_ONCE(cn->shared);
	if (shared) {
		struct ctxstat_hist *hist = &shared->hists[l4proto][what];

		atomic_long_inc((atomic_long_t *)&hist->buckets[i]);
		atomic_long_add(ms, (atomic_long_t *)&hist->sum);
	}
}

/**
 * ctxstat_histogram_end() - an entry ends
 * @cn: the namespace
 * @ct: the entry, which has a timestamp
 * @tag: its tag
 *
 * An entry that never got into the table has not begun, either.
 */
void notrace ctxstat_histogram_end(struct ctxstat_net *cn,
				   const struct nf_conn *ct, unsigned long tag)
{
	const struct nf_conn_tstamp *tstamp = nf_conn_tstamp_find(ct);

	if (tstamp && tstamp->start && tstamp->stop)
		count(cn, tag, CTXSTAT_LIFETIME, tstamp->stop - tstamp->start);
}

/**
 * ctxstat_histogram_change() - an entry has changed
 * @cn: the namespace
 * @ct: the entry, which has a timestamp
 * @old: its tag before
 * @new: its tag now
 */
void notrace ctxstat_histogram_change(struct ctxstat_net *cn,
				      const struct nf_conn *ct,
				      unsigned long old, unsigned long new)
{
	const struct nf_conn_tstamp *tstamp;
	s64 ns;

	if (!((old ^ new) & (CTXSTAT_REPLIED | CTXSTAT_ANSWERED)))
		return;
	tstamp = nf_conn_tstamp_find(ct);
	if (!tstamp || !tstamp->start)
		return;
	ns = ktime_get_real_ns() - tstamp->start;
	if (ctxstat_tag_replied(new) && !ctxstat_tag_replied(old))
		count(cn, new, CTXSTAT_REPLY, ns);
	if (nf_ct_protonum(ct) == IPPROTO_TCP &&
	    ctxstat_tag_answered(new) && !ctxstat_tag_answered(old))
		count(cn, new, CTXSTAT_HANDSHAKE, ns);
}
