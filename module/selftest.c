// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test at load: do the callbacks of trace.c see an entry pass?
 *
 * A kernel built in another way than those known may have a function inlined
 * where it matters, or hand over its arguments elsewhere. ctxstat would then
 * count wrongly without a word. So an entry that belongs to no connection is
 * taken through its life, and both callbacks must have seen that very entry.
 * The callbacks look for it only on branches that no real entry takes.
 */
#include <linux/in.h>
#include <linux/skbuff.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_zones.h>

#include "selftest.h"

static const struct nf_conn *selftest_ct;
static unsigned int selftest_passed;

/**
 * ctxstat_selftest_seen() - a callback saw an entry that it does not count
 * @ct: the entry
 * @what: which callback
 */
void ctxstat_selftest_seen(const struct nf_conn *ct, unsigned int what)
{
	if (unlikely(ct && ct == READ_ONCE(selftest_ct)))
		WRITE_ONCE(selftest_passed, READ_ONCE(selftest_passed) | what);
}

static struct nf_conn *selftest_entry(void)
{
	struct nf_conntrack_tuple orig = {}, reply;

	/* 192.0.2.0/24 is reserved for documentation: nobody's connection. */
	orig.src.l3num = AF_INET;
	orig.src.u3.ip = htonl(0xc0000201);
	orig.dst.u3.ip = htonl(0xc0000202);
	orig.dst.protonum = IPPROTO_UDP;
	orig.dst.dir = IP_CT_DIR_ORIGINAL;
	reply = orig;
	swap(reply.src.u3.ip, reply.dst.u3.ip);
	reply.dst.dir = IP_CT_DIR_REPLY;

	return nf_conntrack_alloc(&init_net, &nf_ct_zone_dflt, &orig, &reply,
				  GFP_KERNEL);
}

/**
 * ctxstat_selftest() - take one entry through its life
 *
 * Context: may sleep; the callbacks are registered, nothing is counted yet.
 * Return: 0, or a negative error: then the reason is in the log.
 */
int ctxstat_selftest(void)
{
	struct sk_buff *skb;
	struct nf_conn *ct;

	skb = alloc_skb(0, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;

	ct = selftest_entry();
	if (IS_ERR(ct)) {
		kfree_skb(skb);
		pr_err("not loaded: no entry to be had for the self-test (error %ld); if the table is full, raise net.netfilter.nf_conntrack_max and load again\n",
		       PTR_ERR(ct));
		return PTR_ERR(ct);
	}
	/* pairs with READ_ONCE() in ctxstat_selftest_seen() */
	WRITE_ONCE(selftest_ct, ct);

	/*
	 * In reply direction __nf_conntrack_confirm() accepts a packet without
	 * looking at it. The skb holds the only reference to the entry, which
	 * goes the way of all entries when it is freed.
	 */
	refcount_set(&ct->ct_general.use, 1);
	nf_ct_set(skb, ct, IP_CT_ESTABLISHED_REPLY);
	__nf_conntrack_confirm(skb);
	kfree_skb(skb);

	WRITE_ONCE(selftest_ct, NULL);
	if (READ_ONCE(selftest_passed) !=
	    (CTXSTAT_SELFTEST_FREE | CTXSTAT_SELFTEST_CONFIRM)) {
		pr_err("not loaded: self-test failed (%#x): in this kernel ctxstat cannot see every entry\n",
		       READ_ONCE(selftest_passed));
		return -EOPNOTSUPP;
	}
	return 0;
}
