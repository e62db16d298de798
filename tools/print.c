// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctxstat.h"

void complain(const char *fmt, ...)
{
	char line[8192];
	va_list ap;
	char *c;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);

	/* A directory's name may hold a newline or an escape sequence. */
	for (c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "ctxstat: %s\n", line);
}

/* Three digits, rounded to nearest; whole numbers only, so that 2^64 - 1 works too. */
static void format_short(uint64_t num, char cell[CELL_MAX])
{
	static const char suffix[] = "kMGTPE";
	uint64_t unit = 1000;
	unsigned int i = 0;
	uint64_t whole, hundredths;

	if (num < 1000) {
		snprintf(cell, CELL_MAX, "%" PRIu64, num);
		return;
	}
	/* 999.5 of a unit would be rounded to 1000: take the next one. */
	while (suffix[i + 1] && num >= unit * 1000 - unit / 2) {
		unit *= 1000;
		i++;
	}
	whole = num / unit;
	hundredths = (num % unit + unit / 200) / (unit / 100);
	if (whole * 100 + hundredths < 1000) {
		whole += hundredths / 100;
		snprintf(cell, CELL_MAX, "%" PRIu64 ".%02" PRIu64 "%c", whole, hundredths % 100,
			 suffix[i]);
	} else if (num < unit * 100 - unit / 20) {
		hundredths = (num % unit + unit / 20) / (unit / 10);
		whole += hundredths / 10;
		snprintf(cell, CELL_MAX, "%" PRIu64 ".%" PRIu64 "%c", whole, hundredths % 10,
			 suffix[i]);
	} else {
		whole += num % unit >= unit / 2;
		snprintf(cell, CELL_MAX, "%" PRIu64 "%c", whole, suffix[i]);
	}
}

void format_number(const struct options *opt, const struct field *f, char cell[CELL_MAX])
{
	if (!f->known)
		strcpy(cell, "-");
	else if (opt->terminal)
		format_short(f->num, cell);
	else
		snprintf(cell, CELL_MAX, "%" PRIu64, f->num);
}

void format_time(const struct field *f, const char *fmt, char cell[CELL_MAX])
{
	time_t when = f->num;
	struct tm tm;

	if (!f->known) {
		strcpy(cell, "-");
		return;
	}
	if (when < 0 || (uint64_t)when != f->num || !localtime_r(&when, &tm) ||
	    !strftime(cell, CELL_MAX, fmt, &tm))
		snprintf(cell, CELL_MAX, "%" PRIu64, f->num);
}
