// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/ctxstat/transitions, ends and histograms: what happened to entries.
 * Lines of transitions and ends that are zero are left out: most of them could not
 * be anything else. README.md and ctxstat(8) describe the formats.
 */
#include <linux/err.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <net/net_namespace.h>

#include "class.h"
#include "counters.h"
#include "histogram.h"
#include "netns.h"
#include "proc.h"
#include "reason.h"

/* All records are taken from one sum, made when reading starts at the beginning. */
struct events_seq {
	struct seq_net_private p;
	unsigned long events[CTXSTAT_EVENTS];
};

struct histograms_seq {
	struct seq_net_private p;
	struct ctxstat_hist hists[CTXSTAT_L4PROTOS][CTXSTAT_HISTOGRAMS];
};

/* Position 0 is the line of column names, position n is @n - 1 of a table. */
static void *token(loff_t pos)
{
	return (void *)(uintptr_t)(pos + 1);
}

static unsigned int index_of(void *v)
{
	return (uintptr_t)v - 2;
}

/* transitions and ends: position n is an event of a row, row by row. */
static void *events_at(struct seq_file *m, loff_t *pos, unsigned int first,
		       unsigned int n, bool (*wanted)(unsigned int row))
{
	const struct events_seq *s = m->private;

	if (!*pos)
		return token(0);
	for (; *pos <= CTXSTAT_ROWS * n; ++*pos) {
		unsigned int row = (*pos - 1) / n, what = first + (*pos - 1) % n;

		if (wanted(row) && s->events[ctxstat_event(row, what)])
			return token(*pos);
	}
	return NULL;
}

static int events_sum(struct seq_file *m)
{
	struct ctxstat_net *cn = ctxstat_net(seq_file_net(m));
	struct ctxstat_counters *sum = ctxstat_proc_sum(cn);
	struct events_seq *s = m->private;

	if (!sum)
		return -ENOMEM;
	memcpy(s->events, sum->events, sizeof(s->events));
	ctxstat_counters_free(sum);
	return 0;
}

static void show_row(struct seq_file *m, const struct ctxstat_class *class)
{
	seq_printf(m, "%s %s", ctxstat_family_names[class->family],
		   ctxstat_l4[class->l4proto].name);
}

/* transitions */

static bool is_tcp_or_sctp(unsigned int row)
{
	enum ctxstat_l4proto l4proto = ctxstat_class_of_row(row).l4proto;

	return l4proto == CTXSTAT_TCP || l4proto == CTXSTAT_SCTP;
}

/* Where older entries come from nobody has seen: that is no transition. */
static void *transitions_at(struct seq_file *m, loff_t *pos)
{
	for (;;) {
		void *v = events_at(m, pos, CTXSTAT_FROM_NEW, CTXSTAT_FROMS,
				    is_tcp_or_sctp);

		if (!v || !*pos ||
		    index_of(v) % CTXSTAT_FROMS != CTXSTAT_FROM_OLDER)
			return v;
		++*pos;
	}
}

static void *transitions_start(struct seq_file *m, loff_t *pos)
{
	if (!*pos && events_sum(m))
		return ERR_PTR(-ENOMEM);
	return transitions_at(m, pos);
}

static void *transitions_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return transitions_at(m, pos);
}

static int transitions_show(struct seq_file *m, void *v)
{
	const struct events_seq *s = m->private;
	unsigned int row, from;
	struct ctxstat_class class;

	if (v == token(0)) {
		seq_puts(m, "family l4proto from to count\n");
		return 0;
	}
	row = index_of(v) / CTXSTAT_FROMS;
	from = index_of(v) % CTXSTAT_FROMS;
	class = ctxstat_class_of_row(row);
	show_row(m, &class);
	seq_printf(m, " %s %s %lu\n",
		   from == CTXSTAT_FROM_NEW ? "-" :
		   ctxstat_l4[class.l4proto].states[from - CTXSTAT_FROM_STATE],
		   ctxstat_state_name(&class),
		   s->events[ctxstat_event(row, from)]);
	return 0;
}

static void events_stop(struct seq_file *m, void *v)
{
}

static const struct seq_operations transitions_seq_ops = {
	.start = transitions_start,
	.next = transitions_next,
	.stop = events_stop,
	.show = transitions_show,
};

/* ends */

static bool any_row(unsigned int row)
{
	return true;
}

static void *ends_at(struct seq_file *m, loff_t *pos)
{
	return events_at(m, pos, CTXSTAT_ENDED, CTXSTAT_REASONS, any_row);
}

static void *ends_start(struct seq_file *m, loff_t *pos)
{
	if (!*pos && events_sum(m))
		return ERR_PTR(-ENOMEM);
	return ends_at(m, pos);
}

static void *ends_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return ends_at(m, pos);
}

static int ends_show(struct seq_file *m, void *v)
{
	const struct events_seq *s = m->private;
	unsigned int row, reason;
	struct ctxstat_class class;

	if (v == token(0)) {
		seq_puts(m, "family l4proto state reason count\n");
		return 0;
	}
	row = index_of(v) / CTXSTAT_REASONS;
	reason = index_of(v) % CTXSTAT_REASONS;
	class = ctxstat_class_of_row(row);
	show_row(m, &class);
	seq_printf(m, " %s %s %lu\n", ctxstat_state_name(&class),
		   ctxstat_reason_names[reason],
		   s->events[ctxstat_event(row, CTXSTAT_ENDED + reason)]);
	return 0;
}

static const struct seq_operations ends_seq_ops = {
	.start = ends_start,
	.next = ends_next,
	.stop = events_stop,
	.show = ends_show,
};

/*
 * histograms: a record is a bucket, and counts all values up to its bound, as
 * Prometheus does. Position n goes through protocols, then histograms, then buckets.
 */

#define HISTOGRAM_LINES	(CTXSTAT_L4PROTOS * CTXSTAT_HISTOGRAMS * CTXSTAT_BUCKETS)

static void *histograms_at(loff_t *pos)
{
	if (!*pos)
		return token(0);
	for (; *pos <= HISTOGRAM_LINES; ++*pos) {
		unsigned int n = (*pos - 1) / CTXSTAT_BUCKETS;

		if (n % CTXSTAT_HISTOGRAMS != CTXSTAT_HANDSHAKE ||
		    n / CTXSTAT_HISTOGRAMS == CTXSTAT_TCP)
			return token(*pos);
	}
	return NULL;
}

static void *histograms_start(struct seq_file *m, loff_t *pos)
{
	struct ctxstat_net *cn = ctxstat_net(seq_file_net(m));
	struct histograms_seq *s = m->private;
	struct ctxstat_counters *sum;

	if (!*pos) {
		sum = ctxstat_proc_sum(cn);
		if (!sum)
			return ERR_PTR(-ENOMEM);
		memcpy(s->hists, sum->hists, sizeof(s->hists));
		ctxstat_counters_free(sum);
	}
	return histograms_at(pos);
}

static void *histograms_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return histograms_at(pos);
}

static int histograms_show(struct seq_file *m, void *v)
{
	const struct histograms_seq *s = m->private;
	unsigned int l4proto, what, bucket, i;
	const struct ctxstat_hist *hist;
	unsigned long count = 0;

	if (v == token(0)) {
		seq_puts(m, "l4proto what le count sum\n");
		return 0;
	}
	bucket = index_of(v) % CTXSTAT_BUCKETS;
	what = index_of(v) / CTXSTAT_BUCKETS % CTXSTAT_HISTOGRAMS;
	l4proto = index_of(v) / CTXSTAT_BUCKETS / CTXSTAT_HISTOGRAMS;
	hist = &s->hists[l4proto][what];
	for (i = 0; i <= bucket; i++)
		count += hist->buckets[i];

	seq_printf(m, "%s %s ", ctxstat_l4[l4proto].name,
		   ctxstat_histogram_names[what]);
	if (bucket < CTXSTAT_BUCKETS - 1)
		seq_printf(m, "%lu %lu -\n", 1UL << bucket, count);
	else
		seq_printf(m, "+Inf %lu %lu\n", count,
			   what == CTXSTAT_LIFETIME ? hist->sum / MSEC_PER_SEC :
			   hist->sum);
	return 0;
}

static const struct seq_operations histograms_seq_ops = {
	.start = histograms_start,
	.next = histograms_next,
	.stop = events_stop,
	.show = histograms_show,
};

/**
 * ctxstat_proc_events_init() - make the files
 * @net: the namespace
 * @dir: its /proc/net/ctxstat
 *
 * Return: whether they were made.
 */
bool ctxstat_proc_events_init(struct net *net, struct proc_dir_entry *dir)
{
	return proc_create_net("transitions", 0444, dir, &transitions_seq_ops,
			       sizeof(struct events_seq)) &&
	       proc_create_net("ends", 0444, dir, &ends_seq_ops,
			       sizeof(struct events_seq)) &&
	       proc_create_net("histograms", 0444, dir, &histograms_seq_ops,
			       sizeof(struct histograms_seq));
}
