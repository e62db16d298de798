// SPDX-License-Identifier: GPL-2.0-only
/* Shows the tables of the ctxstat module. The command line, and nothing else. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctxstat.h"

struct command {
	const char *name;
	int (*run)(const struct options *opt);
	const char *description;
	const char *usage;
};

struct option {
	char letter;
	const char *name;
	const char *arg;
	const char *description;
};

enum option_index {
	OPT_ALL,
	OPT_PROC_DIR,
	OPT_HELP,
	OPT_VERSION,
	OPT_NONE,
};

static const struct option options[] = {
	[OPT_ALL]	= { 'a', "all", NULL, "show rows that are zero, too" },
	[OPT_PROC_DIR]	= { 0, "proc-dir", "DIR", "read recorded tables (default " DEFAULT_PROC_DIR ")" },
	[OPT_HELP]	= { 'h', "help", NULL, "show this help, or that of a subcommand" },
	[OPT_VERSION]	= { 'V', "version", NULL, "show the version" },
};

static const char * const exit_codes[] = {
	[EXIT_OK]	= "all is well",
	[EXIT_DIFFERS]	= "audit found differences",
	[EXIT_USAGE]	= "the command line is wrong",
	[EXIT_READ]	= "a table cannot be read: module not loaded, or no permission",
	[EXIT_GARBLED]	= "a table could not be understood",
	[EXIT_WRITE]	= "the output could not be written",
};

static int run_summary(const struct options *opt)
{
	struct summary s;
	int ret;

	ret = summary_load(opt, &s);
	if (ret)
		return ret;
	summary_print(opt, &s, SUM_KERNEL_CHAINTOOLONG);
	summary_free(&s);
	return EXIT_OK;
}

/* The summary is read for its format, and for the peak in the totals line. */
static int run_states(const struct options *opt)
{
	struct summary s;
	int ret;

	ret = summary_load(opt, &s);
	if (ret)
		return ret;
	ret = states_show(opt, &s);
	summary_free(&s);
	return ret;
}

/* The summary is read for its format only. */
static int run_audit(const struct options *opt)
{
	struct summary s;
	int ret;

	ret = summary_load(opt, &s);
	if (ret)
		return ret;
	summary_free(&s);
	return audit_show(opt);
}

static int run_default(const struct options *opt)
{
	struct summary s;
	int ret;

	ret = summary_load(opt, &s);
	if (ret)
		return ret;
	summary_print(opt, &s, SUM_BUCKETS);
	putchar('\n');
	ret = states_show(opt, &s);
	summary_free(&s);
	return ret;
}

static const struct command commands[] = {
	{ "summary", run_summary, "how full the table is, and the kernel's own counters",
	  "summary [--proc-dir=DIR]" },
	{ "states", run_states, "entries by family, protocol and state",
	  "states [--all] [--proc-dir=DIR]" },
	{ "audit", run_audit, "compare the counters with a walk of the table (root only)",
	  "audit [--proc-dir=DIR]" },
	{ "help", NULL, "show this help, or that of a subcommand",
	  "help [SUBCOMMAND]" },
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

static void print_options(void)
{
	char text[32];
	size_t i;

	puts("\nOptions:");
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		snprintf(text, sizeof(text), "--%s%s%s", options[i].name,
			 options[i].arg ? "=" : "", options[i].arg ? options[i].arg : "");
		if (options[i].letter)
			printf("  -%c, %-14s  %s\n", options[i].letter, text, options[i].description);
		else
			printf("      %-14s  %s\n", text, options[i].description);
	}
}

static void print_exit_codes(void)
{
	size_t i;

	puts("\nExit status:");
	for (i = 0; i < ARRAY_SIZE(exit_codes); i++)
		printf("  %zu  %s\n", i, exit_codes[i]);
}

static int print_help(const struct command *cmd)
{
	size_t i;

	if (cmd) {
		printf("Usage: ctxstat %s\n\n%s: %s\n", cmd->usage, cmd->name, cmd->description);
	} else {
		puts("Usage: ctxstat [OPTION]... [SUBCOMMAND]\n\n"
		     "Exact counters of the conntrack table, as kept by the module ctxstat.\n"
		     "Without a subcommand: how full the table is, then entries by state.\n\n"
		     "Subcommands:");
		for (i = 0; i < ARRAY_SIZE(commands); i++)
			printf("  %-9s  %s\n", commands[i].name, commands[i].description);
	}
	print_options();
	print_exit_codes();
	return EXIT_OK;
}

/* @value: what follows "=", or NULL. */
static enum option_index find_option(const char *arg, const char **value)
{
	const char *name = arg + 2;
	size_t i, len;

	*value = NULL;
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (arg[1] != '-') {
			if (options[i].letter && arg[1] == options[i].letter && !arg[2])
				return i;
			continue;
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
 * @words: what is no option: "help" and a subcommand at most
 * @nwords: how many
 * @help: asked for
 * @version: asked for
 */
struct cmdline {
	struct options opt;
	const char *words[2];
	int nwords;
	bool help;
	bool version;
};

static int parse_option(struct cmdline *cl, char **argv, int *i)
{
	const char *value;
	enum option_index index = find_option(argv[*i], &value);

	if (index == OPT_NONE) {
		complain("unknown option \"%s\"; try: ctxstat --help", argv[*i]);
		return EXIT_USAGE;
	}
	if (!options[index].arg && value) {
		complain("option \"--%s\" takes no value; try: ctxstat --help", options[index].name);
		return EXIT_USAGE;
	}
	if (options[index].arg && !value && argv[*i + 1])
		value = argv[++*i];
	if (options[index].arg && (!value || !*value)) {
		complain("option \"--%s\" needs a value: --%s=%s", options[index].name,
			 options[index].name, options[index].arg);
		return EXIT_USAGE;
	}
	switch (index) {
	case OPT_ALL:
		cl->opt.all = true;
		break;
	case OPT_PROC_DIR:
		cl->opt.proc_dir = value;
		break;
	case OPT_HELP:
		cl->help = true;
		break;
	case OPT_VERSION:
		cl->version = true;
		break;
	case OPT_NONE:
		break;
	}
	return EXIT_OK;
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
	return EXIT_OK;
}

static int run(struct cmdline *cl)
{
	const struct command *cmd = NULL, *topic = NULL;

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
	if (cl->version) {
		puts("ctxstat " CTXSTAT_VERSION);
		return EXIT_OK;
	}
	if (cmd && !cmd->run)
		return print_help(topic ? topic : cl->help ? cmd : NULL);
	if (cl->help)
		return print_help(cmd);
	return cmd ? cmd->run(&cl->opt) : run_default(&cl->opt);
}

/* A message about what came before is enough: @ret is kept if it already tells of an error. */
static int finish_output(int ret)
{
	int error = 0;

	errno = 0;
	if (fflush(stdout) || ferror(stdout))
		error = errno ? errno : EIO;
	if (fclose(stdout) && !error)
		error = errno;
	if (!error || ret > EXIT_DIFFERS)
		return ret;
	complain("cannot write the output: %s; is it closed, or the disk full?", strerror(error));
	return EXIT_WRITE;
}

int main(int argc, char **argv)
{
	struct cmdline cl = {
		.opt.proc_dir = DEFAULT_PROC_DIR,
		.opt.terminal = isatty(STDOUT_FILENO),
	};
	int ret;

	if (argc < 1)
		return EXIT_USAGE;
	/* A reader that went away is an error of write(), with a message and an exit code. */
	signal(SIGPIPE, SIG_IGN);
	/* Written in one go at the end, where errors are looked at. */
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);

	ret = parse_cmdline(&cl, argv);
	if (!ret)
		ret = run(&cl);
	return finish_output(ret);
}
