// SPDX-License-Identifier: GPL-2.0-only
/* A plugin for Nagios, Icinga and others: one line, performance data, four exit codes. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "findings.h"
#include "interval.h"

#define INTERVAL 1.0
/* The exit codes, in the order of the words below. */
enum verdict {
	CHECK_OK,
	CHECK_WARNING,
	CHECK_CRITICAL,
	CHECK_UNKNOWN,
};

static const char * const words[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };

/* When a value is too high: above this. */
struct limit {
	bool given;
	bool percent;
	double value;
};

/**
 * struct measured - a value, and what to think of it
 * @label: of the performance data
 * @unit: of the value there
 * @digits: of the value there, behind the point
 * @value: the value
 * @known: it is known
 * @warning: limit, in the unit of the value
 * @critical: limit, in the unit of the value
 * @max: the highest possible value, or 0
 * @text: the value in words
 */
struct measured {
	const char *label;
	const char *unit;
	int digits;
	double value;
	bool known;
	struct limit warning;
	struct limit critical;
	double max;
	char text[160];
};

enum {
	MEASURE_ENTRIES,
	MEASURE_UNREPLIED,
	MEASURE_UNANSWERED,
	MEASURE_INSERT_FAILED,
	MEASURE_EVICTED,
	MEASURES,
};

/* Digits and at most one point: what strtod() takes besides is no threshold. */
static bool parse_limit(const char *text, const char *end, bool percent, struct limit *limit)
{
	const char *p;
	char *stop;

	limit->given = true;
	limit->percent = percent && end > text && end[-1] == '%';
	if (limit->percent)
		end--;
	for (p = text; p < end; p++)
		if ((*p < '0' || *p > '9') && *p != '.')
			return false;
	limit->value = strtod(text, &stop);
	return end > text && stop == end && isfinite(limit->value) &&
	       !(limit->percent && limit->value > 100);
}

static int bad_limit(const char *option, const char *text, const char *want)
{
	complain("--%s=%s: not understood; it takes %s", option, text, want);
	return EXIT_USAGE;
}

static int bad_order(const char *option)
{
	complain("%s: the limit for a warning is above that for critical", option);
	return EXIT_USAGE;
}

/* "80" or "80,90". */
static int parse_limits(const char *option, const char *text, bool percent, struct measured *m)
{
	const char *comma, *want = percent ? "per cent, such as 50 or 50%,80%" :
					     "a number per second, such as 10 or 10,100";

	if (!text)
		return EXIT_OK;
	comma = strchrnul(text, ',');
	if (!parse_limit(text, comma, percent, &m->warning) ||
	    (*comma && !parse_limit(comma + 1, strchr(text, 0), percent, &m->critical)) ||
	    (percent && (m->warning.value > 100 || m->critical.value > 100)))
		return bad_limit(option, text, want);
	if (m->critical.given && m->warning.value > m->critical.value)
		return bad_order(option);
	return EXIT_OK;
}

static int parse_fill(const struct options *opt, struct measured *m)
{
	const char *want = "entries or per cent, such as 50000 or 80%";
	const char *warning = opt->warning ? opt->warning : "80%";
	const char *critical = opt->critical ? opt->critical : "90%";

	if (!parse_limit(warning, strchr(warning, 0), true, &m->warning))
		return bad_limit("warning", warning, want);
	if (!parse_limit(critical, strchr(critical, 0), true, &m->critical))
		return bad_limit("critical", critical, want);
	return EXIT_OK;
}

static int parse_all(const struct options *opt, struct measured m[MEASURES])
{
	int ret = parse_fill(opt, &m[MEASURE_ENTRIES]);

	if (!ret)
		ret = parse_limits("unreplied", opt->unreplied, true, &m[MEASURE_UNREPLIED]);
	if (!ret)
		ret = parse_limits("unanswered", opt->unanswered, true, &m[MEASURE_UNANSWERED]);
	if (!ret)
		ret = parse_limits("insert-failed", opt->insert_failed, false,
				   &m[MEASURE_INSERT_FAILED]);
	if (!ret)
		ret = parse_limits("evicted", opt->evicted, false, &m[MEASURE_EVICTED]);
	return ret;
}

/* Per cent of a table without a limit is never too much. */
static void to_entries(struct limit *limit, double max)
{
	if (!limit->percent)
		return;
	limit->given = max > 0;
	limit->value *= max / 100;
}

static void measure_entries(const struct snapshot *snap, struct measured *m)
{
	const struct field fill = fill_of(snap), *entries = &fill, *max = &snap->sum[SUM_MAX];

	m->label = "entries";
	m->unit = "";
	m->value = entries->num;
	m->known = entries->known && max->known;
	m->max = max->num;
	to_entries(&m->warning, max->num);
	to_entries(&m->critical, max->num);
	if (!m->known)
		strcpy(m->text, "entries or their limit not known");
	else if (max->num)
		snprintf(m->text, sizeof(m->text), "%" PRIu64 " of %" PRIu64 " entries (%.1f %%)",
			 entries->num, max->num, share_of(entries, max));
	else
		snprintf(m->text, sizeof(m->text), "%" PRIu64 " entries, no limit", entries->num);
}

/* Only now, as one may have been per cent and the other not. */
static int order_limits(const struct options *opt, struct measured *m)
{
	if (!m->warning.given || !m->critical.given || m->warning.value <= m->critical.value)
		return EXIT_OK;
	if (opt->warning && opt->critical)
		return bad_order("--warning and --critical");
	/* One that was given alone does not fall over the other's default. */
	if (opt->warning)
		m->critical = m->warning;
	else
		m->warning = m->critical;
	return EXIT_OK;
}

static void measure_unreplied(const struct snapshot *snap, struct measured *m)
{
	struct query all = { 0, NULL };
	struct field unreplied = unreplied_entries(snap);
	struct field entries = sum_of(&snap->table[TABLE_STATES], STATES_ENTRIES, all, all);

	m->label = "unreplied";
	m->unit = "%";
	m->digits = 2;
	m->value = share_of(&unreplied, &entries);
	m->known = unreplied.known && entries.known;
	m->max = 100;
	if (m->known)
		snprintf(m->text, sizeof(m->text), "%.1f %% unreplied", m->value);
	else
		strcpy(m->text, "unreplied entries not known");
}

static void measure_unanswered(const struct snapshot *snap, struct measured *m)
{
	const struct table *ports = &snap->table[TABLE_PORTS];
	const struct field *row, *worst = NULL;
	double share;
	size_t i;

	m->label = "unanswered";
	m->unit = "%";
	m->digits = 2;
	m->known = !ports->rows;
	m->max = 100;
	for (i = 0; i < ports->rows; i++) {
		row = table_row(ports, i);
		m->known = m->known || (row[PORTS_ENTRIES].known && row[PORTS_UNREPLIED].known);
		share = share_of(&row[PORTS_UNREPLIED], &row[PORTS_ENTRIES]);
		if (!port_matters(snap, row) || share <= m->value)
			continue;
		m->value = share;
		worst = row;
	}
	if (!m->known)
		strcpy(m->text, "unanswered ports not known");
	else if (!worst)
		strcpy(m->text, "no port of weight is unanswered");
	else
		snprintf(m->text, sizeof(m->text), "%.*s port %.*s %.1f %% unanswered",
			 (int)worst[PORTS_L4PROTO].text.len, worst[PORTS_L4PROTO].text.p,
			 (int)worst[PORTS_PORT].text.len, worst[PORTS_PORT].text.p, m->value);
}

static void measure_rate(struct measured *m, const char *label, const char *what, struct rate rate)
{
	m->label = label;
	m->unit = "";
	m->digits = 2;
	m->value = rate.value;
	m->known = rate.known;
	if (rate.known)
		snprintf(m->text, sizeof(m->text), "%.1f %s per second", rate.value, what);
	else
		snprintf(m->text, sizeof(m->text), "%s per second not known: counting began anew", what);
}

static enum verdict judge(const struct measured *m)
{
	if (!m->known)
		return CHECK_UNKNOWN;
	if (m->critical.given && m->value > m->critical.value)
		return CHECK_CRITICAL;
	return m->warning.given && m->value > m->warning.value ? CHECK_WARNING : CHECK_OK;
}

/* Critical is worse than unknown: what is known to be bad must not be hidden. */
static enum verdict worse(enum verdict a, enum verdict b)
{
	static const int badness[] = { 0, 1, 3, 2 };

	return badness[a] >= badness[b] ? a : b;
}

static void print_performance(const struct measured *m)
{
	printf(" %s=%.*f%s;", m->label, m->digits, m->value, m->unit);
	if (m->warning.given)
		printf("%.10g", m->warning.value);
	putchar(';');
	if (m->critical.given)
		printf("%.10g", m->critical.value);
	fputs(";0;", stdout);
	if (m->max > 0)
		printf("%.10g", m->max);
}

/* The worst first, as pagers show only the beginning. */
static enum verdict print_result(const struct measured m[MEASURES])
{
	static const enum verdict order[] = { CHECK_CRITICAL, CHECK_UNKNOWN, CHECK_WARNING, CHECK_OK };
	enum verdict verdict = CHECK_OK;
	const char *before = " - ";
	unsigned int i, k;

	for (i = 0; i < MEASURES; i++)
		if (m[i].label)
			verdict = worse(verdict, judge(&m[i]));
	printf("CTXSTAT %s", words[verdict]);
	for (k = 0; k < ARRAY_SIZE(order); k++)
		for (i = 0; i < MEASURES; i++)
			if (m[i].label && judge(&m[i]) == order[k]) {
				printf("%s%s", before, m[i].text);
				before = ", ";
			}
	fputs(" |", stdout);
	for (i = 0; i < MEASURES; i++)
		if (m[i].label && m[i].known)
			print_performance(&m[i]);
	putchar('\n');
	return verdict;
}

static int measure(const struct options *opt, struct measured m[MEASURES])
{
	double interval = opt->interval_given ? opt->interval : INTERVAL;
	struct snapshot old = { 0 }, new;
	int ret;

	ret = snapshot_load(opt, FINDINGS_TABLES, &new);
	if (!ret && (opt->insert_failed || opt->evicted)) {
		old = new;
		interval_wait(interval);
		ret = snapshot_load(opt, FINDINGS_TABLES, &new);
	}
	if (!ret) {
		measure_entries(&new, &m[MEASURE_ENTRIES]);
		ret = order_limits(opt, &m[MEASURE_ENTRIES]);
		measure_unreplied(&new, &m[MEASURE_UNREPLIED]);
		if (opt->unanswered)
			measure_unanswered(&new, &m[MEASURE_UNANSWERED]);
		if (opt->insert_failed)
			measure_rate(&m[MEASURE_INSERT_FAILED], "insert_failed", "failed inserts",
				     rate_of_key(&old, &new, SUM_INSERT_FAILED));
		if (opt->evicted)
			measure_rate(&m[MEASURE_EVICTED], "evicted", "evictions",
				     rate_of_evictions(&old, &new));
	}
	snapshot_free(&new);
	snapshot_free(&old);
	return ret;
}

/* Monitoring systems read stdout; whoever types the command sees it there as well. */
void check_unknown(const char *line)
{
	const char *c;

	/* Behind a bar there are performance data. */
	printf("CTXSTAT %s - ", words[CHECK_UNKNOWN]);
	for (c = line; *c; c++)
		putchar(*c == '|' ? '/' : *c);
	putchar('\n');
	fprintf(stderr, "ctxstat: %s\n", line);
}

int check_run(const struct options *opt)
{
	struct measured m[MEASURES] = { 0 };
	int ret;

	ret = opt->interval_given ? interval_check(opt->interval) : EXIT_OK;
	if (!ret)
		ret = parse_all(opt, m);
	if (!ret)
		ret = measure(opt, m);
	return ret ? CHECK_UNKNOWN : print_result(m);
}
