/* SPDX-License-Identifier: GPL-2.0-only */
/* The two sides of the gateway, and what they send: frames, and lives of connections. */
#ifndef GATEWAY_H
#define GATEWAY_H

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <stdbool.h>
#include <stdint.h>

#define FRAME_SIZE	60	/* the shortest that Ethernet knows, less its checksum */

#define FIRST_PORT	1024
#define PORTS		32000	/* from there on, for next_connection() */

/* Each side's socket sends with its own namespace's eth0. */
struct side {
	int socket;
	const char *netns;
	unsigned long sent;
};

extern struct side client, server;

struct connection {
	uint8_t protocol;
	uint16_t client_port, server_port;
};

struct segment {
	bool from_server;
	uint8_t flags;
	uint32_t seq, ack;
};

/* From SYN to TIME_WAIT. */
#define TCP_LIFE	7
extern const struct segment tcp_life[TCP_LIFE];

#define TCP_HANDSHAKE	3
#define WINDOW		64000

struct life {
	uint8_t frames[TCP_LIFE][FRAME_SIZE];
	struct side *from[TCP_LIFE];
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

void sides_open(char *const names[3]);
unsigned long entries(void);
unsigned long received(const struct side *side);

void build_udp(uint8_t *frame, const struct connection *c, bool from_server);
void build_tcp(uint8_t *frame, const struct connection *c,
	       const struct segment *s, uint16_t window);
void build_life(struct life *life, const struct connection *c);
void to_nobody(uint8_t *frame);
struct connection next_connection(uint8_t protocol, uint16_t server_port);

void send_frame(struct side *from, const uint8_t *frame);
void send_frames(const struct life *life, unsigned int n);
void end_connection(const struct life *life);
void set_udp_timeout(unsigned int seconds);
void require_no_error(void);
void require_expired(unsigned int n);
void require_entries(unsigned long expected, const char *when);

#endif /* GATEWAY_H */
