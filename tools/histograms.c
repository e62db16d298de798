// SPDX-License-Identifier: GPL-2.0-only
/* "histograms" on a terminal: a bar for each bucket. Elsewhere it is a listing. */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "listing.h"

#define WIDTH 80
#define BAR_MIN 10
/* "  > 524288 s  100.0 %   1.23M  " */
#define BESIDE_BAR 34

struct histogram {
	const struct field *rows;
	size_t n;
};

static const struct field *bucket(const struct histogram *h, size_t i)
{
	return &h->rows[i * HISTOGRAMS_COLUMNS];
}

/* The table counts all values up to a bound; here, those between it and the one before. */
static uint64_t values_in(const struct histogram *h, size_t i)
{
	uint64_t upto = bucket(h, i)[HISTOGRAMS_COUNT].num;
	uint64_t below = i ? bucket(h, i - 1)[HISTOGRAMS_COUNT].num : 0;

	return upto > below ? upto - below : 0;
}

static uint64_t values_of(const struct histogram *h)
{
	return bucket(h, h->n - 1)[HISTOGRAMS_COUNT].num;
}

static bool is_same(const struct field *a, const struct field *b)
{
	return span_eq(a[HISTOGRAMS_L4PROTO].text, b[HISTOGRAMS_L4PROTO].text) &&
	       span_eq(a[HISTOGRAMS_WHAT].text, b[HISTOGRAMS_WHAT].text);
}

/* The rows from @first on that belong together. */
static struct histogram histogram_at(const struct table *table, size_t first)
{
	struct histogram h = { table_row(table, first), 1 };

	while (first + h.n < table->rows && is_same(h.rows, table_row(table, first + h.n)))
		h.n++;
	return h;
}

static const char *unit_of(const struct histogram *h)
{
	return span_is(h->rows[HISTOGRAMS_WHAT].text, "lifetime") ? "s" : "ms";
}

static int bar_room(void)
{
	struct winsize size;
	int width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col ? WIDTH : size.ws_col;

	return width - BESIDE_BAR < BAR_MIN ? BAR_MIN : width - BESIDE_BAR;
}

static void print_bucket(const struct options *opt, const struct histogram *h, size_t i,
			 uint64_t most)
{
	struct field values = { .num = values_in(h, i), .known = true };
	bool last = span_is(bucket(h, i)[HISTOGRAMS_LE].text, "+Inf");
	struct span bound = bucket(h, last && i ? i - 1 : i)[HISTOGRAMS_LE].text;
	uint64_t width = most ? (double)values.num / most * bar_room() + 0.5 : 0;
	char cell[CELL_MAX];

	/* What is there is seen. */
	if (values.num && !width)
		width = 1;
	format_number(opt, &values, cell);
	printf("  %s %7.*s %-2s  %5.1f %%  %7s  ", last ? "> " : "<=", (int)bound.len, bound.p,
	       unit_of(h), 100.0 * values.num / values_of(h), cell);
	while (width--)
		putchar('#');
	putchar('\n');
}

static void print_heading(const struct options *opt, const struct histogram *h)
{
	const struct field *last = bucket(h, h->n - 1);
	char cell[CELL_MAX];

	format_number(opt, &last[HISTOGRAMS_COUNT], cell);
	printf("%.*s %.*s: %s values", (int)last[HISTOGRAMS_L4PROTO].text.len,
	       last[HISTOGRAMS_L4PROTO].text.p, (int)last[HISTOGRAMS_WHAT].text.len,
	       last[HISTOGRAMS_WHAT].text.p, cell);
	if (last[HISTOGRAMS_SUM].known)
		printf(", %.1f %s on average",
		       (double)last[HISTOGRAMS_SUM].num / last[HISTOGRAMS_COUNT].num, unit_of(h));
	putchar('\n');
}

static void print_histogram(const struct options *opt, const struct histogram *h)
{
	size_t i, first = h->n, last = 0;
	uint64_t most = 0;

	for (i = 0; i < h->n; i++) {
		if (!values_in(h, i))
			continue;
		if (first == h->n)
			first = i;
		last = i;
		if (values_in(h, i) > most)
			most = values_in(h, i);
	}
	print_heading(opt, h);
	for (i = first; i <= last; i++)
		print_bucket(opt, h, i, most);
}

static void print_bars(const struct options *opt, const struct snapshot *snap)
{
	const struct table *table = &snap->table[TABLE_HISTOGRAMS];
	struct histogram h;
	bool any = false;
	size_t i;

	for (i = 0; i < table->rows; i += h.n) {
		h = histogram_at(table, i);
		if (!values_of(&h) ||
		    (opt->proto && !span_is(h.rows[HISTOGRAMS_L4PROTO].text, opt->proto)))
			continue;
		if (any)
			putchar('\n');
		print_histogram(opt, &h);
		any = true;
	}
	if (!any)
		puts("No values yet.");
	if (!snap->sum[SUM_TIMESTAMP].num)
		puts("Only what begins while timestamps are on is measured; they are off: sysctl net.netfilter.nf_conntrack_timestamp=1");
}

/* Who wants some of the rows, or an order of them, wants the rows. */
static bool wants_bars(const struct options *opt)
{
	return opt->terminal && opt->format == FORMAT_TABLE &&
	       !opt->sort && !opt->reverse && !opt->top_given && !opt->all;
}

int histograms_run(const struct options *opt)
{
	const struct table_desc *desc = &table_descs[TABLE_HISTOGRAMS];
	struct snapshot snap;
	int ret;

	ret = listing_check(opt, desc);
	if (ret)
		return ret;
	ret = snapshot_load(opt, WANT(TABLE_HISTOGRAMS), &snap);
	if (!ret && wants_bars(opt))
		print_bars(opt, &snap);
	else if (!ret)
		ret = listing_show(opt, &snap, TABLE_HISTOGRAMS);
	snapshot_free(&snap);
	return ret;
}
