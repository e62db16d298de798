#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""HTTP clients for exporter.sh, good ones and bad ones, byte by byte.

usage: client.py PORT COMMAND [ARGUMENT...]

FILE holds the metrics that a client has to get; PID is the exporter's.

  get METHOD PATH [ADDRESS]  show the answer, header and all
  same FILE                  a GET, of which the body is FILE
  many N FILE                N clients at once
  held N FILE                N clients each that ask for nothing, begin a request, or send
                             a byte a second: others are answered at once, and these
                             are cut off
  full N SECONDS FILE        N clients that ask for nothing take all places: the next
                             client is answered within that time
  garbage FILE               what is no request, or a bad one: each ends
  aborted N                  N requests whose answer nobody reads
  unread PID                 an answer that is read too slowly is cut off
  stopped PID FILE           a signal in the middle of an answer: all of it comes
  stuck PID SIGNALS          the same, but the client does not read on: print how long
                             the exporter lived after so many signals
  free                       print a port that is free (PORT does not matter)

Exit: 0, or 1 after a message.
"""

import os
import random
import signal
import socket
import sys
import threading
import time

PORT = int(sys.argv[1])
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"
# Beyond this a client hangs.
LIMIT = 60
# As in exporter.c, and what a busy machine takes.
REQUEST_MAX, ANSWER_MAX, TOLERANCE = 5, 30, 5
AT_ONCE = 2


def connect(rcvbuf=None, address="127.0.0.1"):
    """A small receive buffer lets the server feel that nobody reads."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.settimeout(LIMIT)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.connect((address, PORT))
    return sock


def read_all(sock):
    """Until the server closes; a reset ends it, too."""
    data = bytearray()
    try:
        while chunk := sock.recv(1 << 20):
            data += chunk
    except ConnectionError:
        pass
    return bytes(data)


def send(sock, data):
    """Who gets no request has the right to hang up."""
    try:
        sock.sendall(data)
    except ConnectionError:
        pass


def ask(request=REQUEST, address="127.0.0.1"):
    with connect(address=address) as sock:
        send(sock, request)
        return read_all(sock)


def body(answer):
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"no 200: {head[:200]}")
    return rest


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def is_same(answer, path):
    got, want = body(answer), contents(path)
    if got != want:
        sys.exit(f"{len(got)} bytes, not the {len(want)} of {path}, or others")


def wait_for(condition, what, seconds=LIMIT):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def parallel(functions):
    """Run them all, each in a thread; the first complaint is shown."""
    complaints = []

    def guarded(function):
        try:
            function()
        except (Exception, SystemExit) as complaint:  # pylint: disable=broad-except
            complaints.append(str(complaint))

    threads = [threading.Thread(target=guarded, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        if thread.is_alive():
            sys.exit("a client hangs")
    if complaints:
        sys.exit(f"{len(complaints)} of {len(threads)} failed: {complaints[0]}")


def get(method, path, address="127.0.0.1"):
    answer = ask(f"{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode(), address)
    sys.stdout.buffer.write(answer.replace(b"\r\n", b"\n"))


def same(path):
    is_same(ask(), path)


def many(number, path):
    barrier = threading.Barrier(int(number))

    def client():
        with connect() as sock:
            barrier.wait(LIMIT)
            sock.sendall(REQUEST)
            is_same(read_all(sock), path)

    parallel([client] * int(number))


def bad_client(kind, began, seconds):
    """Ask badly, and look whether the end comes within SECONDS."""
    with connect() as sock:
        if kind != "idle":
            send(sock, b"GET /metrics HT")
        began.wait(LIMIT)
        start = time.monotonic()
        sock.settimeout(1)
        while True:
            try:
                if not sock.recv(4096):
                    break
            except TimeoutError:
                if kind == "slow":
                    send(sock, b"T")
            except ConnectionError:
                break
            if time.monotonic() - start > seconds:
                sys.exit(f"{kind}: not cut off")


def held(number, path):
    began = threading.Barrier(3 * int(number) + 1)

    def bad(kind):
        return [lambda: bad_client(kind, began, REQUEST_MAX + TOLERANCE)] * int(number)

    def good():
        began.wait(LIMIT)
        for _ in range(10):
            start = time.monotonic()
            same(path)
            if time.monotonic() - start > AT_ONCE:
                sys.exit(f"answered after {time.monotonic() - start:.1f} s")

    parallel([good] + bad("idle") + bad("half") + bad("slow"))


def full(number, seconds, path):
    began = threading.Barrier(int(number) + 1)

    def next_one():
        began.wait(LIMIT)
        start = time.monotonic()
        same(path)
        waited = time.monotonic() - start
        print(f"answered after {waited:.1f} s")
        # At once means that it had not to wait, and so the test was none.
        if not 0.5 < waited < float(seconds):
            sys.exit(f"answered after {waited:.1f} s")

    parallel([next_one] + [lambda: bad_client("idle", began, LIMIT)] * int(number))


def head(*lines):
    return b"\r\n".join(lines) + b"\r\n\r\n"


GET, POST, HOST = b"GET /metrics HTTP/1.1", b"POST /metrics HTTP/1.1", b"Host: test"

# What is sent, and with what the answer may begin; nothing at all is always right.
GARBAGE = {
    "noise": (random.Random(1).randbytes(65536), b"HTTP/1."),
    "zeros": (bytes(65536), b"HTTP/1."),
    "blank lines": (b"\r\n" * 5000, b"HTTP/1."),
    "spaces": (b" " * 5000, b"HTTP/1."),
    "no line end": (b"GET " + b"x" * 65536, b"HTTP/1."),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), b"HTTP/1."),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1."),
    "HTTP/0.9": (b"GET /metrics\r\n\r\n", b""),
    "HTTP/9.9": (b"GET /metrics HTTP/9.9\r\n\r\n", b"HTTP/1."),
    "long path": (head(b"GET /" + b"x" * 100000 + b" HTTP/1.1", HOST), b"HTTP/1.1 4"),
    "long header": (head(GET, HOST, b"X: " + b"x" * 1000000), b"HTTP/1.1 4"),
    "many headers": (head(GET, HOST, *([b"X: x"] * 50000)), b"HTTP/1.1 4"),
    "long method": (head(b"G" * 5000 + b" / HTTP/1.1", HOST), b"HTTP/1.1 4"),
    "other file": (head(b"GET /../../../etc/passwd HTTP/1.1", HOST), b"HTTP/1.1 404 "),
    "other file, quoted": (head(b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", HOST), b"HTTP/1.1 404 "),
    "zero in path": (head(b"GET /x%00/metrics HTTP/1.1", HOST), b"HTTP/1.1 404 "),
    "negative length": (head(POST, HOST, b"Content-Length: -1"), b"HTTP/1.1 4"),
    "length of 2^64": (head(POST, HOST, b"Content-Length: 18446744073709551616"), b"HTTP/1.1 4"),
    "two lengths": (head(POST, HOST, b"Content-Length: 1", b"Content-Length: 9") + b"x", b"HTTP/1.1 4"),
    "no body": (head(POST, HOST, b"Content-Length: 1000000"), b"HTTP/1.1 405 "),
    "body": (head(POST, HOST, b"Content-Length: 1000000") + bytes(1000000), b"HTTP/1.1 405 "),
    "bad chunk": (head(POST, HOST, b"Transfer-Encoding: chunked") + b"fffffffffffffffffff\r\n", b"HTTP/1.1 4"),
    "expects": (head(POST, HOST, b"Content-Length: 9", b"Expect: 100-continue"), b"HTTP/1.1 405 "),
    "upgrade": (head(GET, HOST, b"Connection: Upgrade", b"Upgrade: websocket"), b"HTTP/1.1 200 "),
    "proxy": (head(b"CONNECT example.com:443 HTTP/1.1", HOST), b"HTTP/1.1 405 "),
    "trace": (head(b"TRACE / HTTP/1.1", HOST), b"HTTP/1.1 405 "),
    "pipeline": (head(GET, HOST) * 1000, b"HTTP/1.1 200 "),
}


def garbage(path):
    def client(name, data, begin):
        start = time.monotonic()
        answer = ask(data)
        if time.monotonic() - start > REQUEST_MAX + TOLERANCE:
            sys.exit(f"{name}: not cut off")
        if answer and not answer.startswith(begin):
            sys.exit(f"{name}: {answer[:100]}")
        if name == "pipeline" and answer.count(b"HTTP/1.") > 1:
            sys.exit("several answers")

    parallel([lambda n=n, d=d, b=b: client(n, d, b) for n, (d, b) in GARBAGE.items()])
    same(path)


def aborted(number):
    for _ in range(int(number)):
        with connect() as sock:
            sock.sendall(REQUEST)


def files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def begin_reading(rcvbuf=4096):
    """A request with an answer that does not fit into the sockets' buffers."""
    sock = connect(rcvbuf)
    sock.sendall(REQUEST)
    return sock, sock.recv(1000)


def unread(pid):
    before = files(pid)
    start = time.monotonic()
    sock, _ = begin_reading(rcvbuf=65536)
    with sock:
        while files(pid) > before:
            if time.monotonic() > start + ANSWER_MAX + TOLERANCE:
                sys.exit("not cut off")
            # Enough not to be idle, too little to come to the end
            sock.recv(50000)
            time.sleep(0.1)
    print(f"cut off after {time.monotonic() - start:.1f} s")
    if time.monotonic() - start < ANSWER_MAX - 1:
        sys.exit("too early")


def refused():
    try:
        connect().close()
    except ConnectionError:
        return True
    return False


def is_gone(pid):
    """Or a zombie, whose parent has yet to ask."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(") ")[2][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def stopped(pid, path):
    sock, data = begin_reading()
    os.kill(int(pid), signal.SIGTERM)
    wait_for(refused, "no new clients")
    if is_gone(pid):
        sys.exit("the exporter did not wait")
    with sock:
        is_same(data + read_all(sock), path)


def stuck(pid, signals):
    sock, _ = begin_reading()
    start = time.monotonic()
    with sock:
        os.kill(int(pid), signal.SIGTERM)
        wait_for(refused, "no new clients")
        for _ in range(int(signals) - 1):
            os.kill(int(pid), signal.SIGTERM)
        wait_for(lambda: is_gone(pid), "the end")
    print(f"{time.monotonic() - start:.1f}")


def free():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        print(sock.getsockname()[1])


COMMANDS = {"get": get, "same": same, "many": many, "held": held, "full": full, "garbage": garbage,
            "aborted": aborted, "unread": unread, "stopped": stopped, "stuck": stuck, "free": free}
COMMANDS[sys.argv[2]](*sys.argv[3:])
