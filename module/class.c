// SPDX-License-Identifier: GPL-2.0-only
/* The table of families, protocols and states that entries are counted by. */
#include <linux/build_bug.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/kernel.h>
#include <linux/netfilter/nf_conntrack_sctp.h>
#include <linux/netfilter/nf_conntrack_tcp.h>

#include "class.h"

const char *const ctxstat_family_names[CTXSTAT_FAMILIES] = {
	[CTXSTAT_IPV4] = "ipv4",
	[CTXSTAT_IPV6] = "ipv6",
};

static const char *const no_states[] = { "-" };

static const char *const tcp_states[] = {
	[TCP_CONNTRACK_NONE]		= "NONE",
	[TCP_CONNTRACK_SYN_SENT]	= "SYN_SENT",
	[TCP_CONNTRACK_SYN_RECV]	= "SYN_RECV",
	[TCP_CONNTRACK_ESTABLISHED]	= "ESTABLISHED",
	[TCP_CONNTRACK_FIN_WAIT]	= "FIN_WAIT",
	[TCP_CONNTRACK_CLOSE_WAIT]	= "CLOSE_WAIT",
	[TCP_CONNTRACK_LAST_ACK]	= "LAST_ACK",
	[TCP_CONNTRACK_TIME_WAIT]	= "TIME_WAIT",
	[TCP_CONNTRACK_CLOSE]		= "CLOSE",
	[TCP_CONNTRACK_SYN_SENT2]	= "SYN_SENT2",
};

static const char *const sctp_states[] = {
	[SCTP_CONNTRACK_NONE]			= "NONE",
	[SCTP_CONNTRACK_CLOSED]			= "CLOSED",
	[SCTP_CONNTRACK_COOKIE_WAIT]		= "COOKIE_WAIT",
	[SCTP_CONNTRACK_COOKIE_ECHOED]		= "COOKIE_ECHOED",
	[SCTP_CONNTRACK_ESTABLISHED]		= "ESTABLISHED",
	[SCTP_CONNTRACK_SHUTDOWN_SENT]		= "SHUTDOWN_SENT",
	[SCTP_CONNTRACK_SHUTDOWN_RECD]		= "SHUTDOWN_RECD",
	[SCTP_CONNTRACK_SHUTDOWN_ACK_SENT]	= "SHUTDOWN_ACK_SENT",
	[SCTP_CONNTRACK_HEARTBEAT_SENT]		= "HEARTBEAT_SENT",
};

/* By number: the kernel's own names went away together with its tracker. */
static const char *const dccp_states[] = {
	"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ",
	"CLOSING", "TIMEWAIT",
};

#define STATES(names) .nr_states = ARRAY_SIZE(names), .states = (names)

const struct ctxstat_l4 ctxstat_l4[CTXSTAT_L4PROTOS] = {
	[CTXSTAT_TCP]	  = { "tcp",	  0, STATES(tcp_states) },
	[CTXSTAT_UDP]	  = { "udp",	 10, STATES(no_states) },
	[CTXSTAT_UDPLITE] = { "udplite", 11, STATES(no_states) },
	[CTXSTAT_ICMP]	  = { "icmp",	 12, STATES(no_states) },
	[CTXSTAT_ICMPV6]  = { "icmpv6",	 13, STATES(no_states) },
	[CTXSTAT_SCTP]	  = { "sctp",	 14, STATES(sctp_states) },
	[CTXSTAT_DCCP]	  = { "dccp",	 23, STATES(dccp_states) },
	[CTXSTAT_GRE]	  = { "gre",	 31, STATES(no_states) },
	[CTXSTAT_OTHER]	  = { "other",	 32, STATES(no_states) },
};

static_assert(ARRAY_SIZE(tcp_states) == CTXSTAT_MAX_STATES);
static_assert(10 + 1 + 1 + 1 + 1 == 14 && ARRAY_SIZE(sctp_states) == 23 - 14);
static_assert(ARRAY_SIZE(dccp_states) == 31 - 23);
static_assert(32 + 1 == CTXSTAT_FAMILY_ROWS);

/**
 * ctxstat_class_of_row() - take a row apart
 * @row: below CTXSTAT_ROWS
 */
struct ctxstat_class ctxstat_class_of_row(unsigned int row)
{
	unsigned int in_family = row % CTXSTAT_FAMILY_ROWS;
	unsigned int l4proto = CTXSTAT_L4PROTOS - 1;

	while (ctxstat_l4[l4proto].first_row > in_family)
		l4proto--;

	return (struct ctxstat_class) {
		.family = row / CTXSTAT_FAMILY_ROWS,
		.l4proto = l4proto,
		.state = in_family - ctxstat_l4[l4proto].first_row,
	};
}

/**
 * ctxstat_state_name() - conntrack's name of the state, "-" if there is none
 * @class: from ctxstat_class_of_row()
 */
const char *ctxstat_state_name(const struct ctxstat_class *class)
{
	return ctxstat_l4[class->l4proto].states[class->state];
}

/**
 * ctxstat_l4proto_of() - the protocol under which an entry is counted
 * @protonum: IP protocol number
 *
 * A protocol whose tracker this kernel lacks is tracked generically, like any
 * protocol unknown to conntrack, and counted as "other".
 */
enum ctxstat_l4proto ctxstat_l4proto_of(u8 protonum)
{
	switch (protonum) {
	case IPPROTO_TCP:
		return CTXSTAT_TCP;
	case IPPROTO_UDP:
		return CTXSTAT_UDP;
	case IPPROTO_UDPLITE:
		return CTXSTAT_UDPLITE;
	case IPPROTO_ICMP:
		return CTXSTAT_ICMP;
	case IPPROTO_ICMPV6:
		return CTXSTAT_ICMPV6;
#ifdef CONFIG_NF_CT_PROTO_SCTP
	case IPPROTO_SCTP:
		return CTXSTAT_SCTP;
#endif
#ifdef CONFIG_NF_CT_PROTO_DCCP
	case IPPROTO_DCCP:
		return CTXSTAT_DCCP;
#endif
	case IPPROTO_GRE:
		return CTXSTAT_GRE;
	default:
		return CTXSTAT_OTHER;
	}
}
