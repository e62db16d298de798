// SPDX-License-Identifier: GPL-2.0-only
/* Shows the tables of the ctxstat module. The command line, and nothing else. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctxstat.h"
#include "interval.h"
#include "listing.h"

/* Which options a subcommand takes, as bits; --help, --version, --proc-dir, --netns: all. */
#define TAKES(option) (1u << (option))

enum option_index {
	OPT_ALL,
	OPT_COUNT,
	OPT_CRITICAL,
	OPT_EVICTED,
	OPT_FORMAT,
	OPT_INSERT_FAILED,
	OPT_INTERVAL,
	OPT_LISTEN,
	OPT_NAMES,
	OPT_OUTPUT,
	OPT_PROTO,
	OPT_REVERSE,
	OPT_SORT,
	OPT_TOP,
	OPT_UNANSWERED,
	OPT_UNREPLIED,
	OPT_WARNING,
	/* All subcommands take these. */
	OPT_NETNS,
	OPT_PROC_DIR,
	OPT_HELP,
	OPT_VERSION,
	OPT_NONE,
};

#define TAKEN_BY_ALL (TAKES(OPT_NETNS) | TAKES(OPT_PROC_DIR) | TAKES(OPT_HELP) | TAKES(OPT_VERSION))
#define TAKEN_BY_LISTINGS (TAKES(OPT_FORMAT) | TAKES(OPT_PROTO) | TAKES(OPT_REVERSE) | \
			   TAKES(OPT_SORT) | TAKES(OPT_TOP) | TAKES(OPT_ALL))

struct command {
	const char *name;
	int (*run)(const struct options *opt);
	unsigned int takes;
	const char *description;
};

static const struct command overview = {
	NULL, overview_run,
	TAKES(OPT_ALL) | TAKES(OPT_INTERVAL) | TAKES(OPT_NAMES) | TAKES(OPT_TOP), NULL
};

static const struct command commands[] = {
	{ "summary", summary_run, TAKES(OPT_FORMAT),
	  "how full the table is, and the kernel's own counters" },
	{ "states", states_run, TAKEN_BY_LISTINGS,
	  "entries by family, protocol and state" },
	{ "ports", ports_run, TAKEN_BY_LISTINGS | TAKES(OPT_NAMES),
	  "entries by protocol and destination port" },
	{ "transitions", transitions_run, TAKEN_BY_LISTINGS,
	  "how often entries went from one state to another" },
	{ "ends", ends_run, TAKEN_BY_LISTINGS,
	  "the last state of entries, and why they ended" },
	{ "histograms", histograms_run, TAKEN_BY_LISTINGS,
	  "how long entries live, and wait for an answer" },
	{ "audit", audit_run, TAKES(OPT_FORMAT),
	  "compare the counters with a walk of the table (root only)" },
	{ "watch", watch_run, TAKES(OPT_COUNT) | TAKES(OPT_FORMAT) | TAKES(OPT_INTERVAL),
	  "a line per interval" },
	{ "top", top_run, TAKES(OPT_ALL) | TAKES(OPT_COUNT) | TAKES(OPT_INTERVAL) | TAKES(OPT_NAMES) |
	  TAKES(OPT_PROTO) | TAKES(OPT_REVERSE) | TAKES(OPT_SORT),
	  "a full screen that is kept up to date" },
	{ "check", check_run, TAKES(OPT_CRITICAL) | TAKES(OPT_EVICTED) | TAKES(OPT_INSERT_FAILED) |
	  TAKES(OPT_INTERVAL) | TAKES(OPT_UNANSWERED) | TAKES(OPT_UNREPLIED) | TAKES(OPT_WARNING),
	  "a plugin for Nagios, Icinga and others" },
	{ "prometheus", prometheus_run, TAKES(OPT_OUTPUT) | TAKES(OPT_TOP),
	  "all metrics in Prometheus's text format" },
	{ "exporter", exporter_run, TAKES(OPT_LISTEN) | TAKES(OPT_TOP),
	  "serve the metrics over HTTP" },
	{ "help", NULL, 0, "show this help, or that of a subcommand" },
};

/* How the value of an option is read, and into what. */
enum value_kind {
	VALUE_NONE,
	VALUE_TEXT,
	VALUE_NUMBER,
	VALUE_SECONDS,
	VALUE_FORMAT,
};

#define INTO(member) offsetof(struct options, member)

static const struct option {
	char letter;
	const char *name;
	const char *arg;
	enum value_kind kind;
	size_t into;
	const char *description;
} options[] = {
	[OPT_ALL]	= { 'a', "all", NULL, VALUE_NONE, INTO(all),
			    "show rows that are zero, too, and all ports" },
	[OPT_COUNT]	= { 'c', "count", "COUNT", VALUE_NUMBER, INTO(count),
			    "stop after so many readings" },
	[OPT_CRITICAL]	= { 0, "critical", "LIMIT", VALUE_TEXT, INTO(critical),
			    "entries, or per cent of the limit (90%)" },
	[OPT_EVICTED]	= { 0, "evicted", "WARN[,CRIT]", VALUE_TEXT, INTO(evicted),
			    "evicted entries per second" },
	[OPT_FORMAT]	= { 'f', "format", "table|json|csv", VALUE_FORMAT, INTO(format),
			    "what to write (table)" },
	[OPT_INSERT_FAILED] = { 0, "insert-failed", "WARN[,CRIT]", VALUE_TEXT, INTO(insert_failed),
			    "failed inserts per second" },
	[OPT_INTERVAL]	= { 'n', "interval", "SEC", VALUE_SECONDS, INTO(interval),
			    "seconds between two readings" },
	[OPT_LISTEN]	= { 'l', "listen", "ADDRESS:PORT", VALUE_TEXT, INTO(listen),
			    "where to serve (127.0.0.1:10063)" },
	[OPT_NAMES]	= { 'r', "names", NULL, VALUE_NONE, INTO(names),
			    "show ports by name, after services(5)" },
	[OPT_OUTPUT]	= { 'o', "output", "FILE", VALUE_TEXT, INTO(output),
			    "replace FILE at once, instead of standard output" },
	[OPT_PROTO]	= { 'p', "proto", "PROTO", VALUE_TEXT, INTO(proto),
			    "this protocol only, such as tcp" },
	[OPT_REVERSE]	= { 0, "reverse", NULL, VALUE_NONE, INTO(reverse),
			    "the other way round" },
	[OPT_SORT]	= { 's', "sort", "COLUMN", VALUE_TEXT, INTO(sort),
			    "sort by this column, as it is called in /proc" },
	[OPT_TOP]	= { 't', "top", "N", VALUE_NUMBER, INTO(top),
			    "the first N rows only; for Prometheus, N ports (20)" },
	[OPT_UNANSWERED] = { 0, "unanswered", "WARN[,CRIT]", VALUE_TEXT, INTO(unanswered),
			    "unreplied entries of any port, per cent of its entries" },
	[OPT_UNREPLIED]	= { 0, "unreplied", "WARN[,CRIT]", VALUE_TEXT, INTO(unreplied),
			    "unreplied entries, per cent of all" },
	[OPT_WARNING]	= { 0, "warning", "LIMIT", VALUE_TEXT, INTO(warning),
			    "entries, or per cent of the limit (80%)" },
	[OPT_NETNS]	= { 'N', "netns", "NAME", VALUE_TEXT, INTO(netns),
			    "of this network namespace (needs CAP_SYS_ADMIN)" },
	[OPT_PROC_DIR]	= { 0, "proc-dir", "DIR", VALUE_TEXT, INTO(proc_dir),
			    "read recorded tables (default " DEFAULT_PROC_DIR ")" },
	[OPT_HELP]	= { 'h', "help", NULL, VALUE_NONE, 0,
			    "show this help, or that of a subcommand" },
	[OPT_VERSION]	= { 'V', "version", NULL, VALUE_NONE, 0, "show the version" },
};

static const char * const exit_codes[] = {
	[EXIT_OK]	= "all is well",
	[EXIT_DIFFERS]	= "audit found differences",
	[EXIT_USAGE]	= "the command line is wrong",
	[EXIT_READ]	= "a table cannot be read: module not loaded, or no permission",
	[EXIT_GARBLED]	= "a table could not be understood",
	[EXIT_WRITE]	= "the output could not be written",
	[EXIT_SYSTEM]	= "no memory, no terminal for top, no address to listen on, or a ctxstat-*.so is missing",
};

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	complain("unknown subcommand \"%s\"; try: ctxstat --help", name);
	return EXIT_USAGE;
}

static void print_option(enum option_index index)
{
	const struct option *option = &options[index];
	char text[48];

	snprintf(text, sizeof(text), "--%s%s%s", option->name, option->arg ? "=" : "",
		 option->arg ? option->arg : "");
	if (option->letter)
		printf("  -%c, %-27s  %s\n", option->letter, text, option->description);
	else
		printf("      %-27s  %s\n", text, option->description);
}

static void print_options(const struct command *cmd)
{
	size_t i;

	puts("\nOptions:");
	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (!cmd || (cmd->takes | TAKEN_BY_ALL) & TAKES(i))
			print_option(i);
}

static void print_exit_codes(const struct command *cmd)
{
	size_t i;

	puts("\nExit status:");
	for (i = 0; i < ARRAY_SIZE(exit_codes) && (!cmd || cmd->run != check_run); i++)
		printf("  %zu  %s\n", i, exit_codes[i]);
	if (!cmd || cmd->run == check_run)
		puts("Of check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN");
}

static void print_column_names(const struct command *cmd)
{
	size_t i, k;

	if (cmd->run == top_run) {
		fputs("\nColumns:", stdout);
		top_print_columns();
		putchar('\n');
	}
	for (i = 0; i < TABLES; i++) {
		if (strcmp(cmd->name, table_descs[i].name))
			continue;
		fputs("\nColumns:", stdout);
		for (k = 0; k < table_descs[i].n; k++)
			printf(" %s", table_descs[i].columns[k].name);
		putchar('\n');
	}
}

/* Names that --sort and --proto take; the completion reads them, too. */
static void print_names(const struct command *cmd)
{
	size_t i;

	if (cmd->takes & TAKES(OPT_SORT))
		print_column_names(cmd);
	if (!(cmd->takes & TAKES(OPT_PROTO)))
		return;
	fputs("Protocols:", stdout);
	for (i = 0; listing_protocols[i]; i++)
		printf(" %s", listing_protocols[i]);
	putchar('\n');
}

static int print_help(const struct command *cmd)
{
	size_t i;

	if (cmd) {
		printf("Usage: ctxstat %s %s\n\n%s: %s\n", cmd->name,
		       cmd->run ? "[OPTION]..." : "[SUBCOMMAND]", cmd->name, cmd->description);
		print_names(cmd);
	} else {
		puts("Usage: ctxstat [SUBCOMMAND] [OPTION]...\n\n"
		     "Exact counters of the conntrack table, as kept by the module ctxstat.\n"
		     "Without a subcommand: one screen that says how the gateway is.\n\n"
		     "Subcommands:");
		for (i = 0; i < ARRAY_SIZE(commands); i++)
			printf("  %-11s  %s\n", commands[i].name, commands[i].description);
	}
	print_options(cmd);
	print_exit_codes(cmd);
	return EXIT_OK;
}

/* @value: what follows "=" or a letter, or NULL. */
static enum option_index find_option(const char *arg, const char **value)
{
	const char *name = arg + 2;
	size_t i, len;

	*value = NULL;
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (arg[1] != '-') {
			if (!options[i].letter || arg[1] != options[i].letter ||
			    (arg[2] && !options[i].arg))
				continue;
			/* "-n5", as others take it */
			if (arg[2])
				*value = arg + 2;
			return i;
		}
		len = strlen(options[i].name);
		if (strncmp(name, options[i].name, len) || (name[len] && name[len] != '='))
			continue;
		if (name[len])
			*value = name + len + 1;
		return i;
	}
	return OPT_NONE;
}

/**
 * struct cmdline - the command line, taken apart
 * @opt: for the subcommand
 * @given: options that were given, as bits
 * @words: what is no option: "help" and a subcommand at most
 * @nwords: how many
 */
struct cmdline {
	struct options opt;
	unsigned int given;
	const char *words[2];
	int nwords;
};

static int bad_value(const struct option *option, const char *value, const char *want)
{
	complain("--%s=%s: %s", option->name, value, want);
	return EXIT_USAGE;
}

static bool parse_seconds(const char *text, double *seconds)
{
	const char *p;
	char *end;

	for (p = text; *p; p++)
		if ((*p < '0' || *p > '9') && *p != '.')
			return false;
	*seconds = strtod(text, &end);
	return end != text && !*end && *seconds <= INTERVAL_MAX;
}

static int set_format(const struct option *option, const char *value, enum format *format)
{
	static const char * const names[] = {
		[FORMAT_TABLE] = "table", [FORMAT_JSON] = "json", [FORMAT_CSV] = "csv",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(value, names[i])) {
			*format = i;
			return EXIT_OK;
		}
	return bad_value(option, value, "must be table, json or csv");
}

/* @value is NULL for an option that takes none. */
static int set_option(struct options *opt, const struct option *option, const char *value)
{
	void *into = (char *)opt + option->into;

	/* parse_option() has seen to it, which analyzers do not know. */
	if (!value && option->kind != VALUE_NONE)
		return EXIT_USAGE;
	switch (option->kind) {
	case VALUE_NONE:
		*(bool *)into = true;
		break;
	case VALUE_TEXT:
		*(const char **)into = value;
		break;
	case VALUE_NUMBER:
		if (!parse_number((struct span){ value, strlen(value) }, into))
			return bad_value(option, value, "must be a whole number");
		break;
	case VALUE_SECONDS:
		if (!parse_seconds(value, into))
			return bad_value(option, value, "must be seconds, such as 1 or 0.5, up to a day");
		break;
	case VALUE_FORMAT:
		return set_format(option, value, into);
	}
	return EXIT_OK;
}

static int parse_option(struct cmdline *cl, char **argv, int *i)
{
	const char *value;
	enum option_index index = find_option(argv[*i], &value);
	const struct option *option = &options[index];

	if (index == OPT_NONE) {
		complain("unknown option \"%s\"; try: ctxstat --help", argv[*i]);
		return EXIT_USAGE;
	}
	if (!option->arg && value) {
		complain("option \"--%s\" takes no value; try: ctxstat --help", option->name);
		return EXIT_USAGE;
	}
	if (option->arg && !value && argv[*i + 1])
		value = argv[++*i];
	if (option->arg && (!value || !*value)) {
		complain("option \"--%s\" needs a value: --%s=%s", option->name, option->name,
			 option->arg);
		return EXIT_USAGE;
	}
	cl->given |= TAKES(index);
	if (index == OPT_HELP || index == OPT_VERSION)
		return EXIT_OK;
	return set_option(&cl->opt, option, value);
}

/* Options may stand before and after the subcommand. */
static int parse_cmdline(struct cmdline *cl, char **argv)
{
	bool only_words = false;
	int i, ret;

	for (i = 1; argv[i]; i++) {
		if (!only_words && !strcmp(argv[i], "--")) {
			only_words = true;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
			ret = parse_option(cl, argv, &i);
			if (ret)
				return ret;
		} else if (cl->nwords < 2 && (!cl->nwords || !strcmp(cl->words[0], "help"))) {
			cl->words[cl->nwords++] = argv[i];
		} else if (!find_command(cl->words[0])) {
			return unknown_command(cl->words[0]);
		} else {
			complain("unexpected argument \"%s\"; try: ctxstat --help", argv[i]);
			return EXIT_USAGE;
		}
	}
	cl->opt.top_given = cl->given & TAKES(OPT_TOP);
	cl->opt.interval_given = cl->given & TAKES(OPT_INTERVAL);
	return EXIT_OK;
}

static int check_options(const struct cmdline *cl, const struct command *cmd)
{
	unsigned int wrong = cl->given & ~(cmd->takes | TAKEN_BY_ALL);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (!(wrong & TAKES(i)))
			continue;
		if (cmd->name)
			complain("\"%s\" takes no option --%s; try: ctxstat help %s", cmd->name,
				 options[i].name, cmd->name);
		else
			complain("--%s needs a subcommand; try: ctxstat --help", options[i].name);
		return EXIT_USAGE;
	}
	if (cl->opt.names && cl->opt.format != FORMAT_TABLE) {
		complain("--names is for tables; JSON and CSV have numbers");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

/* @todo: what to run, or NULL if all is done. */
static int prepare(const struct cmdline *cl, const struct command **todo)
{
	const struct command *cmd = &overview, *topic = NULL;
	bool help = cl->given & TAKES(OPT_HELP);
	int ret;

	*todo = NULL;
	if (cl->nwords > 0) {
		cmd = find_command(cl->words[0]);
		if (!cmd)
			return unknown_command(cl->words[0]);
	}
	if (cl->nwords > 1) {
		topic = find_command(cl->words[1]);
		if (!topic)
			return unknown_command(cl->words[1]);
	}
	if (cl->given & TAKES(OPT_VERSION)) {
		puts("ctxstat " CTXSTAT_VERSION);
		return EXIT_OK;
	}
	if (topic || help || !cmd->run)
		return print_help(topic ? topic : help && cmd->name ? cmd : NULL);
	ret = check_options(cl, cmd);
	/* The exporter listens out here, and enters then. */
	if (!ret && cl->opt.netns && cmd->run != exporter_run)
		ret = netns_enter(cl->opt.netns);
	if (!ret)
		*todo = cmd;
	return ret;
}

/*
 * A plugin has its own exit codes, and a line for the monitoring system, also when the
 * rest of its command line is wrong: so this is asked before that is looked at.
 */
static bool is_check(char **argv)
{
	enum option_index index;
	const char *value;
	int i;

	for (i = 1; argv[i]; i++) {
		if (argv[i][0] != '-' || !argv[i][1])
			return !strcmp(argv[i], "check");
		index = find_option(argv[i], &value);
		if (index != OPT_NONE && options[index].arg && !value && argv[i + 1])
			i++;
	}
	return false;
}

/* A message about what came before is enough: @ret is kept if it already tells of an error. */
static int finish_output(int ret)
{
	int error = output_close();

	if (!error || ret > EXIT_DIFFERS)
		return ret;
	complain("cannot write the output: %s; is it closed, or the disk full?", strerror(error));
	return EXIT_WRITE;
}

int main(int argc, char **argv)
{
	/* One of the C library's own making would be as small as a page. */
	static char output[1 << 16];
	struct cmdline cl = {
		.opt.proc_dir = DEFAULT_PROC_DIR,
		.opt.terminal = isatty(STDOUT_FILENO),
	};
	const struct command *cmd = NULL;
	bool check = is_check(argv);
	int ret;

	if (argc < 1)
		return EXIT_USAGE;
	/* A reader that went away is an error of write(), with a message and an exit code. */
	signal(SIGPIPE, SIG_IGN);
	/* Written in one go at the end, where errors are looked at. */
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	if (check)
		complain_to(check_unknown);

	ret = parse_cmdline(&cl, argv);
	if (!ret)
		ret = prepare(&cl, &cmd);
	if (ret && check)
		ret = CHECK_EXIT_UNKNOWN;
	if (!ret && cmd)
		ret = cmd->run(&cl.opt);
	ret = finish_output(ret);
	return check && ret == EXIT_WRITE ? CHECK_EXIT_UNKNOWN : ret;
}
