/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_PROC_H
#define CTXSTAT_PROC_H

#include <linux/seq_file.h>

struct ctxstat_counters;
struct ctxstat_net;
struct net;
struct proc_dir_entry;

/* Raised when a file changes in a way that an old reader cannot cope with. */
#define CTXSTAT_FORMAT 1

int ctxstat_proc_init(void);
void ctxstat_proc_exit(void);
struct ctxstat_counters *ctxstat_proc_sum(struct ctxstat_net *cn);

/* proc_events.c, proc_ports.c */
bool ctxstat_proc_events_init(struct net *net, struct proc_dir_entry *dir);
bool ctxstat_proc_ports_init(struct net *net, struct proc_dir_entry *dir);

/* audit.c */
extern const struct seq_operations ctxstat_audit_seq_ops;
extern const unsigned int ctxstat_audit_seq_size;

#endif /* CTXSTAT_PROC_H */
