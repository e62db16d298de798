// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctxstat.h"

/* What the first write to fail said. */
static int output_error;

bool output_flush(void)
{
	errno = 0;
	if (!output_error && (fflush(stdout) || ferror(stdout)))
		output_error = errno ? errno : EIO;
	return !output_error;
}

int output_close(void)
{
	output_flush();
	if (fclose(stdout) && !output_error)
		output_error = errno;
	return output_error;
}

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

/* Not by snprintf(): most of what a table costs would be that. */
static void format_exact(uint64_t num, char cell[CELL_MAX])
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = '0' + num % 10;
		num /= 10;
	} while (num);
	while (n)
		*cell++ = digits[--n];
	*cell = '\0';
}

void format_number(const struct options *opt, const struct field *f, char cell[CELL_MAX])
{
	if (!f->known)
		strcpy(cell, "-");
	else if (opt->terminal)
		format_short(f->num, cell);
	else
		format_exact(f->num, cell);
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

struct service {
	char proto[8];
	unsigned int port;
	char name[CELL_MAX];
};

static struct service *services;
static size_t nservices;

static int compare_services(const void *a, const void *b)
{
	const struct service *x = a, *y = b;

	return x->port != y->port ? (x->port > y->port) - (x->port < y->port)
				  : strcmp(x->proto, y->proto);
}

/* Once for all, as getservbyport() reads the file for each. A name that does not fit is no name. */
static void read_services(void)
{
	const struct servent *entry;
	struct service *more;

	setservent(1);
	while ((entry = getservent())) {
		if (strlen(entry->s_name) >= CELL_MAX || strlen(entry->s_proto) >= sizeof(more->proto))
			continue;
		more = realloc(services, (nservices + 1) * sizeof(*services));
		if (!more)
			break;
		services = more;
		services[nservices].port = ntohs(entry->s_port);
		strcpy(services[nservices].proto, entry->s_proto);
		strcpy(services[nservices++].name, entry->s_name);
	}
	endservent();
	if (nservices)
		qsort(services, nservices, sizeof(*services), compare_services);
}

static const char *service_name(struct span l4proto, uint64_t port)
{
	static bool have_read;
	struct service wanted = { .port = port }, *found;

	if (!have_read)
		read_services();
	have_read = true;
	if (!nservices || l4proto.len >= sizeof(wanted.proto))
		return NULL;
	memcpy(wanted.proto, l4proto.p, l4proto.len);
	found = bsearch(&wanted, services, nservices, sizeof(wanted), compare_services);
	return found ? found->name : NULL;
}

void format_port(const struct options *opt, struct span l4proto, const struct field *port,
		 char cell[CELL_MAX])
{
	const char *name = NULL;

	if (opt->names && port->known && port->num <= UINT16_MAX)
		name = service_name(l4proto, port->num);
	if (name)
		strcpy(cell, name);
	else if (port->known)
		snprintf(cell, CELL_MAX, "%" PRIu64, port->num);
	else
		snprintf(cell, CELL_MAX, "%.*s", (int)port->text.len, port->text.p);
}
