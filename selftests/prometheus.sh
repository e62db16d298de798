#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The metrics in a real Prometheus, which runs on a gateway: what it stores equals the
# module's tables and the kernel's listing, sample by sample; so does what node_exporter
# makes of a file; the alerts fire when something is wrong, and clear; and a module that
# is loaded anew between two scrapes never looks like a rate.
#
# Changes nf_conntrack_max, which is the machine's, and sets it back.
#
# Prometheus and node_exporter are taken from PATH, or from where vm/fetch.sh puts them:
#
#   vm/fetch.sh prometheus prometheus-node-exporter
#
# alerts.sh tests the alerts one by one, with what this gateway cannot be made to do.
#
# Environment:
#   CTXSTAT=PROGRAM      test that one instead of tools/ctxstat
#   CTXSTAT_CACHE        see vm/fetch.sh (/var/cache/ctxstat)
# shellcheck disable=SC2154 # $here and $tmp are set by lib.sh

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"
# shellcheck source=selftests/fetched.sh
. "$here/fetched.sh"

RULES=$here/../tools/prometheus/ctxstat.rules.yml
NODE=http://127.0.0.1:9100/metrics
MAX=/proc/sys/net/netfilter/nf_conntrack_max
# For Prometheus to notice: generous, as an emulated machine is slow.
SOON=60

fetched prometheus prometheus-node-exporter
require prometheus promtool prometheus-node-exporter python3
require_module
[ -w "$MAX" ] || skip_all "must be run in the initial network namespace"
CTXSTAT=${CTXSTAT:-$here/../tools/ctxstat}
copy_tool "$tmp" || skip_all "tools/ctxstat is not built"
chmod 755 "$tmp"
export PYTHONDONTWRITEBYTECODE=1
max=$(cat "$MAX")

cleanup_more() {
	daemons_end
	traffic_end
	echo "$max" >"$MAX"
	module_restore
}

ctxstat() { on "$GATEWAY" "$tmp/ctxstat" "$@"; }
client() { on "$GATEWAY" "$here/prometheus/client.py" "$@"; }
alerts() { client alerts "$SOON" "$@"; }
wait_query() { client wait "$SOON" "$1"; }

# Monitoring that runs on the gateway itself shall be no part of the table.
not_tracked() {
	on "$GATEWAY" nft -f - <<-RULES
	table inet loopback {
		chain output {
			type filter hook output priority raw;
			oifname "lo" notrack
		}
		chain prerouting {
			type filter hook prerouting priority raw;
			iifname "lo" notrack
		}
	}
	RULES
}

# The rules as they are, only quicker.
configure() {
	mkdir -p "$tmp/prometheus" "$tmp/textfile"
	cp "$here/prometheus/prometheus.yml" "$tmp/prometheus/" || return
	sed -E 's/\[15m\]/[1m]/; s/\[5m\]/[10s]/g; s/for: [0-9]+m$/for: 2s/' "$RULES" \
		>"$tmp/prometheus/ctxstat.rules.yml"
	! grep -E 'for: .*m$|\[5m\]|\[15m\]' "$tmp/prometheus/ctxstat.rules.yml"
}

start() {
	configure || return
	daemon "$GATEWAY" exporter "$tmp/ctxstat" exporter
	daemon "$GATEWAY" prometheus "$(command -v prometheus)" --config.file="$tmp/prometheus/prometheus.yml" \
		--storage.tsdb.path="$tmp/tsdb" --web.listen-address=127.0.0.1:9090 --log.level=warn
	wait_query 'up == 1' && return
	tail -n 20 "$tmp/exporter.log" "$tmp/prometheus.log"
	return 1
}

# For some seconds, while entries begin and end
scrapes() {
	traffic_flows 300 && wait_query 'count_over_time(up[5s]) >= 4 and min_over_time(up[5s]) == 1' || return
	echo "seconds of a scrape, samples: $(client values 'max_over_time(scrape_duration_seconds[5s])' scrape_samples_scraped |
		paste -sd ' ')"
}

# promtool complains on stdout and stderr, and not always with its exit code.
metrics_clean() {
	ctxstat prometheus >"$tmp/metrics" || return
	promtool check metrics <"$tmp/metrics" >"$tmp/complaints" 2>&1 || { cat "$tmp/complaints"; return 1; }
	cat "$tmp/complaints"
	[ ! -s "$tmp/complaints" ] && [ "$(grep -c '^ctxstat_' "$tmp/metrics")" -gt 500 ]
}

# What Prometheus has scraped since is what conntrack lists, as nothing moves.
same_as_listed() {
	local count
	exact "$GATEWAY" && client same "$tmp/cells" "$tmp/top" || return
	states_of "$GATEWAY" | cut -d' ' -f1-10 | cmp - "$tmp/a" || return
	sort "$tmp/cells" | diff -u --label conntrack "$tmp/truth" --label prometheus - || return
	ports_as_listed || return
	count=$(cat "$tmp/count")
	client values 'sum(ctxstat_entries)' ctxstat_kernel_entries ctxstat_entries_limit |
		diff - <(printf '%s\n' "$count" "$count" "$(cat "$MAX")")
}

# Each of the top ports has what conntrack lists, and "other" the rest of its protocol.
ports_as_listed() {
	awk 'NR == FNR { entries[$1] += $3; unreplied[$1] += $4; port[$1 " " $2] = $3 " " $4; next }
		$2 != "other" {
			named++
			entries[$1] -= $3; unreplied[$1] -= $4
			if (port[$1 " " $2] != $3 " " $4) { print $0 ", conntrack: " port[$1 " " $2]; bad = 1 }
		}
		$2 == "other" { others[$1] = $3; others_unreplied[$1] = $4 }
		END {
			if (!named) print "no port has a sample of its own"
			for (p in entries) if (entries[p] != others[p] || unreplied[p] != others_unreplied[p]) {
				print p, "other:", others[p], others_unreplied[p], "conntrack:", entries[p], unreplied[p]
				bad = 1
			}
			exit bad || !named
		}' "$tmp/truth.ports" "$tmp/top"
}

# entries FIRST LAST PORT EVERY: lines for "conntrack -R"; all but each EVERYth unanswered,
# with EVERY 1 none
entries() {
	awk -v i="$1" -v last="$2" -v port="$3" -v every="$4" 'BEGIN { for (; i <= last; i++) {
		flag = i % every ? "" : "-u SEEN_REPLY"
		print "-A -t 900 -p udp -s 10.1.0.2 -d 10.2.0.2 --sport", i, "--dport", port, "-r 10.2.0.2 -q 10.1.0.2 --reply-port-src", port, "--reply-port-dst", i, flag }
	}' >"$tmp/entries"
	ct -R "$tmp/entries"
}

empty_table() { ct -F && echo "$max" >"$MAX" && alerts; }

# More are there than before, so it grows.
fills() {
	local count
	entries 1 850 53 1 || return
	count=$(ct -C)
	echo $((count * 100 / 85)) >"$MAX"
	alerts CtxstatTableNearlyFull/warning CtxstatTableFullSoon/warning '!CtxstatTableNearlyFull/critical'
}

fills_more() {
	echo $(($(ct -C) * 100 / 93)) >"$MAX"
	alerts CtxstatTableNearlyFull/warning CtxstatTableNearlyFull/critical
}

unanswered() {
	entries 1 900 9999 4 && alerts CtxstatPortUnanswered/warning '!CtxstatMostlyUnreplied/warning' || return
	[ "$(client values 'ALERTS{alertname="CtxstatPortUnanswered",l4proto="udp",port="9999"}')" = 1 ]
}

mostly_unreplied() { entries 901 1200 9999 4 && alerts CtxstatMostlyUnreplied/warning; }

evicts() {
	echo 500 >"$MAX"
	traffic_in "$CLIENT" flood 3000 10.2.0.2 30000
	alerts CtxstatEvictions/critical CtxstatPacketsDropped/critical CtxstatTableNearlyFull/critical
}

# Four ports for many, as in pressure.sh
inserts_fail() {
	on "$GATEWAY" nft -f - <<-RULES || return
	insert rule inet gateway prerouting udp dport 30000-32999 dnat ip to 10.2.0.2:7
	insert rule inet gateway postrouting udp dport 7 masquerade to :1000-1003
	RULES
	ct -F && echo "$max" >"$MAX" || return
	traffic_in "$CLIENT" flood 1000 10.2.0.2 30000
	alerts CtxstatInsertsFailing/critical
}

# node_exporter

write_file() { ctxstat prometheus --output="$tmp/textfile/ctxstat.prom"; }

node_answers() { client whole-text "$NODE" 1; }

node_starts() {
	write_file || return
	daemon "$GATEWAY" node "$(command -v prometheus-node-exporter)" --collector.disable-defaults \
		--collector.textfile --collector.textfile.directory="$tmp/textfile" \
		--web.listen-address=127.0.0.1:9100
	wait_for "$SOON" node_answers && return
	tail -n 20 "$tmp/node.log"
	return 1
}

node_same() {
	client same-text "$NODE" "$tmp/ctxstat" prometheus --output="$tmp/textfile/ctxstat.prom"
}

writer() {
	trap - EXIT
	while [ -e "$tmp/writing" ]; do
		ip netns exec "$GATEWAY" "$tmp/ctxstat" prometheus --output="$tmp/textfile/ctxstat.prom" ||
			echo failed >>"$tmp/writer"
		echo written >>"$tmp/writer"
	done
}

written() { [ "$(grep -c written "$tmp/writer")" -ge "$1" ]; }

# Each page, until the file has been written some times more
pages_whole() {
	local first deadline=$((SECONDS + SOON))
	first=$(grep -c written "$tmp/writer")
	until written $((first + 5)); do
		((SECONDS < deadline)) && client whole-text "$NODE" 4 || return
	done
}

# Also, nothing is left behind beside the file.
node_whole() {
	local status=0 pid
	: >"$tmp/writing"
	: >"$tmp/writer"
	writer &
	pid=$!
	wait_for "$SOON" written 1 && pages_whole || status=1
	rm "$tmp/writing"
	wait "$pid"
	[ "$status" = 0 ] && ! grep failed "$tmp/writer" && [ "$(ls -A "$tmp/textfile")" = ctxstat.prom ]
}

# the module goes, and comes back

goes() {
	traffic_flows 100 && traffic_pause && client mark "$tmp/at" && module_unload && traffic_go || return
	alerts CtxstatDown/warning '!CtxstatMetricsMissing/warning'
}

comes_back() { module_load && wait_query 'up == 1' && traffic_flows 100 && alerts; }

reloaded() {
	traffic_pause
	client mark "$tmp/end" && client reload "$tmp/begin" "$tmp/at" "$tmp/end"
}

restarts_once() {
	local start
	start=$(summary_of "$GATEWAY" start_time)
	echo "began $start, before $began_before"
	((start > began_before)) || return
	client values ctxstat_start_time_seconds 'changes(ctxstat_start_time_seconds[10m])' \
		'resets(ctxstat_created_total[10m])' | diff - <(printf '%s\n' "$start" 1 1)
}

# Not for a moment, from the beginning on
no_false_alarm() {
	client values 'count(count_over_time(ALERTS{alertstate="firing",alertname!="CtxstatDown"}[15m])) or vector(0)' |
		diff - <(echo 0)
}

traffic_up 200
not_tracked || skip_all "no rules can be made"
# For bytes of ports, and for histograms
on "$GATEWAY" sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1
plan 26

check "traffic" traffic_flows 300
check "metrics pass promtool" metrics_clean
check "Prometheus scrapes" start
check "each scrape of traffic succeeds" scrapes
note "$(tail -n 1 "$tmp/check.out")"
traffic_pause
check "every sample is that of the tables, and of the kernel's listing" same_as_listed
note "$(tail -n 1 "$tmp/check.out")"
check "no alert" alerts

check "node_exporter starts" node_starts
check "node_exporter shows what is in the tables" node_same
check "node_exporter never sees half a file" node_whole

traffic_go
check "before the module goes" eval 'traffic_flows 50 && traffic_pause && client mark "$tmp/begin" && traffic_go'
began_before=$(summary_of "$GATEWAY" start_time)
check "the module goes" goes
check "the module comes back" comes_back
check "no counter seems to have jumped" reloaded
note "$(head -n 1 "$tmp/check.out")"
check "one restart is seen" restarts_once
check "no alert fired but that metrics were missing" no_false_alarm
traffic_end

silent_server
check "fuller than 80 %, and growing" fills
check "fuller than 90 %" fills_more
check "room again" empty_table
check "a port is not answered" unanswered
check "nobody is answered" mostly_unreplied
check "all is answered" empty_table
check "evictions and drops" evicts
traffic_end
check "inserts that fail" inserts_fail
traffic_end
check "all is well again" empty_table
check "exact after all that" eval 'entries 1 50 53 2 && same_as_listed'
daemons_end
check "kernel log is clean" kernel_is_clean
finish
