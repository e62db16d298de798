// SPDX-License-Identifier: GPL-2.0-only
/*
 * ctxstat's share of each network namespace.
 *
 * Our exit runs before conntrack's own, so a dying namespace still has
 * entries then, and their ends are still reported to us: pre_exit detaches
 * the counters, the core waits for an RCU grace period (and so for every
 * callback that still counts), exit frees them. Callbacks that come later
 * find nothing to count in. struct ctxstat_net itself is freed by the core
 * after all exits, when the namespace has no entry left.
 */
#include <linux/atomic.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "netns.h"
#include "packet.h"
#include "ports.h"
#include "tag.h"

unsigned int ctxstat_net_id __read_mostly;

static LIST_HEAD(ctxstat_nets);
static DEFINE_MUTEX(ctxstat_nets_lock);

/* How many namespaces but the initial one may have per-CPU counters, and have. */
#define CTXSTAT_MAX_PERCPU	256
static atomic_t others_with_percpu;

static int __net_init ctxstat_net_init(struct net *net)
{
	struct ctxstat_net *cn = ctxstat_net(net);
	int err;

	cn->net = net;
	cn->tick = ktime_get_boottime_ns();
	cn->start = ctxstat_wall_clock();
	ctxstat_peaks_init(&cn->peak);
	ctxstat_ports_setup(&cn->ports, net_eq(net, &init_net));
	cn->shared = ctxstat_counters_alloc();
	if (!cn->shared)
		return -ENOMEM;

	err = ctxstat_packet_init(net);
	if (err) {
		ctxstat_counters_free(cn->shared);
		cn->shared = NULL;
		return err;
	}

	mutex_lock(&ctxstat_nets_lock);
	list_add_tail(&cn->list, &ctxstat_nets);
	mutex_unlock(&ctxstat_nets_lock);
	return 0;
}

static void __net_exit ctxstat_net_pre_exit(struct net *net)
{
	struct ctxstat_net *cn = ctxstat_net(net);

	mutex_lock(&ctxstat_nets_lock);
	list_del(&cn->list);
	mutex_unlock(&ctxstat_nets_lock);

	ctxstat_packet_exit(net);

	cn->dead_percpu = cn->percpu;
	cn->dead_shared = cn->shared;
	WRITE_ONCE(cn->percpu, NULL);
	WRITE_ONCE(cn->shared, NULL);
	ctxstat_ports_detach(&cn->ports, &cn->dead_ports);
}

static u32 block_entries(const struct ctxstat_counters *block, unsigned int row)
{
	unsigned int flags;
	u32 n = 0;

	for (flags = 0; flags < CTXSTAT_FLAGS; flags++)
		n += block->live[ctxstat_cell(row, flags)];
	return n;
}

/*
 * The entries that a namespace still has now end with it. Nobody can read its own
 * tables any more: the initial namespace shows them.
 */
static void bequeath(struct ctxstat_net *cn)
{
	struct ctxstat_counters *heir = ctxstat_net(&init_net)->shared;
	unsigned int row;
	int cpu;

	for (row = 0; row < CTXSTAT_ROWS; row++) {
		u32 n = block_entries(cn->dead_shared, row);

		if (cn->dead_percpu)
			for_each_possible_cpu(cpu)
				n += block_entries(per_cpu_ptr(cn->dead_percpu,
							       cpu), row);
		atomic_long_add(n, (atomic_long_t *)&heir->events[
			ctxstat_event(row, CTXSTAT_ENDED + CTXSTAT_END_NETNS)]);
	}
}

static void __net_exit ctxstat_net_exit(struct net *net)
{
	struct ctxstat_net *cn = ctxstat_net(net);

	/* At unload all namespaces are left, and none of them ends. */
	if (READ_ONCE(ctxstat_generation) != CTXSTAT_DISABLED)
		bequeath(cn);
	if (cn->dead_percpu && !net_eq(net, &init_net))
		atomic_dec(&others_with_percpu);
	free_percpu(cn->dead_percpu);
	ctxstat_counters_free(cn->dead_shared);
	ctxstat_ports_release(&cn->dead_ports);
}

static struct pernet_operations ctxstat_net_ops = {
	.init = ctxstat_net_init,
	.pre_exit = ctxstat_net_pre_exit,
	.exit = ctxstat_net_exit,
	.id = &ctxstat_net_id,
	.size = sizeof(struct ctxstat_net),
};

/**
 * ctxstat_netns_init() - set up all namespaces, and those to come
 *
 * Return: 0 or a negative error.
 */
int ctxstat_netns_init(void)
{
	return register_pernet_subsys(&ctxstat_net_ops);
}

/**
 * ctxstat_netns_exit() - the undo of ctxstat_netns_init()
 *
 * No callback of trace.c may run any more: the memory it looks into is freed.
 */
void ctxstat_netns_exit(void)
{
	unregister_pernet_subsys(&ctxstat_net_ops);
}

/**
 * ctxstat_netns_for_each() - visit every living namespace
 * @visit: may sleep; the namespace's exit waits for it
 */
void ctxstat_netns_for_each(void (*visit)(struct ctxstat_net *cn))
{
	struct ctxstat_net *cn;

	mutex_lock(&ctxstat_nets_lock);
	list_for_each_entry(cn, &ctxstat_nets, list) {
		visit(cn);
		cond_resched();
	}
	mutex_unlock(&ctxstat_nets_lock);
}

/**
 * ctxstat_net_make_percpu() - give a namespace its per-CPU counters
 * @cn: from ctxstat_netns_for_each(): one caller at a time
 *
 * What was counted in the shared block stays there. If there is no memory,
 * the shared block goes on being used, and the next call tries again; so it does
 * while CTXSTAT_MAX_PERCPU others have theirs: anyone who may make namespaces can
 * make them busy, and nobody is charged for this memory.
 */
void ctxstat_net_make_percpu(struct ctxstat_net *cn)
{
	int other = !net_eq(cn->net, &init_net);
	struct ctxstat_counters __percpu *percpu;

	if (other && atomic_read(&others_with_percpu) >= CTXSTAT_MAX_PERCPU)
		return;
	percpu = alloc_percpu_gfp(struct ctxstat_counters,
				  GFP_KERNEL | __GFP_NOWARN);
	if (!percpu)
		return;
	atomic_add(other, &others_with_percpu);
	/* pairs with ctxstat_net_percpu(), by address dependency */
	smp_store_release(&cn->percpu, percpu);
}
