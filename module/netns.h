/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_NETNS_H
#define CTXSTAT_NETNS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "counters.h"
#include "peak.h"
#include "ports.h"

/**
 * struct ctxstat_net - what ctxstat keeps for a network namespace
 * @shared: counters used until the namespace is busy; NULL once it dies
 * @percpu: counters of a busy namespace; NULL until then, and once it dies
 * @dead_percpu: @percpu, between being detached and being freed
 * @dead_shared: @shared, between being detached and being freed
 * @net: the namespace
 * @list: in the list of all namespaces, under its mutex
 * @ports: table of ports; nothing can be added to it once the namespace dies
 * @dead_ports: what was in @ports, between being detached and being freed
 * @peak: highest values seen
 * @events: number of events at the last tick
 * @created: entries ever created, at the last tick
 * @tick: when that was, in nanoseconds since boot
 * @start: when counting began, in seconds since 1970
 *
 * Lives from the namespace's init until after its exit: longer than any
 * entry of the namespace, which conntrack frees before.
 */
struct ctxstat_net {
	struct ctxstat_counters *shared;
	struct ctxstat_counters __percpu *percpu;
	struct ctxstat_counters __percpu *dead_percpu;
	struct ctxstat_counters *dead_shared;
	struct net *net;
	struct list_head list;
	struct ctxstat_ports ports, dead_ports;
	struct ctxstat_peaks peak;
	unsigned long events, created;
	u64 tick;
	time64_t start;
};

extern unsigned int ctxstat_net_id;

static inline struct ctxstat_net *ctxstat_net(const struct net *net)
{
	return net_generic(net, ctxstat_net_id);
}

/* Per-CPU counters of a namespace, or NULL. */
static inline struct ctxstat_counters __percpu *
ctxstat_net_percpu(const struct ctxstat_net *cn)
{
	/* pairs with smp_store_release() in ctxstat_net_make_percpu() */
	return READ_ONCE(cn->percpu);
}

int ctxstat_netns_init(void);
void ctxstat_netns_exit(void);
void ctxstat_netns_for_each(void (*visit)(struct ctxstat_net *cn));
void ctxstat_net_make_percpu(struct ctxstat_net *cn);

#endif /* CTXSTAT_NETNS_H */
