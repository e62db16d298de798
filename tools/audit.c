// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdlib.h>

#include "output.h"

static void print_verdict(const struct field *f, bool differs)
{
	if (f[AUDIT_LEFT].num || f[AUDIT_PORTS_LEFT].num)
		puts("Counters still differ from the table. If they do so again when no packets move, it is a bug: please report it with this output.");
	else if (differs)
		puts("Counters differed from the table, and have been put right.");
	else
		puts("Every counter agrees with the table.");
}

static void print_lines(struct span in, enum audit_key key)
{
	struct span line, word;

	while (next_line(&in, &line)) {
		if (!next_word(&line, &word) || !span_is(word, audit_keys[key].name))
			continue;
		fputs(" ", stdout);
		while (next_word(&line, &word))
			printf(" %.*s", (int)word.len, word.p);
		putchar('\n');
	}
}

static void print_differences(struct span in, const struct field *f)
{
	if (f[AUDIT_DIFFERENCE].num) {
		puts("\nThe counters that differed");
		print_lines(in, AUDIT_DIFFERENCE);
	}
	if (!f[AUDIT_PORT_DIFFERENCE].num)
		return;
	puts("\nThe ports that differed: entries, and of these unreplied");
	print_lines(in, AUDIT_PORT_DIFFERENCE);
	/* The module does not list them all. */
	if (f[AUDIT_PORTS_DIFFER].num > f[AUDIT_PORT_DIFFERENCE].num)
		printf("  and %" PRIu64 " more\n",
		       f[AUDIT_PORTS_DIFFER].num - f[AUDIT_PORT_DIFFERENCE].num);
}

static void print_report(const struct options *opt, struct span in, const struct field *f,
			 bool differs)
{
	char cell[CELL_MAX];
	unsigned int i;

	print_verdict(f, differs);
	putchar('\n');
	for (i = 0; i < AUDIT_DIFFERENCE; i++) {
		format_number(opt, &f[i], cell);
		printf("%-34s  %s\n", audit_keys[i].label, cell);
	}
	print_differences(in, f);
}

static int report(const struct options *opt, const struct snapshot *snap, struct span in,
		  const struct field *f)
{
	bool differs = false;
	unsigned int i;
	int ret = EXIT_OK;

	for (i = AUDIT_DIFFER; i <= AUDIT_PORTS_LEFT; i++) {
		if (!f[i].known) {
			complain("%s/audit: %s is not known, so there is no result; try again",
				 opt->proc_dir, audit_keys[i].name);
			return EXIT_GARBLED;
		}
		differs = differs || f[i].num;
	}
	if (opt->format == FORMAT_TABLE)
		print_report(opt, in, f, differs);
	else
		ret = output_keys(opt, "audit", snap->wall, audit_keys, f, AUDIT_KEYS, in);
	return ret ? ret : differs ? EXIT_DIFFERS : EXIT_OK;
}

/* The summary is read for its format only. */
int audit_run(const struct options *opt)
{
	struct field field[AUDIT_KEYS];
	struct snapshot snap;
	struct parse_error err;
	struct span in = { NULL, 0 };
	int ret;

	ret = snapshot_load(opt, 0, &snap);
	if (!ret)
		ret = load_file(opt, "audit", &in);
	if (!ret && parse_keys(in, audit_keys, AUDIT_KEYS, field, &err))
		ret = report(opt, &snap, in, field);
	else if (!ret)
		ret = complain_garbled(opt, "audit", &err);
	free((char *)in.p);
	snapshot_free(&snap);
	return ret;
}
