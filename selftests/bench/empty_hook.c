// SPDX-License-Identifier: GPL-2.0-only
/*
 * The floor for any module that looks at packets where ctxstat does: the same
 * two hooks in every namespace, and nothing in them. With trace=1 also where it
 * looks at entries: ftrace callbacks when they are confirmed, deleted and freed.
 */
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>

static unsigned int empty_hook(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static const struct nf_hook_ops empty_hooks[] = {
	{
		.hook = empty_hook,
		.pf = NFPROTO_INET,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP_PRI_CONNTRACK + 1,
	},
	{
		.hook = empty_hook,
		.pf = NFPROTO_INET,
		.hooknum = NF_INET_LOCAL_OUT,
		.priority = NF_IP_PRI_CONNTRACK + 1,
	},
};

static int __net_init empty_hook_net_init(struct net *net)
{
	return nf_register_net_hooks(net, empty_hooks, ARRAY_SIZE(empty_hooks));
}

static void __net_exit empty_hook_net_exit(struct net *net)
{
	nf_unregister_net_hooks(net, empty_hooks, ARRAY_SIZE(empty_hooks));
}

static struct pernet_operations empty_hook_net_ops = {
	.init = empty_hook_net_init,
	.exit = empty_hook_net_exit,
};

static void notrace empty_callback(unsigned long ip, unsigned long parent_ip,
				   struct ftrace_ops *ops,
				   struct ftrace_regs *fregs)
{
}

static bool trace;
module_param(trace, bool, 0444);
MODULE_PARM_DESC(trace, "also trace the confirming, deleting and freeing of entries");

#define EMPTY_OPS { .func = empty_callback, .flags = FTRACE_OPS_FL_PERMANENT }

static struct ftrace_ops empty_ops[] = { EMPTY_OPS, EMPTY_OPS, EMPTY_OPS };

static int __init empty_hook_trace(struct ftrace_ops *ops, void *function)
{
	int err = ftrace_set_filter_ip(ops, (unsigned long)function, 0, 0);

	return err ?: register_ftrace_function(ops);
}

static int __init empty_hook_init(void)
{
	int err = register_pernet_subsys(&empty_hook_net_ops);

	if (err || !trace)
		return err;
	err = empty_hook_trace(&empty_ops[0], __nf_conntrack_confirm);
	if (err)
		goto unhook;
	err = empty_hook_trace(&empty_ops[1], nf_conntrack_free);
	if (err)
		goto untrace_confirm;
	err = empty_hook_trace(&empty_ops[2], nf_ct_delete);
	if (err)
		goto untrace_free;
	return 0;

untrace_free:
	unregister_ftrace_function(&empty_ops[1]);
untrace_confirm:
	unregister_ftrace_function(&empty_ops[0]);
unhook:
	unregister_pernet_subsys(&empty_hook_net_ops);
	return err;
}

static void __exit empty_hook_exit(void)
{
	if (trace) {
		unregister_ftrace_function(&empty_ops[2]);
		unregister_ftrace_function(&empty_ops[1]);
		unregister_ftrace_function(&empty_ops[0]);
	}
	unregister_pernet_subsys(&empty_hook_net_ops);
}

module_init(empty_hook_init);
module_exit(empty_hook_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Empty netfilter hooks, to compare the cost of others with");
