// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count the instructions that packets, connections and readings cost, in a
 * virtual machine with one CPU whose time-stamp counter counts instructions
 * (QEMU's -icount shift=0). scene.sh sets the scene and says which numbers
 * mean what.
 *
 *   measure packets CLIENT GATEWAY SERVER [CHUNKS]
 *   measure cpus CLIENT GATEWAY SERVER CPUS [CHUNKS]
 *   measure fill CLIENT GATEWAY SERVER ENTRIES
 *   measure ports CLIENT GATEWAY SERVER
 *   measure read FILE [TIMES]
 *   measure run TIMES COMMAND [ARG...]
 *   measure stall TIMES PERIOD COMMAND [ARG...]
 *   measure pause
 *
 * stdout: "name value" per line.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "measure.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The same number of instructions every time, if it is instructions. */
static void require_icount(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		unsigned long n = 100000;
		uint64_t start = __rdtsc(), taken;

		__asm__ volatile("1: dec %0; jnz 1b" : "+r" (n) : : "cc");
		taken = __rdtsc() - start;
		if (taken < best)
			best = taken;
	}
	if (best < 200000 || best > 200100)
		errx(1, "200,000 instructions took %llu ticks: not under -icount shift=0",
		     (unsigned long long)best);
}

unsigned long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long value;

	if (!file || fscanf(file, "%lu", &value) != 1)
		err(1, "%s", path);
	fclose(file);
	return value;
}

static const struct {
	const char *name, *arguments;
	int (*function)(int argc, char *const argv[]);
} commands[] = {
	{ "packets", "CLIENT GATEWAY SERVER [CHUNKS]", measure_packets },
	{ "cpus", "CLIENT GATEWAY SERVER CPUS [CHUNKS]", measure_cpus },
	{ "fill", "CLIENT GATEWAY SERVER ENTRIES", fill },
	{ "ports", "CLIENT GATEWAY SERVER", use_ports },
	{ "read", "FILE [TIMES]", measure_read },
	{ "run", "TIMES COMMAND [ARG...]", measure_run },
	{ "stall", "TIMES PERIOD COMMAND [ARG...]", measure_stall },
	{ "pause", "", pause_cpu },
};

int main(int argc, char **argv)
{
	int status;

	/* The parent of processes that share its output with it. */
	setlinebuf(stdout);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		require_icount();
		status = commands[i].function(argc - 2, argv + 2);
		if (status >= 0)
			return status;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, "usage: measure %s %s\n", commands[i].name,
			commands[i].arguments);
	return 2;
}
