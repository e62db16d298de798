// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/ctxstat/ports: a record for each port that was ever seen. Unlike
 * those of the other files they are not summed beforehand, but each when it is
 * shown: reading takes as long as there are ports.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

#include "netns.h"
#include "ports.h"
#include "proc.h"

/* @at, @sum: the record that is to be shown next */
struct ports_seq {
	struct seq_net_private p;
	unsigned long at;
	struct ctxstat_port sum;
};

/* Position 0 is the line of column names, position n is place n - 1 of the tree. */
static void *ports_at(struct seq_file *m, loff_t *pos)
{
	struct ctxstat_net *cn = ctxstat_net(seq_file_net(m));
	struct ports_seq *s = m->private;

	if (!*pos)
		return SEQ_START_TOKEN;
	s->at = *pos - 1;
	if (!ctxstat_port_next(&cn->ports, &s->at, &s->sum))
		return NULL;
	*pos = s->at + 1;
	return s;
}

static void *ports_start(struct seq_file *m, loff_t *pos)
{
	return ports_at(m, pos);
}

static void *ports_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return ports_at(m, pos);
}

static void ports_stop(struct seq_file *m, void *v)
{
}

static int ports_show(struct seq_file *m, void *v)
{
	const struct ports_seq *s = m->private;
	const struct ctxstat_port *sum = &s->sum;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "l4proto port entries unreplied opened answered closed failed packets bytes adopted\n");
		return 0;
	}
	/* with a hundred thousand rows the time that seq_printf() takes would be felt */
	seq_puts(m, ctxstat_port_proto_name(s->at));
	seq_put_decimal_ull(m, " ", s->at % CTXSTAT_PORTS);
	seq_put_decimal_ull(m, " ", ctxstat_port_entries(sum));
	seq_put_decimal_ull(m, " ", max((long)sum->unreplied, 0L));
	seq_put_decimal_ull(m, " ", sum->opened);
	seq_put_decimal_ull(m, " ", sum->answered);
	seq_put_decimal_ull(m, " ", sum->closed);
	seq_put_decimal_ull(m, " ", sum->failed);
	if (READ_ONCE(seq_file_net(m)->ct.sysctl_acct)) {
		seq_put_decimal_ull(m, " ", sum->packets);
		seq_put_decimal_ull(m, " ", sum->bytes);
	} else {
		seq_puts(m, " - -");
	}
	seq_put_decimal_ull(m, " ", sum->adopted);
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations ports_seq_ops = {
	.start = ports_start,
	.next = ports_next,
	.stop = ports_stop,
	.show = ports_show,
};

/**
 * ctxstat_proc_ports_init() - make the file
 * @net: the namespace
 * @dir: its /proc/net/ctxstat
 *
 * Return: whether it was made.
 */
bool ctxstat_proc_ports_init(struct net *net, struct proc_dir_entry *dir)
{
	return proc_create_net("ports", 0444, dir, &ports_seq_ops,
			       sizeof(struct ports_seq));
}
