// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parser under libFuzzer: whatever a table holds, it is understood as this file
 * understands it, or refused, and whatever is understood can be summed up and shown.
 *
 * The first byte of an input says what it is: '0' to '4' a table, by enum table_index,
 * '5' "summary", '6' "audit". The rest is the text; behind a line "%%" may follow the
 * same table as it is read a moment later.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "findings.h"
#include "plugin.h"

/* Two readings are never closer together. */
#define SECONDS 0.1

#define SEPARATOR "%%\n"

#define PROPERTY(what)							\
	do {								\
		if (!(what))						\
			broken(__LINE__, #what);			\
	} while (0)

enum input_kind {
	INPUT_SUMMARY = TABLES,
	INPUT_AUDIT,
	INPUT_KINDS,
};

static _Noreturn void broken(int line, const char *what)
{
	fprintf(stderr, "parse.c:%d: does not hold: %s\n", line, what);
	abort();
}

static void keep_quiet(const char *line)
{
	(void)line;
}

/* --- A second opinion on lines and words --- */

static struct span take_line(struct span *rest)
{
	struct span line = { rest->p, 0 };

	while (line.len < rest->len && rest->p[line.len] != '\n')
		line.len++;
	rest->p += line.len + (line.len < rest->len);
	rest->len -= line.len + (line.len < rest->len);
	return line;
}

/* The n-th word, from 0; without a length if there are fewer. */
static struct span word_at(struct span line, size_t n)
{
	const char *p = line.p, *end = line.p + line.len;
	struct span word = { end, 0 };

	for (;;) {
		while (p < end && strchr(" \t", *p))
			p++;
		word.p = p;
		while (p < end && !strchr(" \t", *p))
			p++;
		word.len = p - word.p;
		if (!word.len || !n--)
			return word;
	}
}

/* Which word of the header names a column. */
static size_t place_of(struct span header, const char *column)
{
	struct span word;
	size_t n;

	for (n = 0; (word = word_at(header, n)).len; n++)
		if (word.len == strlen(column) && !memcmp(word.p, column, word.len))
			break;
	return n;
}

static bool same(struct span a, struct span b)
{
	return a.p == b.p && a.len == b.len;
}

static bool is_printable(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

/* --- Formatting --- */

static void check_cell(const char *cell)
{
	size_t len = strnlen(cell, CELL_MAX);

	PROPERTY(len && len < CELL_MAX);
	PROPERTY(is_printable(cell, len));
}

static double unit_of(char suffix)
{
	static const char suffixes[] = "kMGTPE";
	const char *p = strchr(suffixes, suffix);

	return suffix && p ? pow(1000, 1 + (p - suffixes)) : 1;
}

/* Three digits, rounded to nearest. */
static void check_short(uint64_t num)
{
	char cell[CELL_MAX], *end;
	double value, unit;

	format_short(num, cell);
	check_cell(cell);
	PROPERTY(strlen(cell) <= strlen("12.3k"));
	value = strtod(cell, &end);
	unit = unit_of(*end);
	PROPERTY(!end[unit > 1]);
	PROPERTY(num < 1000 ? value == num : value < 1000);
	PROPERTY(fabs(value * unit - num) <= num * 0.0051);
}

static void check_duration(double seconds)
{
	char cell[CELL_MAX];

	format_duration(seconds, cell);
	check_cell(cell);
}

static void check_rate(struct rate rate)
{
	struct options opt = { 0 };
	char cell[CELL_MAX];

	PROPERTY(!rate.known || (isfinite(rate.value) && rate.value >= 0));
	for (opt.terminal = false;; opt.terminal = true) {
		format_rate(&opt, rate.value, rate.known, cell);
		check_cell(cell);
		PROPERTY(rate.known || !strcmp(cell, "-"));
		if (opt.terminal)
			break;
	}
	check_duration(rate.value);
}

static void check_formats(const struct field *field)
{
	struct options opt = { .terminal = false };
	char cell[CELL_MAX];

	check_short(field->num);
	check_duration(field->num);
	format_time(field, "%Y-%m-%d %H:%M:%S", cell);
	check_cell(cell);
	opt.terminal = true;
	format_number(&opt, field, cell);
	check_cell(cell);
}

/* --- Fields, rows, tables --- */

/* A number comes out as it was written, but for leading zeros. */
static void check_number(const struct field *field)
{
	struct options opt = { .terminal = false };
	struct span text = field->text;
	char cell[CELL_MAX];

	while (text.len > 1 && *text.p == '0') {
		text.p++;
		text.len--;
	}
	format_number(&opt, field, cell);
	PROPERTY(strlen(cell) == text.len && !memcmp(cell, text.p, text.len));
}

static void check_field(const struct field_desc *desc, const struct field *field, struct span word)
{
	PROPERTY(word.len && same(field->text, word));
	PROPERTY(field->known == (word.len != 1 || *word.p != '-'));
	PROPERTY(field->known || !field->num);
	if (is_number(desc->kind)) {
		if (field->known)
			check_number(field);
		check_formats(field);
		return;
	}
	PROPERTY(word.len <= PARSE_NAME_MAX && is_printable(word.p, word.len));
}

static void check_fields(const struct table *table, struct span in)
{
	const struct table_desc *desc = table->desc;
	struct span line, header = take_line(&in);
	size_t place[desc->n], row, col;

	for (col = 0; col < desc->n; col++)
		place[col] = place_of(header, desc->columns[col].name);
	for (row = 0; in.len; row++) {
		PROPERTY(row < table->rows);
		line = take_line(&in);
		for (col = 0; col < desc->n; col++)
			check_field(&desc->columns[col], &table_row(table, row)[col],
				    word_at(line, place[col]));
	}
	PROPERTY(row == table->rows);
}

static int compare_keys(const struct table *table, const struct field *a, const struct field *b)
{
	size_t i;
	int diff = 0;

	for (i = 0; !diff && i < table->desc->keys; i++)
		diff = span_compare(a[i].text, b[i].text);
	return diff;
}

/* Every row once, and sorted: so no row is there twice. */
static void check_order(const struct table *table)
{
	bool *seen = calloc(table->rows + 1, sizeof(*seen));
	size_t i, row;

	for (i = 0; i < table->rows; i++) {
		row = table->order[i];
		PROPERTY(row < table->rows && !seen[row]);
		seen[row] = true;
		PROPERTY(!i || compare_keys(table, table_row(table, table->order[i - 1]),
					    table_row(table, row)) < 0);
	}
	free(seen);
}

static const struct field *search(const struct table *table, const struct field *keys)
{
	size_t i;

	for (i = 0; i < table->rows; i++)
		if (!compare_keys(table, keys, table_row(table, i)))
			return table_row(table, i);
	return NULL;
}

static void check_find(const struct table *table)
{
	size_t i;

	for (i = 0; i < table->rows; i++)
		PROPERTY(table_find(table, table_row(table, i)) == table_row(table, i));
}

/* @other: rows that may be in @table or not. */
static void check_find_others(const struct table *table, const struct table *other)
{
	const struct field *keys;
	size_t i;

	for (i = 0; i < other->rows; i++) {
		keys = table_row(other, i);
		PROPERTY(table_find(table, keys) == search(table, keys));
	}
}

/* --- Sums and rates --- */

static bool adds_up(enum field_kind kind)
{
	return kind == FIELD_GAUGE || kind == FIELD_COUNTER;
}

static void check_sum(const struct table *table, size_t col, struct query query)
{
	struct field sum = sum_of(table, col, query, (struct query){ 0, NULL });
	unsigned __int128 all = 0;
	const struct field *row;
	bool known = true;
	size_t i;

	for (i = 0; i < table->rows; i++) {
		row = table_row(table, i);
		if (query.value && !span_is(row[query.column].text, query.value))
			continue;
		known = known && row[col].known;
		all += row[col].num;
	}
	PROPERTY(sum.known == (known && all <= UINT64_MAX));
	PROPERTY(!sum.known || sum.num == all);
}

static void check_row_rate(const struct snapshot *old, const struct snapshot *new,
			   enum table_index table, size_t row, size_t col)
{
	const struct field *after = &table_row(&new->table[table], row)[col];
	const struct field *before = search(&old->table[table], table_row(&new->table[table], row));
	uint64_t was = before ? before[col].num : 0;
	struct rate rate = rate_of_column(old, new, table, row, col);

	PROPERTY(rate.known == (after->known && (!before || before[col].known) &&
				after->num >= was));
	PROPERTY(!rate.known || fabs(rate.value * SECONDS - (after->num - was)) <=
				1e-9 * (after->num - was));
	check_rate(rate);
}

static void check_column(const struct snapshot *old, const struct snapshot *new,
			 enum table_index table, size_t col)
{
	const struct table *now = &new->table[table];
	char word[PARSE_NAME_MAX + 1] = "-";
	struct query all = { 0, NULL }, first = { 0, word };
	size_t row;

	if (now->rows)
		snprintf(word, sizeof(word), "%.*s", (int)now->fields->text.len,
			 now->fields->text.p);
	check_sum(now, col, all);
	check_sum(now, col, first);
	if (now->desc->columns[col].kind != FIELD_COUNTER)
		return;
	check_rate(rate_of_sum(old, new, table, col, all, first));
	for (row = 0; row < now->rows; row++)
		check_row_rate(old, new, table, row, col);
}

static void check_findings(const struct snapshot *old, const struct snapshot *new)
{
	struct finding list[FINDINGS_MAX];
	size_t i, n = findings(old, new, list);

	PROPERTY(n <= FINDINGS_MAX);
	for (i = 0; i < n; i++) {
		PROPERTY(*list[i].text && strnlen(list[i].text, sizeof(list[i].text)) <
					  sizeof(list[i].text));
		PROPERTY(is_printable(list[i].text, strlen(list[i].text)));
		PROPERTY(!i || list[i - 1].critical >= list[i].critical);
	}
	check_rate(seconds_to_full(old, new));
}

/* --- The subcommands, on files that exist here only --- */

static struct {
	const char *name;
	struct span text;
} file;

/* "summary" is there whatever is tested: all is 1, and so is the format that is ours. */
static struct span good_summary(void)
{
	static char text[4096];
	size_t len = 0, i;

	for (i = 0; i < SUM_KEYS; i++)
		len += sprintf(text + len, "%s 1\n", summary_keys[i].name);
	return (struct span){ text, len };
}

/* The others have a header, and one row in which all is "-". */
static struct span good_table(const struct table_desc *desc)
{
	static char text[4096];
	size_t len = 0, i;

	for (i = 0; i < desc->n; i++)
		len += sprintf(text + len, "%s ", desc->columns[i].name);
	text[len - 1] = '\n';
	for (i = 0; i < desc->n; i++)
		len += sprintf(text + len, "- ");
	text[len - 1] = '\n';
	return (struct span){ text, len };
}

/* As in load.c, which is not part of this. */
int load_file(const struct options *opt, const char *name, struct span *in)
{
	struct span text = good_summary();
	size_t i;

	(void)opt;
	for (i = 0; i < TABLES; i++)
		if (!strcmp(name, table_descs[i].name))
			text = good_table(&table_descs[i]);
	if (!strcmp(name, file.name))
		text = file.text;
	in->p = memcpy(malloc(text.len), text.p, text.len);
	in->len = text.len;
	return EXIT_OK;
}

/* As in plugin.c, but that there is only this one. */
const struct json_writer *plugin_json(void)
{
	return plugin.json;
}

int load_table(const struct options *opt, const struct table_desc *desc, struct table *table)
{
	struct parse_error err;
	struct span in;

	load_file(opt, desc->name, &in);
	if (parse_table(in, desc, table, &err)) {
		table->buf = (char *)in.p;
		return EXIT_OK;
	}
	table->buf = (char *)in.p;
	return complain_garbled(opt, desc->name, &err);
}

int complain_garbled(const struct options *opt, const char *name, const struct parse_error *err)
{
	PROPERTY(strnlen(err->what, sizeof(err->what)) < sizeof(err->what));
	PROPERTY(*err->what && is_printable(err->what, strlen(err->what)));
	complain("%s/%s: %lu: %s", opt->proc_dir, name, err->line, err->what);
	return EXIT_GARBLED;
}

static int run(const struct options *opt, enum input_kind kind)
{
	static int (* const run[INPUT_KINDS])(const struct options *opt) = {
		[TABLE_STATES] = states_run, [TABLE_PORTS] = ports_run,
		[TABLE_TRANSITIONS] = transitions_run, [TABLE_ENDS] = ends_run,
		[TABLE_HISTOGRAMS] = histograms_run, [INPUT_SUMMARY] = summary_run,
		[INPUT_AUDIT] = audit_run,
	};

	return run[kind](opt);
}

/* Each input is shown in one of the ways: there are enough inputs. */
static void check_subcommands(enum input_kind kind, struct span in, bool understood)
{
	struct options opt = { .proc_dir = DEFAULT_PROC_DIR };
	unsigned int way = in.len;
	int ret;

	opt.format = way % 3;
	opt.terminal = way / 3 % 2;
	opt.all = way / 6 % 2;
	opt.reverse = way / 12 % 2;
	opt.top_given = way / 24 % 2;
	opt.top = way % 5;
	if ((unsigned int)kind < TABLES && way % 4 == 1)
		opt.sort = table_descs[kind].columns[way % table_descs[kind].n].name;
	ret = run(&opt, kind);
	/* What is not known, or of another format, is refused for more reasons. */
	PROPERTY(ret == EXIT_OK || ret == EXIT_GARBLED ||
		 (kind == INPUT_AUDIT && ret == EXIT_DIFFERS));
	PROPERTY(understood || ret == EXIT_GARBLED);
	PROPERTY(!understood || ret != EXIT_GARBLED || (unsigned int)kind >= TABLES);
	ret = prometheus_write(&opt, stdout);
	PROPERTY(ret == EXIT_OK || ret == EXIT_GARBLED);
}

/* --- Inputs --- */

/* The text of each of the two readings, in memory of its own: a byte behind it is an error. */
static struct span copy_of(const char *p, size_t len)
{
	char *copy = malloc(len);

	if (len)
		memcpy(copy, p, len);
	return (struct span){ copy, len };
}

static void split(const char *p, size_t len, struct span text[2])
{
	const char *end = memmem(p, len, SEPARATOR, strlen(SEPARATOR));
	size_t first = end ? (size_t)(end - p) : len;
	size_t second = end ? first + strlen(SEPARATOR) : len;

	text[0] = copy_of(p, first);
	text[1] = copy_of(p + second, len - second);
}

static bool check_table(enum table_index index, struct span in, struct table *table)
{
	struct parse_error err;
	bool ok = parse_table(in, &table_descs[index], table, &err);

	if (!ok)
		return false;
	check_fields(table, in);
	check_order(table);
	return true;
}

static bool test_table(enum table_index index, const struct span text[2])
{
	struct field entries = { .num = 1000, .known = true };
	struct snapshot snap[2] = {
		{ .mono = 1, .sum_buf = (char *)"", .sum[SUM_ENTRIES] = entries },
		{ .mono = 1 + SECONDS, .sum_buf = (char *)"", .sum[SUM_ENTRIES] = entries },
	};
	struct table *old = &snap[0].table[index], *new = &snap[1].table[index];
	bool first = check_table(index, text[0], old), ok = check_table(index, text[1], new);
	size_t col;

	if (first)
		check_find(old);
	if (first && ok) {
		check_find_others(new, old);
		PROPERTY(snapshot_comparable(&snap[0], &snap[1]));
		PROPERTY(!snapshot_comparable(&snap[1], &snap[0]));
		for (col = table_descs[index].keys; col < table_descs[index].n; col++)
			if (adds_up(table_descs[index].columns[col].kind))
				check_column(&snap[0], &snap[1], index, col);
		check_findings(&snap[0], &snap[1]);
	}
	table_free(old);
	table_free(new);
	return first;
}

/* The value behind the key's first line, or how many lines it has. */
static void check_key(const struct field_desc *desc, const struct field *field, struct span in)
{
	struct span line, word;
	size_t lines = 0;

	while (in.len) {
		line = take_line(&in);
		word = word_at(line, 0);
		if (word.len != strlen(desc->name) || memcmp(word.p, desc->name, word.len))
			continue;
		lines++;
		if (desc->kind != FIELD_LINES)
			check_field(desc, field, word_at(line, 1));
	}
	PROPERTY(desc->kind == FIELD_LINES ? field->num == lines : lines == 1);
}

static bool check_keys(struct span in, const struct field_desc *desc, size_t n, struct field *out)
{
	struct parse_error err;
	size_t i;

	if (!parse_keys(in, desc, n, out, &err))
		return false;
	for (i = 0; i < n; i++)
		check_key(&desc[i], &out[i], in);
	return true;
}

/* Comparable only if nothing that cannot have gone back has, and nothing was adopted. */
static bool has_gone_back(const struct field *old, const struct field *new)
{
	size_t i;

	for (i = 0; i < SUM_KERNEL_FOUND; i++)
		if (summary_keys[i].kind == FIELD_COUNTER && old[i].known && new[i].known &&
		    old[i].num > new[i].num)
			return true;
	return old[SUM_START_TIME].num != new[SUM_START_TIME].num ||
	       old[SUM_ADOPTED].num != new[SUM_ADOPTED].num;
}

static bool test_summary(const struct span text[2])
{
	struct snapshot old = { .mono = 1, .sum_buf = (char *)"" };
	struct snapshot new = { .mono = 1 + SECONDS, .sum_buf = (char *)"" };
	bool first = check_keys(text[0], summary_keys, SUM_KEYS, old.sum);
	bool ok = check_keys(text[1], summary_keys, SUM_KEYS, new.sum);
	struct rate rate;
	bool back;
	size_t i;

	if (!first || !ok)
		return first;
	PROPERTY(snapshot_comparable(&old, &new) == !has_gone_back(old.sum, new.sum));
	for (i = 0; i < SUM_KEYS; i++) {
		if (summary_keys[i].kind != FIELD_COUNTER)
			continue;
		rate = rate_of_key(&old, &new, i);
		/* Those of the kernel wrap; half of their range at once is the way back. */
		back = i >= SUM_KERNEL_FOUND &&
		       (uint32_t)(new.sum[i].num - old.sum[i].num) >= 1u << 31;
		PROPERTY(rate.known == (!has_gone_back(old.sum, new.sum) && !back &&
					old.sum[i].known && new.sum[i].known));
		PROPERTY(i < SUM_KERNEL_FOUND || rate.value <= INT32_MAX / (SECONDS * 0.99));
		check_rate(rate);
	}
	check_findings(&old, &new);
	return first;
}

static bool test_audit(const struct span text[2])
{
	struct field field[AUDIT_KEYS];

	return check_keys(text[0], audit_keys, AUDIT_KEYS, field);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	complain_to(keep_quiet);
	return freopen("/dev/null", "w", stdout) ? 0 : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char * const keys[] = { "summary", "audit" };
	enum input_kind kind;
	struct span text[2];
	bool understood;

	if (!size)
		return 0;
	kind = (uint8_t)(*data - '0') % INPUT_KINDS;
	split((const char *)data + 1, size - 1, text);
	if ((unsigned int)kind < TABLES)
		understood = test_table((enum table_index)kind, text);
	else
		understood = kind == INPUT_SUMMARY ? test_summary(text) : test_audit(text);

	/* For the corpus: what is refused at once tests little. */
	PROPERTY(understood || !getenv("FUZZ_UNDERSTOOD"));
	file.name = (unsigned int)kind < TABLES ? table_descs[kind].name : keys[kind - TABLES];
	file.text = text[0];
	check_subcommands(kind, text[0], understood);
	free((char *)text[0].p);
	free((char *)text[1].p);
	return 0;
}
