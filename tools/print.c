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

/* In parts of a unit, rounded to nearest. */
static uint64_t scale(uint64_t num, uint64_t unit, unsigned int parts)
{
	return num / unit * parts + (num % unit + unit / parts / 2) / (unit / parts);
}

/* Three digits; whole numbers only, so that 2^64 - 1 comes out right, too. */
static void format_short(uint64_t num, char cell[CELL_MAX])
{
	static const char suffix[] = "kMGTPE";
	uint64_t unit = 1000, n;
	unsigned int i = 0;

	if (num < 1000) {
		snprintf(cell, CELL_MAX, "%" PRIu64, num);
		return;
	}
	while (suffix[i + 1] && scale(num, unit, 1) >= 1000) {
		unit *= 1000;
		i++;
	}
	n = scale(num, unit, 100);
	if (n < 1000) {
		snprintf(cell, CELL_MAX, "%" PRIu64 ".%02" PRIu64 "%c", n / 100, n % 100, suffix[i]);
		return;
	}
	n = scale(num, unit, 10);
	if (n < 1000)
		snprintf(cell, CELL_MAX, "%" PRIu64 ".%" PRIu64 "%c", n / 10, n % 10, suffix[i]);
	else
		snprintf(cell, CELL_MAX, "%" PRIu64 "%c", scale(num, unit, 1), suffix[i]);
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
