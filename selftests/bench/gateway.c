// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two sides of the gateway, and what they send: see packets.c.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../enter.h"
#include "gateway.h"
#include "measure.h"

/* topology.sh's addresses; scene.sh gives the gateway's interfaces these MACs. */
#define CLIENT_IP	0x0a010002
#define GATEWAY_IP	0x0a020001
#define SERVER_IP	0x0a020002
static const uint8_t to_client_mac[ETH_ALEN] = { 2, 0, 0, 0, 1, 1 };
static const uint8_t to_server_mac[ETH_ALEN] = { 2, 0, 0, 0, 2, 1 };
static const uint8_t sender_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 0x77 };
static const uint8_t nobodys_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 0x98 };

struct side client, server;
static int ctnetlink;

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

/* Of the namespace that we are in, the gateway's. */
unsigned long entries(void)
{
	return read_number("/proc/sys/net/netfilter/nf_conntrack_count");
}

unsigned long received(const struct side *side)
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

void build_udp(uint8_t *frame, const struct connection *c,
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

void build_tcp(uint8_t *frame, const struct connection *c,
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

/* Dropped by the gateway before it looks into it. */
void to_nobody(uint8_t *frame)
{
	memcpy(frame, nobodys_mac, ETH_ALEN);
}

void send_frame(struct side *from, const uint8_t *frame)
{
	if (send(from->socket, frame, FRAME_SIZE, 0) != FRAME_SIZE)
		err(1, "sending from %s", from->netns);
	from->sent++;
}

/* The life of a UDP connection, and of a TCP connection without data. */
static const bool udp_life[] = { false, true };

const struct segment tcp_life[TCP_LIFE] = {
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

#define ATTRIBUTE(type, size)	{ NLA_HDRLEN + (size), (type) }
#define NEST(type, size)	{ NLA_HDRLEN + (size), NLA_F_NESTED | (type) }

void build_life(struct life *life, const struct connection *c)
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

void send_frames(const struct life *life, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		send_frame(life->from[i], life->frames[i]);
}

/*
 * Unlinked and, as no packet holds it, freed before the system call returns.
 * One that has no time left is ended by the lookup for it, as the garbage
 * collector would, at a time that one can tell; the answer is that there is
 * none. One that has is deleted, as by "conntrack -D": its event names who
 * did it, and "conntrack -E" would look up which program that is.
 */
void end_connection(const struct life *life)
{
	if (send(ctnetlink, &life->end, sizeof(life->end), 0) !=
	    sizeof(life->end))
		err(1, "ctnetlink");
}

/* No acknowledgment is asked for: what arrives is an error. 0 is none. */
static int answer(void)
{
	struct {
		struct nlmsghdr nlh;
		struct nlmsgerr error;
		char more[512];
	} answer;

	if (recv(ctnetlink, &answer, sizeof(answer), MSG_DONTWAIT) < 0) {
		if (errno == EAGAIN)
			return 0;
		err(1, "ctnetlink");
	}
	return -answer.error.error;
}

void require_no_error(void)
{
	errno = answer();
	if (errno)
		err(1, "ending a connection");
}

/* The last n that were ended had no time left. */
void require_expired(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		errno = answer();
		if (errno != ENOENT)
			err(1, "connection %u of %u that had no time left", i, n);
	}
	require_no_error();
}

/* In the gateway, for each packet to come of a connection that is not assured. */
void set_udp_timeout(unsigned int seconds)
{
	const char *path = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
	FILE *file = fopen(path, "we");

	if (!file || fprintf(file, "%u", seconds) < 0 || fclose(file))
		err(1, "%s", path);
}

void require_entries(unsigned long expected, const char *when)
{
	unsigned long n = entries();

	if (n != expected)
		errx(1, "%s: %lu entries instead of %lu", when, n, expected);
}

/* Another one each time. */
struct connection next_connection(uint8_t protocol, uint16_t server_port)
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

void sides_open(char *const names[3])
{
	side_open(&client, names[0]);
	side_open(&server, names[2]);
	enter(names[1]);
	ctnetlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			   NETLINK_NETFILTER);
	if (ctnetlink < 0)
		err(1, "ctnetlink");
}
