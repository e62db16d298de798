/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The port table of a network namespace: what is counted for each transport
 * protocol and destination port of the original direction, which never changes
 * in an entry's life.
 *
 * A tree for each protocol: the root has a node for every 256 ports, a node a leaf
 * for every 16 ports, so that a port's bytes are the way to it. Each is made when it
 * is needed first, with what memory is at hand, and lives as long as the namespace.
 * Whether an entry is counted here is a bit of its tag. If there is no memory for its
 * leaf, it is not, and the overflow is counted; its next change of state, or an
 * audit, tries again. So an entry that has the bit has its leaf, and nothing that is
 * due to be counted for it can fail.
 *
 * Who writes: the entry callbacks, as in counters.h. A leaf is shared by all CPUs,
 * with atomic operations, until it sees CTXSTAT_BUSY_EVENTS in a second: then the
 * ticker gives it a part per CPU. So ports that are used rarely, though by the
 * ten thousand, cost the same memory on any number of CPUs.
 *
 * Who reads: process context, by summing a leaf and its parts.
 */
#ifndef CTXSTAT_PORTS_H
#define CTXSTAT_PORTS_H

#include <linux/atomic.h>
#include <linux/build_bug.h>
#include <linux/percpu.h>
#include <linux/types.h>
#include <net/netfilter/nf_conntrack.h>

#include "class.h"

#define CTXSTAT_LEAF_PORTS	16
#define CTXSTAT_NODE_LEAVES	16
#define CTXSTAT_ROOT_NODES	256
#define CTXSTAT_PORTS		65536

/**
 * struct ctxstat_port - what is counted for a port
 * @opened: new entries
 * @adopted: entries that were not counted here when they were new: older than the
 *	module, or without memory then
 * @answered: entries that got an answer while they were counted here
 * @closed: entries that ended and had been answered
 * @failed: entries that ended and had not
 * @unreplied: gauge: entries without a packet in reply direction
 * @packets: of entries that ended, both directions
 * @bytes: of these packets
 *
 * A cache line.
 */
struct ctxstat_port {
	unsigned long opened, adopted, answered, closed, failed, unreplied;
	unsigned long packets, bytes;
};

/**
 * struct ctxstat_port_leaf - 16 ports
 * @percpu: an array of as many, once the leaf is busy
 * @hits: events since the ticker came by, roughly
 * @ports: what was counted before there was @percpu
 */
struct ctxstat_port_leaf {
	struct ctxstat_port __percpu *percpu;
	unsigned int hits;
	struct ctxstat_port ports[CTXSTAT_LEAF_PORTS] ____cacheline_aligned;
};

struct ctxstat_port_node {
	struct ctxstat_port_leaf *leaves[CTXSTAT_NODE_LEAVES];
};

struct ctxstat_port_root {
	struct ctxstat_port_node *nodes[CTXSTAT_ROOT_NODES];
};

/**
 * struct ctxstat_ports - the port table of a namespace
 * @roots: by protocol, and one more that always is empty
 * @memory: bytes in use
 * @overflow: entries that could not be counted
 * @initial: of the initial namespace
 *
 * What has not been made yet is not NULL, but an empty root or node that all
 * share, so that there is only one thing to check on the way to a leaf.
 */
struct ctxstat_ports {
	struct ctxstat_port_root *roots[CTXSTAT_PORT_PROTOS + 1];
	atomic_long_t memory, overflow;
	bool initial;
};

/**
 * ctxstat_port_find() - the leaf of a port
 * @ports: of the namespace
 * @proto: from ctxstat_protos
 * @port: in host byte order
 *
 * Return: the leaf, or NULL if it has not been made.
 */
static __always_inline struct ctxstat_port_leaf *
ctxstat_port_find(const struct ctxstat_ports *ports, unsigned long proto, u16 port)
{
	const struct ctxstat_port_root *root;
	const struct ctxstat_port_node *node;

	/* each by address dependency: pairs with cmpxchg() in ports.c */
	root = READ_ONCE(ports->roots[proto]);
	node = READ_ONCE(root->nodes[port >> 8]);
	return READ_ONCE(node->leaves[port >> 4 & (CTXSTAT_NODE_LEAVES - 1)]);
}

static __always_inline u16 ctxstat_port_of(const struct nf_conn *ct)
{
	return ntohs(ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple.dst.u.all);
}

struct ctxstat_port_leaf *ctxstat_port_make(struct ctxstat_ports *ports,
					    unsigned long proto, u16 port);

/* A port's place in a leaf, in bytes: with one shift instead of two. */
static __always_inline unsigned long ctxstat_port_offset(u16 port)
{
	static_assert(sizeof(struct ctxstat_port) == 64);
	return (unsigned long)(port & (CTXSTAT_LEAF_PORTS - 1)) << 6;
}

/* Add @n to a field of a port of a leaf, whose per-CPU part is @percpu, or NULL. */
#define ctxstat_port_add(leaf, percpu, offset, field, n) do {		\
	if (percpu)							\
		this_cpu_add(((struct ctxstat_port __percpu *)		\
			      ((unsigned long __force)(percpu) +	\
			       (offset)))->field, n);			\
	else								\
		atomic_long_add(n, (atomic_long_t *)			\
			&((struct ctxstat_port *)			\
			  ((void *)(leaf)->ports + (offset)))->field);	\
} while (0)

/**
 * struct ctxstat_port_change - what has become of an entry
 * @opened: it is new
 * @adopted: it is not, but was not counted yet
 * @answered: it got its answer
 * @unreplied: change of the gauge
 * @closed: it ended, and had been answered
 * @failed: it ended, and had not
 */
struct ctxstat_port_change {
	long opened, adopted, answered, unreplied, closed, failed;
};

/**
 * ctxstat_port_count() - count a change
 * @leaf: of the port
 * @port: the port
 * @c: the change; what is a constant zero costs nothing
 *
 * Context: RCU read section, or preemption off.
 */
static __always_inline void
ctxstat_port_count(struct ctxstat_port_leaf *leaf, u16 port,
		   const struct ctxstat_port_change c)
{
	/* by address dependency: pairs with smp_store_release() in the ticker */
	struct ctxstat_port __percpu *percpu = READ_ONCE(leaf->percpu);
	unsigned long offset = ctxstat_port_offset(port);

	if (!percpu)
		WRITE_ONCE(leaf->hits, READ_ONCE(leaf->hits) + 1);
#define ADD(field)							\
	if (!__builtin_constant_p(c.field) || c.field)			\
		ctxstat_port_add(leaf, percpu, offset, field, c.field)
	ADD(opened);
	ADD(adopted);
	ADD(answered);
	ADD(unreplied);
	ADD(closed);
	ADD(failed);
#undef ADD
}

int ctxstat_ports_init(void);
void ctxstat_ports_exit(void);
void ctxstat_ports_setup(struct ctxstat_ports *ports, bool initial);
void ctxstat_ports_detach(struct ctxstat_ports *ports, struct ctxstat_ports *dead);
void ctxstat_ports_release(struct ctxstat_ports *dead);
void ctxstat_ports_tick(struct ctxstat_ports *ports);
bool ctxstat_port_next(const struct ctxstat_ports *ports, unsigned long *at,
		       struct ctxstat_port *sum);
unsigned long ctxstat_port_entries(const struct ctxstat_port *sum);
const char *ctxstat_port_proto_name(unsigned long at);
unsigned long ctxstat_ports_max_memory(const struct ctxstat_ports *ports);

#endif /* CTXSTAT_PORTS_H */
