// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections through the gateway of topology.sh, as many per second as can be: no socket
 * of their own, only their packets, which nobody answers but this program itself.
 *
 * usage: inject CLIENT SERVER ADDRESS FIRST COUNT CPU
 *
 * COUNT connections, of both UDP and TCP, from the namespace CLIENT, whose address is
 * ADDRESS, to the server's ports FIRST to FIRST + 4095, from a CPU; in turn a datagram, one
 * that is answered, a SYN, a handshake, and a whole TCP connection to its end. The gateway
 * must not look at TCP's checksums (nf_conntrack_checksum=0), and both ends must drop what
 * arrives.
 *
 * Each connection differs from the 250 million before it. A line "N SECONDS" on stdout says
 * how many have been begun, and how long that took, about ten times a second.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "enter.h"

#define GATEWAY		"10.2.0.1"	/* what the server sees of the clients */
#define SERVER		"10.2.0.2"
#define PORTS		4096
#define FIRST_SOURCE	1024
#define SOURCES		60000
#define BATCH		40		/* a multiple of the number of kinds */

enum { CLIENT_SENDS, SERVER_SENDS, NOBODY };

struct step {
	int from;
	unsigned char flags;
};

#define STEPS 7
#define KINDS 5

static const struct kind {
	int protocol;
	struct step steps[STEPS];
} kinds[KINDS] = {
	{ IPPROTO_UDP, { {CLIENT_SENDS, 0}, {NOBODY, 0} } },
	{ IPPROTO_TCP, { {CLIENT_SENDS, TH_SYN}, {NOBODY, 0} } },
	{ IPPROTO_UDP, { {CLIENT_SENDS, 0}, {SERVER_SENDS, 0}, {NOBODY, 0} } },
	{ IPPROTO_TCP, { {CLIENT_SENDS, TH_SYN}, {SERVER_SENDS, TH_SYN | TH_ACK},
			 {CLIENT_SENDS, TH_ACK}, {NOBODY, 0} } },
	{ IPPROTO_TCP, { {CLIENT_SENDS, TH_SYN}, {SERVER_SENDS, TH_SYN | TH_ACK},
			 {CLIENT_SENDS, TH_ACK}, {CLIENT_SENDS, TH_FIN | TH_ACK},
			 {SERVER_SENDS, TH_ACK}, {SERVER_SENDS, TH_FIN | TH_ACK},
			 {CLIENT_SENDS, TH_ACK} } },
};

struct packet {
	struct iphdr ip;
	union {
		struct udphdr udp;
		struct tcphdr tcp;
	};
} __attribute__((packed));

struct side {
	int socket;
	in_addr_t from, to;
	unsigned int n;
	struct packet packets[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_in address;
};

static struct side sides[2];

static unsigned long number(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (!*s || *end)
		errx(2, "not a number: %s", s);
	return n;
}

static void side_open(struct side *side, const char *netns, const char *from, const char *to)
{
	enter(netns);
	side->socket = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (side->socket < 0)
		err(1, "raw socket");
	side->from = inet_addr(from);
	side->to = inet_addr(to);
	side->address.sin_family = AF_INET;
	side->address.sin_addr.s_addr = side->to;
}

static void add(struct side *side, int protocol, unsigned char flags, unsigned int from,
		unsigned int to, unsigned int seq, unsigned int ack)
{
	struct packet *p = &side->packets[side->n];
	size_t size = sizeof(p->ip) + (protocol == IPPROTO_TCP ? sizeof(p->tcp) : sizeof(p->udp));

	memset(p, 0, sizeof(*p));
	/* the kernel adds the checksum */
	p->ip.version = 4;
	p->ip.ihl = 5;
	p->ip.tot_len = htons(size);
	p->ip.frag_off = htons(IP_DF);
	p->ip.ttl = 64;
	p->ip.protocol = protocol;
	p->ip.saddr = side->from;
	p->ip.daddr = side->to;
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
	side->parts[side->n].iov_base = p;
	side->parts[side->n].iov_len = size;
	side->messages[side->n].msg_hdr = (struct msghdr) {
		.msg_name = &side->address,
		.msg_namelen = sizeof(side->address),
		.msg_iov = &side->parts[side->n],
		.msg_iovlen = 1,
	};
	side->n++;
}

/* The gateway's table may be full: what is lost is lost. */
static void flush(struct side *side)
{
	unsigned int sent = 0;

	while (sent < side->n) {
		int n = sendmmsg(side->socket, side->messages + sent, side->n - sent, 0);

		sent += n > 0 ? n : 1;
	}
	side->n = 0;
}

/* One packet of each, then the next of each that has one. */
static void batch(unsigned long begin, unsigned long n, unsigned int first_port)
{
	for (int i = 0; i < STEPS; i++) {
		for (unsigned long c = begin; c < begin + n; c++) {
			const struct kind *kind = &kinds[c % KINDS];
			unsigned int source = FIRST_SOURCE + c / PORTS % SOURCES;
			unsigned int port = first_port + c % PORTS, seq[2] = { 1000, 5000 };
			int from = kind->steps[i].from;

			for (int before = 0; before <= i; before++)
				if (kind->steps[before].from == NOBODY)
					from = NOBODY;
			if (from == NOBODY)
				continue;
			/* a SYN and a FIN take one each */
			for (int before = 0; before < i; before++)
				seq[kind->steps[before].from] +=
					!!(kind->steps[before].flags & (TH_SYN | TH_FIN));
			if (from == CLIENT_SENDS)
				add(&sides[from], kind->protocol, kind->steps[i].flags, source, port,
				    seq[0], kind->steps[i].flags & TH_ACK ? seq[1] : 0);
			else
				add(&sides[from], kind->protocol, kind->steps[i].flags, port, source,
				    seq[1], kind->steps[i].flags & TH_ACK ? seq[0] : 0);
		}
		flush(&sides[CLIENT_SENDS]);
		flush(&sides[SERVER_SENDS]);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned long count, done, first;
	const double began = now();
	double told = began;
	cpu_set_t cpus;

	if (argc != 7)
		errx(2, "usage: see the top of inject.c");
	side_open(&sides[CLIENT_SENDS], argv[1], argv[3], SERVER);
	side_open(&sides[SERVER_SENDS], argv[2], SERVER, GATEWAY);
	first = number(argv[4]);
	count = number(argv[5]);
	CPU_ZERO(&cpus);
	CPU_SET(number(argv[6]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "CPU %s", argv[6]);

	for (done = 0; done < count;) {
		unsigned long n = count - done < BATCH ? count - done : BATCH;

		batch(done, n, first);
		done += n;
		if (now() - told >= 0.1) {
			told = now();
			printf("%lu %.1f\n", done, told - began);
			fflush(stdout);
		}
	}
	printf("%lu %.1f\n", done, now() - began);
	return 0;
}
