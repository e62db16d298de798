# SPDX-License-Identifier: GPL-2.0-only
"""A program behind NFQUEUE 0 that lets packets wait, for queue.sh.

It prints "ready", and answers each line of its stdin with one line:

  hold N        wait until N packets or more wait: "holds" and how many; from now on
  pass          let each packet that comes pass at once, until "hold": "passes"
  accept        a verdict for all that wait, in one message
  drop          the same
  backwards     accept, one by one, the newest first
  assured       accept, one by one, and mark each reply's entry as assured (NFQA_CT)

After a verdict: "gave" and how many of these were still there for it. A packet of which
the kernel does not know any more is dropped already.
"""
import errno
import os
import select
import socket
import struct
import sys

NFNL_SUBSYS_QUEUE = 3
PACKET, VERDICT, CONFIG, VERDICT_BATCH = range(4)
NFQA_PACKET_HDR, NFQA_VERDICT_HDR, NFQA_CT = 1, 2, 11
CFG_CMD, CFG_PARAMS, CFG_QUEUE_MAXLEN = 1, 2, 3
CTA_STATUS, IPS_SEEN_REPLY, IPS_ASSURED = 3, 1 << 1, 1 << 2
NLA_F_NESTED = 0x8000
NF_DROP, NF_ACCEPT = 0, 1
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2
TIMEOUT = 60


def attribute(kind, payload):
    pad = -len(payload) % 4
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * pad


class Queue:
    def __init__(self):
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self.netlink.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.waiting = []
        self.passing = False
        for config in (attribute(CFG_CMD, struct.pack("!BBH", 1, 0, 0)),  # bind
                       attribute(CFG_PARAMS, struct.pack("!IB", 0, 1)),  # no payload
                       attribute(CFG_QUEUE_MAXLEN, struct.pack("!I", 65536))):
            if not self.ask(CONFIG, config):
                sys.exit("the queue cannot be had")

    def ask(self, kind, payload):
        """Was there what it is about?"""
        message = struct.pack("=BBH", 0, 0, 0) + payload
        self.netlink.send(struct.pack("=IHHII", 16 + len(message), NFNL_SUBSYS_QUEUE << 8 | kind,
                                      NLM_F_REQUEST | NLM_F_ACK, 0, 0) + message)
        while True:
            error = self.receive()
            if error is not None:
                break
        if error and error != errno.ENOENT:
            raise OSError(error, os.strerror(error))
        return not error

    def receive(self):
        """Note the packets in one datagram; the error (or 0) if it is the answer to a question."""
        data = self.netlink.recv(1 << 16)
        error = None
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            if kind == NLMSG_ERROR:
                error = -struct.unpack_from("=i", data, 16)[0]
            elif kind == NFNL_SUBSYS_QUEUE << 8 | PACKET:
                at = 20
                while at < length:
                    size, name = struct.unpack_from("=HH", data, at)
                    if name == NFQA_PACKET_HDR:
                        self.waiting.append(struct.unpack_from("!I", data, at + 4)[0])
                    at += size + -size % 4
            data = data[length + -length % 4:]
        return error

    def verdict(self, number, verdict, kind=VERDICT, more=b""):
        return self.ask(kind, attribute(NFQA_VERDICT_HDR, struct.pack("!II", verdict, number)) + more)

    def all(self, verdict):
        """The kernel does not say how many there were of them, so this is none or all."""
        waiting, self.waiting = self.waiting, []
        return len(waiting) if waiting and self.verdict(waiting[-1], verdict, VERDICT_BATCH) else 0

    def each(self, numbers, more=b""):
        waiting, self.waiting = self.waiting, []
        return sum(self.verdict(number, NF_ACCEPT, more=more) for number in numbers(waiting))

    def answer(self, command):
        word, *rest = command.split()
        if word == "pass":
            self.passing = True
            while self.waiting:
                self.all(NF_ACCEPT)
            return "passes"
        if word == "hold":
            self.passing = False
            while len(self.waiting) < int(rest[0]):
                if not select.select([self.netlink], [], [], TIMEOUT)[0]:
                    return "only %d" % len(self.waiting)
                self.receive()
            return "holds %d" % len(self.waiting)
        if word in ("accept", "drop"):
            return "gave %d" % self.all(NF_ACCEPT if word == "accept" else NF_DROP)
        if word == "backwards":
            return "gave %d" % self.each(lambda waiting: waiting[::-1])
        if word == "assured":
            status = attribute(CTA_STATUS, struct.pack("!I", IPS_SEEN_REPLY | IPS_ASSURED))
            return "gave %d" % self.each(list, attribute(NLA_F_NESTED | NFQA_CT, status))
        return "what is " + word


def main():
    queue = Queue()
    print("ready", flush=True)
    commands = b""
    while True:
        for ready in select.select([queue.netlink, 0], [], [])[0]:
            if ready is queue.netlink:
                queue.receive()
                while queue.passing and queue.waiting:
                    queue.all(NF_ACCEPT)
                continue
            more = os.read(0, 4096)
            if not more:
                return
            *lines, commands = (commands + more).split(b"\n")
            for line in lines:
                print(queue.answer(line.decode()), flush=True)


main()
