// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections through the gateway of topology.sh, as many per second as can be: no socket
 * of their own, only their packets, which nobody answers but this program itself.
 *
 * usage: inject CLIENT SERVER ADDRESS FIRST COUNT PART CPU ANSWER-CPU [PAUSE]
 *
 * COUNT connections or some more (0: until it is ended), of both UDP and TCP, between the
 * namespace CLIENT, whose address is ADDRESS, and the server, to ports FIRST to FIRST + 4095; in
 * turn a datagram from either end, a SYN from either, a datagram that is answered, a handshake,
 * and a whole TCP connection to its end. The gateway must not look at TCP's checksums
 * (nf_conntrack_checksum=0), and both ends must drop what arrives.
 *
 * There are two processes: what the client sends comes from one CPU, what the server sends
 * from the other, and so the gateway sees it there. Neither is more than a step ahead, and
 * what both send in a step comes first, in the same order, and packet by packet at the same
 * time, give or take a few microseconds, so that two CPUs work on the same port, or the same
 * entry, at once: both ends begin to use a port, or both close a connection. That is so as
 * long as both are running; who is alone goes on.
 *
 * After every 200 there is a pause of so many milliseconds (0).
 *
 * Several may use the same ports, each with another PART, from 0 to 7, of the source ports.
 * Each connection differs from the 30 million before it. A line "N SECONDS" on stdout says
 * how many have been begun, and how long that took, about ten times a second.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "enter.h"

#define GATEWAY		"10.2.0.1"	/* what the server sees of the clients */
#define SERVER		"10.2.0.2"
#define PORTS		4096
#define FIRST_SOURCE	1024
#define PARTS		8
#define SOURCES		7500		/* of each part */
#define BATCH		200		/* a multiple of the number of kinds */
#define PATIENCE	50000		/* turns of a loop, a tenth of a millisecond */

enum { CLIENT_SENDS, SERVER_SENDS };

/*
 * TCP's flags of what either sends; a datagram has none. In the first step the server
 * begins a connection of its own.
 */
#define DATAGRAM	0
#define NOTHING		0xff
#define BOTH(flags)	{ flags, flags }
#define NOBODY		BOTH(NOTHING)
#define STEPS 5
#define KINDS 5
#define FROM_BOTH 2	/* of these the server begins one as well: the first kinds */

static const struct kind {
	int protocol;
	unsigned char steps[STEPS][2];
} kinds[KINDS] = {
	{ IPPROTO_UDP, { BOTH(DATAGRAM), NOBODY, NOBODY, NOBODY, NOBODY } },
	{ IPPROTO_TCP, { BOTH(TH_SYN), NOBODY, NOBODY, NOBODY, NOBODY } },
	{ IPPROTO_UDP, { {DATAGRAM, NOTHING}, BOTH(DATAGRAM), NOBODY, NOBODY, NOBODY } },
	{ IPPROTO_TCP, { {TH_SYN, NOTHING}, {NOTHING, TH_SYN | TH_ACK}, BOTH(TH_ACK),
			 NOBODY, NOBODY } },
	{ IPPROTO_TCP, { {TH_SYN, NOTHING}, {NOTHING, TH_SYN | TH_ACK}, BOTH(TH_ACK),
			 BOTH(TH_FIN | TH_ACK), BOTH(TH_ACK) } },
};

struct packet {
	struct iphdr ip;
	union {
		struct udphdr udp;
		struct tcphdr tcp;
	};
} __attribute__((packed));

static struct side {
	int socket;
	in_addr_t from, to, client;
	unsigned int n, met;
	struct packet packets[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_in addresses[BATCH];
} side;

/* How many steps each process has made, and how many packets of those that both send */
static struct {
	unsigned int made[2], sent[2];
} *shared;
static pid_t child;

static unsigned long number(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (!*s || *end)
		errx(2, "not a number: %s", s);
	return n;
}

static void side_open(const char *netns, const char *from, const char *to, const char *cpu)
{
	cpu_set_t cpus;

	enter(netns);
	side.socket = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (side.socket < 0)
		err(1, "raw socket");
	side.from = inet_addr(from);
	side.to = inet_addr(to);
	CPU_ZERO(&cpus);
	CPU_SET(number(cpu), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "CPU %s", cpu);
}

static void add(in_addr_t address, int protocol, unsigned char flags, unsigned int from, unsigned int to,
		unsigned int seq, unsigned int ack)
{
	struct packet *p = &side.packets[side.n];
	size_t size = sizeof(p->ip) + (protocol == IPPROTO_TCP ? sizeof(p->tcp) : sizeof(p->udp));

	memset(p, 0, sizeof(*p));
	/* the kernel adds the checksum */
	p->ip.version = 4;
	p->ip.ihl = 5;
	p->ip.tot_len = htons(size);
	p->ip.frag_off = htons(IP_DF);
	p->ip.ttl = 64;
	p->ip.protocol = protocol;
	p->ip.saddr = side.from;
	p->ip.daddr = address;
	if (protocol == IPPROTO_TCP) {
		p->tcp.source = htons(from);
		p->tcp.dest = htons(to);
		p->tcp.seq = htonl(seq);
		p->tcp.ack_seq = htonl(ack);
		p->tcp.doff = sizeof(p->tcp) / 4;
		p->tcp.th_flags = flags;
		p->tcp.window = htons(64000);
	} else {
		p->udp.source = htons(from);
		p->udp.dest = htons(to);
		p->udp.len = htons(sizeof(p->udp));
	}
	side.parts[side.n].iov_base = p;
	side.parts[side.n].iov_len = size;
	side.addresses[side.n] = (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_addr.s_addr = address,
	};
	side.messages[side.n].msg_hdr = (struct msghdr) {
		.msg_name = &side.addresses[side.n],
		.msg_namelen = sizeof(side.addresses[0]),
		.msg_iov = &side.parts[side.n],
		.msg_iovlen = 1,
	};
	side.n++;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned int get(unsigned int *n)
{
	return __atomic_load_n(n, __ATOMIC_ACQUIRE);
}

static void increase(unsigned int *n, unsigned int by)
{
	__atomic_store_n(n, *n + by, __ATOMIC_RELEASE);
}

/* Until the other one has made as many steps. */
static void wait_for_other(int me)
{
	const struct timespec second = { .tv_sec = 1 };
	unsigned int *other = &shared->made[!me], seen;

	while ((seen = get(other)) < shared->made[me]) {
		syscall(SYS_futex, other, FUTEX_WAIT, seen, &second, NULL, 0);
		if (child && waitpid(child, NULL, WNOHANG) == child)
			errx(1, "the answering process has ended");
	}
}

/* Until the other one is about to send the same packet, of @left; false: it does not run. */
static bool meet(int me, unsigned int left)
{
	unsigned int patience = PATIENCE;

	increase(&shared->sent[me], 1);
	while (get(&shared->sent[!me]) < shared->sent[me]) {
		if (!--patience) {
			increase(&shared->sent[me], left - 1);
			return false;
		}
	}
	/*
	 * One of them has the longer way to what is to be met there: each waits in turn, mostly
	 * very little, up to a few ten microseconds.
	 */
	side.met++;
	if ((unsigned int)me == side.met / 64 % 2)
		for (volatile unsigned int i = (side.met % 64) * (side.met % 64) * 2; i; i--)
			;
	return true;
}

/* The first @both at the same time. The gateway's table may be full: what is lost is lost. */
static void flush(int me, unsigned int both)
{
	unsigned int sent = 0;
	bool together = true;

	while (sent < side.n) {
		int n = side.n - sent;

		if (together && sent < both) {
			together = meet(me, both - sent);
			if (together)
				n = 1;
		}
		n = sendmmsg(side.socket, side.messages + sent, n, 0);
		sent += n > 0 ? n : 1;
	}
	side.n = 0;
}

static void step_made(int me)
{
	increase(&shared->made[me], 1);
	syscall(SYS_futex, &shared->made[me], FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void add_step(int me, int i, unsigned long c, unsigned int port, unsigned int source)
{
	const struct kind *kind = &kinds[c % KINDS];
	unsigned char flags = kind->steps[i][me];
	unsigned int seq[2] = { 1000, 5000 };

	if (me == SERVER_SENDS && i == 0) {
		add(side.client, kind->protocol, flags, source, port, seq[me], 0);
		return;
	}
	/* a SYN and a FIN take one each */
	for (int before = 0; before < i; before++)
		for (int who = 0; who < 2; who++)
			seq[who] += kind->steps[before][who] != NOTHING &&
				    kind->steps[before][who] & (TH_SYN | TH_FIN);
	add(side.to, kind->protocol, flags, me == CLIENT_SENDS ? source : port,
	    me == CLIENT_SENDS ? port : source, seq[me], flags & TH_ACK ? seq[!me] : 0);
}

/* One packet of each, then the next of each that has one. */
static void batch(int me, unsigned long begin, unsigned long n, unsigned int first_port,
		  unsigned int first_source)
{
	for (int i = 0; i < STEPS; i++) {
		unsigned int both = 0;

		for (int alone = 0; alone < 2; alone++) {
			for (unsigned long c = begin; c < begin + n; c++) {
				const unsigned char *step = kinds[c % KINDS].steps[i];

				if (step[me] != NOTHING && (step[!me] == NOTHING) == alone)
					add_step(me, i, c, first_port + c % PORTS,
						 first_source + c / PORTS % SOURCES);
			}
			if (!alone)
				both = side.n;
		}
		wait_for_other(me);
		flush(me, both);
		step_made(me);
	}
}

/* Connections, if so many of the kinds in turn have been begun */
static unsigned long connections(unsigned long n)
{
	return n + n / KINDS * FROM_BOTH + (n % KINDS < FROM_BOTH ? n % KINDS : FROM_BOTH);
}

int main(int argc, char **argv)
{
	unsigned long count, first, part, n = 0, pause_ms;
	const double began = now();
	double told = began;
	int me;

	if (argc != 9 && argc != 10)
		errx(2, "usage: see the top of inject.c");
	first = number(argv[4]);
	count = number(argv[5]);
	part = number(argv[6]);
	pause_ms = argc == 10 ? number(argv[9]) : 0;
	if (part >= PARTS)
		errx(2, "there are %d parts", PARTS);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	side.client = inet_addr(argv[3]);

	child = fork();
	if (child < 0)
		err(1, "fork");
	me = child ? CLIENT_SENDS : SERVER_SENDS;
	if (me == CLIENT_SENDS) {
		side_open(argv[1], argv[3], SERVER, argv[7]);
	} else {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		side_open(argv[2], SERVER, GATEWAY, argv[8]);
	}

	while (!count || connections(n) < count) {
		unsigned long left = count - connections(n);

		left = !count || left > BATCH ? BATCH : left;
		batch(me, n, left, first, FIRST_SOURCE + part * SOURCES);
		n += left;
		if (me == CLIENT_SENDS && now() - told >= 0.1) {
			told = now();
			printf("%lu %.1f\n", connections(n), told - began);
			fflush(stdout);
		}
		if (me == CLIENT_SENDS && pause_ms)
			poll(NULL, 0, pause_ms);
	}
	/* It ends with the other one, who would miss it. */
	while (me == SERVER_SENDS)
		pause();
	wait_for_other(me);
	printf("%lu %.1f\n", connections(n), now() - began);
	return 0;
}
