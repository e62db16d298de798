/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_PACKET_H
#define CTXSTAT_PACKET_H

struct net;

int ctxstat_packet_init(struct net *net);
void ctxstat_packet_exit(struct net *net);

#endif /* CTXSTAT_PACKET_H */
