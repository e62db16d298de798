/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_WALK_H
#define CTXSTAT_WALK_H

void ctxstat_walk_adopt(void);
void ctxstat_walk_clear(void);

#endif /* CTXSTAT_WALK_H */
