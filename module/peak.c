// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peaks, and the ticker that finds them.
 *
 * To know the exact peak, every packet that changes an entry would have to
 * look at a sum over all CPUs. Instead the counters are summed once a second,
 * and whenever somebody reads a table: a peak is the highest of these sums,
 * and a shorter spike between two of them is not seen. While entries move, such
 * a sum may be off by the moves under way, see counters.h.
 *
 * The rate of new entries is that between two ticks, which are about a second
 * apart: the kernel alone can tell it, as no reader comes by so regularly.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/workqueue.h>
#include <net/netfilter/nf_conntrack.h>

#include "compat.h"
#include "counters.h"
#include "netns.h"
#include "peak.h"
#include "ports.h"

static void ticker_tick(struct work_struct *work);

static DECLARE_DELAYED_WORK(ticker_work, ticker_tick);
static struct ctxstat_counters *ticker_sum;

/**
 * ctxstat_peaks_init() - start with nothing seen
 * @peaks: zeroed memory
 */
void ctxstat_peaks_init(struct ctxstat_peaks *peaks)
{
	mutex_init(&peaks->lock);
}

static void peak_update(struct ctxstat_peak *peak, unsigned long value)
{
	if (value > peak->value) {
		peak->value = value;
		peak->time = ctxstat_wall_clock();
	}
}

/**
 * ctxstat_peaks_update() - take note of a sum
 * @cn: the namespace
 * @sum: from ctxstat_counters_sum()
 *
 * Context: may sleep.
 */
void ctxstat_peaks_update(struct ctxstat_net *cn,
			  const struct ctxstat_counters *sum)
{
	struct ctxstat_peaks *peaks = &cn->peak;
	unsigned int row;

	mutex_lock(&peaks->lock);
	for (row = 0; row < CTXSTAT_ROWS; row++)
		peak_update(&peaks->rows[row],
			    ctxstat_counters_entries(sum, row));
	peak_update(&peaks->entries, ctxstat_counters_totals(sum).entries);
	mutex_unlock(&peaks->lock);
}

/*
 * Also of a namespace without entries: what is created by the next tick belongs to
 * the second after this one.
 */
static void ticker_rate(struct ctxstat_net *cn)
{
	unsigned long created = ctxstat_counters_created(cn);
	u64 now = ktime_get_boottime_ns();
	u64 elapsed = max(now - cn->tick, (u64)NSEC_PER_SEC / 2);

	mutex_lock(&cn->peak.lock);
	peak_update(&cn->peak.rate,
		    div64_u64((created - cn->created) * NSEC_PER_SEC, elapsed));
	mutex_unlock(&cn->peak.lock);
	cn->created = created;
	cn->tick = now;
}

static void ticker_visit(struct ctxstat_net *cn)
{
	struct ctxstat_totals totals;
	unsigned long events;

	ticker_rate(cn);
	ctxstat_ports_tick(&cn->ports);

	/* Nothing live: no new peak. Most namespaces of a host are like this. */
	if (!nf_conntrack_count(cn->net))
		return;

	ctxstat_counters_sum(ticker_sum, cn);
	ctxstat_peaks_update(cn, ticker_sum);
	if (cn->percpu)
		return;

	totals = ctxstat_counters_totals(ticker_sum);
	events = totals.created + totals.adopted + totals.transitions +
		 totals.destroyed;
	if (events - cn->events >= CTXSTAT_BUSY_EVENTS)
		ctxstat_net_make_percpu(cn);
	cn->events = events;
}

static void ticker_tick(struct work_struct *work)
{
	ctxstat_netns_for_each(ticker_visit);
	queue_delayed_work(ctxstat_unbound_wq, &ticker_work,
			   round_jiffies_relative(HZ));
}

/**
 * ctxstat_ticker_init() - get what the ticker needs
 *
 * Return: 0 or -ENOMEM.
 */
int ctxstat_ticker_init(void)
{
	ticker_sum = ctxstat_counters_alloc();
	return ticker_sum ? 0 : -ENOMEM;
}

/**
 * ctxstat_ticker_start() - start the ticker
 *
 * All namespaces have been set up.
 */
void ctxstat_ticker_start(void)
{
	queue_delayed_work(ctxstat_unbound_wq, &ticker_work, 0);
}

/**
 * ctxstat_ticker_exit() - the undo of ctxstat_ticker_init()
 *
 * Context: may sleep. Returns when the ticker no longer runs.
 */
void ctxstat_ticker_exit(void)
{
	cancel_delayed_work_sync(&ticker_work);
	ctxstat_counters_free(ticker_sum);
}
