// SPDX-License-Identifier: GPL-2.0-only
/*
 * The demo's traffic: many small connections, from one process.
 *
 * traffic serve         answer, in the background; returns when it listens
 * traffic send FLOW...  FLOW is KIND,PER_SECOND,ADDRESS,PORT
 *
 * After SIGTERM "send" starts nothing new, and keeps open what is to stay open,
 * until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS		65536
#define MAX_FLOWS	64
#define EVENTS		64
#define TICK_MS		20
#define GIVE_UP		1.5	/* seconds without an answer */
#define TALK_EVERY	0.5	/* seconds */

static int epoll;

static void watch(int op, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll, op, fd, &event))
		err(1, "epoll_ctl");
}

/* serve */

/* A request is answered and ends the connection; without one it is kept. */
static const struct {
	int type;
	int port;
	bool answers;
} services[] = {
	{ SOCK_STREAM, 80, true },	/* web */
	{ SOCK_STREAM, 81, true },	/* the client never sees the answer to its SYN */
	{ SOCK_DGRAM, 53, true },	/* name service */
	{ SOCK_DGRAM, 514, false },	/* log */
};

#define SERVICES (sizeof(services) / sizeof(services[0]))

static int listen_on(int type, int port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0);
	int off = 0, on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    (type == SOCK_STREAM && listen(fd, 4096)))
		err(1, "cannot listen on port %d", port);
	watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	return fd;
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
		watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void serve_datagrams(int fd, bool answers)
{
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	char buf[2048];
	ssize_t n;

	while ((n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len)) >= 0) {
		if (answers)
			sendto(fd, buf, n, 0, (struct sockaddr *)&from, len);
		len = sizeof(from);
	}
}

static void serve_stream(int fd)
{
	static const char answer[1024];
	char buf[2048];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n > 0)
		send(fd, answer, sizeof(answer), MSG_NOSIGNAL);
	if (n == 0)
		watch(EPOLL_CTL_DEL, fd, 0);
	else if (n > 0 || errno != EAGAIN)
		close(fd);
}

static void serve(void)
{
	struct epoll_event events[EVENTS];
	int fds[SERVICES];
	size_t s;
	int i, n;
	pid_t pid;

	for (s = 0; s < SERVICES; s++)
		fds[s] = listen_on(services[s].type, services[s].port);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid)
		exit(0);

	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			for (s = 0; s < SERVICES && fds[s] != fd; s++)
				;
			if (s == SERVICES)
				serve_stream(fd);
			else if (services[s].type == SOCK_STREAM)
				accept_all(fd);
			else
				serve_datagrams(fd, services[s].answers);
		}
	}
}

/* send */

enum kind {
	SHORT,		/* TCP: request, answer, end */
	HOLD,		/* TCP: opened and left open */
	HALFCLOSE,	/* TCP: our side closed, the other one never */
	ABORT,		/* TCP: opened and reset */
	QUERY,		/* UDP: one datagram, one answer */
	SHOUT,		/* UDP: one datagram, never an answer */
	TALK,		/* UDP: to and fro until the end */
	PING,		/* one echo request, one reply */
	KINDS,
};

static const struct {
	const char *name;
	int type;
} kinds[KINDS] = {
	[SHORT]		= { "short", SOCK_STREAM },
	[HOLD]		= { "hold", SOCK_STREAM },
	[HALFCLOSE]	= { "halfclose", SOCK_STREAM },
	[ABORT]		= { "abort", SOCK_STREAM },
	[QUERY]		= { "query", SOCK_DGRAM },
	[SHOUT]		= { "shout", SOCK_DGRAM },
	[TALK]		= { "talk", SOCK_DGRAM },
	[PING]		= { "ping", SOCK_DGRAM },
};

struct flow {
	enum kind kind;
	double rate;
	double credit;
	struct sockaddr_storage to;
	socklen_t len;
};

static struct flow flows[MAX_FLOWS];
static int nflows;

/* By file descriptor. */
static struct connection {
	const struct flow *flow;	/* NULL: not in use */
	double due;			/* when to give up, or to talk again */
	bool connected;
} connections[MAX_FDS];
static int fds_used;

static volatile sig_atomic_t stopping;

static void on_term(int sig)
{
	(void)sig;
	stopping = 1;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void parse_flow(char *arg)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *info;
	struct flow *flow = &flows[nflows++];
	char name[16], address[64], port[8];

	if (nflows > MAX_FLOWS)
		errx(2, "too many flows");
	if (sscanf(arg, "%15[^,],%lf,%63[^,],%7s", name, &flow->rate, address, port) != 4 ||
	    getaddrinfo(address, port, &hints, &info))
		errx(2, "%s: not KIND,PER_SECOND,ADDRESS,PORT", arg);
	while (flow->kind < KINDS && strcmp(kinds[flow->kind].name, name))
		flow->kind++;
	if (flow->kind == KINDS)
		errx(2, "%s: unknown kind", name);
	memcpy(&flow->to, info->ai_addr, info->ai_addrlen);
	flow->len = info->ai_addrlen;
	freeaddrinfo(info);
}

static void finish(int fd)
{
	connections[fd].flow = NULL;
	close(fd);
}

static void finish_with_reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	finish(fd);
}

/* What is kept is heard of again only if it breaks. */
static void keep(int fd)
{
	connections[fd].due = INFINITY;
	watch(EPOLL_CTL_MOD, fd, 0);
}

static int protocol(const struct flow *flow)
{
	if (flow->kind != PING)
		return 0;
	return flow->to.ss_family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

/* The kernel fills in the identifier and the checksum of an echo request. */
static bool send_datagram(int fd, const struct flow *flow)
{
	unsigned char data[64] = { 0 };

	if (flow->kind == PING)
		data[0] = flow->to.ss_family == AF_INET ? 8 : 128;
	return send(fd, data, sizeof(data), 0) > 0;
}

static void start(const struct flow *flow)
{
	int type = kinds[flow->kind].type;
	int fd = socket(flow->to.ss_family, type | SOCK_NONBLOCK, protocol(flow));

	if (fd < 0 || fd >= MAX_FDS)
		err(1, "socket");
	if (connect(fd, (const struct sockaddr *)&flow->to, flow->len) && errno != EINPROGRESS) {
		close(fd);
		return;
	}
	if (fd >= fds_used)
		fds_used = fd + 1;
	connections[fd].flow = flow;
	connections[fd].due = now() + (flow->kind == TALK ? TALK_EVERY : GIVE_UP);
	connections[fd].connected = type == SOCK_DGRAM;
	watch(EPOLL_CTL_ADD, fd, type == SOCK_DGRAM ? EPOLLIN : EPOLLOUT);
	if (type == SOCK_DGRAM && (!send_datagram(fd, flow) || flow->kind == SHOUT))
		finish(fd);
}

static void on_connected(int fd)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";

	connections[fd].connected = true;
	switch (connections[fd].flow->kind) {
	case HOLD:
		keep(fd);
		break;
	case HALFCLOSE:
		shutdown(fd, SHUT_WR);
		keep(fd);
		break;
	case ABORT:
		finish_with_reset(fd);
		break;
	default:
		send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
		watch(EPOLL_CTL_MOD, fd, EPOLLIN);
	}
}

static void on_event(int fd, uint32_t events)
{
	enum kind kind = connections[fd].flow->kind;
	char buf[2048];
	ssize_t n;

	if (events & EPOLLERR) {
		finish(fd);
	} else if (!connections[fd].connected) {
		on_connected(fd);
	} else {
		do
			n = recv(fd, buf, sizeof(buf), 0);
		while (n > 0 && (kind == SHORT || kind == TALK));
		if (n >= 0 || errno != EAGAIN)
			finish(fd);
	}
}

static void on_due(int fd)
{
	const struct flow *flow = connections[fd].flow;

	if (flow->kind != TALK) {
		finish(fd);
	} else if (stopping) {
		keep(fd);
	} else {
		send_datagram(fd, flow);
		connections[fd].due = now() + TALK_EVERY;
	}
}

/* A slow machine gets less traffic, not a flood later. */
static void start_what_is_due(double elapsed)
{
	struct flow *flow;

	for (flow = flows; flow < &flows[nflows]; flow++) {
		flow->credit = fmin(flow->credit + flow->rate * elapsed, flow->rate / 10 + 1);
		for (; flow->credit >= 1; flow->credit--)
			start(flow);
	}
}

static void send_flows(char **argv)
{
	struct epoll_event events[EVENTS];
	double then = now(), t;
	int i, n, fd;

	signal(SIGTERM, on_term);
	while (*argv)
		parse_flow(*argv++);

	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, TICK_MS);
		for (i = 0; i < n; i++)
			on_event(events[i].data.fd, events[i].events);
		t = now();
		if (!stopping)
			start_what_is_due(t - then);
		then = t;
		for (fd = 0; fd < fds_used; fd++)
			if (connections[fd].flow && t >= connections[fd].due)
				on_due(fd);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files = { MAX_FDS, MAX_FDS };

	setrlimit(RLIMIT_NOFILE, &files);
	epoll = epoll_create1(0);
	if (epoll < 0)
		err(1, "epoll_create1");
	if (argc == 2 && !strcmp(argv[1], "serve"))
		serve();
	else if (argc > 2 && !strcmp(argv[1], "send"))
		send_flows(argv + 2);
	fprintf(stderr, "usage: traffic serve | traffic send KIND,PER_SECOND,ADDRESS,PORT...\n");
	return 2;
}
