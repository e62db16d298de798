/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_ENTRY_H
#define CTXSTAT_ENTRY_H

#include <linux/types.h>

#include "counters.h"

struct nf_conn;

void ctxstat_entry_init(void);
void ctxstat_entry_enable(bool on);
unsigned long ctxstat_entry_class(const struct nf_conn *ct,
				  unsigned long status);
unsigned int ctxstat_entry_cell(unsigned long tag);
bool ctxstat_entry_update(struct nf_conn *ct, enum ctxstat_from from);
void ctxstat_entry_changed(struct nf_conn *ct);
bool ctxstat_entry_end(const struct nf_conn *ct);
void ctxstat_entry_clear(struct nf_conn *ct);

#endif /* CTXSTAT_ENTRY_H */
