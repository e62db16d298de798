/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CTXSTAT_H
#define CTXSTAT_H

#include "parse.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define DEFAULT_PROC_DIR "/proc/net/ctxstat"

/* Documented in ctxstat.8: scripts depend on them. */
enum exit_code {
	EXIT_OK,
	EXIT_DIFFERS,
	EXIT_USAGE,
	EXIT_READ,
	EXIT_GARBLED,
	EXIT_WRITE,
};

/**
 * struct options - what the command line asks for
 * @proc_dir: where the tables are
 * @all: show rows that are zero
 * @terminal: stdout is one: short numbers, groups
 */
struct options {
	const char *proc_dir;
	bool all;
	bool terminal;
};

/* summary.c */
enum summary_key {
	SUM_FORMAT,
	/* Shown without a subcommand, from here ... */
	SUM_ENTRIES,
	SUM_COUNT,
	SUM_PEAK,
	SUM_CREATED,
	SUM_ADOPTED,
	SUM_DESTROYED,
	SUM_INSERT_FAILED,
	SUM_BUCKETS,
	/* ... to here. */
	SUM_ENTRY_SIZE,
	SUM_ACCT,
	SUM_TIMESTAMP,
	SUM_VERSION,
	SUM_KERNEL_FOUND,
	SUM_KERNEL_INVALID,
	SUM_KERNEL_INSERT,
	SUM_KERNEL_INSERT_FAILED,
	SUM_KERNEL_DROP,
	SUM_KERNEL_EARLY_DROP,
	SUM_KERNEL_ERROR,
	SUM_KERNEL_SEARCH_RESTART,
	SUM_KERNEL_CLASH_RESOLVE,
	SUM_KERNEL_CHAINTOOLONG,
	/* Shown beside another key. */
	SUM_MAX,
	SUM_PEAK_TIME,
	SUM_KEYS,
};

/**
 * struct summary - the table "summary"
 * @field: values by enum summary_key
 * @buf: what they point into
 */
struct summary {
	struct field field[SUM_KEYS];
	char *buf;
};

int summary_load(const struct options *opt, struct summary *s);
void summary_free(struct summary *s);
void summary_print(const struct options *opt, const struct summary *s, enum summary_key last);

/* states.c */
int states_show(const struct options *opt, const struct summary *s);

/* audit.c */
int audit_show(const struct options *opt);

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
 * complain_garbled() - say what the parser found
 *
 * Return: EXIT_GARBLED.
 */
int complain_garbled(const struct options *opt, const char *name, const struct parse_error *err);

/* print.c */

/* Holds any number, time or name. */
#define CELL_MAX (PARSE_NAME_MAX + 1)

/**
 * complain() - one line on stderr, whatever the arguments hold
 */
void __attribute__((format(printf, 1, 2))) complain(const char *fmt, ...);

/**
 * format_number() - exact, or short on a terminal: 999, 12.3k, 4.56M
 */
void format_number(const struct options *opt, const struct field *f, char cell[CELL_MAX]);

/**
 * format_time() - seconds since 1970 as local time
 * @f: the seconds
 * @fmt: for strftime()
 * @cell: the result; the bare number if the calendar has no such day
 */
void format_time(const struct field *f, const char *fmt, char cell[CELL_MAX]);

#endif
