// SPDX-License-Identifier: GPL-2.0-only
/*
 * ctxstat: exact counters of conntrack entries, per state, without a dump.
 *
 * Read on in: tag.h (what an entry is counted as), entry.h (its life),
 * counters.h and ports.h (who counts where), packet.c and trace.c (what is seen),
 * reason.c (why an entry ends), netns.c (what belongs to a namespace), proc*.c
 * (what is shown). This file is the order of load and unload.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "entry.h"
#include "netns.h"
#include "peak.h"
#include "ports.h"
#include "proc.h"
#include "selftest.h"
#include "trace.h"
#include "version.h"
#include "walk.h"

/* The undo of all that ctxstat_init() does before anything is shown. */
static void stop_counting(void)
{
	ctxstat_ticker_exit();
	ctxstat_entry_disable();
	/* Callbacks look into the memory that the next step frees. */
	ctxstat_trace_exit();
	/* Waits for the hooks, too: no tag can come back. */
	ctxstat_netns_exit();
	ctxstat_ports_exit();
	ctxstat_walk_clear();
}

static void __init report_no_netns(int err)
{
	pr_err("not loaded: a network namespace could not be set up (error %d)\n",
	       err);
}

/*
 * The order matters. Callbacks look into the memory of namespaces, but only
 * for entries that are counted: so they can come first, and a refusal to load
 * disturbs no packet. Nothing is counted before its end can be seen.
 */
static int __init ctxstat_init(void)
{
	int err;

	err = ctxstat_trace_init();
	if (err)
		return err;

	err = ctxstat_selftest();
	if (err)
		goto trace_exit;

	err = ctxstat_ports_init();
	if (err) {
		pr_err("not loaded: out of memory\n");
		goto trace_exit;
	}

	err = ctxstat_ticker_init();
	if (err) {
		pr_err("not loaded: out of memory\n");
		goto ports_exit;
	}

	err = ctxstat_netns_init();
	if (err) {
		report_no_netns(err);
		goto ticker_exit;
	}

	ctxstat_entry_enable();

	/*
	 * An insertion that began before its callback was in place runs in an
	 * RCU read section. When this returns it is done: the walk finds that
	 * entry, and all later ones are counted by the callback.
	 */
	synchronize_rcu();
	ctxstat_walk_adopt();

	/* What is shown is complete from the first reading on. */
	err = ctxstat_proc_init();
	if (err) {
		report_no_netns(err);
		stop_counting();
		return err;
	}
	ctxstat_ticker_start();

	pr_info("counting, version " CTXSTAT_VERSION "\n");
	return 0;

ticker_exit:
	ctxstat_ticker_exit();
ports_exit:
	ctxstat_ports_exit();
trace_exit:
	ctxstat_trace_exit();
	return err;
}

static void __exit ctxstat_exit(void)
{
	ctxstat_proc_exit();
	stop_counting();
}

module_init(ctxstat_init);
module_exit(ctxstat_exit);

MODULE_DESCRIPTION("Exact per-state counters of connection tracking entries");
MODULE_VERSION(CTXSTAT_VERSION);
MODULE_LICENSE("GPL");
