// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/ctxstat/audit: reading it from the beginning walks the table,
 * compares every entry with its tag and every counter with what the walk
 * found, and moves the entries that are not counted as what they are.
 *
 * Differences that are not faults: a few ways to change an entry are seen by
 * nobody until its next packet (README.md lists them), and while traffic runs
 * the counters move during the walk. Entries that something still holds after
 * they were taken out of the table are counted but not found. What is left
 * over (cells_left) in a quiet table without such entries is a fault of ours,
 * and is shown, not mended.
 */
#include <linux/seq_file.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>

#include "class.h"
#include "counters.h"
#include "entry.h"
#include "netns.h"
#include "proc.h"
#include "walk.h"

struct audit_seq {
	struct seq_net_private p;
	unsigned long seen, counted, differ, healed, left;
	u32 found[CTXSTAT_CELLS];	/* by the walk */
	u32 before[CTXSTAT_CELLS];	/* counted before the walk */
};

static int audit_entry(struct nf_conn *ct, void *data)
{
	struct audit_seq *s = data;

	s->seen++;
	s->found[ctxstat_entry_cell(ct)]++;
	if (ctxstat_entry_update(ct, CTXSTAT_FROM_OLDER))
		s->healed++;
	return 0;
}

static int audit_run(struct audit_seq *s, struct ctxstat_net *cn)
{
	struct ctxstat_counters *sum = ctxstat_counters_alloc();
	unsigned int i;

	if (!sum)
		return -ENOMEM;
	memset_startat(s, 0, seen);

	ctxstat_counters_sum(sum, cn);
	for (i = 0; i < CTXSTAT_CELLS; i++) {
		s->before[i] = sum->live[i];
		s->counted += (s32)sum->live[i];
	}

	ctxstat_walk_net(cn->net, audit_entry, s);

	ctxstat_counters_sum(sum, cn);
	for (i = 0; i < CTXSTAT_CELLS; i++) {
		s->differ += s->before[i] != s->found[i];
		s->left += sum->live[i] != s->found[i];
	}
	ctxstat_counters_free(sum);
	return 0;
}

/* Position 0 is all the totals, position n the cell n - 1 if it differed. */
static void *audit_at(struct audit_seq *s, loff_t *pos)
{
	if (!*pos)
		return SEQ_START_TOKEN;
	for (; *pos <= CTXSTAT_CELLS; ++*pos)
		if (s->before[*pos - 1] != s->found[*pos - 1])
			return &s->found[*pos - 1];
	return NULL;
}

static void *audit_start(struct seq_file *m, loff_t *pos)
{
	struct audit_seq *s = m->private;
	int err;

	if (!*pos) {
		err = audit_run(s, ctxstat_net(seq_file_net(m)));
		if (err)
			return ERR_PTR(err);
	}
	return audit_at(s, pos);
}

static void *audit_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return audit_at(m->private, pos);
}

static void audit_stop(struct seq_file *m, void *v)
{
}

static int audit_show(struct seq_file *m, void *v)
{
	const struct audit_seq *s = m->private;
	struct ctxstat_class class;
	unsigned int cell, flags;

	if (v == SEQ_START_TOKEN) {
		seq_printf(m, "entries_seen %lu\nentries_counted %lu\ncells_differ %lu\nentries_healed %lu\ncells_left %lu\ncount %u\n",
			   s->seen, s->counted, s->differ, s->healed, s->left,
			   nf_conntrack_count(seq_file_net(m)));
		return 0;
	}

	cell = (u32 *)v - s->found;
	class = ctxstat_class_of_row(cell / CTXSTAT_FLAGS);
	flags = cell % CTXSTAT_FLAGS;
	seq_printf(m, "difference %s %s %s %s %s %s %s counted %d found %u\n",
		   ctxstat_family_names[class.family],
		   ctxstat_l4[class.l4proto].name, ctxstat_state_name(&class),
		   flags & CTXSTAT_F_REPLIED ? "replied" : "unreplied",
		   flags & CTXSTAT_F_ASSURED ? "assured" : "-",
		   flags & CTXSTAT_F_SNAT ? "snat" : "-",
		   flags & CTXSTAT_F_DNAT ? "dnat" : "-",
		   (s32)s->before[cell], s->found[cell]);
	return 0;
}

const unsigned int ctxstat_audit_seq_size = sizeof(struct audit_seq);
const struct seq_operations ctxstat_audit_seq_ops = {
	.start = audit_start,
	.next = audit_next,
	.stop = audit_stop,
	.show = audit_show,
};
