// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections for the tests: many, quickly, from one process.
 *
 * usage: traffic [-s] [-c CPU] serve PORT
 *        traffic [-s] [-c CPU] MODE COUNT ADDRESS PORT...
 *
 *   serve  answer on PORT, TCP and UDP, IPv4 and IPv6, until killed
 *   spray  a datagram to each of COUNT ports, from PORT on
 *   flood  the same again and again until killed, whatever becomes of them
 *   ask    a datagram to PORT from each of COUNT sockets, at once; then wait until
 *          each is answered, or fail after a minute
 *   call   the same, but whether they are answered does not matter
 *   ping   the same as ask, with ICMP echo requests; they have no PORT, any will do
 *   knock  begin a TCP connection to each of COUNT ports, from PORT on, and give it
 *          up at once: where nobody answers, a conntrack entry stays in SYN_SENT
 *   hold   COUNT TCP connections to PORT, which stay open until killed; at each
 *          SIGUSR1 a byte goes there and back on each of them
 *   talk   the same, and as many UDP ones
 *   churn  TCP and UDP connections to PORT that begin and end until killed,
 *          from COUNT source ports in turn: so a conntrack table gets that
 *          many entries of them and then loses one for each new one
 *
 *   -s     also serve, on the first PORT
 *   -c     run on this CPU only
 *
 * A line "ready" on stdout says that serve answers, or that hold and talk have them
 * all; and again, that all have been answered.
 * Stopped (SIGSTOP) and continued, churn and flood go on as if nothing was.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MAX_TARGETS	64
#define FIRST_SOURCE	20000	/* below the ports that the kernel gives */
#define MAX_COUNT	65535
#define MAX_SOURCES	12000	/* of churn */
#define OPEN_AT_ONCE	32	/* by churn */

/* What a client sends: shall the server close after its answer? */
#define ANSWER		'a'
#define ANSWER_CLOSE	'c'

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union address targets[MAX_TARGETS];
static int nr_targets, count;

static unsigned int number(const char *s, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (!*s || *end || n > max)
		errx(2, "not a number up to %u: %s", max, s);
	return n;
}

static socklen_t size_of(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static void set_port(union address *a, unsigned int port)
{
	/* the same place in both */
	a->v4.sin_port = htons(port);
}

static unsigned int port_of(const union address *a)
{
	return ntohs(a->v4.sin_port);
}

static union address parse(const char *address, const char *port)
{
	union address a = {};

	if (inet_pton(AF_INET, address, &a.v4.sin_addr) == 1)
		a.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &a.v6.sin6_addr) == 1)
		a.any.sa_family = AF_INET6;
	else
		errx(2, "not an address: %s", address);
	set_port(&a, number(port, 65535));
	return a;
}

static void on(int fd, int level, int option)
{
	int one = 1;

	if (setsockopt(fd, level, option, &one, sizeof(one)))
		err(1, "setsockopt");
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* The server */

static int bound(int type, unsigned int port)
{
	union address a = { .v6 = { .sin6_family = AF_INET6 } };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0), memory = 64 << 20;

	if (fd < 0)
		err(1, "socket");
	on(fd, SOL_SOCKET, SO_REUSEADDR);
	/* What thousands ask at once waits here, however slowly it is read. */
	if (type == SOCK_DGRAM &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &memory, sizeof(memory)))
		err(1, "SO_RCVBUFFORCE");
	set_port(&a, port);
	if (bind(fd, &a.any, sizeof(a.v6)))
		err(1, "bind to port %u", port);
	if (type == SOCK_STREAM && listen(fd, 4096))
		err(1, "listen");
	return fd;
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err(1, "epoll_ctl");
}

static void answer_datagram(int fd)
{
	union address from;
	socklen_t len = sizeof(from);
	char c;

	if (recvfrom(fd, &c, 1, 0, &from.any, &len) >= 0)
		sendto(fd, &c, 1, 0, &from.any, len);
}

static void answer(int fd)
{
	char c;

	if (recv(fd, &c, 1, 0) != 1 || send(fd, &c, 1, MSG_NOSIGNAL) != 1 ||
	    c == ANSWER_CLOSE)
		close(fd);
}

static void serve(int tcp, int udp)
{
	struct epoll_event events[64];
	int epoll = epoll_create1(0);

	if (epoll < 0)
		err(1, "epoll_create1");
	watch(epoll, tcp);
	watch(epoll, udp);
	for (;;) {
		int i, n = epoll_wait(epoll, events, 64, -1);

		for (i = 0; i < n; i++) {
			int new, fd = events[i].data.fd;

			if (fd == udp)
				answer_datagram(fd);
			else if (fd != tcp)
				answer(fd);
			else if ((new = accept4(tcp, NULL, NULL, SOCK_NONBLOCK)) >= 0)
				watch(epoll, new);
		}
	}
}

static void serve_aside(unsigned int port)
{
	int tcp = bound(SOCK_STREAM, port), udp = bound(SOCK_DGRAM, port);
	pid_t parent = getpid();

	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		serve(tcp, udp);
	}
	close(tcp);
	close(udp);
}

/* The clients */

static void spray(bool anyway)
{
	int fds[MAX_TARGETS], t, i;

	for (t = 0; t < nr_targets; t++) {
		fds[t] = socket(targets[t].any.sa_family, SOCK_DGRAM, 0);
		if (fds[t] < 0)
			err(1, "socket");
	}
	for (i = 0; i < count; i++)
		for (t = 0; t < nr_targets; t++) {
			union address to = targets[t];

			set_port(&to, port_of(&to) + i);
			if (sendto(fds[t], "", 1, 0, &to.any, size_of(&to)) < 0 &&
			    errno != ECONNREFUSED && !anyway)
				err(1, "sendto");
		}
	for (t = 0; t < nr_targets; t++)
		close(fds[t]);
}

static void ask(bool echo, bool wait)
{
	int i, n = count * nr_targets;
	int *fds = calloc(n, sizeof(*fds));
	struct timeval patience = { .tv_sec = 60 };
	char message[8] = { ANSWER };

	if (!fds)
		err(1, "calloc");
	for (i = 0; i < n; i++) {
		const union address *to = &targets[i % nr_targets];
		bool v4 = to->any.sa_family == AF_INET;

		fds[i] = socket(to->any.sa_family, SOCK_DGRAM,
				!echo ? 0 : v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
		if (fds[i] < 0)
			err(1, "socket");
		if (echo)
			message[0] = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
		setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		if (connect(fds[i], &to->any, size_of(to)) ||
		    send(fds[i], message, sizeof(message), 0) < 0)
			err(1, "send");
	}
	for (i = 0; i < n; i++) {
		if (wait && recv(fds[i], message, sizeof(message), 0) < 0)
			err(1, "no answer");
		close(fds[i]);
	}
	free(fds);
}

static void knock(void)
{
	int i, t, fd;

	for (i = 0; i < count; i++)
		for (t = 0; t < nr_targets; t++) {
			union address to = targets[t];

			set_port(&to, port_of(&to) + i);
			fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
			if (fd < 0)
				err(1, "socket");
			if (connect(fd, &to.any, size_of(&to)) &&
			    errno != EINPROGRESS && errno != ECONNREFUSED)
				err(1, "connect to port %u", port_of(&to));
			close(fd);
		}
}

static int opened(int type, const union address *to)
{
	int fd = socket(to->any.sa_family, type, 0);

	if (fd < 0)
		err(1, "socket");
	if (connect(fd, &to->any, size_of(to)))
		err(1, "connect");
	return fd;
}

static void there_and_back(int fd)
{
	char c = ANSWER;

	if (send(fd, &c, 1, MSG_NOSIGNAL) != 1 || recv(fd, &c, 1, 0) != 1)
		err(1, "no answer");
}

static void hold(bool talk)
{
	int i, n = count * nr_targets * (1 + talk);
	int *fds = calloc(n, sizeof(*fds)), got;
	sigset_t again;

	if (!fds)
		err(1, "calloc");
	sigemptyset(&again);
	sigaddset(&again, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &again, NULL))
		err(1, "sigprocmask");
	for (i = 0; i < n; i++) {
		fds[i] = opened(i < count * nr_targets ? SOCK_STREAM : SOCK_DGRAM,
				&targets[i % nr_targets]);
		there_and_back(fds[i]);
	}
	for (;;) {
		ready();
		sigwait(&again, &got);
		for (i = 0; i < n; i++)
			there_and_back(fds[i]);
	}
}

enum kind {
	DATAGRAM,		/* there and back */
	SERVER_CLOSES,
	CLIENT_RESETS,
	CLIENT_CLOSES_AND_RESETS,
	KINDS,
};

struct connection {
	int fd;
	enum kind kind;
};

/* 0, or -1 where this source port is still in use */
static int churn_open(struct connection *c, const union address *to, int i,
		      enum kind kind)
{
	union address from = { .any.sa_family = to->any.sa_family };
	char byte = kind == SERVER_CLOSES ? ANSWER_CLOSE : ANSWER;

	c->kind = kind;
	c->fd = socket(to->any.sa_family,
		       kind == DATAGRAM ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (c->fd < 0)
		err(1, "socket");
	on(c->fd, SOL_SOCKET, SO_REUSEADDR);
	set_port(&from, FIRST_SOURCE + i);
	if (bind(c->fd, &from.any, size_of(&from)) ||
	    connect(c->fd, &to->any, size_of(to))) {
		if (errno != EADDRINUSE && errno != EADDRNOTAVAIL &&
		    errno != ECONNRESET && errno != ECONNREFUSED)
			err(1, "connect");
		close(c->fd);
		c->fd = -1;
		return -1;
	}
	send(c->fd, &byte, 1, MSG_NOSIGNAL);
	return 0;
}

static void churn_close(struct connection *c)
{
	struct linger reset = { .l_onoff = 1 };
	char byte;

	if (c->kind != DATAGRAM) {
		/* the answer, and the end if that comes first from there */
		while (recv(c->fd, &byte, 1, 0) == 1 && c->kind == SERVER_CLOSES)
			;
		if (c->kind == CLIENT_CLOSES_AND_RESETS)
			shutdown(c->fd, SHUT_WR);
		if (c->kind != SERVER_CLOSES)
			setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	close(c->fd);
	c->fd = -1;
}

static void churn(void)
{
	struct connection open[OPEN_AT_ONCE];
	unsigned int slot = 0, turn = 0;
	int i, t;

	for (i = 0; i < OPEN_AT_ONCE; i++)
		open[i].fd = -1;
	for (;; turn++)
		for (i = 0; i < count; i++)
			for (t = 0; t < nr_targets; t++) {
				struct connection *c = &open[slot++ % OPEN_AT_ONCE];

				if (c->fd >= 0)
					churn_close(c);
				churn_open(c, &targets[t], i, (i + t + turn) % KINDS);
			}
}

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %u", cpu);
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	bool aside = false;
	const char *mode;
	int option;

	while ((option = getopt(argc, argv, "+sc:")) >= 0)
		switch (option) {
		case 's':
			aside = true;
			break;
		case 'c':
			pin(number(optarg, CPU_SETSIZE - 1));
			break;
		default:
			return 2;
		}
	argv += optind;
	argc -= optind;
	if (setrlimit(RLIMIT_NOFILE, &files))
		warn("setrlimit");
	mode = argc ? argv[0] : "";

	if (!strcmp(mode, "serve") && argc == 2) {
		unsigned int port = number(argv[1], 65535);
		int tcp = bound(SOCK_STREAM, port), udp = bound(SOCK_DGRAM, port);

		ready();
		serve(tcp, udp);
	}

	if (argc < 4 || argc % 2 || argc > 2 + 2 * MAX_TARGETS)
		errx(2, "usage: see the top of traffic.c");
	count = number(argv[1], strcmp(mode, "churn") ? MAX_COUNT : MAX_SOURCES);
	for (argv += 2; *argv; argv += 2)
		targets[nr_targets++] = parse(argv[0], argv[1]);
	if (aside)
		serve_aside(port_of(&targets[0]));

	if (!strcmp(mode, "spray"))
		spray(false);
	else if (!strcmp(mode, "ask"))
		ask(false, true);
	else if (!strcmp(mode, "call"))
		ask(false, false);
	else if (!strcmp(mode, "ping"))
		ask(true, true);
	else if (!strcmp(mode, "knock"))
		knock();
	else if (!strcmp(mode, "hold"))
		hold(false);
	else if (!strcmp(mode, "talk"))
		hold(true);
	else if (!strcmp(mode, "churn"))
		churn();
	else if (!strcmp(mode, "flood"))
		for (;;)
			spray(true);
	else
		errx(2, "unknown: %s", mode);
	return 0;
}
