// SPDX-License-Identifier: GPL-2.0-only
/* A line per interval, as vmstat does it. */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "interval.h"
#include "plugin.h"

#define WANTED (WANT(TABLE_STATES) | WANT(TABLE_ENDS))

/* Lines between two headers where the height of the screen is not known. */
#define LINES 24
/* Holds any short number; with it a line fits into 80 columns. */
#define WIDTH 7

enum watch_column {
	WATCH_TIME,
	WATCH_ENTRIES,
	WATCH_NEW,
	WATCH_ENDED,
	WATCH_ESTABLISHED,
	WATCH_SYN_SENT,
	WATCH_UNREPLIED,
	WATCH_FAILED,
	WATCH_EVICTED,
	WATCH_COLUMNS,
};

static const struct {
	const char *name;	/* in JSON and CSV */
	const char *label;
} columns[WATCH_COLUMNS] = {
	[WATCH_TIME]		= { "time", "TIME" },
	[WATCH_ENTRIES]		= { "entries", "ENTRIES" },
	[WATCH_NEW]		= { "new_per_second", "NEW/S" },
	[WATCH_ENDED]		= { "ended_per_second", "ENDED/S" },
	[WATCH_ESTABLISHED]	= { "established", "ESTABLISHED" },
	[WATCH_SYN_SENT]	= { "syn_sent", "SYN_SENT" },
	[WATCH_UNREPLIED]	= { "unreplied", "UNREPLIED" },
	[WATCH_FAILED]		= { "failed_per_second", "FAILED" },
	[WATCH_EVICTED]		= { "evicted_per_second", "EVICTED" },
};

/* One value: a number of entries; or a rate, or the time. */
struct value {
	bool is_real;
	struct field number;
	struct rate real;
};

static struct value number(struct field f)
{
	return (struct value){ .number = f };
}

static struct value real(struct rate r)
{
	return (struct value){ .is_real = true, .real = r };
}

static void measure(const struct snapshot *old, const struct snapshot *new,
		    struct value values[WATCH_COLUMNS])
{
	memset(values, 0, WATCH_COLUMNS * sizeof(*values));
	values[WATCH_TIME] = real((struct rate){ new->wall, true });
	/* The connection to the module is lost: nothing is known. */
	if (!new->sum_buf)
		return;
	values[WATCH_ENTRIES] = number(new->sum[SUM_ENTRIES]);
	values[WATCH_NEW] = real(rate_of_key(old, new, SUM_CREATED));
	values[WATCH_ENDED] = real(rate_of_key(old, new, SUM_DESTROYED));
	values[WATCH_ESTABLISHED] = number(tcp_entries(new, "ESTABLISHED"));
	values[WATCH_SYN_SENT] = number(tcp_entries(new, "SYN_SENT"));
	values[WATCH_UNREPLIED] = number(unreplied_entries(new));
	values[WATCH_FAILED] = real(rate_of_key(old, new, SUM_INSERT_FAILED));
	values[WATCH_EVICTED] = real(rate_of_evictions(old, new));
}

static int width_of(unsigned int column)
{
	int width = strlen(columns[column].label);

	if (column == WATCH_TIME)
		return -(int)strlen("23:59:59");
	return width < WIDTH ? WIDTH : width;
}

static uint64_t lines_of_screen(const struct options *opt)
{
	struct winsize size;

	if (!opt->terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_row < 3)
		return LINES;
	return size.ws_row - 1;
}

static void print_header(const struct options *opt)
{
	unsigned int i;

	for (i = 0; i < WATCH_COLUMNS; i++) {
		if (opt->format == FORMAT_CSV)
			printf("%s%s", i ? "," : "", columns[i].name);
		else
			printf("%s%*s", i ? " " : "", width_of(i), columns[i].label);
	}
	putchar('\n');
}

static void print_cell(const struct options *opt, unsigned int column, const struct value *value)
{
	struct field when = { .num = value->real.value, .known = true };
	char cell[CELL_MAX];

	if (column == WATCH_TIME)
		format_time(&when, "%H:%M:%S", cell);
	else if (value->is_real)
		format_rate(opt, value->real.value, value->real.known, cell);
	else
		format_number(opt, &value->number, cell);
	printf("%s%*s", column ? " " : "", width_of(column), cell);
}

/* As CSV and JSON have it; empty if it is not known. */
static void format_value(const struct value *value, char cell[CELL_MAX])
{
	*cell = 0;
	if (value->is_real && value->real.known)
		snprintf(cell, CELL_MAX, "%.3f", value->real.value);
	else if (!value->is_real && value->number.known)
		snprintf(cell, CELL_MAX, "%" PRIu64, value->number.num);
}

/* Return: EXIT_OK, or EXIT_SYSTEM after a message. */
static int print_json(const struct value values[WATCH_COLUMNS])
{
	const struct json_writer *json = plugin_json();
	struct json_number numbers[WATCH_COLUMNS];
	unsigned int i;

	if (!json)
		return EXIT_SYSTEM;
	for (i = 0; i < WATCH_COLUMNS; i++) {
		numbers[i].name = columns[i].name;
		format_value(&values[i], numbers[i].text);
	}
	return json->numbers(numbers, WATCH_COLUMNS);
}

static int print_line(const struct options *opt, const struct value values[WATCH_COLUMNS])
{
	char cell[CELL_MAX];
	unsigned int i;

	if (opt->format == FORMAT_JSON)
		return print_json(values);
	for (i = 0; i < WATCH_COLUMNS; i++) {
		if (opt->format == FORMAT_TABLE) {
			print_cell(opt, i, &values[i]);
			continue;
		}
		format_value(&values[i], cell);
		printf("%s%s", i ? "," : "", cell);
	}
	putchar('\n');
	return EXIT_OK;
}

static bool wants_header(const struct options *opt, uint64_t line)
{
	if (opt->format == FORMAT_TABLE)
		return line % (lines_of_screen(opt) - 1) == 0;
	return opt->format == FORMAT_CSV && !line;
}

static void ignore(const char *line)
{
	(void)line;
}

/*
 * A module that is loaded anew is away for a moment: that is no reason to give up.
 * What is wrong is said once.
 */
static void read_again(const struct options *opt, struct snapshot *snap, bool *failing)
{
	double wall;

	complain_to(*failing ? ignore : NULL);
	*failing = snapshot_load(opt, WANTED, snap) != EXIT_OK;
	complain_to(NULL);
	if (*failing) {
		wall = snap->wall;
		snapshot_free(snap);
		snap->wall = wall;
	}
}

static int show(const struct options *opt, const struct snapshot *old, const struct snapshot *new,
		uint64_t line)
{
	struct value values[WATCH_COLUMNS];

	if (wants_header(opt, line))
		print_header(opt);
	measure(old, new, values);
	return print_line(opt, values);
}

/* The first line has no rates: nothing happened yet that was seen. */
int watch_run(const struct options *opt)
{
	double interval = opt->interval_given ? opt->interval : 1;
	struct snapshot old = { 0 }, new;
	bool failing = false;
	uint64_t line;
	int ret;

	ret = interval_check(interval);
	if (ret)
		return ret;
	interval_begin();
	ret = snapshot_load(opt, WANTED, &new);
	for (line = 0; !ret; ) {
		ret = show(opt, &old, &new, line++);
		if (ret || !output_flush() || line == opt->count || !interval_wait(interval))
			break;
		snapshot_free(&old);
		old = new;
		read_again(opt, &new, &failing);
	}
	snapshot_free(&old);
	snapshot_free(&new);
	return ret;
}
