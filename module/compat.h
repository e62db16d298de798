/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything that differs between kernels, and nothing else. Feature tests
 * come first; a version test names the commit that changed the interface.
 */
#ifndef CTXSTAT_COMPAT_H
#define CTXSTAT_COMPAT_H

#include <linux/kconfig.h>
#include <linux/version.h>

/*
 * What ctxstat cannot do without. Kbuild includes this file first of all, and lets
 * the compiler stop at its first error: so the reason is what it prints, not what
 * follows from it.
 */
#ifndef CONFIG_64BIT
#error "ctxstat: only 64-bit kernels have room for its tag in a conntrack entry"
#endif
/*
 * 5.19 has 8a75a2c17410 ("netfilter: conntrack: remove unconfirmed list") and
 * 1397af5bfd7d ("netfilter: conntrack: remove the percpu dying list"). Before,
 *  - nf_ct_destroy() takes an entry out of one of these lists, and stops the kernel if
 *    it is in none, as the self-test's entry is;
 *  - an entry that was never in the table has been in a list all the same: entry.h
 *    tells one from the other by the pointer that both use;
 *  - nf_ct_iterate_cleanup_net() takes its arguments one by one: 8169ff584003
 *    ("netfilter: conntrack: add nf_ct_iter_data object"), in 5.19 as well.
 * No header defines anything that the preprocessor could tell this by.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
#error "ctxstat: kernels before 5.19 are not supported"
#endif
#if !IS_ENABLED(CONFIG_NF_CONNTRACK)
#error "ctxstat: this kernel is built without connection tracking (CONFIG_NF_CONNTRACK)"
#endif
#ifndef CONFIG_NF_CONNTRACK_EVENTS
#error "ctxstat: changes made by conntrack -U cannot be seen in this kernel (CONFIG_NF_CONNTRACK_EVENTS)"
#endif
#ifndef CONFIG_DYNAMIC_FTRACE
#error "ctxstat: this kernel is built without dynamic function tracing (CONFIG_DYNAMIC_FTRACE)"
#endif
#if !defined(CONFIG_DYNAMIC_FTRACE_WITH_REGS) && \
	!defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)
#error "ctxstat: this kernel's ftrace cannot hand over function arguments (CONFIG_DYNAMIC_FTRACE_WITH_ARGS)"
#endif

#include <linux/ftrace.h>
#include <linux/workqueue.h>
#include <net/netfilter/nf_conntrack.h>

/*
 * Argument @n (0 or 1) of a function seen through ftrace. Since 6.2 there is
 * ftrace_regs_get_argument(): a macro, or an inline function where an architecture
 * says that it has a struct of its own (since 6.13, and in 6.12.y), and on arm64
 * from the beginning. Before, struct ftrace_regs holds pt_regs, and the argument
 * registers are always saved in it.
 */
#if defined(ftrace_regs_get_argument) || defined(HAVE_ARCH_FTRACE_REGS) || \
	(defined(CONFIG_ARM64) && defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS))
#define ctxstat_ftrace_arg(fregs, n) \
	((void *)ftrace_regs_get_argument(fregs, n))
#elif defined(CONFIG_X86_64)
#define ctxstat_ftrace_arg(fregs, n) \
	((void *)((n) ? (fregs)->regs.si : (fregs)->regs.di))
#elif defined(CONFIG_ARM64)
#define ctxstat_ftrace_arg(fregs, n) ((void *)(fregs)->regs.regs[n])
#else
#error "ctxstat: no way known to read a traced function's arguments here"
#endif

/*
 * Since 128ea9f6ccfb ("workqueue: Add system_percpu_wq and system_dfl_wq"), in 6.17,
 * the old name is there only until all have changed to the new one. Both are
 * variables: nothing to be tested but the version.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define ctxstat_unbound_wq system_unbound_wq
#else
#define ctxstat_unbound_wq system_dfl_wq
#endif

/* Trackers a kernel may lack: their entries are then tracked generically. */
static inline unsigned int ctxstat_sctp_state(const struct nf_conn *ct)
{
#ifdef CONFIG_NF_CT_PROTO_SCTP
	return READ_ONCE(ct->proto.sctp.state);
#else
	return 0;
#endif
}

static inline unsigned int ctxstat_dccp_state(const struct nf_conn *ct)
{
#ifdef CONFIG_NF_CT_PROTO_DCCP
	return READ_ONCE(ct->proto.dccp.state);
#else
	return 0;
#endif
}

#endif /* CTXSTAT_COMPAT_H */
