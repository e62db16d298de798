#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Ask Prometheus, and compare with the module's tables.

usage: client.py wait SECONDS EXPRESSION
           until Prometheus has a result for it, such as: up == 1
       client.py values EXPRESSION...
           print the values of the series of each result, a line each
       client.py same CELLS PORTS
           compare a scrape with the tables, at a moment when nothing moves, and write its
           family l4proto state entries unreplied assured snat dnat, and
           l4proto port entries unreplied, where there are entries
       client.py same-text URL COMMAND...
           run the command, and do the same with that page, in text format
       client.py whole-text URL TIMES
           read that page so often: there has to be everything each time
       client.py alerts SECONDS [NAME/SEVERITY... [!NAME/SEVERITY...]]
           wait until these fire while those do not; without names: until none fires
       client.py mark FILE
           save the tables, at a moment when nothing moves and Prometheus has them
       client.py reload BEFORE AT END
           compare what counters rose by in between, marks all, with the module loaded
           anew after AT

Exit: 0 as wanted, 1 not, 2 usage.
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import tables

PROMETHEUS = "http://127.0.0.1:9090"
JOB, INSTANCE = "ctxstat", "127.0.0.1:10063"
QUIET = 60      # seconds in which there has to be a quiet moment


class Failed(Exception):
    """Not as wanted."""


# Whatever proxy the environment names
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url):
    with OPENER.open(url, timeout=20) as answer:
        return answer.read().decode()


def api(path, **arguments):
    url = f"{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
    try:
        return json.loads(get(url))["data"]
    except urllib.error.HTTPError as error:
        raise Failed(f"{path} {arguments}: {error.read().decode()}") from error


def query(expression, **arguments):
    """Pairs of labels and value."""
    data = api("query", query=expression, **arguments)
    if data["resultType"] == "scalar":
        return [({}, float(data["result"][1]))]
    return [(series["metric"], float(series["value"][1])) for series in data["result"]]


def until(seconds, condition):
    """Return: its result as soon as there is one; at the deadline the last one."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result or time.monotonic() >= deadline:
            return result
        time.sleep(0.2)


def key_of(labels):
    """As tables.sample(); where it was scraped is looked at and left out."""
    labels = dict(labels)
    name = labels.pop("__name__")
    where = labels.pop("job", JOB), labels.pop("instance", INSTANCE)
    if where != (JOB, INSTANCE):
        raise Failed(f"{name}: scraped from {where}")
    if "le" in labels:
        labels["le"] = float(labels["le"])
    return name, tuple(sorted(labels.items()))


def scraped():
    """All samples of the last scrape."""
    return {key_of(labels): value for labels, value in query('{__name__=~"ctxstat_.+"}')}


def scraped_since(moment):
    """Return: when the last scrape began, if that was later, and if it is there as a whole."""
    found = query(f'timestamp(ctxstat_start_time_seconds{{job="{JOB}"}})')
    return found[0][1] if found and found[0][1] > moment else None


def quiet(look):
    """Return: the tables, and what look() says while they do not change."""
    deadline = time.monotonic() + QUIET
    while time.monotonic() < deadline:
        before = tables.read()
        result = look(time.time())
        if tables.read() == before and result is not None:
            return before, result
    raise Failed("the tables were never quiet, or nothing was scraped")


def look_at_scrape(moment):
    return scraped() if until(10, lambda: scraped_since(moment)) else None


def parse_labels(text):
    """The inside of {}; no value here has a comma or a quote in it."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {name: value.strip('"') for name, _, value in pairs}


def parse_text(page):
    """Samples of ctxstat, and node_exporter's own."""
    samples, others = {}, {}
    for line in page.splitlines():
        if not line or line.startswith("#"):
            continue
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        if name.startswith("ctxstat_"):
            key = key_of({"__name__": name, **parse_labels(labels.rstrip("}"))})
            if key in samples:
                raise Failed(f"twice: {line}")
            samples[key] = float(value)
        else:
            others[series] = float(value)
    return samples, others


def report(differences):
    differences = list(differences)
    if differences:
        shown = "\n".join(differences[:20])
        raise Failed(f"{len(differences)} differences:\n{shown}")


def do_wait(seconds, expression):
    def ask():
        try:
            return query(expression)
        except (OSError, Failed):   # not there yet, or not ready
            return None

    if not until(float(seconds), ask):
        raise Failed(f"no result in {seconds} s: {expression}")


def do_values(*expressions):
    for expression in expressions:
        print(*(f"{value:.15g}" for _, value in query(expression)))


def write_rows(path, samples, keys, names):
    """A line for each combination of the labels in keys, with the metrics in names."""
    rows = {}
    for (name, labels), value in samples.items():
        if name in names:
            row = tuple(dict(labels)[key] for key in keys)
            rows.setdefault(row, {})[name] = int(value)
    with open(path, "w", encoding="ascii") as file:
        for row, values in rows.items():
            if values[names[0]]:
                print(*row, *(values[name] for name in names), file=file)


def do_same(cells, ports):
    text, samples = quiet(look_at_scrape)
    report(tables.differences(text, samples))
    write_rows(cells, samples, ("family", "l4proto", "state"),
               ("ctxstat_entries", "ctxstat_unreplied_entries", "ctxstat_assured_entries",
                "ctxstat_snat_entries", "ctxstat_dnat_entries"))
    write_rows(ports, samples, ("l4proto", "port"),
               ("ctxstat_port_entries", "ctxstat_port_unreplied_entries"))
    print(len(samples), "samples")


def do_same_text(url, *command):
    def look(_):
        subprocess.run(command, check=True)
        return get(url)

    text, page = quiet(look)
    samples, others = parse_text(page)
    report(tables.differences(text, samples))
    if others["node_textfile_scrape_error"] != 0:
        raise Failed("node_exporter could not read the file")
    if not [series for series in others if series.startswith("node_textfile_mtime_seconds{")
            and series.endswith('/ctxstat.prom"}')]:
        raise Failed("node_exporter does not say how old the file is")
    print(len(samples), "samples")


def do_whole_text(url, times):
    keys = None
    for _ in range(int(times)):
        samples, others = parse_text(get(url))
        if others["node_textfile_scrape_error"] != 0:
            raise Failed("node_exporter could not read the file")
        keys = keys or samples.keys()
        if not samples or samples.keys() != keys:
            raise Failed(f"{len(samples)} samples, and {len(keys)} before")


def firing():
    alerts = api("alerts")["alerts"]
    return {f"{alert['labels']['alertname']}/{alert['labels']['severity']}"
            for alert in alerts if alert["state"] == "firing"}


def do_alerts(seconds, *names):
    wanted = {name for name in names if not name.startswith("!")}
    unwanted = {name[1:] for name in names if name.startswith("!")}

    def as_wanted():
        now = firing()
        return not now if not names else wanted <= now and not unwanted & now

    if not until(float(seconds), as_wanted):
        raise Failed(f"after {seconds} s there fire: {sorted(firing())}")


def counters(text):
    """All counters, of all ports."""
    expected = tables.Expected(text)
    expected.choose_ports({(row["l4proto"], row["port"]) for row in expected.ports})
    return {key: value for key, value in expected.samples.items()
            if key[0].endswith(("_total", "_bucket", "_count", "_sum"))}


def do_mark(path):
    text, moment = quiet(lambda moment: until(10, lambda: scraped_since(moment)))
    with open(path, "w", encoding="ascii") as file:
        json.dump({"time": moment, "text": text}, file)


def load_mark(path):
    with open(path, encoding="ascii") as file:
        mark = json.load(file)
    return mark["time"], counters(mark["text"])


def do_reload(before_path, at_path, end_path):
    (begin, before), (_, at), (now, end) = map(load_mark, (before_path, at_path, end_path))
    # From one scrape to the other, with both of them
    interval = f"{round(1000 * (now - begin)) + 1}ms"
    problems, seen = [], 0
    for name in sorted({key[0] for key in end}):
        for labels, rise in query(f'increase({name}{{job="{JOB}"}}[{interval}])', time=now):
            key = key_of({"__name__": name, **labels})
            then, last = before.get(key, 0), end.get(key, 0)
            # The kernel's own go on. Ours rose until the module went, and then from zero.
            real = last - then if name.startswith("ctxstat_kernel_") else at.get(key, 0) - then + last
            seen += 1
            # Nothing is extrapolated but that millisecond. A restart may go unnoticed, if
            # there are more at once than there were before.
            least = real * 0.999 if name == "ctxstat_created_total" else 0
            # Where a series began or ended in between, it is extrapolated by half a scrape.
            most = real * (1.001 + 0.5 * (key not in before) + 0.5 * (key not in end))
            if not least - 0.001 <= rise <= most + 0.001:
                problems.append(f"{key[0]} {dict(key[1])}: rose by {real}, increase() is {rise}")
            if name == "ctxstat_created_total":
                print(f"{name} rose by {real}, increase() is {rise:.1f}")
    report(problems)
    print(seen, "counters")


COMMANDS = {
    "wait": do_wait, "values": do_values, "same": do_same,
    "same-text": do_same_text, "whole-text": do_whole_text, "alerts": do_alerts,
    "mark": do_mark, "reload": do_reload,
}


def main():
    try:
        command = COMMANDS[sys.argv[1]]
        arguments = sys.argv[2:]
    except (IndexError, KeyError):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        command(*arguments)
    except (Failed, OSError, subprocess.CalledProcessError) as error:
        print(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
