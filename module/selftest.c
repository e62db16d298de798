// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test at load: do the callbacks of trace.c see an entry pass?
 *
 * A kernel built in another way than those known may have a function inlined
 * where it matters, or hand over its arguments elsewhere. ctxstat would then
 * count wrongly without a word. So an entry that belongs to no connection is
 * taken through its life, and each callback must have seen that very entry.
 * The callbacks look for it only on branches that no real entry takes.
 *
 * Only the insertion of an entry without a packet is not tried: for that, the
 * entry would have to appear in the table.
 */
#include <linux/in.h>
#include <linux/skbuff.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_ecache.h>
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

	/* In a full table it would take the place of somebody's connection. */
	if (nf_conntrack_max && nf_conntrack_count(&init_net) >= nf_conntrack_max) {
		pr_err("not loaded: the table is full, with no entry left for the self-test; raise net.netfilter.nf_conntrack_max and load again\n");
		return -ENOSPC;
	}

	skb = alloc_skb(0, GFP_KERNEL);
	ct = selftest_entry();
	if (!skb || IS_ERR(ct)) {
		if (!IS_ERR(ct))
			nf_conntrack_free(ct);
		kfree_skb(skb);
		pr_err("not loaded: out of memory\n");
		return -ENOMEM;
	}
	WRITE_ONCE(selftest_ct, ct);

	/*
	 * In reply direction __nf_conntrack_confirm() accepts a packet without
	 * looking at it. The skb holds the only reference to the entry, which
	 * goes the way of all entries when it is freed.
	 */
	refcount_set(&ct->ct_general.use, 1);
	nf_ct_set(skb, ct, IP_CT_ESTABLISHED_REPLY);
	__nf_conntrack_confirm(skb);
	/* Nobody is told of an entry that is not confirmed. */
	nf_conntrack_eventmask_report(0, ct, 0, 0);
	/* Nothing is deleted twice. */
	set_bit(IPS_DYING_BIT, &ct->status);
	nf_ct_kill_acct(ct, IP_CT_ESTABLISHED_REPLY, skb);
	nf_ct_delete(ct, 0, 0);
	kfree_skb(skb);

	WRITE_ONCE(selftest_ct, NULL);
	if (READ_ONCE(selftest_passed) != CTXSTAT_SELFTEST_ALL) {
		pr_err("not loaded: self-test failed (%#x): in this kernel ctxstat cannot see every entry\n",
		       READ_ONCE(selftest_passed));
		return -EOPNOTSUPP;
	}
	return 0;
}
