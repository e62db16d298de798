/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_TRACE_H
#define CTXSTAT_TRACE_H

int ctxstat_trace_init(void);
void ctxstat_trace_exit(void);

#endif /* CTXSTAT_TRACE_H */
