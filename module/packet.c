// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet path: sees that a packet has changed the state or the flags of
 * its entry. Runs right after conntrack, where the protocol state, SEEN_REPLY
 * and ASSURED are final for this packet. It is run for every packet, so it
 * does nothing but compare: a packet that changes nothing costs a dozen
 * instructions and writes nothing.
 */
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/skbuff.h>
#include <net/netfilter/nf_conntrack.h>

#include "entry.h"
#include "packet.h"
#include "tag.h"

/* Out of line, and it has the last word: the hook needs no stack then. */
static noinline notrace unsigned int packet_changed(struct nf_conn *ct)
{
	ctxstat_entry_changed(ct);
	return NF_ACCEPT;
}

/* notrace: otherwise it begins with a no-op for ftrace. */
static notrace unsigned int packet_hook(void *priv, struct sk_buff *skb,
					const struct nf_hook_state *state)
{
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	if (ct && unlikely(!ctxstat_tag_is_current(ct)))
		return packet_changed(ct);
	return NF_ACCEPT;
}

static const struct nf_hook_ops packet_hooks[] = {
	{
		.hook = packet_hook,
		.pf = NFPROTO_INET,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP_PRI_CONNTRACK + 1,
	},
	{
		.hook = packet_hook,
		.pf = NFPROTO_INET,
		.hooknum = NF_INET_LOCAL_OUT,
		.priority = NF_IP_PRI_CONNTRACK + 1,
	},
#ifdef CONFIG_NETFILTER_FAMILY_BRIDGE
	/* nf_conntrack_bridge tracks what is bridged */
	{
		.hook = packet_hook,
		.pf = NFPROTO_BRIDGE,
		.hooknum = NF_BR_PRE_ROUTING,
		.priority = NF_IP_PRI_CONNTRACK + 1,
	},
#endif
};

/**
 * ctxstat_packet_init() - hook into the packet path of a namespace
 * @net: the namespace
 *
 * Return: 0 or a negative error.
 */
int ctxstat_packet_init(struct net *net)
{
	return nf_register_net_hooks(net, packet_hooks,
				     ARRAY_SIZE(packet_hooks));
}

/**
 * ctxstat_packet_exit() - the undo of ctxstat_packet_init()
 * @net: the namespace
 *
 * The caller waits for an RCU grace period before it frees what the hook uses.
 */
void ctxstat_packet_exit(struct net *net)
{
	nf_unregister_net_hooks(net, packet_hooks, ARRAY_SIZE(packet_hooks));
}
