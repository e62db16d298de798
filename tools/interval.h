/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_INTERVAL_H
#define CTXSTAT_INTERVAL_H

#include <stdbool.h>

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
