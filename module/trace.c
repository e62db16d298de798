// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the packet path does not show: entries that begin, end, or are changed
 * from user space. Seen by ftrace at the entry of the conntrack functions
 * through which every such entry passes.
 *
 * The callbacks run in the context of the traced function: softirq or task,
 * preemptible or not. Another tracer on the same function makes the core call
 * them with preemption off; on arm64 before 6.3, which has one trampoline for all,
 * it always does. So they take no lock; and the one thing that they allocate, the
 * leaf of a port not seen before, they can do without, see ports.c.
 *
 * The event notifier of conntrack is not used: it has one slot in a
 * namespace, which belongs to ctnetlink.
 */
#include <linux/ftrace.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_ecache.h>

#include "compat.h"
#include "entry.h"
#include "reason.h"
#include "selftest.h"
#include "tag.h"
#include "trace.h"

/*
 * A packet's entry is about to be inserted: NAT is settled. The first test is
 * the function's own. A clone of the packet may have been here before.
 */
static void notrace trace_confirm(unsigned long ip, unsigned long parent_ip,
				  struct ftrace_ops *ops,
				  struct ftrace_regs *fregs)
{
	struct sk_buff *skb = ctxstat_ftrace_arg(fregs, 0);
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	if (unlikely(CTINFO2DIR(ctinfo) != IP_CT_DIR_ORIGINAL)) {
		ctxstat_selftest_seen(ct, CTXSTAT_SELFTEST_CONFIRM);
		return;
	}
	ctxstat_entry_begin(ct);
}

/* An entry without a packet (ctnetlink, BPF) is about to be inserted. */
static void notrace trace_insert(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
	ctxstat_entry_begin(ctxstat_ftrace_arg(fregs, 0));
}

/*
 * An entry was created or changed through ctnetlink, or an event about its
 * end is due. Called whether or not anybody listens.
 *
 * With preemption off, as with PREEMPT_RT an allocation could sleep, and ftrace takes a
 * task that has slept for one that has left its trampoline. (Those about a new entry are
 * called within a RCU read section, which ftrace waits for as well.)
 */
static void notrace trace_report(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
	struct nf_conn *ct = ctxstat_ftrace_arg(fregs, 1);

	if (unlikely(!nf_ct_is_confirmed(ct))) {
		ctxstat_selftest_seen(ct, CTXSTAT_SELFTEST_REPORT);
	} else if (!ctxstat_tag_is_current(ct)) {
		preempt_disable_notrace();
		ctxstat_entry_changed(ct);
		preempt_enable_notrace();
	}
}

/* An entry is about to be deleted, unless somebody else has begun to. */
static void notrace trace_delete(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
	struct nf_conn *ct = ctxstat_ftrace_arg(fregs, 0);
	u32 portid = (unsigned long)ctxstat_ftrace_arg(fregs, 1);

	if (unlikely(READ_ONCE(ct->status) & IPS_DYING)) {
		ctxstat_selftest_seen(ct, CTXSTAT_SELFTEST_DELETE);
		return;
	}
	ctxstat_entry_delete(ct, portid ? CTXSTAT_END_DELETED :
				 ctxstat_reason_of(ct, parent_ip));
}

/*
 * A tracker or NAT is about to delete a packet's entry, by way of nf_ct_delete().
 * Which of them, only the return address from here tells for sure: that from
 * nf_ct_delete() tells it where the compiler made a jump of the call in between, and
 * does not where every function keeps its frame, as on arm64.
 */
static void notrace trace_kill(unsigned long ip, unsigned long parent_ip,
			       struct ftrace_ops *ops,
			       struct ftrace_regs *fregs)
{
	struct nf_conn *ct = ctxstat_ftrace_arg(fregs, 0);

	if (unlikely(READ_ONCE(ct->status) & IPS_DYING)) {
		ctxstat_selftest_seen(ct, CTXSTAT_SELFTEST_KILL);
		return;
	}
	ctxstat_entry_delete(ct, ctxstat_reason_of(ct, parent_ip));
}

/* An entry goes back to its slab cache: the only way there, once per entry. */
static void notrace trace_free(unsigned long ip, unsigned long parent_ip,
			       struct ftrace_ops *ops,
			       struct ftrace_regs *fregs)
{
	ctxstat_entry_end(ctxstat_ftrace_arg(fregs, 0), false);
}

/**
 * struct trace_point - a traced function
 * @name: of the function
 * @ip: its address
 * @ops: our callback; PERMANENT: switching ftrace off is refused while loaded
 * @registered: whether it is in use
 */
struct trace_point {
	const char *name;
	unsigned long ip;
	struct ftrace_ops ops;
	bool registered;
};

#define TRACE_POINT(function, callback) {				\
	.name = #function,						\
	.ip = (unsigned long)(function),				\
	.ops = { .func = (callback), .flags = FTRACE_OPS_FL_PERMANENT },\
}

/*
 * The callbacks know arguments by their place only. A kernel where one has moved is
 * refused here; one where a function is inlined, or called for another purpose, by
 * the self-test at load.
 */
#define TRACES(function, type)						\
	static_assert(__same_type(function, type),			\
		      "ctxstat: this kernel has another " #function "()")

TRACES(nf_conntrack_free, void (struct nf_conn *ct));
TRACES(__nf_conntrack_confirm, int (struct sk_buff *skb));
TRACES(nf_conntrack_hash_check_insert, int (struct nf_conn *ct));
TRACES(nf_conntrack_eventmask_report, int (unsigned int eventmask,
					   struct nf_conn *ct, u32 portid,
					   int report));
TRACES(nf_ct_kill_acct, bool (struct nf_conn *ct, enum ip_conntrack_info ctinfo,
			      const struct sk_buff *skb));
TRACES(nf_ct_delete, bool (struct nf_conn *ct, u32 portid, int report));

/* The end comes first: nothing may be counted whose end would not be seen. */
static struct trace_point trace_points[] = {
	TRACE_POINT(nf_conntrack_free, trace_free),
	TRACE_POINT(__nf_conntrack_confirm, trace_confirm),
	TRACE_POINT(nf_conntrack_hash_check_insert, trace_insert),
	TRACE_POINT(nf_conntrack_eventmask_report, trace_report),
	TRACE_POINT(nf_ct_kill_acct, trace_kill),
	TRACE_POINT(nf_ct_delete, trace_delete),
};

/*
 * Free what ftrace has allocated to know where our callback belongs. With its only
 * function gone nothing is left. (ftrace_free_filter() is there for modules since
 * 6.1.9 and 6.2 only.) That takes memory itself, a few bytes, which may be short for
 * a moment; nobody else would free what is there.
 */
static void trace_forget(struct trace_point *tp)
{
	while (ftrace_set_filter_ip(&tp->ops, tp->ip, 1, 0) == -ENOMEM)
		schedule_timeout_uninterruptible(1);
}

static int trace_register(struct trace_point *tp)
{
	int err;

	err = ftrace_set_filter_ip(&tp->ops, tp->ip, 0, 0);
	if (!err) {
		err = register_ftrace_function(&tp->ops);
		if (!err) {
			tp->registered = true;
			return 0;
		}
		trace_forget(tp);
	}

	switch (err) {
	case -ENOMEM:
		pr_err("not loaded: out of memory\n");
		break;
	case -EBUSY:
		pr_err("not loaded: function tracing is switched off; run \"sysctl kernel.ftrace_enabled=1\" and load again\n");
		break;
	default:
		pr_err("not loaded: this kernel does not let %s() be traced (error %d); a kernel with CONFIG_DYNAMIC_FTRACE is needed\n",
		       tp->name, err);
	}
	return err;
}

/**
 * ctxstat_trace_init() - see entries begin, change and end
 *
 * Context: may sleep.
 * Return: 0, or a negative error: then the reason is in the log, and nothing
 * is left registered.
 */
int ctxstat_trace_init(void)
{
	int err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(trace_points); i++) {
		err = trace_register(&trace_points[i]);
		if (err) {
			ctxstat_trace_exit();
			return err;
		}
	}
	return 0;
}

/*
 * ftrace refuses only after a fault of its own, when it has shut itself down
 * and left everything in place. The kernel then still calls into this module,
 * so its code must stay: better an rmmod that never returns than a crash.
 */
static void trace_unregister(struct trace_point *tp)
{
	int err = unregister_ftrace_function(&tp->ops);

	if (err) {
		pr_crit("ftrace has failed (error %d) and still calls this module: it cannot be unloaded before a reboot\n",
			err);
		while (true)
			schedule_timeout_idle(MAX_SCHEDULE_TIMEOUT);
	}
	trace_forget(tp);
	tp->registered = false;
}

/**
 * ctxstat_trace_exit() - the undo of ctxstat_trace_init()
 *
 * Context: may sleep. Returns when no callback runs any more.
 */
void ctxstat_trace_exit(void)
{
	size_t i = ARRAY_SIZE(trace_points);

	while (i--)
		if (trace_points[i].registered)
			trace_unregister(&trace_points[i]);
}
