#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Compare what the tool writes as JSON or CSV with the tables themselves.

usage: listings.py PROGRAM FOLDER json|csv [--orders] TABLE...

Every value has to be there, as it is in the table, and nothing else. With --orders:
sorted by each column, forwards and backwards, cut off, and for one protocol.
"""

import csv
import itertools
import json
import subprocess
import sys
import time

import tables


def fail(*what):
    sys.exit(" ".join(str(word) for word in what))


def run(options):
    """The exit code of "audit" says what it found, and not how it went."""
    done = subprocess.run(options, stdout=subprocess.PIPE, check=False)
    if done.returncode > (1 if "audit" in options else 0):
        fail("exit code", done.returncode, "of", *options)
    return done.stdout.decode("ascii")


def no_twins(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        fail("a key is there twice:", pairs)
    return dict(pairs)


def from_json(text, table, member):
    """Python reads integers of any size; other numbers than "time" are none of ours."""
    document = json.loads(text, object_pairs_hook=no_twins, parse_constant=fail)
    if set(document) != {"schema", "table", "time", member}:
        fail("members:", *document)
    if document["schema"] != 1 or document["table"] != table:
        fail("schema and table:", document["schema"], document["table"])
    if not -1 < time.time() - document["time"] < 600:
        fail("time:", document["time"])
    if not text.endswith("}\n"):
        fail("the last line is not a line")
    return document[member]


def csv_lines(text):
    if not text.endswith("\n") or "\r" in text:
        fail("lines do not end as lines do")
    return list(csv.reader(text.splitlines(), strict=True))


def csv_value(name, text):
    """Only digits: no sign, no point, no exponent."""
    if text == "":
        return None
    if name in tables.TEXT or name in tables.LINES["audit"]:
        return text
    if not text.isdigit():
        fail(name, "is no number:", text)
    return int(text)


def rows_from_csv(text, table):
    lines = csv_lines(text)
    if lines[0] != tables.COLUMNS[table]:
        fail("columns:", *lines[0])
    return [
        {name: csv_value(name, text) for name, text in zip(lines[0], line, strict=True)}
        for line in lines[1:]
    ]


def keys_from_csv(text, table):
    lines = csv_lines(text)
    values = {key: [] for key in tables.LINES[table]}
    if lines[0] != ["key", "value"]:
        fail("columns:", *lines[0])
    for key, word in lines[1:]:
        if key in tables.LINES[table]:
            values[key].append(word)
        elif key in values:
            fail(key, "is there twice")
        else:
            values[key] = csv_value(key, word)
    return values


def order(rows, table, column, reverse):
    """Text from the first on, numbers from the largest on, ports from the smallest on;
    what is not known comes last, either way."""
    if column is None and table == "ports":
        column = "entries"

    def rank(row):
        value = row[column]
        if column in tables.TEXT:
            return value or "-"
        return value if column == "port" else -value

    if column is None:
        return rows[::-1] if reverse else rows
    unknown = [row for row in rows if row[column] is None and column not in tables.TEXT]
    known = sorted((row for row in rows if row not in unknown), key=rank)
    return known[::-1] + unknown[::-1] if reverse else known + unknown


def compare(wanted, got, what):
    """True and 1 are equal to Python, and so are 1 and 1.0: types are compared, too."""
    if repr(wanted) == repr(got):
        return
    if isinstance(wanted, list):
        for nr, (want, have) in enumerate(itertools.zip_longest(wanted, got)):
            if repr(want) != repr(have):
                fail(f"{what}: row {nr} of {len(got)} instead of {len(wanted)}: {have}\nwanted: {want}")
    fail(f"{what}: {got}\nwanted: {wanted}")


def check_rows(program, folder, form, table, sort=None, reverse=False, top=None, proto=None):
    options = [program, table, f"--proc-dir={folder}", f"--format={form}"]
    options += [f"--sort={sort}"] if sort else []
    options += ["--reverse"] if reverse else []
    options += [f"--top={top}"] if top is not None else []
    options += [f"--proto={proto}"] if proto else []
    text = run(options)
    got = from_json(text, table, "rows") if form == "json" else rows_from_csv(text, table)

    rows = tables.read_table(folder, table)
    wanted = [row for row in rows if proto in (None, row["l4proto"])]
    wanted = order(wanted, table, sort, reverse)[:top]
    # A row's members are in the order of the columns, too.
    compare(wanted, got, " ".join(options[1:]))
    return len(wanted)


def check_orders(program, folder, form, table):
    seen = 0
    for sort in [None] + tables.COLUMNS[table]:
        for reverse in False, True:
            seen += check_rows(program, folder, form, table, sort, reverse)
            seen += check_rows(program, folder, form, table, sort, reverse, 3)
    for top in 0, 1, 10**6:
        seen += check_rows(program, folder, form, table, top=top)
    for proto in tables.L4PROTOS:
        seen += check_rows(program, folder, form, table, proto=proto)
        seen += check_rows(program, folder, form, table, "l4proto", True, 1, proto)
    if not seen:
        fail("no row in any order")


def check_keys(program, folder, form, table):
    text = run([program, table, f"--proc-dir={folder}", f"--format={form}"])
    got = from_json(text, table, "values") if form == "json" else keys_from_csv(text, table)
    wanted = tables.read_keys(folder, table)
    compare(dict(sorted(wanted.items())), dict(sorted(got.items())), table)


def main(program, folder, form, *names):
    check = check_rows
    if names[0] == "--orders":
        check, names = check_orders, names[1:]
    for table in names:
        (check_keys if table in tables.KEYS else check)(program, folder, form, table)


main(*sys.argv[1:])
