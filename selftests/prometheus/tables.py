# SPDX-License-Identifier: GPL-2.0-only
"""What the metrics have to be, from the module's tables; reads them without ctxstat's help.

A sample is name and labels: (name, (("family", "ipv4"), ...)). The label le is a float.
"""

import os

TOP_PORTS = 20
TABLES = ("summary", "states", "ports", "transitions", "ends", "histograms")
REASONS = ("timeout", "closed", "reset", "evicted", "deleted", "netns", "other")

# Metric: key of summary
KEYS = {
    "start_time_seconds": "start_time",
    "kernel_entries": "count",
    "buckets": "buckets",
    "entry_size_bytes": "entry_size",
    "peak_entries": "peak_entries",
    "peak_timestamp_seconds": "peak_time",
    "peak_created_per_second": "peak_rate",
    "peak_created_timestamp_seconds": "peak_rate_time",
    "created_total": "created",
    "adopted_total": "adopted",
    "destroyed_total": "destroyed",
    "accounting_enabled": "acct",
    "timestamps_enabled": "timestamp",
    "port_memory_bytes": "port_memory",
    "port_memory_limit_bytes": "port_memory_max",
    "port_overflow_total": "port_overflow",
}

# Metric: column of states
STATES = {
    "entries": "entries",
    "unreplied_entries": "unreplied",
    "assured_entries": "assured",
    "snat_entries": "snat",
    "dnat_entries": "dnat",
    "state_entered_total": "entered",
    "state_left_total": "left",
}

PORT_GAUGES = ("entries", "unreplied")
PORT_COUNTERS = ("opened", "answered", "closed", "failed", "adopted", "packets", "bytes")

# What: metric, parts of a second
HISTOGRAMS = {
    "lifetime": ("lifetime_seconds", 1),
    "reply": ("reply_seconds", 1000),
    "handshake": ("handshake_seconds", 1000),
}


def read(folder="/proc/net/ctxstat"):
    """The tables as text."""
    text = {}
    for table in TABLES:
        with open(os.path.join(folder, table), encoding="ascii") as file:
            text[table] = file.read()
    return text


def rows(text):
    """Each row of a table, by column."""
    head, *lines = text.splitlines()
    columns = head.split()
    return [dict(zip(columns, line.split())) for line in lines]


def sample(name, **labels):
    return "ctxstat_" + name, tuple(sorted((key.rstrip("_"), value) for key, value in labels.items()))


def number(text):
    """Samples are floating-point numbers; what is not known has none."""
    return None if text == "-" else float(int(text))


class Expected:
    """All samples that have to be there, with the top ports left to be chosen."""

    def __init__(self, text):
        self.summary = dict(line.split(None, 1) for line in text["summary"].splitlines())
        self.ports = rows(text["ports"])
        self.samples = {}
        self._summary()
        self._states(rows(text["states"]))
        self._flows(rows(text["transitions"]), rows(text["ends"]))
        self._histograms(rows(text["histograms"]))
        self._all_ports()

    def _add(self, value, name, **labels):
        if value is not None:
            self.samples[sample(name, **labels)] = value

    def _summary(self):
        self._add(1.0, "module_info", version=self.summary["version"])
        for name, key in KEYS.items():
            self._add(number(self.summary[key]), name)
        if self.summary["max"] != "0":
            self._add(number(self.summary["max"]), "entries_limit")
        for key, value in self.summary.items():
            if key.startswith("kernel_"):
                self._add(float(int(value) % 2**32), key + "_total")
            elif key.startswith("insert_failed_"):
                self._add(number(value), "insert_failed_total", l4proto=key[len("insert_failed_"):])

    def _states(self, states):
        for row in states:
            for name, column in STATES.items():
                self._add(number(row[column]), name, family=row["family"],
                          l4proto=row["l4proto"], state=row["state"])

    def _flows(self, transitions, ends):
        for row in transitions:
            self._add(number(row["count"]), "transitions_total", family=row["family"],
                      l4proto=row["l4proto"], from_=row["from"], to=row["to"])
        reasons = dict.fromkeys(REASONS, 0)
        for row in ends:
            self._add(number(row["count"]), "ends_total", family=row["family"],
                      l4proto=row["l4proto"], state=row["state"], reason=row["reason"])
            reasons[row["reason"]] += int(row["count"])
        for reason, count in reasons.items():
            self._add(float(count), "ended_total", reason=reason)

    def _histograms(self, histograms):
        for row in histograms:
            name, parts = HISTOGRAMS[row["what"]]
            proto = row["l4proto"]
            self._add(number(row["count"]), name + "_bucket", l4proto=proto,
                      le=float(row["le"]) / parts)
            if row["le"] == "+Inf":
                self._add(number(row["count"]), name + "_count", l4proto=proto)
                self._add(int(row["sum"]) / parts, name + "_sum", l4proto=proto)

    def _sum(self, proto, column, without=frozenset()):
        values = [row[column] for row in self.ports
                  if row["l4proto"] == proto and (proto, row["port"]) not in without]
        return None if "-" in values else float(sum(map(int, values)))

    def _all_ports(self):
        for proto in {row["l4proto"] for row in self.ports}:
            for column in PORT_COUNTERS:
                self._add(self._sum(proto, column), f"all_ports_{column}_total", l4proto=proto)

    def choose_ports(self, top):
        """Let the ports in top, pairs of protocol and port, have samples of their own."""
        for row in self.ports:
            port = row["l4proto"], row["port"]
            if port not in top:
                continue
            for column in PORT_COUNTERS:
                self._add(number(row[column]), f"port_{column}_total", l4proto=port[0], port=port[1])
            self._gauges(port, {column: number(row[column]) for column in PORT_GAUGES})
        for proto in {row["l4proto"] for row in self.ports}:
            self._gauges((proto, "other"),
                         {column: self._sum(proto, column, top) for column in PORT_GAUGES})

    def _gauges(self, port, values):
        self._add(values["entries"], "port_entries", l4proto=port[0], port=port[1])
        self._add(values["unreplied"], "port_unreplied_entries", l4proto=port[0], port=port[1])

    def wrong_ports(self, top):
        """What is wrong with that choice: too few, or a big one left out."""
        wanted = min(TOP_PORTS, len(self.ports))
        if len(top) != wanted:
            yield f"{len(top)} ports, not {wanted}"
        entries = sum(int(row["entries"]) for row in self.ports)
        for row in self.ports:
            # There are 16 at most.
            if int(row["entries"]) * 16 > entries and (row["l4proto"], row["port"]) not in top:
                yield f"left out: {row['l4proto']} {row['port']}, {row['entries']} entries"


def top_ports(samples):
    """Those that have a sample of their own."""
    ports = [dict(labels) for name, labels in samples if name == "ctxstat_port_entries"]
    return {(port["l4proto"], port["port"]) for port in ports if port["port"] != "other"}


def differences(text, samples):
    """Lines about all that is not as in the tables."""
    expected = Expected(text)
    top = top_ports(samples)
    expected.choose_ports(top)
    yield from expected.wrong_ports(top)
    for key in sorted(expected.samples.keys() | samples.keys(), key=str):
        want, got = expected.samples.get(key), samples.get(key)
        if want != got:
            yield f"{key[0]} {dict(key[1])}: table {want}, sample {got}"
