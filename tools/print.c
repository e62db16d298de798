// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctxstat.h"

static void (*complain_sink)(const char *line);

void complain_to(void (*sink)(const char *line))
{
	complain_sink = sink;
}

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
	if (complain_sink)
		complain_sink(line);
	else
		fprintf(stderr, "ctxstat: %s\n", line);
}

bool use_colour(const struct options *opt)
{
	const char *no_color = getenv("NO_COLOR");

	return opt->terminal && !(no_color && *no_color);
}

/* In parts of a unit, rounded to nearest. */
static uint64_t scale(uint64_t num, uint64_t unit, unsigned int parts)
{
	return num / unit * parts + (num % unit + unit / parts / 2) / (unit / parts);
}

/* Three digits; whole numbers only, so that 2^64 - 1 comes out right, too. */
void format_short(uint64_t num, char cell[CELL_MAX])
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

/* Rounded to nearest; what is beyond 64 bits is the largest number there is. */
static uint64_t whole(double value)
{
	return value < 0x1p64 ? (uint64_t)(value + 0.5) : UINT64_MAX;
}

/* Whole numbers as all others; below ten, one digit more. */
void format_rate(const struct options *opt, double value, bool known, char cell[CELL_MAX])
{
	struct field f = { .num = whole(value), .known = true };

	if (!known)
		strcpy(cell, "-");
	else if (value > 0 && value < 9.95)
		snprintf(cell, CELL_MAX, "%.1f", value);
	else
		format_number(opt, &f, cell);
}

void format_duration(double seconds, char cell[CELL_MAX])
{
	uint64_t minutes = whole(seconds / 60), hours = whole(seconds / 3600);

	if (seconds < 99.5)
		snprintf(cell, CELL_MAX, "%.0f s", seconds);
	else if (minutes < 100)
		snprintf(cell, CELL_MAX, "%" PRIu64 " min", minutes);
	else if (minutes < 48 * 60)
		snprintf(cell, CELL_MAX, "%" PRIu64 " h %" PRIu64 " min", minutes / 60, minutes % 60);
	else if (hours < 100 * 365 * 24)
		snprintf(cell, CELL_MAX, "%" PRIu64 " d", hours / 24);
	else
		strcpy(cell, "years");
}

void format_port(const struct options *opt, struct span l4proto, const struct field *port,
		 char cell[CELL_MAX])
{
	char proto[PARSE_NAME_MAX + 1];
	const struct servent *service = NULL;

	snprintf(proto, sizeof(proto), "%.*s", (int)l4proto.len, l4proto.p);
	if (opt->names && port->known && port->num <= UINT16_MAX)
		service = getservbyport(htons(port->num), proto);
	/* A name that would not fit in the cell is no good as a name. */
	if (service && strlen(service->s_name) < CELL_MAX)
		strcpy(cell, service->s_name);
	else if (port->known)
		snprintf(cell, CELL_MAX, "%" PRIu64, port->num);
	else
		snprintf(cell, CELL_MAX, "%.*s", (int)port->text.len, port->text.p);
}
