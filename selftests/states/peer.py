#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Play both ends of many connections through the gateway, packet by packet.

usage: peer.py PREFIX EXPECTED <commands >answers CONNECTIONS

PREFIX is topology.sh's. CONNECTIONS says what to play; its format is told
there. EXPECTED is written after each command: what the packets sent so far
make of the table, in the columns of states up to "left", for each row that
was ever entered. It knows nothing but CONNECTIONS.

command     answer
            ready N...      first: the packets in each part of CONNECTIONS
step        moved           every connection has sent its next packet of this part
next        moved           the next part begins
flush       moved           all entries are taken for deleted
            lost ...        a packet did not come through, or not as it should

Packets are made here, header and all, so that no TCP of the kernel's answers
faster than the test wants. A packet counts as sent once it has arrived at the
other end; it is known there by its IP identification or flow label. Answers
go to the address and port from which a packet has come, so NAT has to be right
in both directions.
"""

import ctypes
import os
import re
import socket
import struct
import sys
import time

MARK = 1  # the test lets no other packets out
ETH_P_ALL = 3
SO_MARK = 36
CLONE_NEWNET = 0x40000000
GATEWAY_PORT = {"dnat": 8080, "both": 8081}

# via: opened from, towards, answered by; hosts as in topology.sh
PATHS = {
    "none": ("client", "client2", "client2"),
    "snat": ("client", "server", "server"),
    "dnat": ("server", "gateway", "client"),
    "both": ("client", "gateway.server", "client2"),
    "in": ("client", "gateway", "gateway"),
    "out": ("gateway.server", "server", "server"),
}
# The address of a host, or of the gateway on the side of the opener.
ADDRESSES = {
    "client": ("10.1.0.2", "fd01::2"),
    "client2": ("10.3.0.2", "fd03::2"),
    "server": ("10.2.0.2", "fd02::2"),
    "gateway.client": ("10.1.0.1", "fd01::1"),
    "gateway.server": ("10.2.0.1", "fd02::1"),
}
PROTOCOLS = {
    "icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "icmpv6": 58,
    "sctp": 132, "udplite": 136, "other": 253,
}
FAMILIES = ("ipv4", "ipv6")


def enter(namespace):
    """Sockets made from now on belong to this namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/run/netns/" + namespace, "rb") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns " + namespace)


class Host:
    """The sockets in one namespace."""

    def __init__(self, namespace):
        enter(namespace)
        self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.out = (socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
                    socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW))
        for sock in self.out:
            sock.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)

    def send(self, family, packet, to):
        self.out[family].sendto(packet, (to, 0))

    def drain(self):
        self.tap.setblocking(False)
        try:
            while True:
                self.tap.recv(65536)
        except BlockingIOError:
            pass

    def receive(self, family, ident, deadline):
        """(source, destination, IP's payload) of the packet with this identification."""
        while True:
            self.tap.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                packet, address = self.tap.recvfrom(65536)
            except socket.timeout:
                return None
            if address[2] == socket.PACKET_OUTGOING:
                continue
            if family == 0 and packet[0] >> 4 == 4:
                total, got = struct.unpack_from("!HH", packet, 2)
                if got == ident:
                    return packet[12:16], packet[16:20], packet[20:total]
            elif family == 1 and packet[0] >> 4 == 6:
                if struct.unpack_from("!I", packet)[0] & 0xfffff == ident:
                    length, = struct.unpack_from("!H", packet, 4)
                    return packet[8:24], packet[24:40], packet[40:40 + length]


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff or 0xffff


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


# What each protocol keeps of a connection, per side: 0 opened it, 1 answers.

class Tcp:
    checksum_at = 16
    FLAGS = {"syn": 0x02, "synack": 0x12, "ack": 0x10, "data": 0x18, "fin": 0x11,
             "rst": 0x04, "refuse": 0x14}

    def __init__(self):
        self.next = [0x10000000, 0x20000000]
        self.first = self.next[:]

    def build(self, side, name, sport, dport):
        flags = self.FLAGS[name]
        seq = self.next[side]
        if flags & 0x02:
            seq = self.first[side]
            self.next[side] = seq + 1
        elif name == "fin":
            self.next[side] += 1
        elif name == "refuse":
            seq = 0
        payload = b"data" if name == "data" else b""
        self.next[side] += len(payload)
        ack = self.next[1 - side] if flags & 0x10 else 0
        return struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 64240, 0, 0) + payload


class Udp:
    checksum_at = 6
    length = 12

    def build(self, _side, _name, sport, dport):
        return struct.pack("!HHHH", sport, dport, self.length, 0) + b"data"


class Udplite(Udp):
    length = 0  # all of it is covered by the checksum


class Echo:
    checksum_at = 2

    def __init__(self, request, reply):
        self.types = (request, reply)

    def build(self, side, _name, sport, dport):
        return struct.pack("!BBHHH", self.types[side], 0, 0, dport if side else sport, 1) + b"data"


class Gre:
    checksum_at = None

    def build(self, _side, name, sport, _dport):
        if name == "call":  # PPTP's, where the call has a number
            return struct.pack("!HHHHI", 0x3001, 0x880b, 0, sport, 1)
        return struct.pack("!HH", 0, 0x0800) + b"data"


class Other:
    checksum_at = None

    def build(self, *_):
        return b"data"


class Sctp:
    checksum_at = None
    TYPES = {"data": 0, "init": 1, "init_ack": 2, "heartbeat": 4, "heartbeat_ack": 5, "abort": 6,
             "shutdown": 7, "shutdown_ack": 8, "cookie_echo": 10, "cookie_ack": 11,
             "shutdown_complete": 14}
    TAGS = (0x11111111, 0x22222222)

    def build(self, side, name, sport, dport):
        tag = 0 if name == "init" else self.TAGS[1 - side]
        body = b""
        if name in ("init", "init_ack"):
            body = struct.pack("!IIHHI", self.TAGS[side], 65535, 1, 1, 1)
        elif name == "data":
            body = struct.pack("!IHHI", 1, 0, 0, 0) + b"data"
        elif name in ("shutdown", "cookie_echo", "heartbeat", "heartbeat_ack"):
            body = struct.pack("!I", 0x00010004)
        chunk = struct.pack("!BBH", self.TYPES[name], 3 if name == "data" else 0, 4 + len(body)) + body
        crc = crc32c(struct.pack("!HHII", sport, dport, tag, 0) + chunk)
        return struct.pack("!HHI", sport, dport, tag) + struct.pack("<I", crc) + chunk


class Dccp:
    checksum_at = 6
    TYPES = {"request": 0, "response": 1, "ack": 3, "dataack": 4, "closereq": 5, "close": 6, "reset": 7}

    def __init__(self):
        self.seq = [0x1000, 0x2000]

    def build(self, side, name, sport, dport):
        self.seq[side] += 1
        rest = b""
        if name != "request":
            rest = struct.pack("!HHI", 0, 0, self.seq[1 - side])
        if name in ("request", "response", "reset"):
            rest += struct.pack("!I", 0)  # service code, or reset code
        if name == "dataack":
            payload = b"data"
        else:
            payload = b""
        return struct.pack("!HHBBHBBHI", sport, dport, (16 + len(rest)) // 4, 0, 0,
                           self.TYPES[name] << 1 | 1, 0, 0, self.seq[side]) + rest + payload


MAKERS = {
    "tcp": Tcp, "udp": Udp, "udplite": Udplite, "sctp": Sctp, "dccp": Dccp, "gre": Gre,
    "other": Other, "icmp": lambda: Echo(8, 0), "icmpv6": lambda: Echo(128, 129),
}
HAVE_PORTS = {"tcp", "udp", "udplite", "sctp", "dccp"}


class Lost(Exception):
    pass


class Table:
    """What the packets make of conntrack's table."""

    def __init__(self):
        self.entered = {}
        self.left = {}

    def move(self, old, new):
        if old == new:
            return
        if old:
            self.left[old] = self.left.get(old, 0) + 1
        if new:
            self.entered[new] = self.entered.get(new, 0) + 1

    def write(self, path, connections):
        rows = {row: [0] * 5 for row in self.entered}
        for c in connections:
            if c.row:
                cells = rows[c.row]
                cells[0] += 1
                cells[1] += not c.replied
                cells[2] += c.assured
                cells[3] += c.via in ("snat", "both")
                cells[4] += c.via in ("dnat", "both")
        with open(path + ".new", "w") as file:
            for row in sorted(rows):
                print(*row, *rows[row], self.entered[row], self.left.get(row, 0), file=file)
        os.rename(path + ".new", path)


class Connection:
    idents = 0

    def __init__(self, line, family, l4proto, via, parts, number):
        opener, towards, answerer = PATHS[via]
        if family == 1 and l4proto == "icmp":
            l4proto = "icmpv6"
        self.line, self.family, self.l4proto, self.via, self.parts = line, family, l4proto, via, parts
        self.maker = MAKERS[l4proto]()
        self.hosts = [opener.split(".")[0], answerer.split(".")[0]]
        if towards == "gateway":
            towards = "gateway." + opener
        self.address = [self.packed(opener), None]
        # where each side believes the other to be
        self.peer = [self.packed(towards), None]
        port = GATEWAY_PORT.get(via, 80)
        self.port = [20000 + number, None]
        self.peer_port = [port, None]
        self.began = None
        self.row = None
        self.replied = self.assured = False

    def packed(self, host):
        return socket.inet_pton((socket.AF_INET, socket.AF_INET6)[self.family], ADDRESSES[host][self.family])

    def packet(self, side, name, ident):
        src, dst = self.address[side], self.peer[side]
        number = PROTOCOLS[self.l4proto]
        body = self.maker.build(side, name, self.port[side], self.peer_port[side])
        at = self.maker.checksum_at
        if at is not None:
            pseudo = b"" if self.l4proto == "icmp" else src + dst + struct.pack("!II", len(body), number)
            body = body[:at] + struct.pack("!H", checksum(pseudo + body)) + body[at + 2:]
        if self.family == 0:
            return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), ident, 0, 64, number, 0) + src + dst + body
        return struct.pack("!IHBB", 6 << 28 | ident, len(body), number, 64) + src + dst + body

    def arrived(self, side, src, dst, body):
        """Learn from the first packet where the other side is; later ones must agree."""
        ports = struct.unpack_from("!HH", body) if self.l4proto in HAVE_PORTS else (self.port[0], self.peer_port[0])
        if self.l4proto in ("icmp", "icmpv6"):
            ports = (struct.unpack_from("!H", body, 4)[0], 0)
        other = 1 - side
        if self.address[other] is None:
            self.address[other], self.peer[other] = dst, src
            self.port[other], self.peer_port[other] = ports[1], ports[0]
            if self.l4proto in ("icmp", "icmpv6"):
                self.port[other] = self.peer_port[other]
        elif (src, dst) != (self.peer[other], self.address[other]):
            raise Lost("came from another address: " + self.line)
        elif self.l4proto in HAVE_PORTS and ports != (self.peer_port[other], self.port[other]):
            raise Lost("came from another port: " + self.line)

    def send(self, hosts, side, name):
        if name == "late":
            # conntrack's own idea of a stream: more than 2 seconds after the first
            time.sleep(max(self.began + 2.2 - time.monotonic(), 0))
        Connection.idents += 1
        ident = Connection.idents
        packet = self.packet(side, name, ident)
        to = socket.inet_ntop((socket.AF_INET, socket.AF_INET6)[self.family], self.peer[side])
        receiver = hosts[self.hosts[1 - side]]
        receiver.drain()
        hosts[self.hosts[side]].send(self.family, packet, to)
        got = receiver.receive(self.family, ident, time.monotonic() + 10)
        if not got:
            raise Lost("%s %s by %s in: %s" % (FAMILIES[self.family], name, self.via, self.line))
        self.arrived(side, *got)
        if self.began is None:
            self.began = time.monotonic()

    def step(self, hosts, table, part, n):
        if part >= len(self.parts) or n >= len(self.parts[part]):
            return
        direction, name, state, then = self.parts[part][n]
        side = "><".index(direction)
        self.send(hosts, side, name)
        new = (FAMILIES[self.family], self.l4proto, state or (self.row[2] if self.row else "-"))
        if then == "*":
            table.move(self.row, None)
            self.row, self.replied, self.assured = None, False, False
        table.move(self.row, new)
        self.row = new
        self.replied |= side == 1
        self.assured |= then == "+"
        if then == "!":
            self.end(table)

    def end(self, table):
        table.move(self.row, None)
        self.row = None


def parse(file):
    connections = []
    for line in file:
        fields = line.split("#")[0].split()
        if not fields:
            continue
        parts = [[]]
        for word in fields[2:]:
            if word == "|":
                parts.append([])
                continue
            match = re.fullmatch(r"([<>])(\w+)(?:=(\w+))?([+!*]?)", word)
            if not match:
                sys.exit("what is %s?" % word)
            parts[-1].append(match.groups())
        for via in PATHS if fields[1] == "all" else fields[1].split(","):
            for family in (0, 1):
                connections.append(Connection(" ".join(fields), family, fields[0], via, parts,
                                              len(connections)))
    return connections


def main():
    prefix, expected, path = sys.argv[1:]
    with open(path) as file:
        connections = parse(file)
    hosts = {name: Host(prefix + "-" + name) for name in ("client", "client2", "server", "gateway")}
    table = Table()
    nr_parts = max(len(c.parts) for c in connections)
    lengths = [max(len(c.parts[i]) for c in connections if i < len(c.parts)) for i in range(nr_parts)]
    print("ready", *lengths, flush=True)
    part = n = 0
    for command in sys.stdin:
        try:
            if command == "step\n":
                for c in connections:
                    c.step(hosts, table, part, n)
                n += 1
            elif command == "next\n":
                part, n = part + 1, 0
            elif command == "flush\n":
                for c in connections:
                    c.end(table)
            else:
                sys.exit("what is %s?" % command.strip())
        except Lost as lost:
            print("lost", lost, flush=True)
            continue
        table.write(expected, connections)
        print("moved", flush=True)


main()
