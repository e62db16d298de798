#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Let one memory allocation of a system call fail, then the next one, and so on.

usage: nth.py load MODULE      load the module, and unload it if it was loaded
       nth.py load-more MODULE the same, but some that follow fail as well
       nth.py unload MODULE    load it, and unload it
       nth.py read FILE...     open each file and read it to its end
       nth.py send ADDRESS     a datagram to a port of UDP for which there is no memory yet
       nth.py netns            make a network namespace; only where ctxstat has a part in it

For a kernel with fault injection whose failslab and fail_page_alloc tell all (verbose=2).
N in /proc/thread-self/fail-nth lets the Nth allocation of this thread fail, and it is 0
afterwards: so the end has been reached when it is not. From then on others fail by chance,
which is 100 %, if they are asked to, for some times: that is how the undoing of a load gets
its share. Where one failed is in the kernel's log, with a trace; the place in the module is
the first of its functions there. An allocation that wants no warnings (__GFP_NOWARN) is not
told.

Printed are "tried N", "refused N", "bad WHY" and "site FUNCTION+OFFSET TIMES".
Exit: 0, 1 if there was something bad.
"""
import bisect
import collections
import ctypes
import errno
import os
import re
import socket
import sys
import time

FILES = ("/sys/module/ctxstat", "/proc/net/ctxstat", "/proc/net/stat/ctxstat")
SYS_DELETE_MODULE, SYS_FINIT_MODULE = 176, 313
CLONE_NEWNET = 0x40000000
DEBUG = "/sys/kernel/debug/"
KINDS = ("failslab", "fail_page_alloc")
MORE = 6
COMPLAINT = re.compile(r"BUG:|WARNING:|Oops|general protection|KASAN|UBSAN|suspicious RCU"
                       r"|possible (recursive|circular|irq)|inconsistent lock")
FAULT = re.compile(r"^FAULT_INJECTION: forcing a failure")
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
    """The kernel's log since the last look; what it complains of is bad."""
    lines = []
    while True:
        try:
            record = os.read(kmsg, 8192).decode(errors="replace")
        except BlockingIOError:
            return lines
        line = record.split("\n", 1)[0].split(";", 1)[1]
        lines.append(line)
        if COMPLAINT.search(line):
            bad.append(line)


started = time.monotonic()


def attributes(**values):
    for kind in KINDS:
        for name, value in values.items():
            with open(f"{DEBUG}{kind}/{name.replace('_', '-')}", "w", encoding="ascii") as file:
                file.write(value)


def places(lines):
    """Of each failure that is told the first of the module's functions."""
    found, wanted = [], False
    for line in lines:
        frame = FRAME.match(line)
        if FAULT.match(line):
            wanted = True
        elif wanted and frame:
            found.append(frame[1])
            wanted = False
    return found


def attempt(nth, action, more=0):
    """Whether the Nth allocation failed, how many were left, error, frames, what was said."""
    error = None
    if more:
        attributes(task_filter="Y", times=str(more), probability="100")
    fault = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    others = os.open("/proc/thread-self/make-it-fail", os.O_WRONLY)
    wanted, can_fail, no = b"%d" % nth, b"1" if more else b"0", b"0"
    os.write(others, can_fail)
    os.write(fault, wanted)
    try:
        action()
    except OSError as e:
        error = e
    os.write(others, no)
    left = int(os.pread(fault, 32, 0).strip(b"\0\n"))
    os.write(fault, no)
    os.close(fault)
    os.close(others)
    if more:
        attributes(probability="0", task_filter="N", times="-1")
    lines = log_lines()
    frames = places(lines)
    if left == 0:
        counts["tried"] += 1
    sites.update(frames)
    if error:
        counts["refused"] += 1
    if os.environ.get("VERBOSE"):
        print(f"{time.monotonic() - started:.1f} {nth} {left} {error} {frames}", file=sys.stderr, flush=True)
    return left == 0, left, error, frames, [line for line in lines if line.startswith("ctxstat: ")]


def each(action, judge, nth=1, more=0):
    """From the Nth on, until all allocations have failed once; judge returns what is wrong, or None."""
    injected = True
    while injected:
        injected, _, error, frames, said = attempt(nth, action, more)
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


def run_load(module, more=0):
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
    each(lambda: load(module), judge_load, first, more)


def run_load_more(module):
    run_load(module, MORE)


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


def main():
    globals()["run_" + sys.argv[1].replace("-", "_")](*sys.argv[2:])
    for name in ("tried", "refused"):
        print(name, counts[name])
    for site in sorted(sites):
        print("site", site, sites[site])
    for why in bad:
        print("bad", why)
    return bool(bad)


sys.exit(main())
