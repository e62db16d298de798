// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/ctxstat/ and /proc/net/stat/ctxstat. README.md and ctxstat(8)
 * describe the formats. A file's records are all taken from one sum of the
 * counters, made when reading starts at the beginning.
 */
#include <linux/cache.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>

#include "class.h"
#include "counters.h"
#include "netns.h"
#include "peak.h"
#include "ports.h"
#include "proc.h"
#include "version.h"

/**
 * ctxstat_proc_sum() - sum the counters of a namespace and take note of peaks
 * @cn: the namespace
 *
 * Context: may sleep.
 * Return: the sum, for ctxstat_counters_free(), or NULL.
 */
struct ctxstat_counters *ctxstat_proc_sum(struct ctxstat_net *cn)
{
	struct ctxstat_counters *sum = ctxstat_counters_alloc();

	if (sum) {
		ctxstat_counters_sum(sum, cn);
		ctxstat_peaks_update(cn, sum);
	}
	return sum;
}

static void show_time(struct seq_file *m, time64_t time)
{
	if (time)
		seq_printf(m, " %lld", (long long)time);
	else
		seq_puts(m, " -");
}

/* summary: a key and a value per line */

static void show_value(struct seq_file *m, const char *key, u64 value)
{
	seq_printf(m, "%s %llu\n", key, value);
}

/* The kernel's own per-CPU counters have 32 bits each and wrap. */
static void show_kernel_stats(struct seq_file *m, const struct net *net)
{
	static const struct {
		const char *key;
		size_t offset;
	} stats[] = {
#define STAT(name) { "kernel_" #name, offsetof(struct ip_conntrack_stat, name) }
		STAT(found),
		STAT(invalid),
		STAT(insert),
		STAT(insert_failed),
		STAT(drop),
		STAT(early_drop),
		STAT(error),
		STAT(search_restart),
		STAT(clash_resolve),
		STAT(chaintoolong),
#undef STAT
	};
	size_t i;
	int cpu;

	for (i = 0; i < ARRAY_SIZE(stats); i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += READ_ONCE(*(unsigned int *)
				((void *)per_cpu_ptr(net->ct.stat, cpu) +
				 stats[i].offset));
		show_value(m, stats[i].key, sum);
	}
}

static int summary_show(struct seq_file *m, void *v)
{
	struct net *net = seq_file_single_net(m);
	struct ctxstat_net *cn = ctxstat_net(net);
	struct ctxstat_counters *sum = ctxstat_proc_sum(cn);
	unsigned long insert_failed[CTXSTAT_L4PROTOS] = {};
	struct ctxstat_totals totals;
	struct ctxstat_peak peak, rate;
	bool timestamp = false;
	unsigned int i;

	if (!sum)
		return -ENOMEM;
	totals = ctxstat_counters_totals(sum);
	for (i = 0; i < CTXSTAT_ROWS; i++)
		insert_failed[ctxstat_class_of_row(i).l4proto] +=
			sum->events[ctxstat_event(i, CTXSTAT_INSERT_FAILED)];
	ctxstat_counters_free(sum);

	mutex_lock(&cn->peak.lock);
	peak = cn->peak.entries;
	rate = cn->peak.rate;
	mutex_unlock(&cn->peak.lock);

#ifdef CONFIG_NF_CONNTRACK_TIMESTAMP
	timestamp = READ_ONCE(net->ct.sysctl_tstamp);
#endif

	show_value(m, "format", CTXSTAT_FORMAT);
	seq_puts(m, "version " CTXSTAT_VERSION "\n");
	show_value(m, "entries", totals.entries);
	show_value(m, "peak_entries", peak.value);
	seq_puts(m, "peak_time");
	show_time(m, peak.time);
	seq_putc(m, '\n');
	show_value(m, "created", totals.created);
	show_value(m, "adopted", totals.adopted);
	show_value(m, "destroyed", totals.destroyed);
	show_value(m, "insert_failed", totals.insert_failed);
	show_value(m, "count", nf_conntrack_count(net));
	show_value(m, "max", READ_ONCE(nf_conntrack_max));
	show_value(m, "buckets", READ_ONCE(nf_conntrack_htable_size));
	/* conntrack's slab cache aligns its objects to cache lines */
	show_value(m, "entry_size", ALIGN(sizeof(struct nf_conn),
					  SMP_CACHE_BYTES));
	show_value(m, "acct", !!READ_ONCE(net->ct.sysctl_acct));
	show_value(m, "timestamp", timestamp);
	show_kernel_stats(m, net);

	for (i = 0; i < CTXSTAT_L4PROTOS; i++)
		seq_printf(m, "insert_failed_%s %lu\n", ctxstat_l4[i].name,
			   insert_failed[i]);
	show_value(m, "peak_rate", rate.value);
	seq_puts(m, "peak_rate_time");
	show_time(m, rate.time);
	seq_putc(m, '\n');
	show_value(m, "port_memory", atomic_long_read(&cn->ports.memory));
	show_value(m, "port_memory_max", ctxstat_ports_max_memory(&cn->ports));
	show_value(m, "port_overflow", atomic_long_read(&cn->ports.overflow));
	show_value(m, "start_time", cn->start);
	return 0;
}

/* states: a row per line */

struct states_seq {
	struct seq_net_private p;
	struct ctxstat_row_sum rows[CTXSTAT_ROWS];
	struct ctxstat_peak peaks[CTXSTAT_ROWS];
};

/* Position 0 is the line of column names, position n is row n - 1. */
static void *states_at(const struct states_seq *s, loff_t pos)
{
	if (!pos)
		return SEQ_START_TOKEN;
	return pos <= CTXSTAT_ROWS ? (void *)&s->rows[pos - 1] : NULL;
}

static void *states_start(struct seq_file *m, loff_t *pos)
{
	struct ctxstat_net *cn = ctxstat_net(seq_file_net(m));
	struct states_seq *s = m->private;
	struct ctxstat_counters *sum;

	if (*pos == 0) {
		sum = ctxstat_proc_sum(cn);
		if (!sum)
			return ERR_PTR(-ENOMEM);
		ctxstat_counters_rows(sum, s->rows);
		ctxstat_counters_free(sum);

		mutex_lock(&cn->peak.lock);
		memcpy(s->peaks, cn->peak.rows, sizeof(s->peaks));
		mutex_unlock(&cn->peak.lock);
	}
	return states_at(s, *pos);
}

static void *states_next(struct seq_file *m, void *v, loff_t *pos)
{
	return states_at(m->private, ++*pos);
}

static void proc_stop(struct seq_file *m, void *v)
{
}

static int states_show(struct seq_file *m, void *v)
{
	const struct states_seq *s = m->private;
	const struct ctxstat_row_sum *row = v;
	struct ctxstat_class class;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "family l4proto state entries unreplied assured snat dnat entered left peak peak_time\n");
		return 0;
	}

	class = ctxstat_class_of_row(row - s->rows);
	seq_printf(m, "%s %s %s", ctxstat_family_names[class.family],
		   ctxstat_l4[class.l4proto].name, ctxstat_state_name(&class));
	/* Most of what a reading costs would be "%lu". */
	seq_put_decimal_ull(m, " ", row->entries);
	seq_put_decimal_ull(m, " ", row->unreplied);
	seq_put_decimal_ull(m, " ", row->assured);
	seq_put_decimal_ull(m, " ", row->snat);
	seq_put_decimal_ull(m, " ", row->dnat);
	seq_put_decimal_ull(m, " ", row->entered);
	seq_put_decimal_ull(m, " ", row->left);
	seq_put_decimal_ull(m, " ", s->peaks[row - s->rows].value);
	show_time(m, s->peaks[row - s->rows].time);
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations states_seq_ops = {
	.start = states_start,
	.next = states_next,
	.stop = proc_stop,
	.show = states_show,
};

/*
 * /proc/net/stat/ctxstat, for lnstat: column one is a gauge, the same on every
 * line; all others are cumulative, per CPU, and summed by the reader. What was
 * counted before the namespace had per-CPU counters is on the first line.
 */

struct stat_seq {
	struct seq_net_private p;
	unsigned long entries;
	struct ctxstat_counters line;
};

static void *stat_at(loff_t pos)
{
	int cpu, n = 1;

	if (!pos)
		return SEQ_START_TOKEN;
	for_each_possible_cpu(cpu)
		if (n++ == pos)
			return (void *)(uintptr_t)(cpu + 2);
	return NULL;
}

static int stat_cpu(void *v)
{
	return (uintptr_t)v - 2;
}

static void *stat_start(struct seq_file *m, loff_t *pos)
{
	struct stat_seq *s = m->private;
	struct ctxstat_counters *sum;

	if (*pos == 0) {
		sum = ctxstat_proc_sum(ctxstat_net(seq_file_net(m)));
		if (!sum)
			return ERR_PTR(-ENOMEM);
		s->entries = ctxstat_counters_totals(sum).entries;
		ctxstat_counters_free(sum);
	}
	return stat_at(*pos);
}

static void *stat_next(struct seq_file *m, void *v, loff_t *pos)
{
	return stat_at(++*pos);
}

static int stat_show(struct seq_file *m, void *v)
{
	struct ctxstat_net *cn = ctxstat_net(seq_file_net(m));
	struct ctxstat_counters __percpu *percpu;
	struct stat_seq *s = m->private;
	struct ctxstat_totals t;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "entries created adopted destroyed insert_failed transitions\n");
		return 0;
	}

	memset(&s->line, 0, sizeof(s->line));
	if (stat_cpu(v) == cpumask_first(cpu_possible_mask))
		ctxstat_counters_add(&s->line, cn->shared);
	percpu = ctxstat_net_percpu(cn);
	if (percpu)
		ctxstat_counters_add(&s->line, per_cpu_ptr(percpu, stat_cpu(v)));
	t = ctxstat_counters_totals(&s->line);

	seq_printf(m, "%08lx %08lx %08lx %08lx %08lx %08lx\n", s->entries,
		   t.created, t.adopted, t.destroyed, t.insert_failed,
		   t.transitions);
	return 0;
}

static const struct seq_operations stat_seq_ops = {
	.start = stat_start,
	.next = stat_next,
	.stop = proc_stop,
	.show = stat_show,
};

/* audit is for root: each reading walks the whole table. */
static int __net_init proc_net_init(struct net *net)
{
	struct proc_dir_entry *dir;

	dir = proc_net_mkdir(net, "ctxstat", net->proc_net);
	if (!dir)
		return -ENOMEM;

	if (!proc_create_net_single("summary", 0444, dir, summary_show, NULL) ||
	    !proc_create_net("states", 0444, dir, &states_seq_ops,
			     sizeof(struct states_seq)) ||
	    !ctxstat_proc_events_init(net, dir) ||
	    !ctxstat_proc_ports_init(net, dir) ||
	    !proc_create_net("audit", 0400, dir, &ctxstat_audit_seq_ops,
			     ctxstat_audit_seq_size) ||
	    !proc_create_net("ctxstat", 0444, net->proc_net_stat, &stat_seq_ops,
			     sizeof(struct stat_seq))) {
		remove_proc_subtree("ctxstat", net->proc_net);
		return -ENOMEM;
	}
	return 0;
}

/* Returns when the last reader has left, before netns.c takes the counters away. */
static void __net_exit proc_net_pre_exit(struct net *net)
{
	remove_proc_entry("ctxstat", net->proc_net_stat);
	remove_proc_subtree("ctxstat", net->proc_net);
}

static struct pernet_operations proc_net_ops = {
	.init = proc_net_init,
	.pre_exit = proc_net_pre_exit,
};

/**
 * ctxstat_proc_init() - make the files of all namespaces, and of those to come
 *
 * After ctxstat_netns_init(): the core ends what began last first.
 *
 * Return: 0 or a negative error.
 */
int ctxstat_proc_init(void)
{
	return register_pernet_subsys(&proc_net_ops);
}

/**
 * ctxstat_proc_exit() - the undo of ctxstat_proc_init()
 *
 * Context: may sleep. Returns when nobody reads any file any more.
 */
void ctxstat_proc_exit(void)
{
	unregister_pernet_subsys(&proc_net_ops);
}
