// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why an entry is being deleted.
 *
 * All that end by being taken out of the table pass through nf_ct_delete(). Its
 * arguments tell who asked through ctnetlink, the entry tells whether it has
 * expired. What is neither is known by its caller: conntrack itself, when the
 * table is full, and the trackers, which delete an entry that was refused or that
 * a new connection takes the place of. Some call nf_ct_kill_acct(), which calls
 * nf_ct_delete(): then it is the former's caller that matters. The functions' names
 * are looked up once for each place they are called from; a name that is not known
 * here is no reason to guess.
 */
#include <linux/hash.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <net/netfilter/nf_conntrack.h>

#include "reason.h"

const char *const ctxstat_reason_names[CTXSTAT_REASONS] = {
	[CTXSTAT_END_OTHER]   = "other",
	[CTXSTAT_END_TIMEOUT] = "timeout",
	[CTXSTAT_END_CLOSED]  = "closed",
	[CTXSTAT_END_RESET]   = "reset",
	[CTXSTAT_END_EVICTED] = "evicted",
	[CTXSTAT_END_DELETED] = "deleted",
	[CTXSTAT_END_NETNS]   = "netns",
};

/* What a caller is known for. */
enum caller {
	CALLER_OTHER,
	CALLER_EVICTS,
	CALLER_TCP,
	CALLER_DCCP,
};

/*
 * Of functions that may be inlined into each other all are named, unless the
 * outer one deletes for another reason as well.
 */
static const struct {
	const char *name;
	enum caller caller;
} callers[] = {
	{ "early_drop_list",		CALLER_EVICTS },
	{ "early_drop",			CALLER_EVICTS },
	{ "__nf_conntrack_alloc",	CALLER_EVICTS },
	{ "nf_conntrack_alloc",		CALLER_EVICTS },
	{ "gc_worker",			CALLER_EVICTS },
	{ "nf_conntrack_tcp_packet",	CALLER_TCP },
	{ "nf_conntrack_dccp_packet",	CALLER_DCCP },
};

/*
 * The addresses that calls in conntrack return to, with what they are known for.
 * There are about ten of them. Conntrack cannot be unloaded before us.
 */
static struct {
	unsigned long address;
	unsigned int caller;	/* written before @address */
} known[16];

/*
 * The last ones elsewhere: other modules, which come and go. Nothing that ever is at
 * such an address is known for anything.
 */
static unsigned long others[8];

/* The name ends where a compiler's suffix, the offset or the module begins. */
static enum caller look_up(unsigned long address, bool *elsewhere)
{
	char symbol[KSYM_SYMBOL_LEN], *module;
	size_t i, len;

	sprint_symbol_no_offset(symbol, address);
	module = strchr(symbol, '[');
	*elsewhere = module && strcmp(module, "[nf_conntrack]");
	if (*elsewhere)
		return CALLER_OTHER;

	len = strcspn(symbol, ". ");
	for (i = 0; i < ARRAY_SIZE(callers); i++)
		if (strlen(callers[i].name) == len &&
		    !strncmp(callers[i].name, symbol, len))
			return callers[i].caller;
	return CALLER_OTHER;
}

/*
 * Slots are filled in order and never emptied. One that is being filled has the
 * address 1.
 */
static noinline enum caller remember(unsigned long address)
{
	bool elsewhere;
	enum caller caller = look_up(address, &elsewhere);
	size_t i;

	if (elsewhere) {
		WRITE_ONCE(others[hash_long(address, 3)], address);
		return caller;
	}
	for (i = 0; i < ARRAY_SIZE(known); i++) {
		if (READ_ONCE(known[i].address) == address)
			break;
		if (!cmpxchg(&known[i].address, 0, 1)) {
			known[i].caller = caller;
			/* pairs with caller_of() */
			smp_store_release(&known[i].address, address);
			break;
		}
	}
	return caller;
}

static enum caller caller_of(unsigned long address)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		/* pairs with remember() */
		unsigned long at = smp_load_acquire(&known[i].address);

		if (at == address)
			return known[i].caller;
		if (!at)
			break;
	}
	if (READ_ONCE(others[hash_long(address, 3)]) == address)
		return CALLER_OTHER;
	return remember(address);
}

/**
 * ctxstat_reason_of_caller() - why an entry that has not expired is being deleted
 * @ct: see ctxstat_reason_of()
 * @caller: see ctxstat_reason_of()
 */
enum ctxstat_reason notrace ctxstat_reason_of_caller(const struct nf_conn *ct,
						     unsigned long caller)
{
	switch (caller_of(caller)) {
	case CALLER_EVICTS:
		return CTXSTAT_END_EVICTED;
	case CALLER_TCP:
		return ctxstat_reason_of_tcp(ct, CTXSTAT_END_OTHER);
	case CALLER_DCCP:
		return CTXSTAT_END_RESET;
	default:
		return CTXSTAT_END_OTHER;
	}
}
