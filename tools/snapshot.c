// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "interval.h"
#include "snapshot.h"
#include "summary.h"

int snapshot_load(const struct options *opt, unsigned int want, struct snapshot *snap)
{
	unsigned int i;
	int ret;

	memset(snap, 0, sizeof(*snap));
	snap->mono = monotonic();
	snap->wall = clock_seconds(CLOCK_REALTIME);
	ret = summary_load(opt, snap->sum, &snap->sum_buf);
	for (i = 0; !ret && i < TABLES; i++)
		if (want & WANT(i))
			ret = load_table(opt, &table_descs[i], &snap->table[i]);
	return ret;
}

void snapshot_free(struct snapshot *snap)
{
	unsigned int i;

	for (i = 0; i < TABLES; i++)
		table_free(&snap->table[i]);
	free(snap->sum_buf);
	memset(snap, 0, sizeof(*snap));
}

static bool is_kernel_key(unsigned int key)
{
	return key >= SUM_KERNEL_FOUND && key <= SUM_KERNEL_CHAINTOOLONG;
}

static bool went_back(const struct field *old, const struct field *new)
{
	return old->known && new->known && new->num < old->num;
}

/*
 * The start time has whole seconds: a module that is loaded anew within one second of
 * its load shows by what it has forgotten. While it is loaded it adopts what is in the
 * table, which is no growth; afterwards there is nothing older that it could find.
 */
bool snapshot_comparable(const struct snapshot *old, const struct snapshot *new)
{
	unsigned int key;

	if (!old || !old->sum_buf || new->mono <= old->mono)
		return false;
	if (old->sum[SUM_START_TIME].num != new->sum[SUM_START_TIME].num ||
	    old->sum[SUM_ADOPTED].num != new->sum[SUM_ADOPTED].num)
		return false;
	for (key = 0; key < SUM_KEYS; key++)
		if (summary_keys[key].kind == FIELD_COUNTER && !is_kernel_key(key) &&
		    went_back(&old->sum[key], &new->sum[key]))
			return false;
	return true;
}

static struct rate rate_between(const struct snapshot *old, const struct snapshot *new,
				struct field before, struct field after)
{
	struct rate rate = { 0, false };

	if (!before.known || !after.known || after.num < before.num)
		return rate;
	rate.value = (after.num - before.num) / (new->mono - old->mono);
	rate.known = true;
	return rate;
}

struct rate rate_of_key(const struct snapshot *old, const struct snapshot *new,
			enum summary_key key)
{
	struct field before, after;

	if (!snapshot_comparable(old, new))
		return (struct rate){ 0, false };
	before = old->sum[key];
	after = new->sum[key];
	/* A sum of 32-bit counters is right in its lower 32 bits, whichever of them wrapped. */
	if (is_kernel_key(key)) {
		after.num = (uint32_t)(after.num - before.num);
		before.num = 0;
		/* That many packets in an interval there were not: it went backwards. */
		if (after.num > INT32_MAX)
			after.known = false;
	}
	return rate_between(old, new, before, after);
}

struct rate rate_of_column(const struct snapshot *old, const struct snapshot *new,
			   enum table_index table, size_t row, size_t column)
{
	const struct field *after = table_row(&new->table[table], row);
	const struct field *before;
	struct field zero = { .known = true };

	if (!snapshot_comparable(old, new))
		return (struct rate){ 0, false };
	before = table_find(&old->table[table], after);
	/* A row that was not there yet had counted nothing. */
	return rate_between(old, new, before ? before[column] : zero, after[column]);
}

static bool matches(const struct field *row, struct query query)
{
	return !query.value || span_is(row[query.column].text, query.value);
}

struct field sum_of(const struct table *table, size_t column, struct query a, struct query b)
{
	struct field sum = { .known = true };
	const struct field *row;
	size_t i;

	for (i = 0; i < table->rows; i++) {
		row = table_row(table, i);
		if (!matches(row, a) || !matches(row, b))
			continue;
		if (!row[column].known ||
		    __builtin_add_overflow(sum.num, row[column].num, &sum.num))
			sum.known = false;
	}
	return sum;
}

struct field tcp_entries(const struct snapshot *snap, const char *state)
{
	return sum_of(&snap->table[TABLE_STATES], STATES_ENTRIES,
		      (struct query){ STATES_L4PROTO, "tcp" }, (struct query){ STATES_STATE, state });
}

struct field unreplied_entries(const struct snapshot *snap)
{
	struct query all = { 0, NULL };

	return sum_of(&snap->table[TABLE_STATES], STATES_UNREPLIED, all, all);
}

struct rate rate_of_evictions(const struct snapshot *old, const struct snapshot *new)
{
	return rate_of_sum(old, new, TABLE_ENDS, ENDS_COUNT,
			   (struct query){ ENDS_REASON, "evicted" }, (struct query){ 0, NULL });
}

struct rate rate_of_sum(const struct snapshot *old, const struct snapshot *new,
			enum table_index table, size_t column, struct query a, struct query b)
{
	if (!snapshot_comparable(old, new))
		return (struct rate){ 0, false };
	return rate_between(old, new, sum_of(&old->table[table], column, a, b),
			    sum_of(&new->table[table], column, a, b));
}
