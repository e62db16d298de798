/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_PEAK_H
#define CTXSTAT_PEAK_H

#include <linux/mutex.h>
#include <linux/timekeeping.h>
#include <linux/types.h>

#include "class.h"

struct ctxstat_counters;
struct ctxstat_net;

/**
 * ctxstat_wall_clock() - what time it is
 *
 * The same second as ktime_get_real_seconds() gives. That one is read plainly on 64 bits, which
 * does no harm, but is a data race to KCSAN, with ctxstat in its report.
 *
 * Context: any but NMIs.
 * Return: seconds since 1970.
 */
static inline time64_t ctxstat_wall_clock(void)
{
	struct timespec64 now;

	ktime_get_coarse_real_ts64(&now);
	return now.tv_sec;
}

/**
 * struct ctxstat_peak - the highest value seen
 * @value: that value
 * @time: when, in seconds since 1970; 0 while the value is 0
 */
struct ctxstat_peak {
	unsigned long value;
	time64_t time;
};

/**
 * struct ctxstat_peaks - the peaks of a namespace since the module was loaded
 * @lock: held to look at and to change them; may sleep
 * @entries: of all entries
 * @rate: of entries created in a second
 * @rows: of the entries in each row
 */
struct ctxstat_peaks {
	struct mutex lock;	/* guards all below */
	struct ctxstat_peak entries, rate;
	struct ctxstat_peak rows[CTXSTAT_ROWS];
};

void ctxstat_peaks_init(struct ctxstat_peaks *peaks);
void ctxstat_peaks_update(struct ctxstat_net *cn,
			  const struct ctxstat_counters *sum);
int ctxstat_ticker_init(void);
void ctxstat_ticker_start(void);
void ctxstat_ticker_exit(void);

#endif /* CTXSTAT_PEAK_H */
