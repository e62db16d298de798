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

/* First row of each protocol within a family. */
enum {
	TCP_ROW		= CTXSTAT_TCP_ROW,
	UDP_ROW		= TCP_ROW + ARRAY_SIZE(tcp_states),
	UDPLITE_ROW,
	ICMP_ROW,
	ICMPV6_ROW,
	SCTP_ROW,
	DCCP_ROW	= SCTP_ROW + ARRAY_SIZE(sctp_states),
	GRE_ROW		= DCCP_ROW + ARRAY_SIZE(dccp_states),
	OTHER_ROW,
	END_ROW,
};

static_assert(ARRAY_SIZE(tcp_states) == CTXSTAT_MAX_STATES);
static_assert(END_ROW == CTXSTAT_FAMILY_ROWS);

#define STATES(names) .nr_states = ARRAY_SIZE(names), .states = (names)

const struct ctxstat_l4 ctxstat_l4[CTXSTAT_L4PROTOS] = {
	[CTXSTAT_TCP]	  = { "tcp",	 TCP_ROW,     STATES(tcp_states) },
	[CTXSTAT_UDP]	  = { "udp",	 UDP_ROW,     STATES(no_states) },
	[CTXSTAT_UDPLITE] = { "udplite", UDPLITE_ROW, STATES(no_states) },
	[CTXSTAT_ICMP]	  = { "icmp",	 ICMP_ROW,    STATES(no_states) },
	[CTXSTAT_ICMPV6]  = { "icmpv6",	 ICMPV6_ROW,  STATES(no_states) },
	[CTXSTAT_SCTP]	  = { "sctp",	 SCTP_ROW,    STATES(sctp_states) },
	[CTXSTAT_DCCP]	  = { "dccp",	 DCCP_ROW,    STATES(dccp_states) },
	[CTXSTAT_GRE]	  = { "gre",	 GRE_ROW,     STATES(no_states) },
	[CTXSTAT_OTHER]	  = { "other",	 OTHER_ROW,   STATES(no_states) },
};

const u8 ctxstat_l4proto_of_row[CTXSTAT_FAMILY_ROWS] = {
	[TCP_ROW ... UDP_ROW - 1]	= CTXSTAT_TCP,
	[UDP_ROW]			= CTXSTAT_UDP,
	[UDPLITE_ROW]			= CTXSTAT_UDPLITE,
	[ICMP_ROW]			= CTXSTAT_ICMP,
	[ICMPV6_ROW]			= CTXSTAT_ICMPV6,
	[SCTP_ROW ... DCCP_ROW - 1]	= CTXSTAT_SCTP,
	[DCCP_ROW ... GRE_ROW - 1]	= CTXSTAT_DCCP,
	[GRE_ROW]			= CTXSTAT_GRE,
	[OTHER_ROW]			= CTXSTAT_OTHER,
};

#define OTHER		{ OTHER_ROW, CTXSTAT_PORT_PROTOS }
#define OTHERS(from, to) [from ... to] = OTHER

/*
 * A protocol whose tracker this kernel lacks is tracked generically, like any
 * protocol unknown to conntrack, without ports, and counted as "other".
 */
#ifdef CONFIG_NF_CT_PROTO_DCCP
#define DCCP		{ DCCP_ROW | CTXSTAT_HAS_STATES, CTXSTAT_PORT_DCCP }
#else
#define DCCP		OTHER
#endif
#ifdef CONFIG_NF_CT_PROTO_SCTP
#define SCTP		{ SCTP_ROW | CTXSTAT_HAS_STATES, CTXSTAT_PORT_SCTP }
#else
#define SCTP		OTHER
#endif
#ifdef CONFIG_NF_CT_PROTO_UDPLITE
#define UDPLITE		{ UDPLITE_ROW, CTXSTAT_PORT_UDPLITE }
#else
#define UDPLITE		OTHER
#endif

const struct ctxstat_proto ctxstat_protos[256] = {
	OTHERS(0, IPPROTO_ICMP - 1),
	[IPPROTO_ICMP]	  = { ICMP_ROW, CTXSTAT_PORT_PROTOS },
	OTHERS(IPPROTO_ICMP + 1, IPPROTO_TCP - 1),
	[IPPROTO_TCP]	  = { TCP_ROW | CTXSTAT_HAS_STATES, CTXSTAT_PORT_TCP },
	OTHERS(IPPROTO_TCP + 1, IPPROTO_UDP - 1),
	[IPPROTO_UDP]	  = { UDP_ROW, CTXSTAT_PORT_UDP },
	OTHERS(IPPROTO_UDP + 1, IPPROTO_DCCP - 1),
	[IPPROTO_DCCP]	  = DCCP,
	OTHERS(IPPROTO_DCCP + 1, IPPROTO_GRE - 1),
	[IPPROTO_GRE]	  = { GRE_ROW, CTXSTAT_PORT_PROTOS },
	OTHERS(IPPROTO_GRE + 1, IPPROTO_ICMPV6 - 1),
	[IPPROTO_ICMPV6]  = { ICMPV6_ROW, CTXSTAT_PORT_PROTOS },
	OTHERS(IPPROTO_ICMPV6 + 1, IPPROTO_SCTP - 1),
	[IPPROTO_SCTP]	  = SCTP,
	OTHERS(IPPROTO_SCTP + 1, IPPROTO_UDPLITE - 1),
	[IPPROTO_UDPLITE] = UDPLITE,
	OTHERS(IPPROTO_UDPLITE + 1, 255),
};

/**
 * ctxstat_class_of_row() - take a row apart
 * @row: below CTXSTAT_ROWS
 */
struct ctxstat_class ctxstat_class_of_row(unsigned int row)
{
	unsigned int in_family = row % CTXSTAT_FAMILY_ROWS;
	enum ctxstat_l4proto l4proto = ctxstat_l4proto_of_row[in_family];

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
