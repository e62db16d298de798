// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walks over the tables of all namespaces, at load and at unload. A
 * namespace that is being torn down is no longer in the list: conntrack frees
 * its entries.
 */
#include <linux/rculist_nulls.h>
#include <linux/rtnetlink.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_ecache.h>

#include "entry.h"
#include "walk.h"

/**
 * ctxstat_walk_net() - call @iter for every entry of a namespace
 * @net: the namespace
 * @iter: called under the entry's bucket lock, bottom halves off; returns 0
 * @data: passed through
 *
 * Context: may sleep; excludes a resize of the table. Takes as long as the
 * table of all namespaces is large, unless this one has no entry.
 */
void ctxstat_walk_net(struct net *net,
		      int (*iter)(struct nf_conn *ct, void *data), void *data)
{
	struct nf_ct_iter_data iter_data = { .net = net, .data = data };

	nf_ct_iterate_cleanup_net(iter, &iter_data);
}

static int adopt_entry(struct nf_conn *ct, void *data)
{
	ctxstat_entry_update(ct, CTXSTAT_FROM_OLDER);
	return 0;
}

/*
 * An entry that was expected holds the one that expected it, which may be nowhere else any
 * more: an FTP or SIP connection that was deleted before those for its data.
 */
static void clear_with_masters(struct nf_conn *ct)
{
	for (; ct; ct = ct->master)
		ctxstat_entry_clear(ct);
}

static int clear_entry(struct nf_conn *ct, void *data)
{
	clear_with_masters(ct);
	return 0;
}

/*
 * Entries that are out of the table, and stay until a listener that wants every event
 * has room for that of their end (conntrackd's NetlinkEventsReliable). Where ctnetlink
 * is built in their list is not exported, and where it is not built there are none.
 */
static void clear_dying(struct net *net)
{
#if IS_MODULE(CONFIG_NF_CT_NETLINK)
	struct nf_conntrack_net_ecache *ecache = nf_conn_pernet_ecache(net);
	struct nf_conntrack_tuple_hash *h;
	struct hlist_nulls_node *node;

	spin_lock_bh(&ecache->dying_lock);
	hlist_nulls_for_each_entry(h, node, &ecache->dying_list, hnnode)
		clear_with_masters(nf_ct_tuplehash_to_ctrack(h));
	spin_unlock_bh(&ecache->dying_lock);
#endif
}

static void walk_all(int (*iter)(struct nf_conn *ct, void *data))
{
	struct net *net;

	down_read(&net_rwsem);
	for_each_net(net)
		ctxstat_walk_net(net, iter, NULL);
	up_read(&net_rwsem);
}

/**
 * ctxstat_walk_adopt() - count the entries that are older than the module
 *
 * Context: may sleep. Counting is enabled, and every entry inserted after the
 * caller's last RCU grace period is counted when it is inserted.
 */
void ctxstat_walk_adopt(void)
{
	walk_all(adopt_entry);
}

/**
 * ctxstat_walk_clear() - leave no tag behind
 *
 * Context: may sleep. Nothing counts or moves entries any more.
 */
void ctxstat_walk_clear(void)
{
	struct net *net;

	walk_all(clear_entry);
	/* An entry moves from one to the other with bottom halves off. */
	synchronize_rcu();
	down_read(&net_rwsem);
	for_each_net(net)
		clear_dying(net);
	up_read(&net_rwsem);
}
