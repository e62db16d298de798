/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why an entry ended, as far as the kernel lets one tell it apart.
 */
#ifndef CTXSTAT_REASON_H
#define CTXSTAT_REASON_H

#include <net/netfilter/nf_conntrack.h>

/**
 * enum ctxstat_reason - why an entry ended
 * @CTXSTAT_END_OTHER: none of these, or it cannot be told
 * @CTXSTAT_END_TIMEOUT: it expired
 * @CTXSTAT_END_CLOSED: tcp, the handshake of FINs was over (TIME_WAIT)
 * @CTXSTAT_END_RESET: tcp and dccp, it was reset
 * @CTXSTAT_END_EVICTED: the table was full, or nearly
 * @CTXSTAT_END_DELETED: through ctnetlink, by a user or conntrackd
 * @CTXSTAT_END_NETNS: its namespace was torn down; never in a tag
 *
 * All but the last are kept in three bits of the tag from the moment on at which
 * the entry is deleted; it may be held, and counted, for long after that.
 */
enum ctxstat_reason {
	CTXSTAT_END_OTHER,
	CTXSTAT_END_TIMEOUT,
	CTXSTAT_END_CLOSED,
	CTXSTAT_END_RESET,
	CTXSTAT_END_EVICTED,
	CTXSTAT_END_DELETED,
	CTXSTAT_END_NETNS,
	CTXSTAT_REASONS,
};

extern const char *const ctxstat_reason_names[CTXSTAT_REASONS];

/* By how far the connection had come to its end. */
static inline enum ctxstat_reason
ctxstat_reason_of_tcp(const struct nf_conn *ct, enum ctxstat_reason otherwise)
{
	if (nf_ct_protonum(ct) != IPPROTO_TCP)
		return otherwise;
	switch (READ_ONCE(ct->proto.tcp.state)) {
	case TCP_CONNTRACK_TIME_WAIT:
		return CTXSTAT_END_CLOSED;
	case TCP_CONNTRACK_CLOSE:
		return CTXSTAT_END_RESET;
	default:
		return otherwise;
	}
}

enum ctxstat_reason ctxstat_reason_of_caller(const struct nf_conn *ct,
					     unsigned long caller);

/**
 * ctxstat_reason_of() - why an entry is being deleted, not through netlink
 * @ct: an entry that nf_ct_delete() or nf_ct_kill_acct() was called for, and that
 *	is not dying yet
 * @caller: the address that this function returns to
 *
 * Nearly all entries of a gateway end because their time is up.
 *
 * Context: any in which conntrack runs; takes no lock.
 */
static __always_inline enum ctxstat_reason
ctxstat_reason_of(const struct nf_conn *ct, unsigned long caller)
{
	if (likely(nf_ct_is_expired(ct)))
		return ctxstat_reason_of_tcp(ct, CTXSTAT_END_TIMEOUT);
	return ctxstat_reason_of_caller(ct, caller);
}

#endif /* CTXSTAT_REASON_H */
