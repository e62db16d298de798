#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Compare the metrics for Prometheus with the tables themselves.

usage: metrics.py PROGRAM FOLDER [TOP]
       metrics.py --ports PROGRAM FOLDER     only list the ports that have a name

The text has to be what Prometheus reads: HELP and TYPE once and before the samples,
which are in one piece; counters end in _total; nothing is there twice. Each number of
the tables has to be there, and nothing else.
"""

import re
import subprocess
import sys
from fractions import Fraction

import tables

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(,|$)')
VALUE = re.compile(r"[0-9]+(\.[0-9]+)?$")
UINT64_MAX = 2**64 - 1


def fail(*what):
    sys.exit(" ".join(str(word) for word in what))


# What the text says


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match:
            fail("labels:", text)
        if match[1] in labels:
            fail("label twice:", text)
        labels[match[1]] = re.sub(
            r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2]
        )
        at = match.end()
    if text.endswith(","):
        fail("labels:", text)
    return labels


def bound(text):
    """Of a bucket: 0.5 and 0.500 are the same."""
    return text if text == "+Inf" else Fraction(text)


def key_of(name, labels):
    """Identifies a sample."""
    if "le" in labels:
        labels = {**labels, "le": bound(labels["le"])}
    return name, frozenset(labels.items())


def shown(key):
    """As in the text, but for the order of the labels and how a bound is written."""
    labels = sorted(dict(key[1]).items())
    return key[0] + "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}"


class Text:
    """One answer of the tool: the types, and the samples by name and labels."""

    def __init__(self, text):
        self.types, self.samples = {}, {}
        self.current = self.helped = None
        if not text.endswith("\n"):
            fail("the last line is not a line")
        for line in text.splitlines():
            self.line(line)
        for name, kind in self.types.items():
            if (kind == "counter") != name.endswith("_total"):
                fail(name, "is a", kind)

    def line(self, line):
        if match := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line):
            if match[1] in self.types:
                fail("twice:", line)
            self.helped = match[1]
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram)", line):
            if match[1] != self.helped or match[1] in self.types:
                fail("no help before it, or twice:", line)
            self.current = match[1]
            self.types[match[1]] = match[2]
        elif match := re.fullmatch(rf"({NAME})(?:\{{(.*)\}})? (\S+)", line):
            self.sample(match[1], labels_of(match[2] or ""), match[3])
        else:
            fail("not understood:", line)

    def sample(self, name, labels, value):
        family = name
        if self.types.get(self.current) == "histogram":
            family = re.sub("_(bucket|sum|count)$", "", name)
            if family == name or ("le" in labels) != name.endswith("_bucket"):
                fail("no part of a histogram:", name, labels)
        if family != self.current:
            fail("without its TYPE, or not in one piece:", name)
        if not VALUE.match(value):
            fail("value:", name, labels, value)
        key = key_of(name, labels)
        if key in self.samples:
            fail("twice:", shown(key))
        self.samples[key] = Fraction(value)

    def check_histograms(self):
        """Buckets in the order in which they are written."""
        groups = {}
        for (name, labels), value in self.samples.items():
            if name.endswith("_bucket"):
                rest = frozenset(label for label in labels if label[0] != "le")
                groups.setdefault((name[: -len("_bucket")], rest), []).append(
                    (dict(labels)["le"], value)
                )
        for (name, rest), buckets in groups.items():
            bounds, counts = zip(*buckets)
            what = shown((name, rest))
            if bounds[-1] != "+Inf" or list(bounds[:-1]) != sorted(set(bounds[:-1])):
                fail(what, "bounds:", *bounds)
            if list(counts) != sorted(counts):
                fail(what, "goes down:", *counts)
            if self.samples.get((name + "_count", rest)) != counts[-1]:
                fail(what, "+Inf is not the count")
            if (name + "_sum", rest) not in self.samples:
                fail(what, "has no sum")
        return len(groups)


# What it should say

OF_SUMMARY = {
    "ctxstat_start_time_seconds": ("gauge", "start_time"),
    "ctxstat_kernel_entries": ("gauge", "count"),
    "ctxstat_buckets": ("gauge", "buckets"),
    "ctxstat_entry_size_bytes": ("gauge", "entry_size"),
    "ctxstat_peak_entries": ("gauge", "peak_entries"),
    "ctxstat_peak_timestamp_seconds": ("gauge", "peak_time"),
    "ctxstat_peak_created_per_second": ("gauge", "peak_rate"),
    "ctxstat_peak_created_timestamp_seconds": ("gauge", "peak_rate_time"),
    "ctxstat_created_total": ("counter", "created"),
    "ctxstat_adopted_total": ("counter", "adopted"),
    "ctxstat_destroyed_total": ("counter", "destroyed"),
    "ctxstat_accounting_enabled": ("gauge", "acct"),
    "ctxstat_timestamps_enabled": ("gauge", "timestamp"),
    "ctxstat_port_memory_bytes": ("gauge", "port_memory"),
    "ctxstat_port_memory_limit_bytes": ("gauge", "port_memory_max"),
    "ctxstat_port_overflow_total": ("counter", "port_overflow"),
}

OF_STATES = {
    "ctxstat_entries": ("gauge", "entries"),
    "ctxstat_unreplied_entries": ("gauge", "unreplied"),
    "ctxstat_assured_entries": ("gauge", "assured"),
    "ctxstat_snat_entries": ("gauge", "snat"),
    "ctxstat_dnat_entries": ("gauge", "dnat"),
    "ctxstat_state_entered_total": ("counter", "entered"),
    "ctxstat_state_left_total": ("counter", "left"),
}

PORT_GAUGES = {
    "ctxstat_port_entries": "entries",
    "ctxstat_port_unreplied_entries": "unreplied",
}
PORT_COUNTERS = "opened answered closed failed adopted packets bytes".split()

REASONS = "timeout closed reset evicted deleted netns other".split()

PER_SECOND = {"lifetime": 1, "reply": 1000, "handshake": 1000}


def add_up(numbers):
    """A sum with a part that is not known, or beyond 64 bits, is not known."""
    numbers = list(numbers)
    if None in numbers or sum(numbers) > UINT64_MAX:
        return None
    return sum(numbers)


class Wanted:
    """The types and samples that the tables ask for."""

    def __init__(self, folder, top):
        self.types, self.samples = {}, {}
        self.rows = {name: tables.read_table(folder, name) for name in tables.COLUMNS}
        self.sum = tables.read_keys(folder, "summary")
        self.add_summary()
        self.add_states()
        self.add_ports(top)
        self.add_events()
        self.add_histograms()

    def add(self, kind, name, labels, value):
        """What is not known has no sample."""
        family = name
        if kind == "histogram":
            family = re.sub("_(bucket|sum|count)$", "", name)
        self.types[family] = kind
        if value is None:
            return
        labels = {k: "-" if v is None else str(v) for k, v in labels.items()}
        key = key_of(name, labels)
        assert key not in self.samples, key
        self.samples[key] = Fraction(value)

    def add_summary(self):
        self.add("gauge", "ctxstat_module_info", {"version": self.sum["version"]}, 1)
        for name, (kind, key) in OF_SUMMARY.items():
            self.add(kind, name, {}, self.sum[key])
        # 0: there is no limit
        self.add("gauge", "ctxstat_entries_limit", {}, self.sum["max"] or None)
        for proto in tables.L4PROTOS:
            value = self.sum["insert_failed_" + proto]
            self.add("counter", "ctxstat_insert_failed_total", {"l4proto": proto}, value)
        for name in tables.KERNEL:
            value = self.sum["kernel_" + name]
            value = value if value is None else value % 2**32
            self.add("counter", f"ctxstat_kernel_{name}_total", {}, value)

    def add_states(self):
        for row in self.rows["states"]:
            labels = {name: row[name] for name in ("family", "l4proto", "state")}
            for name, (kind, column) in OF_STATES.items():
                self.add(kind, name, labels, row[column])

    def rank(self, row):
        """Those mostly unanswered; by the share of all entries, as a power of two; then by
        the entries ever seen."""
        entries, unreplied, all = row["entries"] or 0, row["unreplied"] or 0, self.sum["entries"] or 0
        unanswered = entries >= 100 and 100 * entries >= all > 0 and 2 * unreplied > entries
        share = Fraction(128 * (row["entries"] or 0), self.sum["entries"] or 2**80)
        magnitude = 0
        while share >= 2**magnitude:
            magnitude += 1
        return not unanswered, -magnitude, -((row["opened"] or 0) + (row["adopted"] or 0))

    def add_ports(self, top):
        ports = self.rows["ports"]
        best = sorted(ports, key=self.rank)[:top]
        others = sorted(ports, key=self.rank)[top:]
        protos = list(dict.fromkeys(row["l4proto"] for row in ports))
        for row in best:
            labels = {"l4proto": row["l4proto"], "port": row["port"]}
            for name, column in PORT_GAUGES.items():
                self.add("gauge", name, labels, row[column])
            for column in PORT_COUNTERS:
                self.add("counter", f"ctxstat_port_{column}_total", labels, row[column])
        for proto in protos:
            labels = {"l4proto": proto, "port": "other"}
            for name, column in PORT_GAUGES.items():
                of_others = add_up(r[column] for r in others if r["l4proto"] == proto)
                self.add("gauge", name, labels, of_others)
            for column in PORT_COUNTERS:
                of_all = add_up(r[column] for r in ports if r["l4proto"] == proto)
                self.add("counter", f"ctxstat_all_ports_{column}_total", {"l4proto": proto}, of_all)

    def add_events(self):
        for row in self.rows["transitions"]:
            labels = {name: row[name] for name in ("family", "l4proto", "from", "to")}
            self.add("counter", "ctxstat_transitions_total", labels, row["count"])
        for row in self.rows["ends"]:
            labels = {name: row[name] for name in ("family", "l4proto", "state", "reason")}
            self.add("counter", "ctxstat_ends_total", labels, row["count"])
        for reason in REASONS:
            total = add_up(r["count"] for r in self.rows["ends"] if r["reason"] == reason)
            self.add("counter", "ctxstat_ended_total", {"reason": reason}, total)

    def add_histograms(self):
        for row in self.rows["histograms"]:
            name, parts = f"ctxstat_{row['what']}_seconds", PER_SECOND[row["what"]]
            le = row["le"]
            if le != "+Inf":
                le = Fraction(int(le), parts)
            labels = {"l4proto": row["l4proto"]}
            self.add("histogram", name + "_bucket", {**labels, "le": le}, row["count"])
            if le == "+Inf" and row["sum"] is not None:
                self.add("histogram", name + "_count", labels, row["count"])
                self.add("histogram", name + "_sum", labels, Fraction(row["sum"], parts))


def compare(wanted, got):
    for key in wanted.samples:
        if key not in got.samples:
            fail("missing:", shown(key))
    for key in got.samples:
        if key not in wanted.samples:
            fail("too much:", shown(key))
    for key, value in wanted.samples.items():
        if got.samples[key] != value:
            fail(shown(key), "is", got.samples[key], "instead of", value)
    for name, kind in got.types.items():
        if wanted.types.get(name, kind) != kind:
            fail(name, "is a", kind, "instead of a", wanted.types[name])
    for name, _ in got.samples:
        if not name.startswith("ctxstat_"):
            fail("not ours:", name)


def run(program, folder, top):
    options = [program, "prometheus", f"--proc-dir={folder}"]
    options += [] if top is None else [f"--top={top}"]
    return subprocess.run(options, stdout=subprocess.PIPE, check=True).stdout.decode("ascii")


def list_ports(program, folder):
    got = Text(run(program, folder, None))
    for name, labels in got.samples:
        if name == "ctxstat_port_opened_total":
            print(dict(labels)["l4proto"], dict(labels)["port"])


def main(program, folder, top=None):
    got = Text(run(program, folder, top))
    compare(Wanted(folder, 20 if top is None else int(top)), got)
    if not got.check_histograms():
        fail("no histogram")
    print(len(got.samples), "samples")


if sys.argv[1] == "--ports":
    list_ports(*sys.argv[2:])
else:
    main(*sys.argv[1:])
