/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of measure share. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stddef.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* It sorts them. */
double median(double *values, size_t n);
unsigned long read_number(const char *path);

/* Commands: the exit status, or -1 for usage. */
int measure_packets(int argc, char *const argv[]);
int measure_cpus(int argc, char *const argv[]);
int fill(int argc, char *const argv[]);
int use_ports(int argc, char *const argv[]);
int measure_read(int argc, char *const argv[]);
int measure_run(int argc, char *const argv[]);
int measure_stall(int argc, char *const argv[]);
int pause_cpu(int argc, char *const argv[]);

#endif /* MEASURE_H */
