#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The systemd units, under a real systemd: "make install" puts them in place, the
# exporter serves the tables from its sandbox, as a user of its own that may do
# nothing; the timer has the textfile written.
#
# systemd runs as the init of a PID namespace, with nothing but these units. It changes
# the machine: only ever run in a virtual one.
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by ktap.sh; awk's $1

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

[ "$(hostname)" = ctxstat-vm ] || skip_all "only in the test's virtual machine"
require python3 make /lib/systemd/systemd
require_module

UNITS=/usr/local/lib/systemd/system
TEXTFILES=/var/lib/prometheus/node-exporter
init=

# The end of a PID namespace's init is the end of all in it.
cleanup_more() { [ -z "$init" ] || kill -KILL "$init" 2>/dev/null; }

# The tree may be somebody's: install from a copy.
install_all() {
	cp -r "$here/.." "$tmp/source" &&
		make -s -C "$tmp/source/tools" clean all install &&
		ls -l $UNITS/ctxstat-exporter.service $UNITS/ctxstat-textfile.service $UNITS/ctxstat-textfile.timer
}

# No unit of the machine's own is started: only ours, without what they usually wait for.
systemd_start() {
	local unit
	mkdir -p /run/systemd/system $TEXTFILES
	for unit in ctxstat-exporter.service ctxstat-textfile.service ctxstat-textfile.timer; do
		mkdir -p "/run/systemd/system/$unit.d" &&
			printf '[Unit]\nDefaultDependencies=no\n' >"/run/systemd/system/$unit.d/alone.conf" || return
	done
	cat >/run/systemd/system/ctxstat-test.target <<-UNIT
	[Unit]
	DefaultDependencies=no
	Wants=ctxstat-exporter.service ctxstat-textfile.timer
	UNIT
	mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup || return
	env -i container=test PATH="$PATH" unshare --mount --pid --fork --mount-proc \
		/lib/systemd/systemd --system --unit=ctxstat-test.target --log-target=kmsg >"$tmp/systemd" 2>&1 &
	init=$!
	wait_for 90 serves || { cat "$tmp/systemd"; dmesg | tail -20; return 1; }
}

get() { python3 -c 'import sys, urllib.request
sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())' "http://127.0.0.1:10063/metrics"; }
serves() { get >"$tmp/metrics" 2>/dev/null; }

exporter_pid() { pgrep -f '^/usr/local/bin/ctxstat exporter'; }

# status KEY: of the exporter
status() { awk -v key="$1:" '$1 == key { $1 = ""; print substr($0, 2) }' "/proc/$(exporter_pid)/status"; }

metrics_are_tables() {
	get >"$tmp/metrics" || return
	awk -F'[ ]' '/^ctxstat_start_time_seconds / { start = $2 } /^ctxstat_entries\{/ { n++ }
		END { print n, start; exit n != 66 || !start }' "$tmp/metrics" &&
		[ "$(awk '/^ctxstat_start_time_seconds / { print $2 }' "$tmp/metrics")" = \
		  "$(awk '$1 == "start_time" { print $2 }' $PROC/summary)" ]
}

unprivileged() {
	local uid
	uid=$(status Uid)
	echo "Uid $uid, CapEff $(status CapEff), CapBnd $(status CapBnd), Seccomp $(status Seccomp), NoNewPrivs $(status NoNewPrivs)"
	[[ ! $uid =~ (^|[[:space:]])0([[:space:]]|$) ]] && [[ $(status CapEff) =~ ^0+$ ]] && [[ $(status CapBnd) =~ ^0+$ ]] &&
		[ "$(status Seccomp)" = 2 ] && [ "$(status NoNewPrivs)" = 1 ]
}

# As the exporter sees it: even root, in there, can write nowhere
read_only() {
	local pid folder
	pid=$(exporter_pid) && [ -e "/proc/$pid/root/usr/local/bin/ctxstat" ] || return
	for folder in / /usr/local/bin /etc /var /var/lib /run; do
		if nsenter -t "$pid" -m touch "$folder/ctxstat-test" 2>/dev/null; then
			echo "$folder can be written"
			return 1
		fi
	done
	# nsenter works at all
	nsenter -t "$pid" -m touch /tmp/ctxstat-test && [ ! -e /tmp/ctxstat-test ]
}

textfile_written() { grep -q '^ctxstat_start_time_seconds [1-9]' $TEXTFILES/ctxstat.prom 2>/dev/null; }

# Again and again: a value that has changed gets there
textfile_follows() {
	local before created
	before=$(created)
	conntrack -I -p udp -s 192.0.2.77 -d 192.0.2.78 --sport "$1" --dport 9 -t 900 || return
	created=$(created)
	echo "created was $before, is $created"
	((created > before)) && wait_for 60 grep -qx "ctxstat_created_total $created" $TEXTFILES/ctxstat.prom
}
created() { awk '$1 == "created" { print $2 }' $PROC/summary; }

textfile_only() {
	ls -la $TEXTFILES
	[ "$(ls -A $TEXTFILES)" = ctxstat.prom ] && [ "$(stat -c %a $TEXTFILES/ctxstat.prom)" = 644 ]
}

module_goes() { module_unload && wait_for 20 not serves && wait_for 60 textfile_old; }

# Older than two rounds of the timer: it is not written while there is nothing to say.
textfile_old() { (($(date +%s) - $(stat -c %Y $TEXTFILES/ctxstat.prom) > 35)); }

module_returns() { module_load && wait_for 20 serves; }

# Without the module it was no failure, either.
no_failure() { ! dmesg | grep -E 'ctxstat-(exporter|textfile).*(Failed|failed)'; }
not() { ! "$@"; }

plan 12
check "make install puts the units in place" install_all
check "systemd starts the exporter" systemd_start
check "the exporter shows the tables" metrics_are_tables
check "the exporter has a user of its own, and no capability" unprivileged
check "the exporter sees a read-only system" read_only
check "the timer has the textfile written" wait_for 60 textfile_written
check "the textfile follows" textfile_follows 7
check "nothing but the textfile is there" textfile_only
check "the module goes" module_goes
check "the module comes back" module_returns
check "the textfile follows again" textfile_follows 8
check "no unit has failed" no_failure
finish
