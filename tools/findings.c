// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "findings.h"

static const struct options short_numbers = { .terminal = true };

struct list {
	struct finding *out;
	size_t n;
};

static void __attribute__((format(printf, 3, 4)))
add(struct list *list, bool critical, const char *fmt, ...)
{
	va_list ap;

	if (list->n == FINDINGS_MAX)
		return;
	list->out[list->n].critical = critical;
	va_start(ap, fmt);
	vsnprintf(list->out[list->n].text, sizeof(list->out->text), fmt, ap);
	va_end(ap);
	list->n++;
}

double share_of(const struct field *part, const struct field *whole)
{
	return part->known && whole->known && whole->num ? 100.0 * part->num / whole->num : 0;
}

struct field fill_of(const struct snapshot *snap)
{
	struct field entries = snap->sum[SUM_ENTRIES], count = snap->sum[SUM_COUNT];

	return !entries.known || (count.known && count.num > entries.num) ? count : entries;
}

struct rate seconds_to_full(const struct snapshot *old, const struct snapshot *new)
{
	const struct field *max = &new->sum[SUM_MAX];
	struct rate rate = { 0, false };
	struct field before, now;
	double growth;

	if (!snapshot_comparable(old, new) || !max->known || !max->num)
		return rate;
	before = fill_of(old);
	now = fill_of(new);
	if (!before.known || !now.known || now.num <= before.num || now.num >= max->num)
		return rate;
	growth = (now.num - before.num) / (new->mono - old->mono);
	rate.value = (max->num - now.num) / growth;
	rate.known = true;
	return rate;
}

static void look_at_fill(struct list *list, const struct snapshot *old, const struct snapshot *new)
{
	const struct field fill = fill_of(new);
	double full = share_of(&fill, &new->sum[SUM_MAX]);
	struct rate left = seconds_to_full(old, new);
	char cell[CELL_MAX];

	if (full < FULL_WARNING)
		return;
	if (!left.known) {
		add(list, full >= FULL_CRITICAL, "the table is %.0f %% full", full);
		return;
	}
	format_duration(left.value, cell);
	add(list, full >= FULL_CRITICAL, "the table is %.0f %% full, and has no room left in %s if it goes on like this",
	    full, cell);
}

static void look_at_inserts(struct list *list, const struct snapshot *old, const struct snapshot *new)
{
	struct rate failed = rate_of_key(old, new, SUM_INSERT_FAILED);
	struct rate created = rate_of_key(old, new, SUM_CREATED);
	char cell[CELL_MAX];

	if (!failed.known || !created.known || failed.value <= FAILED_PER_SECOND ||
	    100 * failed.value <= FAILED_SHARE * created.value)
		return;
	format_rate(&short_numbers, failed.value, true, cell);
	add(list, true, "%s connections per second cannot be inserted: ports for SNAT may be used up", cell);
}

static void look_at_drops(struct list *list, const struct snapshot *old, const struct snapshot *new)
{
	struct rate rate = rate_of_evictions(old, new);
	char cell[CELL_MAX];

	if (rate.known && rate.value > 0) {
		format_rate(&short_numbers, rate.value, true, cell);
		add(list, true, "%s connections per second are evicted for new ones (early drop)", cell);
	}
	rate = rate_of_key(old, new, SUM_KERNEL_DROP);
	if (rate.known && rate.value > DROPPED_PER_SECOND) {
		format_rate(&short_numbers, rate.value, true, cell);
		add(list, true, "%s packets per second are dropped: the table is full, or memory is short",
		    cell);
	}
}

bool port_matters(const struct snapshot *snap, const struct field *port)
{
	const struct field *entries = &port[PORTS_ENTRIES];

	return entries->known && entries->num >= PORT_ENTRIES &&
	       share_of(entries, &snap->sum[SUM_ENTRIES]) >= PORT_SHARE;
}

bool port_is_unanswered(const struct snapshot *snap, const struct field *port)
{
	return port_matters(snap, port) &&
	       share_of(&port[PORTS_UNREPLIED], &port[PORTS_ENTRIES]) > UNREPLIED_SHARE;
}

/* Only the one with the most unanswered entries: in a scan there are thousands. */
static void look_at_ports(struct list *list, const struct snapshot *new)
{
	const struct table *ports = &new->table[TABLE_PORTS];
	const struct field *row, *worst = NULL;
	char port[CELL_MAX];
	size_t i, others = 0;

	for (i = 0; i < ports->rows; i++) {
		row = table_row(ports, i);
		if (!port_is_unanswered(new, row))
			continue;
		others += !!worst;
		if (!worst || row[PORTS_UNREPLIED].num > worst[PORTS_UNREPLIED].num)
			worst = row;
	}
	if (!worst)
		return;
	format_port(&short_numbers, worst[PORTS_L4PROTO].text, &worst[PORTS_PORT], port);
	add(list, false, "%.*s port %s is mostly unanswered: %.0f %% of its %" PRIu64 " entries",
	    (int)worst[PORTS_L4PROTO].text.len, worst[PORTS_L4PROTO].text.p, port,
	    share_of(&worst[PORTS_UNREPLIED], &worst[PORTS_ENTRIES]), worst[PORTS_ENTRIES].num);
	if (others)
		add(list, false, "and so %s %zu more port%s", others == 1 ? "is" : "are", others,
		    others == 1 ? "" : "s");
}

static void look_at_unreplied(struct list *list, const struct snapshot *new)
{
	struct query all = { 0, NULL };
	struct field unreplied = unreplied_entries(new);
	struct field entries = sum_of(&new->table[TABLE_STATES], STATES_ENTRIES, all, all);

	if (entries.known && entries.num >= UNREPLIED_ENTRIES &&
	    share_of(&unreplied, &entries) > UNREPLIED_SHARE)
		add(list, false, "%.0f %% of all entries have had no reply: a scan, a flood, or packets that come back another way",
		    share_of(&unreplied, &entries));
}

static void look_at_memory(struct list *list, const struct snapshot *old, const struct snapshot *new)
{
	struct rate rate = rate_of_key(old, new, SUM_PORT_OVERFLOW);

	if (rate.known && rate.value > 0)
		add(list, false, "not all entries are counted by port: raise the module's parameter port_memory");
}

static int more_urgent(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	return y->critical - x->critical;
}

size_t findings(const struct snapshot *old, const struct snapshot *new,
		struct finding out[FINDINGS_MAX])
{
	struct list list = { out, 0 };

	look_at_fill(&list, old, new);
	look_at_inserts(&list, old, new);
	look_at_drops(&list, old, new);
	look_at_ports(&list, new);
	look_at_unreplied(&list, new);
	look_at_memory(&list, old, new);
	/* glibc's qsort() merges, and so keeps the order among equals; or not, if memory is short. */
	qsort(out, list.n, sizeof(*out), more_urgent);
	return list.n;
}
