/* SPDX-License-Identifier: GPL-2.0-only */
/* What is wrong, in plain words. */
#ifndef CTXSTAT_FINDINGS_H
#define CTXSTAT_FINDINGS_H

#include "snapshot.h"

/* The alert rules for Prometheus use the same limits. */
#define FULL_WARNING		80	/* per cent of max */
#define FULL_CRITICAL		90
#define UNREPLIED_SHARE		50	/* per cent of all entries, or of a port's */
#define UNREPLIED_ENTRIES	1000	/* fewer entries in the table say nothing */
#define PORT_SHARE		1	/* a port with less of the table, in per cent, and */
#define PORT_ENTRIES		100	/* with fewer entries is not looked at */
/* A clash of two packets now and then is normal: so more than these, and of the new entries. */
#define FAILED_PER_SECOND	1
#define FAILED_SHARE		1	/* per cent */
#define DROPPED_PER_SECOND	1

/* In seconds. Growth so slow is as likely to be chance. */
#define FULL_SOON		(7 * 86400)

struct finding {
	bool critical;
	char text[160];
};

#define FINDINGS_MAX 16

/* What has to be read for them. */
#define FINDINGS_TABLES (WANT(TABLE_STATES) | WANT(TABLE_PORTS) | WANT(TABLE_ENDS))

/**
 * findings() - what is wrong
 * @old: an earlier snapshot, for what is measured per second, or NULL
 * @new: a snapshot with FINDINGS_TABLES
 * @out: filled, the most urgent first
 *
 * Return: how many there are; 0: nothing is wrong.
 */
size_t findings(const struct snapshot *old, const struct snapshot *new,
		struct finding out[FINDINGS_MAX]);

/**
 * fill_of() - entries, to be compared with their limit
 *
 * The kernel compares its own count, which has packets in flight in it as well: those in
 * an NFQUEUE may be many.
 */
struct field fill_of(const struct snapshot *snap);

/**
 * seconds_to_full() - when the table will be full if it goes on like this
 *
 * Return: seconds; not known if it does not fill, or has no limit.
 */
struct rate seconds_to_full(const struct snapshot *old, const struct snapshot *new);

/* @part of @whole in per cent; 0 if there is nothing to compare. */
double share_of(const struct field *part, const struct field *whole);

/* Whether a port has more unreplied entries than it should. */
bool port_is_unanswered(const struct snapshot *snap, const struct field *port);

/* Whether a port holds enough of the table for its share of unreplied entries to mean something. */
bool port_matters(const struct snapshot *snap, const struct field *port);

#endif
