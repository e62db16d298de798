/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an entry can be counted as. A row is a family, a protocol and that
 * protocol's state; a cell is a row and four flags. Rows and their order are
 * the order in which /proc shows them.
 */
#ifndef CTXSTAT_CLASS_H
#define CTXSTAT_CLASS_H

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/types.h>

enum ctxstat_family {
	CTXSTAT_IPV4,
	CTXSTAT_IPV6,
	CTXSTAT_FAMILIES,
};

enum ctxstat_l4proto {
	CTXSTAT_TCP,
	CTXSTAT_UDP,
	CTXSTAT_UDPLITE,
	CTXSTAT_ICMP,
	CTXSTAT_ICMPV6,
	CTXSTAT_SCTP,
	CTXSTAT_DCCP,
	CTXSTAT_GRE,
	CTXSTAT_OTHER,
	CTXSTAT_L4PROTOS,
};

/*
 * The flags of a cell, as an index: bits 1..5 of the status in the order in which
 * they come, so that no instruction is spent on sorting them. What CONFIRMED
 * becomes (4) says nothing.
 */
#define CTXSTAT_F_REPLIED	(IPS_SEEN_REPLY >> 1)
#define CTXSTAT_F_ASSURED	(IPS_ASSURED >> 1)
#define CTXSTAT_F_SNAT		(IPS_SRC_NAT >> 1)
#define CTXSTAT_F_DNAT		(IPS_DST_NAT >> 1)
#define CTXSTAT_FLAGS		32

#define CTXSTAT_MAX_STATES	10	/* tcp has the most */
#define CTXSTAT_FAMILY_ROWS	33
#define CTXSTAT_ROWS		(CTXSTAT_FAMILIES * CTXSTAT_FAMILY_ROWS)
#define CTXSTAT_CELLS		(CTXSTAT_ROWS * CTXSTAT_FLAGS)

/**
 * struct ctxstat_l4 - a protocol and its states
 * @name: as conntrack names it
 * @first_row: row of its first state within a family
 * @nr_states: number of states, 1 for a protocol without states
 * @states: conntrack's names of the states, by conntrack's number
 */
struct ctxstat_l4 {
	const char *name;
	u8 first_row;
	u8 nr_states;
	const char *const *states;
};

extern const char *const ctxstat_family_names[CTXSTAT_FAMILIES];
extern const struct ctxstat_l4 ctxstat_l4[CTXSTAT_L4PROTOS];

/* Protocols that have ports, in the order in which /proc shows them. */
enum ctxstat_port_proto {
	CTXSTAT_PORT_TCP,
	CTXSTAT_PORT_UDP,
	CTXSTAT_PORT_UDPLITE,
	CTXSTAT_PORT_SCTP,
	CTXSTAT_PORT_DCCP,
	CTXSTAT_PORT_PROTOS,
};

/**
 * struct ctxstat_proto - how entries of an IP protocol number are counted
 * @row: the first row within a family, with CTXSTAT_HAS_STATES if its states
 *	have rows of their own
 * @ports: in the table of ports; CTXSTAT_PORT_PROTOS if it has none
 */
struct ctxstat_proto {
	u8 row;
	u8 ports;
};

extern const struct ctxstat_proto ctxstat_protos[256];

#define CTXSTAT_HAS_STATES	128
#define CTXSTAT_TCP_ROW		0

/**
 * struct ctxstat_class - a row, taken apart
 * @family: IPv4 or IPv6
 * @l4proto: protocol
 * @state: conntrack's number of the state, 0 for a protocol without states
 */
struct ctxstat_class {
	enum ctxstat_family family;
	enum ctxstat_l4proto l4proto;
	unsigned int state;
};

static inline unsigned long ctxstat_cell(unsigned long row, unsigned long flags)
{
	return row * CTXSTAT_FLAGS + flags;
}

/* The protocol of a row within a family. */
extern const u8 ctxstat_l4proto_of_row[CTXSTAT_FAMILY_ROWS];

struct ctxstat_class ctxstat_class_of_row(unsigned int row);
const char *ctxstat_state_name(const struct ctxstat_class *class);

#endif /* CTXSTAT_CLASS_H */
