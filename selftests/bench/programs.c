// SPDX-License-Identifier: GPL-2.0-only
/*
 * What reading a file, and running a program costs.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "measure.h"

/* Opened, read to its end, closed. */
int measure_read(int argc, char *const argv[])
{
	static char buffer[65536];
	size_t times = argc > 1 ? strtoul(argv[1], NULL, 10) : 200;
	double cost[200];

	if (argc < 1 || argc > 2 || !times || times > ARRAY_SIZE(cost))
		return -1;
	for (size_t i = 0; i < times; i++) {
		uint64_t start = __rdtsc();
		int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
		ssize_t size;

		if (fd < 0)
			err(1, "%s", argv[0]);
		while ((size = read(fd, buffer, sizeof(buffer))) > 0)
			;
		if (size < 0)
			err(1, "%s", argv[0]);
		close(fd);
		cost[i] = __rdtsc() - start;
	}
	printf("read %.0f\n", median(cost, times));
	return 0;
}

static double in_ns(const struct timeval *t)
{
	return t->tv_sec * 1e9 + t->tv_usec * 1e3;
}

/* Its output goes nowhere. Whether it came to its end, or was stopped by its limit of CPU time. */
static bool run(char *const argv[], struct rusage *used)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(127);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (wait4(pid, &status, 0, used) != pid)
		err(1, "wait4");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return false;
	if (status)
		errx(1, "%s failed (status 0x%x of wait)", argv[0], status);
	return true;
}

/*
 * The CPU time of the program and those that it starts: a nanosecond is an
 * instruction, and waiting for the disk is not counted.
 */
int measure_run(int argc, char *const argv[])
{
	size_t times = argc ? strtoul(argv[0], NULL, 10) : 0;
	double cost[100];

	if (argc < 2 || !times || times > ARRAY_SIZE(cost))
		return -1;
	for (size_t i = 0; i < times; i++) {
		struct rusage used;

		if (!run(argv + 1, &used))
			errx(1, "%s reached its limit", argv[1]);
		cost[i] = in_ns(&used.ru_utime) + in_ns(&used.ru_stime);
	}
	printf("run %.0f\n", median(cost, times));
	return 0;
}

#define STALL	"/sys/module/stall/parameters/"

static void set_stall(const char *path, unsigned long ns)
{
	FILE *file = fopen(path, "we");

	if (!file || fprintf(file, "%lu", ns) < 0 || fclose(file))
		err(1, "%s", path);
}

/*
 * How long the softirq of a timer, that of stall.c, has to wait meanwhile: on average,
 * and at most in one run. That is the median over runs, each of which it interrupts
 * elsewhere: once in many runs of whatever program the kernel gives hundreds of free pages
 * back at a time, with interrupts off. And how often another timer finds the program at
 * work, and the kernel. (What getrusage() says of a program that is done before two or
 * three ticks is no good for that.) The timers' interrupts are in what it costs then.
 * "stopped 1": it was stopped by a limit of its CPU time, and would have cost more.
 */
int measure_stall(int argc, char *const argv[])
{
	size_t times = argc ? strtoul(argv[0], NULL, 10) : 0;
	unsigned long period = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned long probes = 0, in_user = 0, in_kernel = 0;
	double longest[100], cost[100], sum = 0;
	struct rusage used;
	bool ended = true;

	if (argc < 3 || !times || times > ARRAY_SIZE(longest) || period < times)
		return -1;
	/* What those before have left behind is freed. */
	sleep(1);
	for (size_t i = 0; i < times; i++) {
		set_stall(STALL "phase", period * (i + 1) / times);
		set_stall(STALL "period", period);
		ended = run(argv + 2, &used) && ended;
		set_stall(STALL "period", 0);
		cost[i] = in_ns(&used.ru_utime) + in_ns(&used.ru_stime);
		probes += read_number(STALL "probes");
		sum += read_number(STALL "sum");
		longest[i] = read_number(STALL "longest");
		in_user += read_number(STALL "in_user");
		in_kernel += read_number(STALL "in_kernel");
	}
	if (!probes)
		errx(1, "no timer has expired");
	printf("run-probed %.0f\n", median(cost, times));
	if (!ended)
		printf("stopped 1\n");
	printf("probes %lu\nlongest %.0f\nmean %.0f\nin-user %lu\nin-kernel %lu\n",
	       probes, median(longest, times), sum / probes, in_user, in_kernel);
	return 0;
}

/* Until killed: lets QEMU go on with another CPU, and another. */
int pause_cpu(int argc, char *const argv[])
{
	(void)argv;
	while (!argc)
		_mm_pause();
	return -1;
}
