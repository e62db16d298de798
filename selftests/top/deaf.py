# SPDX-License-Identifier: GPL-2.0-only
"""A terminal that takes no output, as a line that hangs: top has to end in spite of that,
and to leave the terminal's modes as they were.

usage: deaf.py PROGRAM FOLDER-OF-TABLES
"""
import fcntl
import itertools
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 10
LINES, COLUMNS = 200, 200


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE} seconds: {what}")
        time.sleep(0.05)


def writes(pid):
    """It waits in write(1, ...): a system call's number depends on the machine."""
    with open(f"/proc/{pid}/syscall") as file:
        words = file.read().split()
    return len(words) > 1 and words[0] in ("1", "64") and words[1] == "0x1"


def main():
    program, tables = sys.argv[1:]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", LINES, COLUMNS, 0, 0))
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if not pid:
        os.setsid()
        for fd in 0, 1, 2:
            os.dup2(slave, fd)
        os.environ["TERM"] = "xterm"
        os.execv(program, [program, "top", f"--proc-dir={tables}", "--interval=0.1", "--all"])
    status = None
    try:
        until(lambda: select.select([master], [], [], 0)[0], "something is drawn")

        tables_in_turn = itertools.cycle(b"12")

        def stuck():
            if writes(pid):
                time.sleep(0.3)
                return writes(pid)
            os.write(master, bytes([next(tables_in_turn)]))
            return False

        until(stuck, "it waits for the terminal")
        os.kill(pid, signal.SIGTERM)

        def ended():
            nonlocal status
            if status is None:
                found, result = os.waitpid(pid, os.WNOHANG)
                status = result if found else None
            return status is not None

        until(ended, "it ends")
        if os.waitstatus_to_exitcode(status) != 6:
            raise SystemExit(f"exit code {os.waitstatus_to_exitcode(status)}")
        if termios.tcgetattr(slave) != before:
            raise SystemExit("the terminal has other modes now")
    finally:
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


main()
