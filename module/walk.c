// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walks over the tables of all namespaces, at load and at unload. A
 * namespace that is being torn down is no longer in the list: conntrack frees
 * its entries.
 */
#include <linux/rtnetlink.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "entry.h"
#include "walk.h"

static int adopt_entry(struct nf_conn *ct, void *data)
{
	ctxstat_entry_update(ct, CTXSTAT_FROM_OLDER);
	return 0;
}

static int clear_entry(struct nf_conn *ct, void *data)
{
	ctxstat_entry_clear(ct);
	return 0;
}

static void walk_all(int (*iter)(struct nf_conn *ct, void *data))
{
	struct net *net;

	down_read(&net_rwsem);
	for_each_net(net)
		ctxstat_iterate_net(net, iter, NULL);
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
	walk_all(clear_entry);
}
