// SPDX-License-Identifier: GPL-2.0-only
/* The port table of a network namespace: ports.h says who may do what. */
#include <linux/in.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "class.h"
#include "compat.h"
#include "counters.h"
#include "netns.h"
#include "ports.h"

static unsigned int port_memory = 32768;
module_param(port_memory, uint, 0444);
MODULE_PARM_DESC(port_memory, "most memory for the port tables of all namespaces, in KiB per possible CPU and once for all (default 32768)");

struct ctxstat_port_root ctxstat_ports_dead;

static struct kmem_cache *leaf_cache;
static atomic_long_t memory_used;

#define NO_PORTS(from, to) [from ... to] = CTXSTAT_PORT_PROTOS

const u8 ctxstat_port_protos[256] = {
	NO_PORTS(0, IPPROTO_TCP - 1),
	[IPPROTO_TCP]	  = CTXSTAT_PORT_TCP,
	NO_PORTS(IPPROTO_TCP + 1, IPPROTO_UDP - 1),
	[IPPROTO_UDP]	  = CTXSTAT_PORT_UDP,
	NO_PORTS(IPPROTO_UDP + 1, IPPROTO_DCCP - 1),
#ifdef CONFIG_NF_CT_PROTO_DCCP
	[IPPROTO_DCCP]	  = CTXSTAT_PORT_DCCP,
#else
	[IPPROTO_DCCP]	  = CTXSTAT_PORT_PROTOS,
#endif
	NO_PORTS(IPPROTO_DCCP + 1, IPPROTO_SCTP - 1),
#ifdef CONFIG_NF_CT_PROTO_SCTP
	[IPPROTO_SCTP]	  = CTXSTAT_PORT_SCTP,
#else
	[IPPROTO_SCTP]	  = CTXSTAT_PORT_PROTOS,
#endif
	NO_PORTS(IPPROTO_SCTP + 1, IPPROTO_UDPLITE - 1),
	[IPPROTO_UDPLITE] = CTXSTAT_PORT_UDPLITE,
	NO_PORTS(IPPROTO_UDPLITE + 1, 255),
};

static const u8 port_l4protos[CTXSTAT_PORT_PROTOS] = {
	[CTXSTAT_PORT_TCP]     = CTXSTAT_TCP,
	[CTXSTAT_PORT_UDP]     = CTXSTAT_UDP,
	[CTXSTAT_PORT_UDPLITE] = CTXSTAT_UDPLITE,
	[CTXSTAT_PORT_SCTP]    = CTXSTAT_SCTP,
	[CTXSTAT_PORT_DCCP]    = CTXSTAT_DCCP,
};

/**
 * ctxstat_ports_max_memory() - the bound for all namespaces together, in bytes
 */
unsigned long ctxstat_ports_max_memory(void)
{
	return 1024UL * port_memory * (num_possible_cpus() + 1);
}

static bool charge(struct ctxstat_net *cn, long bytes)
{
	if (atomic_long_add_return(bytes, &memory_used) >
	    (long)ctxstat_ports_max_memory()) {
		atomic_long_sub(bytes, &memory_used);
		return false;
	}
	atomic_long_add(bytes, &cn->port_memory);
	return true;
}

static void uncharge(struct ctxstat_net *cn, long bytes)
{
	atomic_long_sub(bytes, &memory_used);
	atomic_long_sub(bytes, &cn->port_memory);
}

/*
 * What *@where points to, made if it is not there yet: a leaf, or @size bytes.
 * Whoever comes first makes it for all. A dying namespace has nowhere to put it:
 * its root is read-only, and full of NULLs.
 *
 * Statistics are not worth the reserves that are kept for who cannot wait, nor a
 * warning. With PREEMPT_RT memory cannot be had with preemption off, as it is when
 * another tracer is on the same function.
 */
static void *make(struct ctxstat_net *cn, void **where, size_t size)
{
	const gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN | __GFP_ZERO;
	const bool leaf = size == sizeof(struct ctxstat_port_leaf);
	void *new, *old = READ_ONCE(*where);

	if (old)
		return old;
	if (IS_ENABLED(CONFIG_PREEMPT_RT) && !preemptible())
		return NULL;
	if (!charge(cn, size))
		return NULL;
	new = leaf ? kmem_cache_alloc(leaf_cache, gfp) : kmalloc(size, gfp);
	if (!new) {
		uncharge(cn, size);
		return NULL;
	}
	/* the release: who finds it finds it zeroed */
	old = cmpxchg(where, NULL, new);
	if (!old)
		return new;
	if (leaf)
		kmem_cache_free(leaf_cache, new);
	else
		kfree(new);
	uncharge(cn, size);
	return old;
}

/**
 * ctxstat_port_make() - the leaf of a port, made if it is not there yet
 * @cn: the namespace
 * @proto: which must have ports
 * @port: in host byte order
 *
 * Context: RCU read section, or preemption off; any in which conntrack runs.
 * Return: the leaf, or NULL.
 */
struct ctxstat_port_leaf *ctxstat_port_make(struct ctxstat_net *cn,
					    unsigned long proto,
					    unsigned long port)
{
	struct ctxstat_port_root *root;
	struct ctxstat_port_node *node;
	void **where;

	root = make(cn, (void **)&cn->ports, sizeof(*root));
	if (!root || root == &ctxstat_ports_dead)
		return NULL;
	where = (void **)&root->nodes[proto * CTXSTAT_ROOT_NODES + (port >> 10)];
	node = make(cn, where, sizeof(*node));
	if (!node)
		return NULL;
	where = (void **)&node->leaves[port >> 4 & (CTXSTAT_NODE_LEAVES - 1)];
	return make(cn, where, sizeof(struct ctxstat_port_leaf));
}

static size_t percpu_size(void)
{
	return sizeof(struct ctxstat_port) * CTXSTAT_LEAF_PORTS;
}

/* If there is no memory, the leaf goes on being shared. */
static void leaf_make_percpu(struct ctxstat_net *cn,
			     struct ctxstat_port_leaf *leaf)
{
	size_t all = percpu_size() * num_possible_cpus();
	struct ctxstat_port __percpu *percpu;

	if (!charge(cn, all))
		return;
	percpu = __alloc_percpu_gfp(percpu_size(), SMP_CACHE_BYTES,
				    GFP_KERNEL | __GFP_NOWARN);
	if (!percpu) {
		uncharge(cn, all);
		return;
	}
	/* pairs with ctxstat_port_count(), by address dependency */
	smp_store_release(&leaf->percpu, percpu);
}

static void for_each_leaf(const struct ctxstat_port_root *root,
			  void (*visit)(struct ctxstat_port_leaf *leaf, void *data),
			  void *data)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(root->nodes); i++) {
		struct ctxstat_port_node *node = READ_ONCE(root->nodes[i]);

		if (!node)
			continue;
		for (j = 0; j < CTXSTAT_NODE_LEAVES; j++) {
			struct ctxstat_port_leaf *leaf = READ_ONCE(node->leaves[j]);

			if (leaf)
				visit(leaf, data);
		}
		cond_resched();
	}
}

static void tick_leaf(struct ctxstat_port_leaf *leaf, void *data)
{
	if (READ_ONCE(leaf->percpu) || !READ_ONCE(leaf->hits))
		return;
	if (READ_ONCE(leaf->hits) >= CTXSTAT_BUSY_EVENTS)
		leaf_make_percpu(data, leaf);
	WRITE_ONCE(leaf->hits, 0);
}

/**
 * ctxstat_ports_tick() - give busy leaves their part per CPU
 * @cn: from ctxstat_netns_for_each(): one caller at a time
 *
 * Context: may sleep.
 */
void ctxstat_ports_tick(struct ctxstat_net *cn)
{
	struct ctxstat_port_root *root = READ_ONCE(cn->ports);

	if (root)
		for_each_leaf(root, tick_leaf, cn);
}

static void free_leaf(struct ctxstat_port_leaf *leaf, void *data)
{
	long *freed = data;

	*freed += sizeof(*leaf);
	if (leaf->percpu)
		*freed += percpu_size() * num_possible_cpus();
	free_percpu(leaf->percpu);
	kmem_cache_free(leaf_cache, leaf);
}

/**
 * ctxstat_ports_free() - free a tree that nobody uses any more
 * @root: the tree, or NULL
 */
void ctxstat_ports_free(struct ctxstat_port_root *root)
{
	long freed = sizeof(*root);
	size_t i;

	if (!root)
		return;
	for_each_leaf(root, free_leaf, &freed);
	for (i = 0; i < ARRAY_SIZE(root->nodes); i++) {
		if (root->nodes[i])
			freed += sizeof(*root->nodes[i]);
		kfree(root->nodes[i]);
	}
	kfree(root);
	atomic_long_sub(freed, &memory_used);
}

static void add_port(struct ctxstat_port *sum, const struct ctxstat_port *part)
{
	sum->opened += READ_ONCE(part->opened);
	sum->adopted += READ_ONCE(part->adopted);
	sum->answered += READ_ONCE(part->answered);
	sum->closed += READ_ONCE(part->closed);
	sum->failed += READ_ONCE(part->failed);
	sum->unreplied += READ_ONCE(part->unreplied);
	sum->packets += READ_ONCE(part->packets);
	sum->bytes += READ_ONCE(part->bytes);
}

static void sum_port(struct ctxstat_port *sum,
		     const struct ctxstat_port_leaf *leaf, unsigned int i)
{
	/* by address dependency: pairs with leaf_make_percpu() */
	struct ctxstat_port __percpu *percpu = READ_ONCE(leaf->percpu);
	int cpu;

	memset(sum, 0, sizeof(*sum));
	add_port(sum, &leaf->ports[i]);
	if (percpu)
		for_each_possible_cpu(cpu)
			add_port(sum, per_cpu_ptr(percpu, cpu) + i);
}

/**
 * ctxstat_port_next() - find the next port that has been seen
 * @root: of a namespace that cannot go away meanwhile, or NULL
 * @at: where to begin: protocol * 65536 + port; set to what was found
 * @sum: what is counted for it
 *
 * Context: may sleep.
 * Return: whether there is one.
 */
bool ctxstat_port_next(const struct ctxstat_port_root *root, unsigned long *at,
		       struct ctxstat_port *sum)
{
	unsigned long i = *at;

	while (root && i < CTXSTAT_PORT_PROTOS * CTXSTAT_PORTS) {
		const struct ctxstat_port_node *node = READ_ONCE(root->nodes[i >> 10]);
		const struct ctxstat_port_leaf *leaf;

		if (!node) {
			i = (i | 1023) + 1;
			continue;
		}
		leaf = READ_ONCE(node->leaves[i >> 4 & (CTXSTAT_NODE_LEAVES - 1)]);
		if (!leaf) {
			i = (i | (CTXSTAT_LEAF_PORTS - 1)) + 1;
			continue;
		}
		sum_port(sum, leaf, i % CTXSTAT_LEAF_PORTS);
		if (sum->opened || sum->adopted) {
			*at = i;
			return true;
		}
		i++;
		if (!(i & 1023))
			cond_resched();
	}
	return false;
}

/**
 * ctxstat_port_entries() - entries of a port now
 * @sum: from ctxstat_port_next()
 */
unsigned long ctxstat_port_entries(const struct ctxstat_port *sum)
{
	/* summed while entries move, it can come out below zero for a moment */
	return max((long)(sum->opened + sum->adopted - sum->closed - sum->failed),
		   0L);
}

/**
 * ctxstat_port_proto_name() - conntrack's name of the protocol
 * @at: from ctxstat_port_next()
 */
const char *ctxstat_port_proto_name(unsigned long at)
{
	return ctxstat_l4[port_l4protos[at / CTXSTAT_PORTS]].name;
}

/**
 * ctxstat_ports_init() - get what all port tables need
 *
 * Return: 0 or -ENOMEM.
 */
int ctxstat_ports_init(void)
{
	leaf_cache = kmem_cache_create("ctxstat_port_leaf",
				       sizeof(struct ctxstat_port_leaf), 0,
				       SLAB_HWCACHE_ALIGN, NULL);
	return leaf_cache ? 0 : -ENOMEM;
}

/**
 * ctxstat_ports_exit() - the undo of ctxstat_ports_init()
 *
 * All port tables have been freed.
 */
void ctxstat_ports_exit(void)
{
	kmem_cache_destroy(leaf_cache);
}
