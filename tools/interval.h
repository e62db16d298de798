/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_INTERVAL_H
#define CTXSTAT_INTERVAL_H

#include <stdbool.h>
#include <time.h>

/* In seconds. More than a day between two readings is a mistake. */
#define INTERVAL_MIN 0.1
#define INTERVAL_MAX 86400

/* What a clock says, in seconds. */
double clock_seconds(clockid_t clock);

/* One that nobody sets. */
static inline double monotonic(void)
{
	return clock_seconds(CLOCK_MONOTONIC);
}

/**
 * interval_check() - refuse to read more often than makes sense
 * @seconds: between two readings
 *
 * Return: EXIT_OK, or EXIT_USAGE after a message.
 */
int interval_check(double seconds);

/**
 * interval_begin() - let SIGINT and SIGTERM end the waiting instead of the program
 */
void interval_begin(void);

/**
 * interval_wait() - wait for the next reading
 * @seconds: after the last one was due, so that readings do not drift
 *
 * Return: false if a signal said that it is enough.
 */
bool interval_wait(double seconds);

#endif
