// SPDX-License-Identifier: GPL-2.0-only
/*
 * ctxstat: exact counters of conntrack entries, per state, without a dump.
 *
 * Read on in: tag.h (what an entry is counted as), entry.c (its life),
 * counters.h (who counts where), packet.c and trace.c (what is seen), netns.c
 * (what belongs to a namespace), proc.c (what is shown). This file is the
 * order of load and unload.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "entry.h"
#include "netns.h"
#include "peak.h"
#include "selftest.h"
#include "trace.h"
#include "version.h"
#include "walk.h"

/*
 * Off: nothing is counted or moved any more. Every callback that may have
 * seen it on has finished when this returns.
 */
static void stop_counting(void)
{
	ctxstat_entry_enable(false);
	synchronize_rcu();
}

static int __init ctxstat_init(void)
{
	int err;

	ctxstat_entry_init();

	/* The memory to count in comes first; the callbacks look into it. */
	err = ctxstat_netns_init();
	if (err) {
		pr_err("not loaded: out of memory (error %d)\n", err);
		return err;
	}

	err = ctxstat_trace_init();
	if (err)
		goto netns_exit;

	err = ctxstat_selftest();
	if (err)
		goto trace_exit;

	/* From here on, whatever is counted is un-counted at its end. */
	ctxstat_entry_enable(true);

	/*
	 * An insertion that began before its callback was in place runs in an
	 * RCU read section. When this returns it is done: the walk finds that
	 * entry, and all later ones are counted by the callback.
	 */
	synchronize_rcu();
	ctxstat_walk_adopt();

	err = ctxstat_ticker_init();
	if (err) {
		pr_err("not loaded: out of memory (error %d)\n", err);
		goto clear;
	}

	pr_info("counting, version " CTXSTAT_VERSION "\n");
	return 0;

clear:
	stop_counting();
	ctxstat_walk_clear();
trace_exit:
	ctxstat_trace_exit();
netns_exit:
	ctxstat_netns_exit();
	return err;
}

static void __exit ctxstat_exit(void)
{
	ctxstat_ticker_exit();
	stop_counting();
	/* Callbacks look into the memory that the next step frees. */
	ctxstat_trace_exit();
	ctxstat_netns_exit();
	/* The hooks are gone, so no tag can come back. */
	ctxstat_walk_clear();
}

module_init(ctxstat_init);
module_exit(ctxstat_exit);

MODULE_DESCRIPTION("Exact per-state counters of connection tracking entries");
MODULE_VERSION(CTXSTAT_VERSION);
MODULE_LICENSE("GPL");
