/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long entries live, and how long connections wait for an answer. Only for
 * entries that conntrack gave a timestamp (nf_conntrack_timestamp): all others
 * pay one branch.
 */
#ifndef CTXSTAT_HISTOGRAM_H
#define CTXSTAT_HISTOGRAM_H

#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_extend.h>

#include "class.h"

struct ctxstat_net;

enum ctxstat_histogram {
	CTXSTAT_LIFETIME,	/* seconds, at the end */
	CTXSTAT_REPLY,		/* milliseconds from first packet to first reply */
	CTXSTAT_HANDSHAKE,	/* tcp: milliseconds from first packet to ESTABLISHED */
	CTXSTAT_HISTOGRAMS,
};

/* 1, 2, 4 ... 2^20 (12 days of seconds, 17 minutes of milliseconds), and more */
#define CTXSTAT_BUCKETS		22

/**
 * struct ctxstat_hist - one histogram
 * @buckets: values above the last bucket's bound, up to this one's, 2^i
 * @sum: of all values, in milliseconds
 */
struct ctxstat_hist {
	unsigned long buckets[CTXSTAT_BUCKETS];
	unsigned long sum;
};

/* Does @ct know when it began? */
static __always_inline bool ctxstat_has_timestamp(const struct nf_conn *ct)
{
#ifdef CONFIG_NF_CONNTRACK_TIMESTAMP
	return nf_ct_ext_exist(ct, NF_CT_EXT_TSTAMP);
#else
	return false;
#endif
}

/* Context of all: RCU read section, or preemption off; the entry has a timestamp. */
void ctxstat_histogram_end(struct ctxstat_net *cn, const struct nf_conn *ct,
			   unsigned long tag);
void ctxstat_histogram_change(struct ctxstat_net *cn, const struct nf_conn *ct,
			      unsigned long old, unsigned long new);

extern const char *const ctxstat_histogram_names[CTXSTAT_HISTOGRAMS];

#endif /* CTXSTAT_HISTOGRAM_H */
