/* SPDX-License-Identifier: GPL-2.0-only */
/* What all subcommands share: options, exit codes, messages, numbers. */
#ifndef CTXSTAT_H
#define CTXSTAT_H

#include <stdio.h>

#include "parse.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define DEFAULT_PROC_DIR "/proc/net/ctxstat"

/* Documented in ctxstat.8: scripts depend on them. "check" has its own. */
enum exit_code {
	EXIT_OK,
	EXIT_DIFFERS,
	EXIT_USAGE,
	EXIT_READ,
	EXIT_GARBLED,
	EXIT_WRITE,
	EXIT_SYSTEM,
};

enum format {
	FORMAT_TABLE,
	FORMAT_JSON,
	FORMAT_CSV,
};

/**
 * struct options - what the command line asks for
 * @proc_dir: where the tables are
 * @netns: name of the network namespace to enter, or NULL
 * @all: show all rows
 * @names: show ports by name
 * @reverse: sort the other way round
 * @format: of a listing
 * @top: how many rows, or ports
 * @top_given: @top was asked for
 * @sort: column, or NULL
 * @proto: the only protocol, or NULL
 * @interval: seconds between two readings
 * @interval_given: @interval was asked for
 * @count: how many readings, 0: no end
 * @warning: threshold of fill level
 * @critical: threshold of fill level
 * @unreplied: thresholds of the share of unreplied entries
 * @unanswered: thresholds of the same, of any port
 * @insert_failed: thresholds of failed inserts per second
 * @evicted: thresholds of evicted entries per second
 * @listen: where the exporter listens
 * @output: file to write
 * @terminal: stdout is one: short numbers, groups, bars
 */
struct options {
	const char *proc_dir;
	const char *netns;
	bool all;
	bool names;
	bool reverse;
	enum format format;
	uint64_t top;
	bool top_given;
	const char *sort;
	const char *proto;
	double interval;
	bool interval_given;
	uint64_t count;
	const char *warning;
	const char *critical;
	const char *unreplied;
	const char *unanswered;
	const char *insert_failed;
	const char *evicted;
	const char *listen;
	const char *output;
	bool terminal;
};

/* Subcommands, each in the file of its name; top and exporter are plugins. Return: an exit code. */
int overview_run(const struct options *opt);
int summary_run(const struct options *opt);
int states_run(const struct options *opt);
int ports_run(const struct options *opt);
int transitions_run(const struct options *opt);
int ends_run(const struct options *opt);
int histograms_run(const struct options *opt);
int audit_run(const struct options *opt);
int watch_run(const struct options *opt);
int top_run(const struct options *opt);
int check_run(const struct options *opt);
int prometheus_run(const struct options *opt);
int exporter_run(const struct options *opt);

/* top_columns.c: names that its --sort takes, each after a blank */
void top_print_columns(void);

/* check.c: what complain() says is the plugin's result, of which the exit code is this. */
#define CHECK_EXIT_UNKNOWN 3
void check_unknown(const char *line);

/* prometheus.c */

/**
 * prometheus_write() - all metrics in Prometheus's text format
 * @opt: @top: ports with a name of their own
 * @out: where to
 *
 * Nothing is written if there is an error.
 *
 * Return: EXIT_OK, or after a message EXIT_READ or EXIT_GARBLED.
 */
int prometheus_write(const struct options *opt, FILE *out);

/* textfile.c */

/**
 * textfile_write() - replace a file by the metrics, at once
 * @opt: @output: the file, regular or not there yet
 *
 * Return: EXIT_OK, or after a message EXIT_USAGE, EXIT_WRITE, or what
 * prometheus_write() returned; the old file stays then.
 */
int textfile_write(const struct options *opt);

/* netns.c */

/**
 * netns_enter() - become a part of a network namespace
 * @name: as in "ip netns"
 *
 * Return: EXIT_OK, or after a message EXIT_USAGE (no such name) or EXIT_READ.
 */
int netns_enter(const char *name);

/* load.c */

/**
 * load_file() - read a whole table into memory
 * @opt: says where
 * @name: file name in there
 * @in: the contents; in->p is the caller's to free
 *
 * Return: EXIT_OK, or EXIT_READ after a message.
 */
int load_file(const struct options *opt, const char *name, struct span *in);

/**
 * load_table() - read and parse a table
 * @opt: says where
 * @desc: which
 * @table: to be given to table_free(), error or not
 *
 * Return: EXIT_OK, or after a message EXIT_READ or EXIT_GARBLED.
 */
int load_table(const struct options *opt, const struct table_desc *desc, struct table *table);

/**
 * complain_garbled() - say what the parser found
 *
 * Return: EXIT_GARBLED.
 */
int complain_garbled(const struct options *opt, const char *name, const struct parse_error *err);

/* print.c */

/* Return: whether stdout got all that was written so far; output_close() knows why not. */
bool output_flush(void);

/* Return: 0, or the errno of the first write that failed. */
int output_close(void);

/* Holds any number, time or name. */
#define CELL_MAX (PARSE_NAME_MAX + 1)

/**
 * complain() - one line for the user, whatever the arguments hold
 *
 * It goes to stderr, after "ctxstat: ", unless complain_to() says otherwise.
 */
void __attribute__((format(printf, 1, 2))) complain(const char *fmt, ...);

/* NULL: stderr again. */
void complain_to(void (*sink)(const char *line));

/* Whether stdout takes colours: a terminal, and NO_COLOR is not set, or empty. */
bool use_colour(const struct options *opt);

/**
 * format_number() - exact, or short on a terminal: 999, 12.3k, 4.56M
 */
void format_number(const struct options *opt, const struct field *f, char cell[CELL_MAX]);

/* Three digits, whatever is asked for. */
void format_short(uint64_t num, char cell[CELL_MAX]);

/**
 * format_rate() - per second: 0, 0.4, 12, 12.3k on a terminal; "-": not known
 */
void format_rate(const struct options *opt, double value, bool known, char cell[CELL_MAX]);

/**
 * format_time() - seconds since 1970 as local time
 * @f: the seconds
 * @fmt: for strftime()
 * @cell: the result; the bare number if the calendar has no such day
 */
void format_time(const struct field *f, const char *fmt, char cell[CELL_MAX]);

/* As people write it: 45 s, 12 min, 3 h 20 min, 5 d. */
void format_duration(double seconds, char cell[CELL_MAX]);

/* "https" for 443 and "tcp", or the number where services(5) has no name. */
void format_port(const struct options *opt, struct span l4proto, const struct field *port,
		 char cell[CELL_MAX]);

#endif
