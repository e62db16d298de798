// SPDX-License-Identifier: GPL-2.0-only
/* The port table of a network namespace: ports.h says who may do what. */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "class.h"
#include "counters.h"
#include "ports.h"

static unsigned int port_memory = 32768;
module_param(port_memory, uint, 0444);
MODULE_PARM_DESC(port_memory, "most memory for the port tables of all namespaces, in KiB per possible CPU and once for all (default 32768)");

/* What has not been made, and what is not to be made any more. */
static struct ctxstat_port_node no_node;
static struct ctxstat_port_root no_root = {
	.nodes = { [0 ... CTXSTAT_ROOT_NODES - 1] = &no_node },
};
static struct ctxstat_port_root dead_root = {
	.nodes = { [0 ... CTXSTAT_ROOT_NODES - 1] = &no_node },
};

static struct kmem_cache *leaf_cache;
/* By all namespaces, and by all but the initial one. */
static atomic_long_t memory_used, memory_others;

static const u8 port_l4protos[CTXSTAT_PORT_PROTOS] = {
	[CTXSTAT_PORT_TCP]     = CTXSTAT_TCP,
	[CTXSTAT_PORT_UDP]     = CTXSTAT_UDP,
	[CTXSTAT_PORT_UDPLITE] = CTXSTAT_UDPLITE,
	[CTXSTAT_PORT_SCTP]    = CTXSTAT_SCTP,
	[CTXSTAT_PORT_DCCP]    = CTXSTAT_DCCP,
};

static long max_memory(void)
{
	return 1024L * port_memory * (num_possible_cpus() + 1);
}

/**
 * ctxstat_ports_max_memory() - what a table and others may take together, in bytes
 * @ports: the table
 *
 * All others together get half of it, so that those who can make namespaces of their
 * own cannot take it from the initial one.
 */
unsigned long ctxstat_ports_max_memory(const struct ctxstat_ports *ports)
{
	return ports->initial ? max_memory() : max_memory() / 2;
}

/* All or nothing, so that nobody is refused because of one who is. */
static bool add_below(atomic_long_t *used, long bytes, long max)
{
	long old = atomic_long_read(used);

	do {
		if (old + bytes > max)
			return false;
	} while (!atomic_long_try_cmpxchg(used, &old, old + bytes));
	return true;
}

static bool charge(struct ctxstat_ports *ports, long bytes)
{
	if (!ports->initial &&
	    !add_below(&memory_others, bytes, max_memory() / 2))
		return false;
	if (!add_below(&memory_used, bytes, max_memory())) {
		if (!ports->initial)
			atomic_long_sub(bytes, &memory_others);
		return false;
	}
	atomic_long_add(bytes, &ports->memory);
	return true;
}

static void uncharge(struct ctxstat_ports *ports, long bytes)
{
	if (!ports->initial)
		atomic_long_sub(bytes, &memory_others);
	atomic_long_sub(bytes, &memory_used);
	atomic_long_sub(bytes, &ports->memory);
}

/*
 * What *@where points to, which is @empty if it has not been made yet: then it is made
 * as a copy of that, zeroed if there is none, and whoever comes first makes it for
 * all. A leaf has a @cache of its own.
 *
 * Statistics are not worth the reserves that are kept for who cannot wait, nor a
 * warning. With PREEMPT_RT memory cannot be had with preemption off, as it is when
 * another tracer is on the same function.
 */
static void *make(struct ctxstat_ports *ports, void **where, void *empty,
		  struct kmem_cache *cache, size_t size)
{
	const gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN | __GFP_ZERO;
	void *old = READ_ONCE(*where), *new;

	if (old != empty)
		return old;
	if (IS_ENABLED(CONFIG_PREEMPT_RT) && !preemptible())
		return NULL;
	if (!charge(ports, size))
		return NULL;
	new = cache ? kmem_cache_alloc(cache, gfp) : kmalloc(size, gfp);
	if (!new)
		goto uncharge;
	if (empty)
		memcpy(new, empty, size);
	/* a release: who finds it finds what is in it */
	old = cmpxchg(where, empty, new);
	if (old == empty)
		return new;
	if (cache)
		kmem_cache_free(cache, new);
	else
		kfree(new);
uncharge:
	uncharge(ports, size);
	return new ? old : NULL;
}

/**
 * ctxstat_port_make() - the leaf of a port, made if it is not there yet
 * @ports: of the namespace
 * @proto: which must have ports
 * @port: in host byte order
 *
 * Context: RCU read section, or preemption off; any in which conntrack runs.
 * Return: the leaf; NULL if there is no memory, or the namespace is dying.
 */
struct ctxstat_port_leaf *ctxstat_port_make(struct ctxstat_ports *ports,
					    unsigned long proto, u16 port)
{
	struct ctxstat_port_root *root;
	struct ctxstat_port_node *node;
	void **where;

	root = make(ports, (void **)&ports->roots[proto], &no_root, NULL,
		    sizeof(*root));
	if (!root || root == &dead_root)
		return NULL;
	node = make(ports, (void **)&root->nodes[port >> 8], &no_node, NULL,
		    sizeof(*node));
	if (!node)
		return NULL;
	where = (void **)&node->leaves[port >> 4 & (CTXSTAT_NODE_LEAVES - 1)];
	return make(ports, where, NULL, leaf_cache,
		    sizeof(struct ctxstat_port_leaf));
}

static size_t percpu_size(void)
{
	return sizeof(struct ctxstat_port) * CTXSTAT_LEAF_PORTS;
}

/* If there is no memory, the leaf goes on being shared. */
static void leaf_make_percpu(struct ctxstat_ports *ports,
			     struct ctxstat_port_leaf *leaf)
{
	size_t all = percpu_size() * num_possible_cpus();
	struct ctxstat_port __percpu *percpu;

	if (!charge(ports, all))
		return;
	percpu = __alloc_percpu_gfp(percpu_size(), SMP_CACHE_BYTES,
				    GFP_KERNEL | __GFP_NOWARN);
	if (!percpu) {
		uncharge(ports, all);
		return;
	}
	/* pairs with ctxstat_port_count(), by address dependency */
	smp_store_release(&leaf->percpu, percpu);
}

static void for_each_leaf(struct ctxstat_ports *ports,
			  void (*visit)(struct ctxstat_ports *ports,
					struct ctxstat_port_leaf *leaf))
{
	size_t proto, i, j;

	for (proto = 0; proto < CTXSTAT_PORT_PROTOS; proto++) {
		struct ctxstat_port_root *root = READ_ONCE(ports->roots[proto]);

		if (root == &no_root)
			continue;
		for (i = 0; i < CTXSTAT_ROOT_NODES; i++) {
			struct ctxstat_port_node *node = READ_ONCE(root->nodes[i]);

			for (j = 0; j < CTXSTAT_NODE_LEAVES; j++) {
				struct ctxstat_port_leaf *leaf =
					READ_ONCE(node->leaves[j]);

				if (leaf)
					visit(ports, leaf);
			}
		}
		cond_resched();
	}
}

static void tick_leaf(struct ctxstat_ports *ports, struct ctxstat_port_leaf *leaf)
{
	if (READ_ONCE(leaf->percpu) || !READ_ONCE(leaf->hits))
		return;
	if (READ_ONCE(leaf->hits) >= CTXSTAT_BUSY_EVENTS)
		leaf_make_percpu(ports, leaf);
	WRITE_ONCE(leaf->hits, 0);
}

/**
 * ctxstat_ports_tick() - give busy leaves their part per CPU
 * @ports: of a namespace from ctxstat_netns_for_each(): one caller at a time
 *
 * Context: may sleep.
 */
void ctxstat_ports_tick(struct ctxstat_ports *ports)
{
	for_each_leaf(ports, tick_leaf);
}

/**
 * ctxstat_ports_setup() - begin with an empty table
 * @ports: zeroed memory
 * @initial: of the initial namespace
 */
void ctxstat_ports_setup(struct ctxstat_ports *ports, bool initial)
{
	size_t i;

	ports->initial = initial;
	for (i = 0; i < ARRAY_SIZE(ports->roots); i++)
		ports->roots[i] = &no_root;
}

/**
 * ctxstat_ports_detach() - let nothing be counted any more
 * @ports: of a namespace that is being torn down
 * @dead: takes what there was
 *
 * The caller waits for an RCU grace period before ctxstat_ports_release().
 */
void ctxstat_ports_detach(struct ctxstat_ports *ports, struct ctxstat_ports *dead)
{
	size_t i;

	dead->initial = ports->initial;
	for (i = 0; i < ARRAY_SIZE(ports->roots); i++)
		dead->roots[i] = xchg(&ports->roots[i], &dead_root);
}

static void free_leaf(struct ctxstat_ports *ports, struct ctxstat_port_leaf *leaf)
{
	if (leaf->percpu) {
		free_percpu(leaf->percpu);
		uncharge(ports, percpu_size() * num_possible_cpus());
	}
	kmem_cache_free(leaf_cache, leaf);
	uncharge(ports, sizeof(*leaf));
}

/**
 * ctxstat_ports_release() - free a table that nobody uses any more
 * @dead: from ctxstat_ports_detach()
 *
 * Context: may sleep.
 */
void ctxstat_ports_release(struct ctxstat_ports *dead)
{
	size_t proto, i;

	for_each_leaf(dead, free_leaf);
	for (proto = 0; proto < CTXSTAT_PORT_PROTOS; proto++) {
		struct ctxstat_port_root *root = dead->roots[proto];

		if (root == &no_root)
			continue;
		for (i = 0; i < CTXSTAT_ROOT_NODES; i++) {
			if (root->nodes[i] == &no_node)
				continue;
			kfree(root->nodes[i]);
			uncharge(dead, sizeof(*root->nodes[i]));
		}
		kfree(root);
		uncharge(dead, sizeof(*root));
	}
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
 * @ports: of a namespace that cannot go away meanwhile
 * @at: where to begin: protocol * 65536 + port; set to what was found
 * @sum: what is counted for it
 *
 * Context: may sleep.
 * Return: whether there is one.
 */
bool ctxstat_port_next(const struct ctxstat_ports *ports, unsigned long *at,
		       struct ctxstat_port *sum)
{
	unsigned long i = *at;

	while (i < CTXSTAT_PORT_PROTOS * CTXSTAT_PORTS) {
		const struct ctxstat_port_root *root =
			READ_ONCE(ports->roots[i / CTXSTAT_PORTS]);
		const struct ctxstat_port_node *node =
			READ_ONCE(root->nodes[i / 256 % CTXSTAT_ROOT_NODES]);
		const struct ctxstat_port_leaf *leaf =
			READ_ONCE(node->leaves[i / CTXSTAT_LEAF_PORTS %
					       CTXSTAT_NODE_LEAVES]);

		if (!leaf) {
			i |= root == &no_root ? CTXSTAT_PORTS - 1 :
			     node == &no_node ? 255 : CTXSTAT_LEAF_PORTS - 1;
			i++;
			continue;
		}
		if (!(i % CTXSTAT_LEAF_PORTS))
			cond_resched();
		sum_port(sum, leaf, i % CTXSTAT_LEAF_PORTS);
		if (sum->opened || sum->adopted) {
			*at = i;
			return true;
		}
		i++;
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
