/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_SELFTEST_H
#define CTXSTAT_SELFTEST_H

#include <linux/bits.h>

struct nf_conn;

#define CTXSTAT_SELFTEST_FREE		BIT(0)
#define CTXSTAT_SELFTEST_CONFIRM	BIT(1)
#define CTXSTAT_SELFTEST_REPORT		BIT(2)
#define CTXSTAT_SELFTEST_DELETE		BIT(3)
#define CTXSTAT_SELFTEST_KILL		BIT(4)
#define CTXSTAT_SELFTEST_ALL		(BIT(5) - 1)

int ctxstat_selftest(void);
void ctxstat_selftest_seen(const struct nf_conn *ct, unsigned int what);

#endif /* CTXSTAT_SELFTEST_H */
