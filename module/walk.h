/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_WALK_H
#define CTXSTAT_WALK_H

struct net;
struct nf_conn;

void ctxstat_walk_net(struct net *net,
		      int (*iter)(struct nf_conn *ct, void *data), void *data);
void ctxstat_walk_adopt(void);
void ctxstat_walk_clear(void);

#endif /* CTXSTAT_WALK_H */
