// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <signal.h>

#include "ctxstat.h"
#include "interval.h"

static volatile sig_atomic_t interrupted;

double clock_seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int interval_check(double seconds)
{
	if (seconds >= INTERVAL_MIN)
		return EXIT_OK;
	complain("the interval has to be at least %.1f seconds", INTERVAL_MIN);
	return EXIT_USAGE;
}

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

void interval_begin(void)
{
	struct sigaction action = { .sa_handler = interrupt };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void add_seconds(struct timespec *when, double seconds)
{
	time_t whole = seconds;

	when->tv_sec += whole;
	when->tv_nsec += (seconds - whole) * 1e9;
	if (when->tv_nsec >= 1000000000) {
		when->tv_nsec -= 1000000000;
		when->tv_sec++;
	}
}

static bool is_past(const struct timespec *when, const struct timespec *now)
{
	return when->tv_sec != now->tv_sec ? when->tv_sec < now->tv_sec : when->tv_nsec < now->tv_nsec;
}

bool interval_wait(double seconds)
{
	static struct timespec due;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (due.tv_sec)
		add_seconds(&due, seconds);
	/* The first time, or more than an interval late: there is no catching up. */
	if (!due.tv_sec || is_past(&due, &now)) {
		due = now;
		add_seconds(&due, seconds);
	}
	while (!interrupted)
		if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != EINTR)
			break;
	return !interrupted;
}
