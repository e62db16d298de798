#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Read files as nobody should have to, and say what is wrong with what came.

usage: reader.py WHAT FILE...

At a quiet moment, what comes in pieces must be what comes at once:
  sizes      one byte at a time, around the size of a page, a gigabyte
  seeks      lseek and pread, back and forth, beyond the end, to nowhere
  faults     into memory that is not there, or ends half-way; more than can be asked for
  shared     two processes with one open file; two threads in it at the same time
  copied     readv in small parts, and sendfile
  refused    whatever is not reading: write, mmap, ioctl, unlink ...
  access     a line for each file: may it be read, written, changed?

While it moves:
  form       in pieces, again and again: complete lines, no row twice, what is
             cumulative never falls
  loop       as fast as it goes until the input ends, files that come and go; how
             often they were read, in vain, or gone while they were read

These tell "ready", and wait for a line:
  hold       open, and half read; then read on to the end
  removed    open, and half read; then everything must be refused, as the files are gone
  stall      the first file, into memory that is given only after that line: until
             then the kernel cannot go on (userfaultfd)
"""

import collections
import ctypes
import errno
import fcntl
import mmap
import os
import platform
import random
import select
import stat
import struct
import sys
import termios
import threading

libc = ctypes.CDLL(None, use_errno=True)
libc.read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
libc.read.restype = ctypes.c_ssize_t
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
libc.mmap.restype = ctypes.c_ssize_t

PAGE = mmap.PAGESIZE
MAP_NORESERVE = 0x4000
CLONE_NEWNET = 0x40000000
MOST = 0x7ffff000  # that the kernel reads at a time


class Wrong(Exception):
    pass


def expect(condition, *what):
    if not condition:
        raise Wrong(*what)


def error_of(action, *arguments):
    """The name of the error with which this fails; None if it does not."""
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def rest(fd, size=1 << 16):
    return b"".join(iter(lambda: os.read(fd, size), b""))


def content(path, size=1 << 16):
    fd = os.open(path, os.O_RDONLY)
    try:
        return rest(fd, size)
    finally:
        os.close(fd)


def same(got, whole, *what):
    at = next((i for i, (a, b) in enumerate(zip(got, whole)) if a != b), min(len(got), len(whole)))
    expect(got == whole, *what, f"{len(got)} bytes, not {len(whole)}; from {at} on it is",
           got[at:at + 60], "not", whole[at:at + 60])


def read_into(fd, address, count):
    got = libc.read(fd, address, count)
    return got if got >= 0 else errno.errorcode[ctypes.get_errno()]


def map_file(fd, protection, flags):
    """Not Python's own, which asks for the size of the file first."""
    if libc.mmap(None, PAGE, protection, flags, fd, 0) == -1:
        raise OSError(ctypes.get_errno(), "mmap")


class Memory:
    """Anonymous memory with an address."""

    def __init__(self, size):
        self.map = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))


def sizes(path, fd, whole):
    for size in (1, 3, PAGE - 1, PAGE, PAGE + 1, 16 * PAGE + 1, 1 << 20):
        same(content(path, size), whole, f"{size} bytes at a time:")
    memory, got = Memory(MOST + PAGE), b""
    while True:
        n = read_into(fd, memory.address, MOST)
        expect(isinstance(n, int), "a huge read fails with", n)
        if not n:
            break
        got += memory.map[:n]
    same(got, whole, "a huge read:")


def seeks(path, fd, whole):
    size = len(whole)
    places = [0, size // 2, 1, size, size - 1, size + 1, 3 * size, 1 << 40, 1 << 62, 0]
    for at in places + random.sample(range(size), 20):
        part = whole[at:at + 50]
        same(os.pread(fd, 50, at), part, f"pread at {at}:")
        expect(os.lseek(fd, at, os.SEEK_SET) == at, "lseek to", at)
        same(os.read(fd, 50), part, f"lseek to {at}:")
    os.lseek(fd, 10, os.SEEK_SET)
    expect(os.lseek(fd, 7, os.SEEK_CUR) == 17, "lseek by 7")
    expect(os.lseek(fd, -4, os.SEEK_CUR) == 13, "lseek by -4")
    # what is not possible changes nothing
    for at, whence in ((-1, os.SEEK_SET), (-(1 << 63), os.SEEK_SET), (-14, os.SEEK_CUR),
                       (0, os.SEEK_END), (0, os.SEEK_DATA), (0, os.SEEK_HOLE)):
        expect(error_of(os.lseek, fd, at, whence) == "EINVAL", "lseek", at, whence, "is not refused")
    for at in (-1, (1 << 63) - 1):
        expect(error_of(os.pread, fd, 50, at) == "EINVAL", "pread at", at, "is not refused")
    same(rest(fd), whole[13:], "after that:")


def faults(path, fd, whole):
    memory = Memory(2 * PAGE)
    expect(libc.mprotect(memory.address + PAGE, PAGE, 0) == 0, "mprotect")
    expect(read_into(fd, memory.address, 0) == 0, "0 bytes")
    for address, count, error in ((8, 100, "EFAULT"), (1 << 63, 100, "EFAULT"),
                                  (memory.address + PAGE, 100, "EFAULT"),
                                  (memory.address, 1 << 63, "EFAULT"),
                                  (memory.address, (1 << 63) - 1, "EFAULT")):
        got = read_into(fd, address, count)
        expect(got == error, f"{count} bytes to {address:#x}:", got, "not", error)
    same(os.read(fd, 5), whole[:5], "after a fault:")
    # what did not fit comes next
    n = read_into(fd, memory.address + PAGE - 10, 100)
    expect(n == 10, "10 bytes before the end of memory:", n)
    got = memory.map[PAGE - 10:PAGE]
    same(got + rest(fd), whole[5:], "after half a fault:")


def shared(path, fd, whole):
    piece = 13
    listener, teller = os.pipe()
    pieces = []
    child = os.fork()
    if not child:
        for got in iter(lambda: os.read(fd, piece), b""):
            os.write(teller, got.ljust(piece, b"\0"))
        os._exit(0)
    os.close(teller)
    told = threading.Thread(target=lambda: told_pieces.append(rest(listener)))
    told_pieces = []
    told.start()
    for got in iter(lambda: os.read(fd, piece), b""):
        pieces.append(got)
    told.join()
    os.waitpid(child, 0)
    os.close(listener)
    other = told_pieces[0]
    pieces += [other[i:i + piece].rstrip(b"\0") for i in range(0, len(other), piece)]
    expected = [whole[i:i + piece] for i in range(0, len(whole), piece)]
    expect(collections.Counter(pieces) == collections.Counter(expected),
           "two processes did not get each byte once:", len(pieces), "pieces, not", len(expected))

    wrong = []

    def hop():
        for at in random.choices(range(len(whole)), k=50):
            if os.pread(fd, 200, at) != whole[at:at + 200]:
                wrong.append(at)

    threads = [threading.Thread(target=hop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not wrong, "two threads: pread at", wrong)


def copied(path, fd, whole):
    got = b""
    while True:
        parts = [bytearray(7) for _ in range(1000)]
        n = os.readv(fd, parts)
        if not n:
            break
        got += b"".join(parts)[:n]
    same(got, whole, "readv:")
    # No pages to be had from such a file: the kernel refuses, for all of its kind.
    os.lseek(fd, 0, os.SEEK_SET)
    with open(os.devnull, "wb") as null:
        expect(error_of(os.sendfile, null.fileno(), fd, None, 1 << 20) == "EINVAL",
               "sendfile is not refused")
    same(rest(fd), whole, "after sendfile:")


def write(path, flags):
    fd = os.open(path, flags)
    try:
        os.write(fd, b"1\n")
    finally:
        os.close(fd)


def refused(path, fd, whole):
    def must_fail(action, *arguments):
        expect(error_of(action, *arguments), action.__name__, arguments, "is not refused")

    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND):
        must_fail(write, path, flags)
    must_fail(os.write, fd, b"1\n")
    must_fail(os.pwrite, fd, b"1\n", 5)
    must_fail(os.ftruncate, fd, 0)
    for protection in (mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_EXEC):
        for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
            must_fail(map_file, fd, protection, flags)
    must_fail(fcntl.ioctl, fd, termios.TCGETS, bytes(100))
    folder = os.path.dirname(path)
    must_fail(os.unlink, path)
    must_fail(os.rename, path, path + "2")
    must_fail(os.link, path, folder + "/link")
    must_fail(os.mkdir, folder + "/folder")
    must_fail(os.rmdir, folder)
    must_fail(os.open, folder + "/new", os.O_WRONLY | os.O_CREAT)
    error_of(os.truncate, path, 0)  # succeeds for root, and does nothing
    same(content(path), whole, "after all that:")


def access(path):
    mode = stat.S_IMODE(os.stat(path).st_mode)
    answers = (error_of(content, path), error_of(write, path, os.O_WRONLY), error_of(write, path, os.O_RDWR),
               error_of(os.chmod, path, mode), error_of(os.chown, path, os.getuid(), os.getgid()))
    print(os.path.basename(os.path.dirname(path)) + "/" + os.path.basename(path), f"{mode:o}",
          *(answer or "ok" for answer in answers))


class Form:
    """What a file looks like, whatever it says."""

    # of a table: how many columns name a row, and which only grow
    TABLES = {
        "states": (3, ("entered", "left", "peak")),
        "ports": (2, ("opened", "answered", "closed", "failed", "adopted")),
        "transitions": (4, ("count",)),
        "ends": (4, ("count",)),
        "histograms": (None, ()),
    }
    GROWS = ("created", "adopted", "destroyed", "insert_failed", "peak_entries", "peak_rate")

    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)
        self.before = {}

    def rows(self, text):
        expect(text.endswith("\n"), "the last line is not complete:", text[-60:])
        lines = [line.split(" ") for line in text[:-1].split("\n")]
        if self.name in ("summary", "audit"):
            for key, *values in lines:
                expect(values and all(values), "a line without a value:", key)
                if self.name == "summary":
                    expect(len(values) == 1, "two values:", key, values)
                    yield key, {key: values[0]}
            return
        head, *lines = lines
        if self.name == "ctxstat":
            for cpu, line in enumerate(lines):
                expect(len(line) == len(head), "fields:", line)
                yield cpu, {key: int(value, 16) for key, value in zip(head[1:], line[1:])}
            return
        width, _ = self.TABLES[self.name]
        for line in lines:
            expect(len(line) == len(head) and all(line), "fields:", line)
            width = width or head.index("count")
            yield tuple(line[:width]), dict(zip(head, line))

    def check(self, text):
        seen = {}
        for row, values in self.rows(text):
            expect(row not in seen, "twice:", row)
            seen[row] = values
        _, grows = self.TABLES.get(self.name, (None, self.GROWS))
        for row, values in seen.items():
            for column, value in values.items():
                old = self.before.get(row, {}).get(column)
                if old is not None and (column in grows or self.name == "ctxstat"):
                    expect(int(value) >= int(old), row, column, "fell from", old, "to", value)
        gone = self.before.keys() - seen.keys()
        expect(not gone or self.name == "audit", "gone:", gone)
        self.before = seen


def form(paths):
    forms = [Form(path) for path in paths]
    for size in (1, 11, 1000, PAGE + 1, 1 << 16, 1):
        for one in forms:
            try:
                one.check(content(one.path, size).decode("ascii"))
            except Wrong as wrong:
                raise Wrong(one.path, f"{size} bytes at a time:", *wrong.args) from None
    for one in forms:
        fd = os.open(one.path, os.O_RDONLY)
        for at in random.choices(range(len(content(one.path))), k=20):
            expect(os.pread(fd, 30, at).isascii(), one.path, "pread at", at)
        os.close(fd)


def loop(paths):
    # for opening, for what is open
    gone, removed = ("ENOENT", "ENXIO"), ("EIO", "EINVAL")
    count = collections.Counter()
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        path = random.choice(paths)
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError as error:
            expect(errno.errorcode[error.errno] in gone, "open", path, error)
            count["in vain"] += 1
            continue
        try:
            size = random.choice((1, 100, PAGE, 1 << 16))
            for _ in range(200):
                if not os.read(fd, size):
                    break
            os.lseek(fd, random.randrange(5000), os.SEEK_SET)
            os.read(fd, size)
            count["read"] += 1
        except OSError as error:
            expect(errno.errorcode[error.errno] in removed, "read", path, error)
            count["gone"] += 1
        finally:
            os.close(fd)
    print(*(f"{what} {count[what]}" for what in ("read", "in vain", "gone")))


def wait_for_line():
    print("ready", flush=True)
    sys.stdin.readline()


def half_read(paths):
    """Of their namespace nothing but the open files is left to this process."""
    files = []
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        files.append((path, fd, os.read(fd, 10)))
    expect(libc.unshare(CLONE_NEWNET) == 0, "unshare")
    return files


def hold(paths):
    files = half_read(paths)
    wait_for_line()
    for path, fd, first in files:
        Form(path).check((first + rest(fd)).decode("ascii"))
        same(os.pread(fd, 10, 0), first, path)


def removed(paths):
    folder = os.open(os.path.dirname(paths[0]), os.O_RDONLY)
    os.chdir(os.path.dirname(paths[0]))
    files = half_read(paths)
    wait_for_line()
    for path, fd, _ in files:
        for action, arguments, error in ((os.read, (fd, 100), "EIO"),
                                         (os.pread, (fd, 100, 0), "EIO"),
                                         (os.write, (fd, b"1"), "EBADF"),
                                         (os.lseek, (fd, 0, os.SEEK_SET), "EINVAL"),
                                         (map_file, (fd, mmap.PROT_READ, mmap.MAP_PRIVATE), "EIO"),
                                         (fcntl.ioctl, (fd, termios.TCGETS, bytes(100)), "ENOTTY")):
            got = error_of(action, *arguments)
            expect(got == error, path, action.__name__, "after removal:", got, "not", error)
        expect(error_of(os.open, os.path.basename(path), os.O_RDONLY) == "ENOENT",
               path, "can be opened after removal")
        os.close(fd)
    expect(os.listdir(folder) == [], "the folder has something in it after removal")


def stall(paths):
    # from linux/userfaultfd.h
    number = {"x86_64": 323, "aarch64": 282}[platform.machine()]
    api, register, zeropage = 0xc018aa3f, 0xc020aa00, 0xc020aa04
    def rows(text):
        return [line.split()[:3] for line in text.decode("ascii").split("\n")[:-1]]

    expected = rows(content(paths[0]))
    memory = Memory(PAGE)
    uffd = libc.syscall(number, os.O_CLOEXEC)
    expect(uffd >= 0, "userfaultfd", os.strerror(ctypes.get_errno()))
    fcntl.ioctl(uffd, api, struct.pack("QQQ", 0xaa, 0, 0))
    fcntl.ioctl(uffd, register, struct.pack("QQQQ", memory.address, PAGE, 1, 0))
    fd = os.open(paths[0], os.O_RDONLY)
    got = []
    thread = threading.Thread(target=lambda: got.append(read_into(fd, memory.address, PAGE)))
    thread.start()
    os.read(uffd, 32)  # it cannot go on
    wait_for_line()
    fcntl.ioctl(uffd, zeropage, struct.pack("QQQQ", memory.address, PAGE, 0, 0))
    thread.join()
    expect(isinstance(got[0], int), "the read fails with", got[0])
    complete = rows(memory.map[:got[0]])
    expect(complete and complete == expected[:len(complete)], "what was read:", complete)


def main():
    what, *paths = sys.argv[1:]
    whole_groups = {"form": form, "loop": loop, "hold": hold, "removed": removed, "stall": stall}
    quiet = {"sizes": sizes, "seeks": seeks, "faults": faults, "shared": shared,
             "copied": copied, "refused": refused}
    try:
        if what == "access":
            for path in paths:
                access(path)
        elif what in quiet:
            for path in paths:
                fd = os.open(path, os.O_RDONLY)
                whole = content(path)
                expect(whole, "empty")
                quiet[what](path, fd, whole)
                os.close(fd)
                same(content(path), whole, "it is not a quiet moment:")
        else:
            path = ""
            whole_groups[what](paths)
    except Wrong as wrong:
        sys.exit(" ".join(str(word) for word in (what, path, *wrong.args)))


main()
