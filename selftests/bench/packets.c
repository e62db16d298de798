// SPDX-License-Identifier: GPL-2.0-only
/*
 * What packets and connections cost; and filling the table.
 *
 * Packets are injected by packet sockets in the namespaces CLIENT and SERVER.
 * Without a queueing discipline in between, all that follows (reception by the
 * gateway, conntrack, NAT, forwarding, and reception at the other end, which
 * drops it as not its own) runs in a softirq before the system call returns;
 * or right after, in ksoftirqd, which scene.sh lets run before all others. So
 * the difference of two readings of the counter is all that the packet costs,
 * and what sending costs is in it too.
 *
 * A program that listens to conntrack (others.sh runs it with SCHED_FIFO, priority 1)
 * does not run in between, but at the end of a chunk, and all it has to do then is in
 * the chunk: that is the cheapest for it, as it is woken up once and not for each event.
 *
 * What else the machine does (timer ticks, RCU, workqueues) is spread thin:
 * a value is the median over chunks, each shorter than a tick, of the mean
 * within a chunk.
 */
#include <err.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "../enter.h"
#include "gateway.h"
#include "measure.h"

/* The first two are the client's, and none of next_connection()'s. */
#define ESTABLISHED_PORT 40000
#define ALL_PORTS_PORT	40001
#define SERVER_PORT	5000	/* and up, one for each PORTS connections */
#define FILL_SERVER_PORT 10000

#define UDP_TIMEOUT	86400	/* scene.sh's */

/*
 * A chunk must be shorter than the 4 million instructions from one timer tick
 * to the next, so that most chunks see none.
 */
#define PACKETS_PER_CHUNK	40
#define UDP_LIVES_PER_CHUNK	16
#define TCP_LIVES_PER_CHUNK	8

/* ctxstat counts per CPU once it has seen that many, see counters.h */
#define WARM_UP_CONNECTIONS	1200

/*
 * A chunk begins before, and ends behind, all that listens. The first switch is not in
 * the chunk, the second is.
 */
static void chunk_begin(void)
{
	struct sched_param first = { .sched_priority = 2 };

	if (sched_setscheduler(0, SCHED_FIFO, &first))
		err(1, "sched_setscheduler");
}

static void chunk_end(void)
{
	struct sched_param last = { .sched_priority = 0 };

	if (sched_setscheduler(0, SCHED_OTHER, &last))
		err(1, "sched_setscheduler");
}

/* The costs of one life: sums over a chunk, whose connections live at once, then the mean. */
enum part { LIFE, OPENED, ANSWERED, ENDED, PARTS };

static const char *const part_names[PARTS] = {
	[LIFE] = "life",
	[OPENED] = "opened",	/* the first packet */
	[ANSWERED] = "answered",/* all further packets */
	[ENDED] = "ended",
};

static void live(uint8_t protocol, unsigned int n, double cost[PARTS])
{
	struct life lives[UDP_LIVES_PER_CHUNK];
	uint64_t opened, answered, ended, heard, start;
	unsigned int i, j;

	for (i = 0; i < n; i++) {
		struct connection c = next_connection(protocol, SERVER_PORT);

		build_life(&lives[i], &c);
	}
	chunk_begin();
	start = __rdtsc();
	for (i = 0; i < n; i++)
		send_frame(lives[i].from[0], lives[i].frames[0]);
	opened = __rdtsc() - start;

	/* Of TCP it is the last state that has no time left, see scene.sh. */
	set_udp_timeout(0);
	start = __rdtsc();
	for (i = 0; i < n; i++)
		for (j = 1; j < lives[i].nr_frames; j++)
			send_frame(lives[i].from[j], lives[i].frames[j]);
	answered = __rdtsc() - start;

	start = __rdtsc();
	for (i = 0; i < n; i++)
		end_connection(&lives[i]);
	ended = __rdtsc() - start;
	chunk_end();
	heard = __rdtsc() - start - ended;

	set_udp_timeout(UDP_TIMEOUT);
	require_expired(n);
	cost[LIFE] = (double)(opened + answered + ended + heard) / n;
	cost[OPENED] = (double)opened / n;
	cost[ANSWERED] = (double)answered / n;
	cost[ENDED] = (double)ended / n;
}

static void measure_lives(const char *name, uint8_t protocol, unsigned int n,
			  unsigned int chunks)
{
	double cost[PARTS][chunks], chunk[PARTS];
	unsigned int i, part;

	for (i = 0; i < chunks; i++) {
		live(protocol, n, chunk);
		for (part = 0; part < PARTS; part++)
			cost[part][i] = chunk[part];
	}
	for (part = 0; part < PARTS; part++)
		printf("%s-%s %.1f\n", name, part_names[part],
		       median(cost[part], chunks));
}

/*
 * The same two frames in turn: what a packet costs, and what is done afterwards, by those
 * that listen; if there are none, or nothing to do, it is the switch in chunk_end() only.
 */
static double median_of_packets(uint8_t frames[2][FRAME_SIZE], unsigned int n,
				unsigned int chunks, double *afterwards)
{
	double cost[chunks], after[chunks];

	for (unsigned int i = 0; i < chunks; i++) {
		uint64_t start, sent;

		chunk_begin();
		start = __rdtsc();
		for (unsigned int j = 0; j < n; j++)
			send_frame(&client, frames[j % 2]);
		sent = __rdtsc();
		chunk_end();
		cost[i] = (double)(sent - start) / n;
		after[i] = (double)(__rdtsc() - sent) / n;
	}
	*afterwards = median(after, chunks);
	return median(cost, chunks);
}

static void packets(const char *name, uint8_t frames[2][FRAME_SIZE],
			    unsigned int chunks)
{
	double after, cost = median_of_packets(frames, PACKETS_PER_CHUNK, chunks,
					       &after);

	printf("%s %.1f\n%s-after %.1f\n", name, cost, name, after);
}

int measure_packets(int argc, char *const argv[])
{
	unsigned int chunks = argc > 3 ? strtoul(argv[3], NULL, 10) : 200;
	struct connection udp = { IPPROTO_UDP, ESTABLISHED_PORT, SERVER_PORT };
	struct connection tcp = { IPPROTO_TCP, ESTABLISHED_PORT, SERVER_PORT };
	uint8_t udp_frames[2][FRAME_SIZE], tcp_frames[2][FRAME_SIZE];
	uint8_t sent_only[2][FRAME_SIZE];
	struct life udp_flow, tcp_flow;
	unsigned long before, at_client, at_server, i;
	double cost[PARTS];

	if (argc < 3 || argc > 4 || !chunks)
		return -1;

	sides_open(argv);
	at_client = received(&client);
	at_server = received(&server);
	enter(argv[1]);
	before = entries();

	/*
	 * Established: replied, and assured, which a UDP connection is once it
	 * has lasted for two seconds. A UDP packet repeats the first; a TCP
	 * packet is an acknowledgment, and the window it offers changes, as an
	 * exact repetition would be a retransmission.
	 */
	build_life(&udp_flow, &udp);
	build_life(&tcp_flow, &tcp);
	send_frames(&udp_flow, udp_flow.nr_frames);
	send_frames(&tcp_flow, TCP_HANDSHAKE);
	sleep(3);
	send_frames(&udp_flow, udp_flow.nr_frames);
	memcpy(udp_frames[0], udp_flow.frames[0], FRAME_SIZE);
	memcpy(udp_frames[1], udp_flow.frames[0], FRAME_SIZE);
	for (i = 0; i < 2; i++)
		build_tcp(tcp_frames[i], &tcp, &tcp_life[TCP_HANDSHAKE - 1],
			  WINDOW - i);
	require_entries(before + 2, "two connections are established");

	/* Warm up, and give ctxstat's ticker its second. */
	for (i = 0; i < WARM_UP_CONNECTIONS; i += UDP_LIVES_PER_CHUNK)
		live(IPPROTO_UDP, UDP_LIVES_PER_CHUNK, cost);
	live(IPPROTO_TCP, TCP_LIVES_PER_CHUNK, cost);
	for (i = 0; i < 100; i++)
		send_frame(&client, tcp_frames[i % 2]);
	sleep(3);

	packets("udp-packet", udp_frames, chunks);
	packets("tcp-packet", tcp_frames, chunks);
	measure_lives("udp", IPPROTO_UDP, UDP_LIVES_PER_CHUNK, chunks / 2);
	measure_lives("tcp", IPPROTO_TCP, TCP_LIVES_PER_CHUNK, chunks / 2);
	require_entries(before + 2, "all other connections have ended");

	/* Nothing may have been dropped on its way. */
	at_client = received(&client) - at_client;
	at_server = received(&server) - at_server;
	enter(argv[1]);
	if (at_server < client.sent || at_client < server.sent)
		errx(1, "%lu packets of %lu and %lu of %lu arrived", at_server,
		     client.sent, at_client, server.sent);

	memcpy(sent_only, udp_frames, sizeof(sent_only));
	for (i = 0; i < 2; i++)
		to_nobody(sent_only[i]);
	packets("sending", sent_only, chunks / 4 + 1);

	end_connection(&udp_flow);
	end_connection(&tcp_flow);
	require_no_error();
	require_entries(before, "the end");
	return 0;
}

/*
 * Established packets from several CPUs at once, each of a connection of its own.
 * QEMU executes one CPU after the other, and changes at a timer tick of any of them,
 * so a chunk is a short one.
 */
#define PARALLEL_PACKETS_PER_CHUNK 8

static void measure_on_cpu(unsigned int cpu, unsigned int chunks)
{
	struct connection udp = { IPPROTO_UDP, ESTABLISHED_PORT, SERVER_PORT + cpu };
	uint8_t frames[2][FRAME_SIZE];
	struct life flow;
	double after;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %u", cpu);
	build_life(&flow, &udp);
	send_frames(&flow, flow.nr_frames);
	sleep(3);
	send_frames(&flow, flow.nr_frames);
	memcpy(frames[0], flow.frames[0], FRAME_SIZE);
	memcpy(frames[1], flow.frames[0], FRAME_SIZE);
	median_of_packets(frames, PARALLEL_PACKETS_PER_CHUNK, chunks / 4 + 1, &after);
	printf("packet-on-cpu%u %.1f\n", cpu,
	       median_of_packets(frames, PARALLEL_PACKETS_PER_CHUNK, chunks, &after));
}

int measure_cpus(int argc, char *const argv[])
{
	unsigned int cpus = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	unsigned int chunks = argc > 4 ? strtoul(argv[4], NULL, 10) : 200;
	unsigned int cpu;
	int status, failed = 0;

	if (argc < 4 || argc > 5 || !cpus || !chunks)
		return -1;
	sides_open(argv);
	for (cpu = 0; cpu < cpus; cpu++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (!pid) {
			measure_on_cpu(cpu, chunks);
			exit(0);
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	return failed ? 1 : 0;
}

/* One packet each; the ports tell them apart, before and after NAT. */
int fill(int argc, char *const argv[])
{
	unsigned long n, before;

	if (argc != 4)
		return -1;
	n = strtoul(argv[3], NULL, 10);
	sides_open(argv);
	before = entries();
	for (unsigned long i = 0; i < n; i++) {
		struct connection c = next_connection(IPPROTO_UDP,
						      FILL_SERVER_PORT);
		uint8_t frame[FRAME_SIZE];

		build_udp(frame, &c, false);
		send_frame(&client, frame);
	}
	require_entries(before + n, "filling");
	/* ctxstat's ticker has seen that it was busy, and there are counters per CPU. */
	sleep(2);
	printf("entries %lu\n", entries());
	return 0;
}

/* A connection to each port of UDP, which ends. */
int use_ports(int argc, char *const argv[])
{
	unsigned long before;

	if (argc != 3)
		return -1;
	sides_open(argv);
	before = entries();
	for (unsigned int port = 0; port < 65536; port++) {
		struct connection c = { IPPROTO_UDP, ALL_PORTS_PORT, port };
		struct life life;

		build_life(&life, &c);
		send_frames(&life, 1);
		end_connection(&life);
	}
	require_no_error();
	require_entries(before, "using all ports");
	return 0;
}
