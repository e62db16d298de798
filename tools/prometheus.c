// SPDX-License-Identifier: GPL-2.0-only
/* Prometheus's text format. ctxstat(8) lists the metrics. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "findings.h"

#define TOP_PORTS 20
#define MAX_LABELS 4

struct metric {
	const char *name;
	const char *type;
	const char *help;
};

/* A table's column as a metric with the row's keys as labels. */
struct column_metric {
	size_t column;
	struct metric metric;
};

struct key_metric {
	enum summary_key key;
	struct metric metric;
};

static const struct key_metric key_metrics[] = {
	{ SUM_START_TIME, { "ctxstat_start_time_seconds", "gauge",
	  "When counting began, in seconds since 1970; another value: it began anew." } },
	{ SUM_COUNT, { "ctxstat_kernel_entries", "gauge",
	  "Entries that the kernel itself counts (nf_conntrack_count)." } },
	{ SUM_BUCKETS, { "ctxstat_buckets", "gauge", "Size of the hash table." } },
	{ SUM_ENTRY_SIZE, { "ctxstat_entry_size_bytes", "gauge",
	  "Memory of an entry without its extensions." } },
	{ SUM_PEAK, { "ctxstat_peak_entries", "gauge", "Most entries seen since counting began." } },
	{ SUM_PEAK_TIME, { "ctxstat_peak_timestamp_seconds", "gauge",
	  "When there were most entries, in seconds since 1970." } },
	{ SUM_PEAK_RATE, { "ctxstat_peak_created_per_second", "gauge",
	  "Most entries created within a second since counting began." } },
	{ SUM_PEAK_RATE_TIME, { "ctxstat_peak_created_timestamp_seconds", "gauge",
	  "When most entries were created, in seconds since 1970." } },
	{ SUM_ACCT, { "ctxstat_accounting_enabled", "gauge",
	  "Whether the kernel counts packets and bytes of entries (nf_conntrack_acct)." } },
	{ SUM_TIMESTAMP, { "ctxstat_timestamps_enabled", "gauge",
	  "Whether the kernel notes when entries begin (nf_conntrack_timestamp)." } },
	{ SUM_CREATED, { "ctxstat_created_total", "counter", "New entries." } },
	{ SUM_ADOPTED, { "ctxstat_adopted_total", "counter",
	  "Entries found in the table that are older than the module." } },
	{ SUM_DESTROYED, { "ctxstat_destroyed_total", "counter", "Entries that ended." } },
	{ SUM_PORT_MEMORY, { "ctxstat_port_memory_bytes", "gauge",
	  "Memory that counting by port takes." } },
	{ SUM_PORT_MEMORY_MAX, { "ctxstat_port_memory_limit_bytes", "gauge",
	  "Memory that counting by port may take." } },
	{ SUM_PORT_OVERFLOW, { "ctxstat_port_overflow_total", "counter",
	  "Entries not counted by port, as there was no memory for it." } },
};

/* Modulo 2^32, as the kernel's counters wrap on each CPU: so a wrap looks like a restart from zero. */
static const struct key_metric kernel_metrics[] = {
	{ SUM_KERNEL_FOUND, { "ctxstat_kernel_found_total", "counter",
	  "Attempts of NAT to use a tuple that was taken." } },
	{ SUM_KERNEL_INVALID, { "ctxstat_kernel_invalid_total", "counter",
	  "Packets that could not be tracked." } },
	{ SUM_KERNEL_INSERT, { "ctxstat_kernel_insert_total", "counter",
	  "Entries inserted from user space." } },
	{ SUM_KERNEL_INSERT_FAILED, { "ctxstat_kernel_insert_failed_total", "counter",
	  "Attempts to insert an entry that failed." } },
	{ SUM_KERNEL_DROP, { "ctxstat_kernel_drop_total", "counter",
	  "Packets dropped: table full, no memory, or a clash." } },
	{ SUM_KERNEL_EARLY_DROP, { "ctxstat_kernel_early_drop_total", "counter",
	  "Entries evicted for a new one, as the table was full." } },
	{ SUM_KERNEL_ERROR, { "ctxstat_kernel_error_total", "counter",
	  "Packets with a malformed header, and ICMP errors that belong to no entry." } },
	{ SUM_KERNEL_SEARCH_RESTART, { "ctxstat_kernel_search_restart_total", "counter",
	  "Lookups started anew, as the table changed meanwhile." } },
	{ SUM_KERNEL_CLASH_RESOLVE, { "ctxstat_kernel_clash_resolve_total", "counter",
	  "Packets that lost the race to insert their entry and got the winner's." } },
	{ SUM_KERNEL_CHAINTOOLONG, { "ctxstat_kernel_chaintoolong_total", "counter",
	  "Inserts refused, as the bucket's list was too long." } },
};

static const struct column_metric states_metrics[] = {
	{ STATES_ENTRIES, { "ctxstat_entries", "gauge", "Entries in the conntrack table." } },
	{ STATES_UNREPLIED, { "ctxstat_unreplied_entries", "gauge",
	  "Entries without a packet in reply direction." } },
	{ STATES_ASSURED, { "ctxstat_assured_entries", "gauge",
	  "Entries that are not evicted when the table is full." } },
	{ STATES_SNAT, { "ctxstat_snat_entries", "gauge", "Entries whose source is translated." } },
	{ STATES_DNAT, { "ctxstat_dnat_entries", "gauge",
	  "Entries whose destination is translated." } },
	{ STATES_ENTERED, { "ctxstat_state_entered_total", "counter",
	  "How often an entry came into this state, or was found in it at load." } },
	{ STATES_LEFT, { "ctxstat_state_left_total", "counter",
	  "How often an entry left this state." } },
};

static const struct column_metric transitions_metrics[] = {
	{ TRANSITIONS_COUNT, { "ctxstat_transitions_total", "counter",
	  "How often entries went from one state to another; a new one comes from -." } },
};

static const struct column_metric ends_metrics[] = {
	{ ENDS_COUNT, { "ctxstat_ends_total", "counter",
	  "Entries that ended, by their last state and the reason." } },
};

/* Of one port, and of all ports of a protocol. */
static const struct {
	size_t column;
	struct metric port;
	struct metric all;
} ports_metrics[] = {
	{ PORTS_ENTRIES,
	  { "ctxstat_port_entries", "gauge", "Entries by destination port: the top ports, and others." },
	  { NULL, NULL, NULL } },
	{ PORTS_UNREPLIED,
	  { "ctxstat_port_unreplied_entries", "gauge",
	    "Entries without a packet in reply direction by destination port." },
	  { NULL, NULL, NULL } },
	{ PORTS_OPENED,
	  { "ctxstat_port_opened_total", "counter", "New entries of the top ports." },
	  { "ctxstat_all_ports_opened_total", "counter", "New entries of all ports." } },
	{ PORTS_ANSWERED,
	  { "ctxstat_port_answered_total", "counter", "Entries of the top ports that got an answer." },
	  { "ctxstat_all_ports_answered_total", "counter", "Entries of all ports that got an answer." } },
	{ PORTS_CLOSED,
	  { "ctxstat_port_closed_total", "counter",
	    "Entries of the top ports that ended, and had been answered." },
	  { "ctxstat_all_ports_closed_total", "counter",
	    "Entries of all ports that ended, and had been answered." } },
	{ PORTS_FAILED,
	  { "ctxstat_port_failed_total", "counter",
	    "Entries of the top ports that ended without an answer." },
	  { "ctxstat_all_ports_failed_total", "counter",
	    "Entries of all ports that ended without an answer." } },
	{ PORTS_ADOPTED,
	  { "ctxstat_port_adopted_total", "counter",
	    "Entries of the top ports that were not counted when they were new." },
	  { "ctxstat_all_ports_adopted_total", "counter",
	    "Entries of all ports that were not counted when they were new." } },
	{ PORTS_PACKETS,
	  { "ctxstat_port_packets_total", "counter",
	    "Packets of entries of the top ports that ended, both directions." },
	  { "ctxstat_all_ports_packets_total", "counter",
	    "Packets of entries of all ports that ended, both directions." } },
	{ PORTS_BYTES,
	  { "ctxstat_port_bytes_total", "counter",
	    "Bytes of entries of the top ports that ended, both directions." },
	  { "ctxstat_all_ports_bytes_total", "counter",
	    "Bytes of entries of all ports that ended, both directions." } },
};

/* What "ends" may say: all are there from the beginning, so that alerts see the first one. */
static const char * const reasons[] = {
	"timeout", "closed", "reset", "evicted", "deleted", "netns", "other",
};

static const struct {
	const char *what;
	struct metric metric;
	unsigned int per_second;
} histogram_metrics[] = {
	{ "lifetime", { "ctxstat_lifetime_seconds", "histogram", "How long entries lived." }, 1 },
	{ "reply", { "ctxstat_reply_seconds", "histogram",
	  "From the first packet to the first reply." }, 1000 },
	{ "handshake", { "ctxstat_handshake_seconds", "histogram",
	  "From the first packet to ESTABLISHED." }, 1000 },
};

static void print_head(FILE *out, const struct metric *metric)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
		metric->type);
}

/* The names are printable words; only these two would need more. */
static void print_escaped(FILE *out, struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			fputc('\\', out);
		fputc(s.p[i], out);
	}
}

/* "{family="ipv4",...", left open. */
static void print_labels(FILE *out, const struct table_desc *desc, const struct field *row, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		fprintf(out, "%s%s=\"", i ? "," : "{", desc->columns[i].name);
		print_escaped(out, row[i].text);
		fputc('"', out);
	}
}

/* A value that is not known has no sample. */
static void print_columns(FILE *out, const struct table *table, const struct column_metric *metrics,
			  size_t n)
{
	const struct field *row;
	size_t i, k;

	for (k = 0; k < n; k++) {
		print_head(out, &metrics[k].metric);
		for (i = 0; i < table->rows; i++) {
			row = table_row(table, i);
			if (!row[metrics[k].column].known)
				continue;
			fputs(metrics[k].metric.name, out);
			print_labels(out, table->desc, row, table->desc->keys);
			fprintf(out, "} %" PRIu64 "\n", row[metrics[k].column].num);
		}
	}
}

static void print_keys(FILE *out, const struct field *sum, const struct key_metric *metrics, size_t n,
		       uint64_t mask)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!sum[metrics[i].key].known)
			continue;
		print_head(out, &metrics[i].metric);
		fprintf(out, "%s %" PRIu64 "\n", metrics[i].metric.name, sum[metrics[i].key].num & mask);
	}
}

static void print_info(FILE *out, const struct field *sum)
{
	static const struct metric metric = {
		"ctxstat_module_info", "gauge", "Version of the kernel module; always 1.",
	};

	print_head(out, &metric);
	fprintf(out, "%s{version=\"", metric.name);
	print_escaped(out, sum[SUM_VERSION].text);
	fputs("\"} 1\n", out);
}

static void print_max(FILE *out, const struct field *max)
{
	static const struct metric metric = {
		"ctxstat_entries_limit", "gauge", "Entries that there may be (nf_conntrack_max).",
	};

	/* 0: there is no limit. */
	if (!max->known || !max->num)
		return;
	print_head(out, &metric);
	fprintf(out, "%s %" PRIu64 "\n", metric.name, max->num);
}

static void print_insert_failed(FILE *out, const struct field *sum)
{
	static const struct metric metric = {
		"ctxstat_insert_failed_total", "counter",
		"Entries that never got into the table, as another one was in the way.",
	};
	unsigned int key;

	print_head(out, &metric);
	for (key = SUM_INSERT_FAILED_TCP; key <= SUM_INSERT_FAILED_OTHER; key++)
		if (sum[key].known)
			fprintf(out, "%s{l4proto=\"%s\"} %" PRIu64 "\n", metric.name,
				summary_keys[key].label, sum[key].num);
}

static void print_ended(FILE *out, const struct table *ends)
{
	static const struct metric metric = {
		"ctxstat_ended_total", "counter", "Entries that ended, by reason.",
	};
	struct query all = { 0, NULL }, reason = { ENDS_REASON, NULL };
	struct field sum;
	size_t i;

	print_head(out, &metric);
	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		reason.value = reasons[i];
		sum = sum_of(ends, ENDS_COUNT, reason, all);
		if (sum.known)
			fprintf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", metric.name, reasons[i], sum.num);
	}
}

/* A number of parts of a second, exactly. */
static void print_seconds(FILE *out, uint64_t num, unsigned int per_second)
{
	if (num % per_second)
		fprintf(out, "%" PRIu64 ".%03" PRIu64, num / per_second, num % per_second);
	else
		fprintf(out, "%" PRIu64, num / per_second);
}

static void print_bucket(FILE *out, const char *name, const struct field *row,
			 unsigned int per_second)
{
	uint64_t le;

	if (!row[HISTOGRAMS_COUNT].known)
		return;
	fprintf(out, "%s_bucket", name);
	print_labels(out, &table_descs[TABLE_HISTOGRAMS], row, 1);
	fputs(",le=\"", out);
	if (parse_number(row[HISTOGRAMS_LE].text, &le))
		print_seconds(out, le, per_second);
	else
		print_escaped(out, row[HISTOGRAMS_LE].text);
	fprintf(out, "\"} %" PRIu64 "\n", row[HISTOGRAMS_COUNT].num);
}

static void print_sum_and_count(FILE *out, const char *name, const struct field *row,
				unsigned int per_second)
{
	const struct table_desc *desc = &table_descs[TABLE_HISTOGRAMS];

	fprintf(out, "%s_sum", name);
	print_labels(out, desc, row, 1);
	fputs("} ", out);
	print_seconds(out, row[HISTOGRAMS_SUM].num, per_second);
	fprintf(out, "\n%s_count", name);
	print_labels(out, desc, row, 1);
	fprintf(out, "} %" PRIu64 "\n", row[HISTOGRAMS_COUNT].num);
}

static void print_histograms(FILE *out, const struct table *table)
{
	const struct field *row;
	size_t i, k;

	for (k = 0; k < ARRAY_SIZE(histogram_metrics); k++) {
		print_head(out, &histogram_metrics[k].metric);
		for (i = 0; i < table->rows; i++) {
			row = table_row(table, i);
			if (!span_is(row[HISTOGRAMS_WHAT].text, histogram_metrics[k].what))
				continue;
			print_bucket(out, histogram_metrics[k].metric.name, row,
				     histogram_metrics[k].per_second);
			/* The bucket of +Inf is the last one, and has the sum. */
			if (row[HISTOGRAMS_SUM].known && row[HISTOGRAMS_COUNT].known)
				print_sum_and_count(out, histogram_metrics[k].metric.name, row,
						    histogram_metrics[k].per_second);
		}
	}
}

/**
 * struct port_rank - why a port is among the top ones
 * @row: of the table
 * @unanswered: there is a finding, and an alert, about it
 * @share: of all entries, as a power of two; 0 below 1/128
 * @seen: entries ever counted
 *
 * A port that is in the top only now and then would make a new time series each time:
 * that is why a few entries more or less do not matter.
 */
struct port_rank {
	size_t row;
	bool unanswered;
	unsigned int share;
	uint64_t seen;
};

static int compare_ranks(const void *a, const void *b)
{
	const struct port_rank *x = a, *y = b;

	if (x->unanswered != y->unanswered)
		return x->unanswered ? -1 : 1;
	if (x->share != y->share)
		return x->share > y->share ? -1 : 1;
	if (x->seen != y->seen)
		return x->seen > y->seen ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

static unsigned int magnitude(uint64_t entries, uint64_t all)
{
	double parts = all ? 128.0 * entries / all : 0;
	unsigned int n;

	for (n = 0; parts >= 1; n++)
		parts /= 2;
	return n;
}

/* @is_top: by row. */
static bool choose_ports(const struct snapshot *snap, uint64_t top, bool *is_top)
{
	const struct table *ports = &snap->table[TABLE_PORTS];
	struct port_rank *ranks = calloc(ports->rows + 1, sizeof(*ranks));
	const struct field *row;
	size_t i;

	if (!ranks)
		return false;
	for (i = 0; i < ports->rows; i++) {
		row = table_row(ports, i);
		ranks[i] = (struct port_rank){
			i, port_is_unanswered(snap, row),
			magnitude(row[PORTS_ENTRIES].num, snap->sum[SUM_ENTRIES].num),
			row[PORTS_OPENED].num + row[PORTS_ADOPTED].num,
		};
	}
	qsort(ranks, ports->rows, sizeof(*ranks), compare_ranks);
	for (i = 0; i < ports->rows && i < top; i++)
		is_top[ranks[i].row] = true;
	free(ranks);
	return true;
}

static void print_port(FILE *out, const char *name, const struct field *row, size_t column)
{
	if (!row[column].known)
		return;
	fputs(name, out);
	print_labels(out, &table_descs[TABLE_PORTS], row, 2);
	fprintf(out, "} %" PRIu64 "\n", row[column].num);
}

/* A row by its place among all, sorted by protocol. */
static const struct field *sorted_row(const struct table *ports, size_t place)
{
	return table_row(ports, ports->order[place]);
}

/* Sums up ports of the protocol that is at @first. Return: the place behind them. */
static size_t sum_protocol(const struct table *ports, size_t first, size_t column,
			   const bool *left_out, struct field *sum)
{
	const struct field *row, *head = sorted_row(ports, first);
	size_t i;

	*sum = (struct field){ .known = true };
	for (i = first; i < ports->rows; i++) {
		row = sorted_row(ports, i);
		if (!span_eq(row[PORTS_L4PROTO].text, head[PORTS_L4PROTO].text))
			break;
		if (left_out && left_out[ports->order[i]])
			continue;
		if (!row[column].known ||
		    __builtin_add_overflow(sum->num, row[column].num, &sum->num))
			sum->known = false;
	}
	return i;
}

/* What is left besides the top ports, or, without @is_top, all of a protocol. */
static void print_sums(FILE *out, const char *name, const struct table *ports, size_t column,
		       const bool *is_top)
{
	struct field sum;
	size_t first, next;

	for (first = 0; first < ports->rows; first = next) {
		next = sum_protocol(ports, first, column, is_top, &sum);
		if (!sum.known)
			continue;
		fputs(name, out);
		print_labels(out, &table_descs[TABLE_PORTS], sorted_row(ports, first), 1);
		fprintf(out, "%s} %" PRIu64 "\n", is_top ? ",port=\"other\"" : "", sum.num);
	}
}

/*
 * Only gauges have a remainder, "other": that of a counter would go backwards whenever
 * a port joins the top, and look like a restart. Counters have sums over all ports.
 */
static void print_ports(FILE *out, const struct table *ports, const bool *is_top)
{
	bool counter;
	size_t i, k;

	for (k = 0; k < ARRAY_SIZE(ports_metrics); k++) {
		counter = ports_metrics[k].all.name;
		print_head(out, &ports_metrics[k].port);
		for (i = 0; i < ports->rows; i++)
			if (is_top[i])
				print_port(out, ports_metrics[k].port.name, table_row(ports, i),
					   ports_metrics[k].column);
		if (!counter)
			print_sums(out, ports_metrics[k].port.name, ports, ports_metrics[k].column,
				   is_top);
	}
	for (k = 0; k < ARRAY_SIZE(ports_metrics); k++) {
		if (!ports_metrics[k].all.name)
			continue;
		print_head(out, &ports_metrics[k].all);
		print_sums(out, ports_metrics[k].all.name, ports, ports_metrics[k].column, NULL);
	}
}

static void print_all(FILE *out, const struct snapshot *snap, const bool *is_top)
{
	print_info(out, snap->sum);
	print_keys(out, snap->sum, key_metrics, ARRAY_SIZE(key_metrics), UINT64_MAX);
	print_max(out, &snap->sum[SUM_MAX]);
	print_insert_failed(out, snap->sum);
	print_columns(out, &snap->table[TABLE_STATES], states_metrics, ARRAY_SIZE(states_metrics));
	print_ports(out, &snap->table[TABLE_PORTS], is_top);
	print_columns(out, &snap->table[TABLE_TRANSITIONS], transitions_metrics,
		      ARRAY_SIZE(transitions_metrics));
	print_ended(out, &snap->table[TABLE_ENDS]);
	print_columns(out, &snap->table[TABLE_ENDS], ends_metrics, ARRAY_SIZE(ends_metrics));
	print_histograms(out, &snap->table[TABLE_HISTOGRAMS]);
	print_keys(out, snap->sum, kernel_metrics, ARRAY_SIZE(kernel_metrics), UINT32_MAX);
}

static int print_snapshot(const struct options *opt, FILE *out, const struct snapshot *snap)
{
	const struct table *ports = &snap->table[TABLE_PORTS];
	bool *is_top = calloc(ports->rows + 1, sizeof(*is_top));

	if (!is_top || !choose_ports(snap, opt->top_given ? opt->top : TOP_PORTS, is_top)) {
		free(is_top);
		complain("out of memory");
		return EXIT_SYSTEM;
	}
	print_all(out, snap, is_top);
	free(is_top);
	return EXIT_OK;
}

int prometheus_write(const struct options *opt, FILE *out)
{
	struct snapshot snap;
	int ret;

	ret = snapshot_load(opt, WANT_ALL, &snap);
	if (!ret)
		ret = print_snapshot(opt, out, &snap);
	snapshot_free(&snap);
	return ret;
}

int prometheus_run(const struct options *opt)
{
	return opt->output ? textfile_write(opt) : prometheus_write(opt, stdout);
}
