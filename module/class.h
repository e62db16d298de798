/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an entry can be counted as. A row is a family, a protocol and that
 * protocol's state; a cell is a row and four flags. Rows and their order are
 * the order in which /proc shows them.
 */
#ifndef CTXSTAT_CLASS_H
#define CTXSTAT_CLASS_H

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

/* The flags of a cell, as an index. */
#define CTXSTAT_F_REPLIED	1
#define CTXSTAT_F_ASSURED	2
#define CTXSTAT_F_SNAT		4
#define CTXSTAT_F_DNAT		8
#define CTXSTAT_FLAGS		16

#define CTXSTAT_MAX_STATES	10	/* tcp has the most */
#define CTXSTAT_FAMILY_ROWS	33
#define CTXSTAT_ROWS		(CTXSTAT_FAMILIES * CTXSTAT_FAMILY_ROWS)

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

static inline unsigned int ctxstat_row(unsigned int family,
				       unsigned int l4proto, unsigned int state)
{
	return family * CTXSTAT_FAMILY_ROWS + ctxstat_l4[l4proto].first_row +
	       state;
}

struct ctxstat_class ctxstat_class_of_row(unsigned int row);
const char *ctxstat_state_name(const struct ctxstat_class *class);
enum ctxstat_l4proto ctxstat_l4proto_of(u8 protonum);

#endif /* CTXSTAT_CLASS_H */
