#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How many of many busy network namespaces have counters per CPU.

usage: busy.py NAMESPACES LEAVE SECONDS

Makes so many namespaces, each busy for a moment; then LEAVE of those that have such counters
go away, and the others are busy again. Printed is "HAVE of NAMESPACES", before and after.
A namespace has them if what begins on CPU 1 is counted there, and not in the block that all
CPUs share. Run as root, with two CPUs or more.

Exit: 0, 1 if it does not come to rest within SECONDS, each time.
"""
import ctypes
import fcntl
import os
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
STAT = "/proc/thread-self/net/stat/ctxstat"
# Connection tracking begins when a rule needs it.
RULES = b"""add table inet t; add chain inet t c { type filter hook output priority 0; };
add rule inet t c ct state invalid drop"""
BUSY = 300	# new connections: more than make a namespace busy

libc = ctypes.CDLL(None, use_errno=True)
nftables = ctypes.CDLL("libnftables.so.1")
nftables.nft_ctx_new.restype = ctypes.c_void_p


class Namespace:
    """One that is there as long as this is; made, and entered."""

    def __init__(self):
        check(libc.unshare(CLONE_NEWNET))
        self.file = open("/proc/thread-self/ns/net", "rb")
        self.port = 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        context = ctypes.c_void_p(nftables.nft_ctx_new(0))
        check(nftables.nft_run_cmd_from_buffer(context, RULES))
        nftables.nft_ctx_free(context)

    def enter(self):
        check(libc.setns(self.file.fileno(), CLONE_NEWNET))

    def send(self, datagrams):
        """Each to another port, where nobody answers."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(datagrams):
                self.port = self.port % 65000 + 1
                sender.sendto(b"", ("127.0.0.1", self.port))

    def has_counters(self):
        with open(STAT, encoding="ascii") as stat:
            return int(stat.read().splitlines()[2].split()[1], 16) > 0


def check(status):
    if status:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def with_counters(namespaces, deadline):
    """Those that have them when three seconds long no further one has got them."""
    have, since = [], time.monotonic()
    while time.monotonic() - since < 3:
        if time.monotonic() > deadline:
            sys.exit(f"busy.py: it does not come to rest: {len(have)} of {len(namespaces)}")
        lacking = [namespace for namespace in namespaces if namespace not in have]
        for namespace in lacking:
            namespace.enter()
            namespace.send(BUSY)
        time.sleep(1.5)		# the ticker comes every second
        for namespace in lacking:
            namespace.enter()
            namespace.send(1)
            if namespace.has_counters():
                have.append(namespace)
                since = time.monotonic()
    return have


def main():
    count, leave, seconds = map(int, sys.argv[1:])
    os.sched_setaffinity(0, {1})
    namespaces = [Namespace() for _ in range(count)]
    have = with_counters(namespaces, time.monotonic() + seconds)
    print(len(have), "of", len(namespaces), flush=True)
    for namespace in have[:leave]:
        namespaces.remove(namespace)
        have.remove(namespace)
        namespace.file.close()
    # not in one of those that are to go
    namespaces[-1].enter()
    have = with_counters(namespaces, time.monotonic() + seconds)
    print(len(have), "of", len(namespaces))


main()
