// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count the instructions that packets, connections and readings cost, in a
 * virtual machine with one CPU whose time-stamp counter counts instructions
 * (QEMU's -icount shift=0). guest.sh sets the scene and says which numbers
 * mean what.
 *
 *   measure packets CLIENT GATEWAY SERVER [CHUNKS]
 *   measure fill CLIENT GATEWAY SERVER ENTRIES
 *   measure ports CLIENT GATEWAY SERVER
 *   measure read FILE [TIMES]
 *   measure run COMMAND [ARG...]
 *
 * stdout: "name value" per line.
 *
 * Packets are injected by packet sockets in the namespaces CLIENT and SERVER.
 * Without a queueing discipline in between, all that follows (reception by the
 * gateway, conntrack, NAT, forwarding, and reception at the other end, which
 * drops it as not its own) runs in a softirq before the system call returns;
 * or right after, in ksoftirqd, which guest.sh lets run before all others. So
 * the difference of two readings of the counter is all that the packet costs,
 * and what sending costs is in it too.
 *
 * What else the machine does (timer ticks, RCU, workqueues) is spread thin:
 * a value is the median over chunks, each shorter than a tick, of the mean
 * within a chunk.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define FRAME_SIZE	60	/* the shortest that Ethernet knows, less its checksum */

/* topology.sh's addresses; guest.sh gives the gateway's interfaces these MACs. */
#define CLIENT_IP	0x0a010002
#define GATEWAY_IP	0x0a020001
#define SERVER_IP	0x0a020002
static const uint8_t to_client_mac[ETH_ALEN] = { 2, 0, 0, 0, 1, 1 };
static const uint8_t to_server_mac[ETH_ALEN] = { 2, 0, 0, 0, 2, 1 };
static const uint8_t sender_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 0x77 };
static const uint8_t nobodys_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 0x98 };

#define ESTABLISHED_PORT 40000
#define ALL_PORTS_PORT	40001
#define SERVER_PORT	5000	/* and up, one for each PORTS connections */
#define FILL_SERVER_PORT 10000
#define FIRST_PORT	1024
#define PORTS		32000	/* below ESTABLISHED_PORT */

/*
 * A chunk must be shorter than the 4 million instructions from one timer tick
 * to the next, so that most chunks see none.
 */
#define PACKETS_PER_CHUNK	40
#define UDP_LIVES_PER_CHUNK	16
#define TCP_LIVES_PER_CHUNK	8

/* ctxstat counts per CPU once it has seen that many, see counters.h */
#define WARM_UP_CONNECTIONS	1200

/* Each side's socket sends with its own namespace's eth0. */
struct side {
	int socket;
	const char *netns;
	unsigned long sent;
};

static struct side client, server;
static int ctnetlink;

struct connection {
	uint8_t protocol;
	uint16_t client_port, server_port;
};

struct segment {
	bool from_server;
	uint8_t flags;
	uint32_t seq, ack;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t n)
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

static void enter(const char *netns)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
}

static void side_open(struct side *side, const char *netns)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	int one = 1;

	enter(netns);
	side->netns = netns;
	/* Protocol 0: it receives nothing. */
	side->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	address.sll_ifindex = if_nametoindex("eth0");
	if (side->socket < 0 ||
	    bind(side->socket, (struct sockaddr *)&address, sizeof(address)) ||
	    setsockopt(side->socket, SOL_PACKET, PACKET_QDISC_BYPASS, &one,
		       sizeof(one)))
		err(1, "packet socket in %s", netns);
}

static unsigned long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long value;

	if (!file || fscanf(file, "%lu", &value) != 1)
		err(1, "%s", path);
	fclose(file);
	return value;
}

/* Of the namespace that we are in, the gateway's. */
static unsigned long entries(void)
{
	return read_number("/proc/sys/net/netfilter/nf_conntrack_count");
}

static unsigned long received(const struct side *side)
{
	FILE *file;
	unsigned long packets = 0;
	char line[512];

	enter(side->netns);
	file = fopen("/proc/thread-self/net/dev", "re");
	if (!file)
		err(1, "/proc/thread-self/net/dev");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " eth0: %*u %lu", &packets) == 1)
			break;
	fclose(file);
	return packets;
}

static uint32_t sum16(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

/* What client or server sends; the server knows the gateway's address only. */
static size_t build_ip(uint8_t *frame, const struct connection *c,
		       bool from_server, size_t l4_size)
{
	struct ether_header *eth = (struct ether_header *)frame;
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(ip) + l4_size),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = c->protocol,
		.saddr = htonl(from_server ? SERVER_IP : CLIENT_IP),
		.daddr = htonl(from_server ? GATEWAY_IP : SERVER_IP),
	};

	memset(frame, 0, FRAME_SIZE);
	memcpy(eth->ether_dhost, from_server ? to_server_mac : to_client_mac,
	       ETH_ALEN);
	memcpy(eth->ether_shost, sender_mac, ETH_ALEN);
	eth->ether_type = htons(ETHERTYPE_IP);
	ip.check = checksum(sum16(0, &ip, sizeof(ip)));
	memcpy(frame + sizeof(*eth), &ip, sizeof(ip));
	return sizeof(*eth) + sizeof(ip);
}

static void build_udp(uint8_t *frame, const struct connection *c,
		      bool from_server)
{
	size_t size = FRAME_SIZE - sizeof(struct ether_header) -
		      sizeof(struct iphdr);
	size_t at = build_ip(frame, c, from_server, size);
	struct udphdr udp = {
		.source = htons(from_server ? c->server_port : c->client_port),
		.dest = htons(from_server ? c->client_port : c->server_port),
		.len = htons(size),
		/* no checksum */
	};

	memcpy(frame + at, &udp, sizeof(udp));
}

static void build_tcp(uint8_t *frame, const struct connection *c,
		      const struct segment *s, uint16_t window)
{
	size_t at = build_ip(frame, c, s->from_server, sizeof(struct tcphdr));
	struct tcphdr tcp = {
		.source = htons(s->from_server ? c->server_port : c->client_port),
		.dest = htons(s->from_server ? c->client_port : c->server_port),
		.seq = htonl(s->seq),
		.ack_seq = htonl(s->ack),
		.doff = sizeof(tcp) / 4,
		.window = htons(window),
	};
	uint32_t sum;

	tcp.th_flags = s->flags;
	/* the pseudo header: addresses, protocol and length */
	sum = sum16(0, frame + at - 8, 8) + IPPROTO_TCP + sizeof(tcp);
	tcp.check = checksum(sum16(sum, &tcp, sizeof(tcp)));
	memcpy(frame + at, &tcp, sizeof(tcp));
}

static void send_frame(struct side *from, const uint8_t *frame)
{
	if (send(from->socket, frame, FRAME_SIZE, 0) != FRAME_SIZE)
		err(1, "sending from %s", from->netns);
	from->sent++;
}

/* The life of a UDP connection, and of a TCP connection without data. */
static const bool udp_life[] = { false, true };

static const struct segment tcp_life[] = {
	{ false, TH_SYN,	  1000, 0 },
	{ true,  TH_SYN | TH_ACK, 5000, 1001 },
	{ false, TH_ACK,	  1001, 5001 },
	/* ESTABLISHED */
	{ false, TH_FIN | TH_ACK, 1001, 5001 },
	{ true,  TH_ACK,	  5001, 1002 },
	{ true,  TH_FIN | TH_ACK, 5001, 1002 },
	{ false, TH_ACK,	  1002, 5002 },
	/* TIME_WAIT */
};

#define TCP_HANDSHAKE	3
#define WINDOW		64000

struct life {
	uint8_t frames[ARRAY_SIZE(tcp_life)][FRAME_SIZE];
	struct side *from[ARRAY_SIZE(tcp_life)];
	unsigned int nr_frames;
	struct {
		struct nlmsghdr nlh;
		struct nfgenmsg nfg;
		struct nlattr orig;
		struct nlattr ip;
		struct nlattr src;
		uint32_t src_ip;
		struct nlattr dst;
		uint32_t dst_ip;
		struct nlattr proto;
		struct nlattr num;
		uint8_t protocol, pad[3];
		struct nlattr sport;
		uint16_t src_port, pad2;
		struct nlattr dport;
		uint16_t dst_port, pad3;
	} end;
};

#define ATTRIBUTE(type, size)	{ NLA_HDRLEN + (size), (type) }
#define NEST(type, size)	{ NLA_HDRLEN + (size), NLA_F_NESTED | (type) }

static void build_life(struct life *life, const struct connection *c)
{
	unsigned int i;

	memset(life, 0, sizeof(*life));
	if (c->protocol == IPPROTO_UDP) {
		life->nr_frames = ARRAY_SIZE(udp_life);
		for (i = 0; i < life->nr_frames; i++) {
			build_udp(life->frames[i], c, udp_life[i]);
			life->from[i] = udp_life[i] ? &server : &client;
		}
	} else {
		life->nr_frames = ARRAY_SIZE(tcp_life);
		for (i = 0; i < life->nr_frames; i++) {
			build_tcp(life->frames[i], c, &tcp_life[i], WINDOW);
			life->from[i] = tcp_life[i].from_server ? &server : &client;
		}
	}

	life->end = (typeof(life->end)) {
		.nlh = {
			.nlmsg_len = sizeof(life->end),
			.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 |
				      IPCTNL_MSG_CT_DELETE,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.nfg = { .nfgen_family = AF_INET, .version = NFNETLINK_V0 },
		.orig = NEST(CTA_TUPLE_ORIG, 48),
		.ip = NEST(CTA_TUPLE_IP, 16),
		.src = ATTRIBUTE(CTA_IP_V4_SRC, 4),
		.src_ip = htonl(CLIENT_IP),
		.dst = ATTRIBUTE(CTA_IP_V4_DST, 4),
		.dst_ip = htonl(SERVER_IP),
		.proto = NEST(CTA_TUPLE_PROTO, 24),
		.num = ATTRIBUTE(CTA_PROTO_NUM, 1),
		.protocol = c->protocol,
		.sport = ATTRIBUTE(CTA_PROTO_SRC_PORT, 2),
		.src_port = htons(c->client_port),
		.dport = ATTRIBUTE(CTA_PROTO_DST_PORT, 2),
		.dst_port = htons(c->server_port),
	};
	_Static_assert(sizeof(life->end) == sizeof(struct nlmsghdr) +
		       sizeof(struct nfgenmsg) + NLA_HDRLEN + 48,
		       "the lengths of the nested attributes");
}

static void send_frames(const struct life *life, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		send_frame(life->from[i], life->frames[i]);
}

/*
 * As "conntrack -D" would: unlinked and, as no packet holds it, freed before
 * the system call returns. Timeouts do the same in the garbage collector, at
 * a time that one cannot tell.
 */
static void end_connection(const struct life *life)
{
	if (send(ctnetlink, &life->end, sizeof(life->end), 0) !=
	    sizeof(life->end))
		err(1, "ctnetlink");
}

/* No acknowledgment is asked for: what arrives is an error. */
static void require_no_error(void)
{
	struct {
		struct nlmsghdr nlh;
		struct nlmsgerr error;
		char more[512];
	} answer;

	if (recv(ctnetlink, &answer, sizeof(answer), MSG_DONTWAIT) < 0) {
		if (errno == EAGAIN)
			return;
		err(1, "ctnetlink");
	}
	errno = -answer.error.error;
	err(1, "ending a connection");
}

static void require_entries(unsigned long expected, const char *when)
{
	unsigned long n = entries();

	if (n != expected)
		errx(1, "%s: %lu entries instead of %lu", when, n, expected);
}

/* Another one each time. */
static struct connection next_connection(uint8_t protocol, uint16_t server_port)
{
	static unsigned int n;
	struct connection c = {
		.protocol = protocol,
		.client_port = FIRST_PORT + n % PORTS,
		.server_port = server_port + n / PORTS,
	};

	n++;
	return c;
}

/* The costs of one life: sums over a chunk, then the mean. */
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
	uint64_t opened = 0, answered = 0, ended = 0, at, start;
	unsigned int i, j;

	for (i = 0; i < n; i++) {
		struct connection c = next_connection(protocol, SERVER_PORT);

		build_life(&lives[i], &c);
	}
	start = at = __rdtsc();
	for (i = 0; i < n; i++) {
		const struct life *life = &lives[i];

		opened -= at;
		send_frame(life->from[0], life->frames[0]);
		opened += at = __rdtsc();

		answered -= at;
		for (j = 1; j < life->nr_frames; j++)
			send_frame(life->from[j], life->frames[j]);
		answered += at = __rdtsc();

		ended -= at;
		end_connection(life);
		ended += at = __rdtsc();
	}
	require_no_error();
	cost[LIFE] = (double)(at - start) / n;
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

/* The same two frames in turn. */
static void measure_packets(const char *name, uint8_t frames[2][FRAME_SIZE],
			    unsigned int chunks)
{
	double cost[chunks];

	for (unsigned int i = 0; i < chunks; i++) {
		uint64_t start = __rdtsc();

		for (unsigned int j = 0; j < PACKETS_PER_CHUNK; j++)
			send_frame(&client, frames[j % 2]);
		cost[i] = (double)(__rdtsc() - start) / PACKETS_PER_CHUNK;
	}
	printf("%s %.1f\n", name, median(cost, chunks));
}

static void sides_open(char *const names[3])
{
	side_open(&client, names[0]);
	side_open(&server, names[2]);
	enter(names[1]);
	ctnetlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			   NETLINK_NETFILTER);
	if (ctnetlink < 0)
		err(1, "ctnetlink");
}

static int measure_packets_and_lives(int argc, char *const argv[])
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

	measure_packets("udp-packet", udp_frames, chunks);
	measure_packets("tcp-packet", tcp_frames, chunks);
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

	/* Dropped by the gateway before it looks into them. */
	memcpy(sent_only, udp_frames, sizeof(sent_only));
	for (i = 0; i < 2; i++)
		memcpy(sent_only[i], nobodys_mac, ETH_ALEN);
	measure_packets("sending", sent_only, chunks / 4 + 1);

	end_connection(&udp_flow);
	end_connection(&tcp_flow);
	require_no_error();
	require_entries(before, "the end");
	return 0;
}

/* One packet each; the ports tell them apart, before and after NAT. */
static int fill(int argc, char *const argv[])
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
	printf("entries %lu\n", entries());
	return 0;
}

/* A connection to each port of UDP, which ends. */
static int use_ports(int argc, char *const argv[])
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

/* Opened, read to its end, closed. */
static int measure_read(int argc, char *const argv[])
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

/*
 * The CPU time of the program and those that it starts: a nanosecond is an
 * instruction, and waiting for the disk is not counted.
 */
static int measure_run(int argc, char *const argv[])
{
	double cost[5];

	if (argc < 1)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(cost); i++) {
		struct rusage used;
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
		if (wait4(pid, &status, 0, &used) != pid || status)
			errx(1, "%s failed", argv[0]);
		cost[i] = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e9 +
			  (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e3;
	}
	printf("run %.0f\n", median(cost, ARRAY_SIZE(cost)));
	return 0;
}

static const struct {
	const char *name, *arguments;
	int (*function)(int argc, char *const argv[]);
} commands[] = {
	{ "packets", "CLIENT GATEWAY SERVER [CHUNKS]", measure_packets_and_lives },
	{ "fill", "CLIENT GATEWAY SERVER ENTRIES", fill },
	{ "ports", "CLIENT GATEWAY SERVER", use_ports },
	{ "read", "FILE [TIMES]", measure_read },
	{ "run", "COMMAND [ARG...]", measure_run },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		require_icount();
		if (commands[i].function(argc - 2, argv + 2) == 0)
			return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, "usage: measure %s %s\n", commands[i].name,
			commands[i].arguments);
	return 2;
}
