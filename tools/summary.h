/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_SUMMARY_H
#define CTXSTAT_SUMMARY_H

#include "ctxstat.h"
#include "tables.h"

/**
 * summary_load() - read "summary" and make sure that its format is ours
 * @opt: says where
 * @sum: the values, by enum summary_key
 * @buf: what they point into, the caller's to free; NULL after an error
 *
 * Return: EXIT_OK, or after a message EXIT_READ or EXIT_GARBLED.
 */
int summary_load(const struct options *opt, struct field sum[SUM_KEYS], char **buf);

#endif
