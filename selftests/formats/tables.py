# SPDX-License-Identifier: GPL-2.0-only
"""The tables as README.md documents them, read without the tool's help.

A number is an int, text is a str, and "-" is None.
"""

import os

TEXT = {"family", "l4proto", "state", "from", "to", "reason", "what", "le", "version"}
TIMES = {"peak_time", "peak_rate_time", "start_time"}

COLUMNS = {
    "states": "family l4proto state entries unreplied assured snat dnat entered left peak"
    " peak_time",
    "ports": "l4proto port entries unreplied opened answered closed failed packets bytes"
    " adopted",
    "transitions": "family l4proto from to count",
    "ends": "family l4proto state reason count",
    "histograms": "l4proto what le count sum",
}
COLUMNS = {name: columns.split() for name, columns in COLUMNS.items()}

L4PROTOS = "tcp udp udplite icmp icmpv6 sctp dccp gre other".split()
KERNEL = (
    "found invalid insert insert_failed drop early_drop error search_restart clash_resolve"
    " chaintoolong"
).split()

KEYS = {
    "summary": "format version entries peak_entries peak_time created adopted destroyed"
    " insert_failed count max buckets entry_size acct timestamp peak_rate peak_rate_time"
    " port_memory port_memory_max port_overflow start_time",
    "audit": "entries_seen entries_counted cells_differ entries_healed cells_left count"
    " ports_differ ports_left entries_not_in_ports",
}
KEYS = {name: keys.split() for name, keys in KEYS.items()}
KEYS["summary"] += ["kernel_" + name for name in KERNEL]
KEYS["summary"] += ["insert_failed_" + name for name in L4PROTOS]
# These may be there more than once, or not at all.
LINES = {"summary": [], "audit": ["difference", "port_difference"]}


def value(name, text):
    if text == "-":
        return None
    return text if name in TEXT else int(text)


def lines_of(folder, name):
    with open(os.path.join(folder, name), encoding="ascii") as file:
        return file.read().splitlines()


def read_table(folder, name):
    """All rows, as dicts of the columns that are documented."""
    lines = lines_of(folder, name)
    header = lines[0].split()
    rows = []
    for line in lines[1:]:
        words = dict(zip(header, line.split(), strict=True))
        rows.append({column: value(column, words[column]) for column in COLUMNS[name]})
    return rows


def read_keys(folder, name):
    """The documented keys, as a dict; what may be repeated is a list."""
    values = {key: [] for key in LINES[name]}
    for line in lines_of(folder, name):
        key, text = line.split(maxsplit=1)
        if key in LINES[name]:
            values[key].append(text)
        elif key in KEYS[name]:
            values[key] = value(key, text)
    assert set(values) == set(KEYS[name] + LINES[name]), "a key is missing"
    return values
