// SPDX-License-Identifier: GPL-2.0-only
/* What is shown without a subcommand: one screen that says how the gateway is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "findings.h"
#include "interval.h"
#include "listing.h"

/* Long enough for a rate, short enough not to be waited for. */
#define INTERVAL 0.5
#define TOP_PORTS 5
#define BAR_WIDTH 40

static void print_bar(const struct field *entries, const struct field *max)
{
	double full = entries->num >= max->num ? 1 : (double)entries->num / max->num;
	int i, used = full * BAR_WIDTH + 0.5;

	putchar('[');
	for (i = 0; i < BAR_WIDTH; i++)
		putchar(i < used ? '#' : '.');
	printf("] %.1f %%  ", 100.0 * entries->num / max->num);
}

static void print_fill(const struct options *opt, const struct snapshot *old,
		       const struct snapshot *new)
{
	const struct field fill = fill_of(new), *entries = &fill, *max = &new->sum[SUM_MAX];
	struct rate full = seconds_to_full(old, new);
	char cell[CELL_MAX];

	printf("%-10s", "entries");
	if (entries->known && max->known && max->num)
		print_bar(entries, max);
	format_number(opt, entries, cell);
	fputs(cell, stdout);
	format_number(opt, max, cell);
	if (max->known && !max->num)
		puts(", no limit");
	else
		printf(" of %s\n", cell);
	if (!full.known || full.value > FULL_SOON)
		return;
	format_duration(full.value, cell);
	printf("%-10sin %s, at the present rate\n", "full", cell);
}

static void print_rates(const struct options *opt, const struct snapshot *old,
			const struct snapshot *new)
{
	struct rate created = rate_of_key(old, new, SUM_CREATED);
	struct rate ended = rate_of_key(old, new, SUM_DESTROYED);
	char cell[CELL_MAX], when[CELL_MAX];

	if (old) {
		format_rate(opt, created.value, created.known, cell);
		format_rate(opt, ended.value, ended.known, when);
		printf("%-10s%s per second, ended %s\n", "new", cell, when);
	}
	format_number(opt, &new->sum[SUM_PEAK], cell);
	format_time(&new->sum[SUM_PEAK_TIME], "%Y-%m-%d %H:%M:%S", when);
	printf("%-10s%s at %s\n", "peak", cell, when);
}

static void print_findings(const struct options *opt, const struct snapshot *old,
			   const struct snapshot *new)
{
	struct finding found[FINDINGS_MAX];
	size_t i, n = findings(old, new, found);
	const char *red = use_colour(opt) ? "\033[1;31m" : "";
	const char *plain = *red ? "\033[0m" : "";

	for (i = 0; i < n; i++)
		printf("%-10s%s%s%s\n", i ? "" : "wrong", found[i].critical ? red : "",
		       found[i].text, found[i].critical ? plain : "");
	if (!n)
		printf("%-10snothing to be seen\n", "wrong");
}

static int print_screen(const struct options *opt, const struct snapshot *old,
			const struct snapshot *new)
{
	struct options states = *opt, ports = *opt;
	int ret;

	print_fill(opt, old, new);
	print_rates(opt, old, new);
	print_findings(opt, old, new);
	putchar('\n');
	/* --top is for the ports, --all for the states. */
	states.top_given = false;
	ret = listing_show(&states, new, TABLE_STATES);
	if (ret || !new->table[TABLE_PORTS].rows)
		return ret;
	putchar('\n');
	ports.all = false;
	ports.top_given = true;
	ports.top = opt->top_given ? opt->top : TOP_PORTS;
	return listing_show(&ports, new, TABLE_PORTS);
}

/* Recorded tables do not change while one waits. */
static double interval_of(const struct options *opt)
{
	if (opt->interval_given)
		return opt->interval;
	return strcmp(opt->proc_dir, DEFAULT_PROC_DIR) ? 0 : INTERVAL;
}

int overview_run(const struct options *opt)
{
	struct snapshot old = { 0 }, new;
	double interval = interval_of(opt);
	int ret;

	ret = interval > 0 ? interval_check(interval) : EXIT_OK;
	if (ret)
		return ret;
	ret = snapshot_load(opt, FINDINGS_TABLES, &new);
	if (!ret && interval > 0) {
		old = new;
		interval_wait(interval);
		ret = snapshot_load(opt, FINDINGS_TABLES, &new);
	}
	if (!ret)
		ret = print_screen(opt, interval > 0 ? &old : NULL, &new);
	snapshot_free(&new);
	snapshot_free(&old);
	return ret;
}
