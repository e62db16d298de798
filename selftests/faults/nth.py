#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Let one memory allocation of a system call fail, then the next one, and so on.

usage: nth.py load MODULE      load the module, and unload it if it was loaded
       nth.py unload MODULE    load it, and unload it
       nth.py read FILE...     open each file and read it to its end
       nth.py send ADDRESS     a datagram to a port of UDP for which there is no memory yet
       nth.py netns            make a network namespace; only where ctxstat has a part in it
       nth.py percpu           take all per-CPU memory that needs no further page, again and
                               again until killed; "ready" says that it had all once

For a kernel with fault injection whose failslab and fail_page_alloc tell all (verbose=2).
N in /proc/thread-self/fail-nth lets the Nth allocation of this thread fail, and it is 0
afterwards: so the end has been reached when it is not. Where it failed is in the kernel's
log, with a trace; the place in the module is the first of its functions there. An
allocation that wants no warnings (__GFP_NOWARN) is not told.

Printed are "tried N", "refused N", "bad WHY" and "site FUNCTION+OFFSET TIMES".
Exit: 0, 1 if there was something bad.
"""
import bisect
import collections
import ctypes
import errno
import os
import re
import resource
import socket
import struct
import sys
import time

FILES = ("/sys/module/ctxstat", "/proc/net/ctxstat", "/proc/net/stat/ctxstat")
SYS_DELETE_MODULE, SYS_FINIT_MODULE, SYS_BPF = 176, 313, 321
CLONE_NEWNET = 0x40000000
BPF_MAP_CREATE, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY = 0, 2, 6
COMPLAINT = re.compile(r"BUG:|WARNING:|Oops|general protection|KASAN|UBSAN|suspicious RCU"
                       r"|possible (recursive|circular|irq)|inconsistent lock")
FRAME = re.compile(r"^ (\w+\+0x[0-9a-f]+)/0x[0-9a-f]+ \[ctxstat\]")

libc = ctypes.CDLL(None, use_errno=True)
kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
os.lseek(kmsg, 0, os.SEEK_END)
sites = collections.Counter()
counts = collections.Counter()
bad = []


def syscall(*args):
    result = libc.syscall(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def log_lines():
    """The kernel's log since the last look."""
    lines = []
    while True:
        try:
            record = os.read(kmsg, 8192).decode(errors="replace")
        except BlockingIOError:
            return lines
        lines.append(record.split("\n", 1)[0].split(";", 1)[1])


started = time.monotonic()


def attempt(nth, action):
    """Whether the Nth allocation failed, how many were left, error, frames, what was said."""
    error = None
    fault = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    os.write(fault, b"%d" % nth)
    try:
        action()
    except OSError as e:
        error = e
    left = int(os.pread(fault, 32, 0).strip(b"\0\n"))
    os.write(fault, b"0")
    os.close(fault)
    lines = log_lines()
    frames = [match[1] for match in map(FRAME.match, lines) if match]
    bad.extend(f"{nth}: {line}" for line in lines if COMPLAINT.search(line))
    if left == 0:
        counts["tried"] += 1
    if frames:
        sites[frames[0]] += 1
    if error:
        counts["refused"] += 1
    if os.environ.get("VERBOSE"):
        print(f"{time.monotonic() - started:.1f} {nth} {left} {error} {frames[:1]}", file=sys.stderr, flush=True)
    return left == 0, left, error, frames, [line for line in lines if line.startswith("ctxstat: ")]


def each(action, judge, nth=1):
    """From the Nth on, until all allocations have failed once; judge returns what is wrong, or None."""
    injected = True
    while injected:
        injected, _, error, frames, said = attempt(nth, action)
        why = judge(injected, error, frames, said)
        if why:
            bad.append(f"{nth}: {why} ({error}; {' '.join(frames)}; {said})")
        nth += 1


def slurp(path):
    with open(path, "rb", buffering=0) as file:
        parts = []
        while part := file.read(65536):
            parts.append(part)
        return b"".join(parts)


def values(name):
    return dict(line.split(maxsplit=1) for line in slurp(f"/proc/net/ctxstat/{name}").decode().splitlines())


def left_behind():
    return [path for path in FILES if os.path.exists(path)]


def load(module):
    """The file is open already, as no allocation of its file system shall fail."""
    syscall(SYS_FINIT_MODULE, module, b"", 0)


def unload():
    syscall(SYS_DELETE_MODULE, b"ctxstat", 0)


def judge_load(injected, error, frames, said):
    """Refused without leaving anything, in one plain line if it got as far as that; or right."""
    if error:
        if not injected or error.errno != errno.ENOMEM:
            return "refused for another reason"
        if frames and not (len(said) == 1 and said[0].startswith("ctxstat: not loaded: ")):
            return "not one plain line"
    else:
        summary, audit = values("summary"), values("audit")
        unload()
        log_lines()
        if summary["entries"] != summary["count"] or audit["cells_differ"] != "0":
            return "loaded, and wrong"
        if not (len(said) == 1 and said[0].startswith("ctxstat: counting")):
            return "loaded, and does not say so plainly"
    return f"something is left: {left_behind()}" if left_behind() else None


def run_load(module):
    """The kernel's loader takes memory first, and ours is not even called if that fails."""
    module = os.open(module, os.O_RDONLY | os.O_CLOEXEC)

    def is_called(nth):
        _, _, error, _, said = attempt(nth, lambda: load(module))
        if not error:
            unload()
            log_lines()
        return bool(said)

    last = 1
    while not is_called(last):
        last *= 2
    first = bisect.bisect_left(range(last), True, lo=last // 2, key=is_called)
    print("loader", first - 1)
    each(lambda: load(module), judge_load, first)


def run_unload(module):
    module = os.open(module, os.O_RDONLY | os.O_CLOEXEC)

    def judge(_injected, error, _frames, said):
        if error or said or left_behind():
            return f"not unloaded: {left_behind()}"
        load(module)
        log_lines()
        return None

    load(module)
    log_lines()
    each(unload, judge)
    unload()


def run_read(*files):
    for path in files:
        def judge(injected, error, _frames, _said):
            if error and not (injected and error.errno == errno.ENOMEM):
                return f"{path} cannot be read"
            return None

        each(lambda: slurp(path), judge)


def run_send(address):
    # first those for which there is nothing at all, then those next to them
    ports = (port + more for more in range(0, 256, 16) for port in range(1024, 65536, 256))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each(lambda: sender.sendto(b"x", (address, next(ports))), lambda *_: None)


def run_netns():
    """Namespaces are set up in many steps, of which ours is one of the last."""
    stride, many = 8, 1000000

    def unshare():
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")

    _, left, error, _, _ = attempt(many, unshare)
    if error:
        raise error
    nth = many - left
    print("allocations", nth)
    while nth > 0 and not attempt(nth, unshare)[3]:
        nth -= stride
    nth += stride - 1
    missed = 0
    while nth > 0 and missed < 2 * stride:
        injected, _, error, frames, said = attempt(nth, unshare)
        missed = 0 if frames else missed + 1
        if frames and not (injected and error and error.errno == errno.ENOMEM and not said):
            bad.append(f"{nth}: {error} {frames} {said}")
        nth -= 1
    unshare()


def make_map(kind, size):
    attributes = struct.pack("=IIII", kind, 4, size, 1) + bytes(56)
    return syscall(SYS_BPF, BPF_MAP_CREATE, attributes, len(attributes))


def run_percpu():
    """Maps, each with so much per CPU, while no page can be had. It may as well be one for what else
    a map is made of: so three in a row, and before each another map, without anything per CPU,
    which leaves room for one more of that."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    maps = []
    fault = os.open("/proc/self/make-it-fail", os.O_WRONLY)

    def take(size):
        os.write(fault, b"1")
        try:
            maps.append(make_map(BPF_MAP_TYPE_PERCPU_ARRAY, size))
        except OSError as e:
            if e.errno != errno.ENOMEM:
                raise
            return False
        finally:
            os.write(fault, b"0")
        return True

    def take_all():
        for size in (16384, 8192, 4096, 2048, 1024, 512):
            refused = 0
            while refused < 3:
                if take(size):
                    refused = 0
                else:
                    refused += 1
                    maps.append(make_map(BPF_MAP_TYPE_ARRAY, 8))

    take_all()
    print("ready", len(maps), flush=True)
    # The kernel adds some pages when there are few, and others give theirs back.
    while True:
        time.sleep(0.02)
        while take(512):
            pass


def main():
    globals()["run_" + sys.argv[1]](*sys.argv[2:])
    for name in ("tried", "refused"):
        print(name, counts[name])
    for site in sorted(sites):
        print("site", site, sites[site])
    for why in bad:
        print("bad", why)
    return bool(bad)


sys.exit(main())
