/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything that differs between kernels, and nothing else. Feature tests
 * come first; a version test names the commit that changed the interface.
 */
#ifndef CTXSTAT_COMPAT_H
#define CTXSTAT_COMPAT_H

#include <linux/bits.h>
#include <linux/ftrace.h>
#include <linux/kconfig.h>
#include <linux/version.h>
#include <net/netfilter/nf_conntrack.h>

#if !IS_ENABLED(CONFIG_NF_CONNTRACK)
#error "ctxstat: this kernel is built without connection tracking (CONFIG_NF_CONNTRACK)"
#endif
#if !defined(CONFIG_DYNAMIC_FTRACE_WITH_REGS) && \
	!defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)
#error "ctxstat: this kernel's ftrace cannot hand over function arguments (CONFIG_DYNAMIC_FTRACE_WITH_ARGS)"
#endif
#ifndef CONFIG_NF_CONNTRACK_EVENTS
#error "ctxstat: changes made by conntrack -U cannot be seen in this kernel (CONFIG_NF_CONNTRACK_EVENTS)"
#endif
/*
 * Before 8169ff584003 ("netfilter: conntrack: add nf_ct_iter_data object") and
 * the removal of the unconfirmed list, both in 5.19, the table is walked in
 * another way, and an entry can only be freed after it was in one of the lists.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
#error "ctxstat: kernels before 5.19 are not supported"
#endif
#ifndef CONFIG_64BIT
#error "ctxstat: only 64-bit kernels have room for its tag in a conntrack entry"
#endif

/*
 * Argument @n (0 or 1) of a function seen through ftrace. Where there is no
 * ftrace_regs_get_argument() (before 6.2), struct ftrace_regs holds pt_regs, and
 * the argument registers are always saved in it.
 */
#if defined(ftrace_regs_get_argument) || \
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
