// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/ctxstat/audit: reading it from the beginning walks the table,
 * compares every entry with its tag and every counter, of states and of ports, with
 * what the walk found, and moves the entries that are not counted as what they are.
 *
 * Differences that are not faults: a few ways to change an entry are seen by
 * nobody until its next packet (README.md lists them), and while traffic runs
 * the counters move during the walk. Entries that something still holds after
 * they were taken out of the table are counted but not found. What is left
 * over (cells_left) in a quiet table without such entries is a fault of ours,
 * and is shown, not mended.
 */
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>

#include "class.h"
#include "counters.h"
#include "entry.h"
#include "netns.h"
#include "ports.h"
#include "proc.h"
#include "walk.h"

/* Both for a port: counted before the walk, and found by it. */
struct audit_port {
	u32 entries, unreplied, found, found_unreplied;
};

#define AUDIT_PORTS		(CTXSTAT_PORT_PROTOS * CTXSTAT_PORTS)
#define AUDIT_PORTS_SHOWN	64

struct audit_seq {
	struct seq_net_private p;
	unsigned long seen, counted, differ, healed, left;
	u32 found[CTXSTAT_CELLS];	/* by the walk */
	u32 before[CTXSTAT_CELLS];	/* counted before the walk */
	struct audit_port *ports;	/* of all protocols, while the audit runs */
	unsigned long ports_differ, ports_left;
	unsigned long not_in_ports;	/* entries that there is no memory for */
	struct audit_port shown[AUDIT_PORTS_SHOWN];	/* the first that differed */
	unsigned long shown_at[AUDIT_PORTS_SHOWN];
};

static DEFINE_MUTEX(audit_lock);

static int audit_entry(struct nf_conn *ct, void *data)
{
	unsigned long proto = ctxstat_protos[nf_ct_protonum(ct)].ports;
	struct audit_seq *s = data;
	struct audit_port *port;

	s->seen++;
	s->found[ctxstat_entry_cell(ct)]++;
	if (ctxstat_entry_update(ct, CTXSTAT_FROM_OLDER))
		s->healed++;
	if (proto == CTXSTAT_PORT_PROTOS)
		return 0;

	/* Still no memory, or about to end: that is known, and no difference. */
	if (!(READ_ONCE(ct->status) & CTXSTAT_IN_PORTS)) {
		s->not_in_ports++;
		return 0;
	}
	port = &s->ports[proto * CTXSTAT_PORTS + ctxstat_port_of(ct)];
	port->found++;
	port->found_unreplied += !test_bit(IPS_SEEN_REPLY_BIT, &ct->status);
	return 0;
}

/* Set what is counted for each port now. */
static void audit_count_ports(struct audit_seq *s, struct ctxstat_net *cn)
{
	struct ctxstat_port sum;
	unsigned long at;

	for (at = 0; ctxstat_port_next(&cn->ports, &at, &sum); at++) {
		s->ports[at].entries = ctxstat_port_entries(&sum);
		s->ports[at].unreplied = sum.unreplied;
	}
}

static bool audit_port_differs(const struct audit_port *port)
{
	return port->entries != port->found ||
	       port->unreplied != port->found_unreplied;
}

static void audit_compare_ports(struct audit_seq *s, struct ctxstat_net *cn)
{
	unsigned long at;

	for (at = 0; at < AUDIT_PORTS; at++) {
		if (!(at % 1024))
			cond_resched();
		if (!audit_port_differs(&s->ports[at]))
			continue;
		if (s->ports_differ < AUDIT_PORTS_SHOWN) {
			s->shown[s->ports_differ] = s->ports[at];
			s->shown_at[s->ports_differ] = at;
		}
		s->ports_differ++;
	}

	audit_count_ports(s, cn);
	for (at = 0; at < AUDIT_PORTS; at++) {
		if (!(at % 1024))
			cond_resched();
		s->ports_left += audit_port_differs(&s->ports[at]);
	}
}

static int audit_run(struct audit_seq *s, struct ctxstat_net *cn)
{
	struct ctxstat_counters *sum = ctxstat_counters_alloc();
	unsigned int i;

	if (!sum)
		return -ENOMEM;
	memset_startat(s, 0, seen);
	s->ports = __vmalloc(AUDIT_PORTS * sizeof(*s->ports),
			     GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!s->ports) {
		ctxstat_counters_free(sum);
		return -ENOMEM;
	}

	ctxstat_counters_sum(sum, cn);
	audit_count_ports(s, cn);
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

	audit_compare_ports(s, cn);
	vfree(s->ports);
	s->ports = NULL;
	return 0;
}

/*
 * Position 0 is all the totals, position n the cell n - 1 if it differed; after the
 * cells come the ports that differed.
 */
static void *audit_at(struct audit_seq *s, loff_t *pos)
{
	unsigned long port;

	if (!*pos)
		return SEQ_START_TOKEN;
	for (; *pos <= CTXSTAT_CELLS; ++*pos)
		if (s->before[*pos - 1] != s->found[*pos - 1])
			return &s->found[*pos - 1];

	port = *pos - CTXSTAT_CELLS - 1;
	return port < min_t(unsigned long, s->ports_differ, AUDIT_PORTS_SHOWN) ?
	       &s->shown[port] : NULL;
}

static void *audit_start(struct seq_file *m, loff_t *pos)
{
	struct audit_seq *s = m->private;
	int err;

	if (!*pos) {
		/* One at a time: each takes megabytes, and then waits for the others. */
		err = mutex_lock_killable(&audit_lock);
		if (err)
			return ERR_PTR(err);
		err = audit_run(s, ctxstat_net(seq_file_net(m)));
		mutex_unlock(&audit_lock);
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

static void audit_show_port(struct seq_file *m, const struct audit_seq *s,
			    const struct audit_port *port)
{
	unsigned long at = s->shown_at[port - s->shown];

	seq_printf(m, "port_difference %s %lu counted %u %d found %u %u\n",
		   ctxstat_port_proto_name(at), at % CTXSTAT_PORTS,
		   port->entries, (s32)port->unreplied, port->found,
		   port->found_unreplied);
}

static int audit_show(struct seq_file *m, void *v)
{
	const struct audit_seq *s = m->private;
	const struct audit_port *port = v;
	struct ctxstat_class class;
	unsigned int cell, flags;

	if (v == SEQ_START_TOKEN) {
		seq_printf(m, "entries_seen %lu\nentries_counted %lu\ncells_differ %lu\nentries_healed %lu\ncells_left %lu\ncount %u\nports_differ %lu\nports_left %lu\nentries_not_in_ports %lu\n",
			   s->seen, s->counted, s->differ, s->healed, s->left,
			   nf_conntrack_count(seq_file_net(m)),
			   s->ports_differ, s->ports_left, s->not_in_ports);
		return 0;
	}
	if (port >= s->shown && port < s->shown + AUDIT_PORTS_SHOWN) {
		audit_show_port(m, s, port);
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
