#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What install.sh and packages.sh do on the machine that they have made, in two boots.
#
# usage: guest.sh packages|source first|second OTHER-RELEASE
#
# first: install ctxstat, then the kernel OTHER-RELEASE. second: that kernel runs.
#
# Environment: PACKAGES, a folder with ctxstat's packages, and in newer/ those of a newer
# version

# shellcheck source=selftests/ktap.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../ktap.sh"

[ "$(hostname)" = ctxstat-vm ] || skip_all "only in the test's virtual machine"
how=$1 boot=$2 other=$3
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/../..")
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$top/dkms.conf")
PROC=/proc/net/ctxstat
export DEBIAN_FRONTEND=noninteractive

# There is no network: all comes from what was downloaded into apt's archives.
get() { apt-get -q -y --no-install-recommends install "$@"; }

# Only what has failed since: a minimal system in a virtual machine has nothing else.
nothing_failed() { systemctl --failed --no-legend --plain; [ -z "$(systemctl --failed --no-legend --plain)" ]; }

install_packages() { get "$PACKAGES"/ctxstat_*.deb "$PACKAGES"/ctxstat-dkms_*.deb; }

# As README says; the tree is copied, as it cannot be written. What was built of the tool
# there is taken: the same takes minutes here.
install_source() {
	get make gcc dkms pkg-config libjson-c-dev libmicrohttpd-dev libncurses-dev && mkdir /root/ctxstat &&
		tar -C "$top" -c --exclude=./build --exclude=./.git . | tar -x -C /root/ctxstat &&
		make -C /root/ctxstat install
}

uninstall_packages() { apt-get -q -y purge ctxstat ctxstat-dkms; }
uninstall_source() { make -C /root/ctxstat uninstall && rm -rf /root/ctxstat; }

dkms_has() { # RELEASE [VERSION]
	dkms status ctxstat
	dkms status ctxstat | grep -q "^ctxstat/${2:-$version}, $1, .*: installed"
}

loaded() { [ "$(cat /sys/module/ctxstat/version)" = "${1:-$version}" ] && [ -r $PROC/states ]; }

tool_works() {
	conntrack -I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport "$1" --dport 9 -t 900 || return
	ctxstat && [ "$(ctxstat summary | awk '$1 == "entries" { print $2 }')" = "$(conntrack -C)" ]
}

metrics() {
	exec 3<>/dev/tcp/127.0.0.1/10063 &&
		printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 && cat <&3
}
exporter_serves() { (metrics) 2>&1 | tee "$tmp/metrics" | grep -q '^ctxstat_start_time_seconds [1-9]'; }
exporter_runs() { wait_for 60 exporter_serves && systemctl is-active ctxstat-exporter.service; }
exporter_enabled() { systemctl enable --now ctxstat-exporter.service && exporter_runs; }
textfile_enabled() {
	mkdir -p /var/lib/prometheus/node-exporter && systemctl enable --now ctxstat-textfile.timer &&
		wait_for 60 [ -s /var/lib/prometheus/node-exporter/ctxstat.prom ]
}
exporter_off() { [ "$(systemctl is-enabled ctxstat-exporter.service)" = disabled ] &&
	[ "$(systemctl is-active ctxstat-exporter.service)" = inactive ]; }

manual_there() { ls -l "$prefix"/share/man/man8/ctxstat.8* "$prefix"/share/man/man5/ctxstat.5* \
	"$prefix/share/bash-completion/completions/ctxstat" "$prefix/share/ctxstat/ctxstat.rules.yml"; }

kernel_installed() {
	get "linux-image-$other" "linux-headers-$other" &&
		[ "$(dpkg-query -W -f '${db:Status-Status}' "linux-image-$other" "linux-headers-$other")" = installedinstalled ]
}

# Counting goes on with the module that is loaded until somebody loads the new one.
upgrade() {
	get "$PACKAGES"/newer/ctxstat_*.deb "$PACKAGES"/newer/ctxstat-dkms_*.deb && loaded &&
		dkms_has "$(uname -r)" "$newer" && ! dkms status "ctxstat/$version" | grep . && exporter_runs
}
newer_loads() { rmmod ctxstat && modprobe ctxstat && loaded "$newer" && exporter_runs; }

files() {
	find / -xdev \( -path "$top" -o -path /root/ctxstat -o -path /proc -o -path /sys -o -path /run/ctxstat-vm \
		-o -path /tmp -o -path /var/log -o -path /var/cache/apt \) -prune -o \
		-name '*ctxstat*' ! -name 'ctxstat-vm*' -print
}
nothing_left() {
	files
	dkms status ctxstat
	[ -z "$(files)" ] && [ -z "$(dkms status ctxstat)" ] && ! [ -e /sys/module/ctxstat ] && ! [ -e $PROC ] &&
		! systemctl cat ctxstat-exporter.service && ! modprobe -n ctxstat && ! (metrics)
}

prefix=/usr
[ "$how" = packages ] || prefix=/usr/local

if [ "$boot" = first ]; then
	plan 12
	check "nothing has failed at boot" nothing_failed
	check "install: $how" "install_$how"
	check "dkms has it for this kernel" dkms_has "$(uname -r)"
	check "modprobe loads it" eval 'modprobe ctxstat && loaded'
	check "the tool counts what conntrack counts" tool_works 1
	check "manual, completion and rules are there" manual_there
	check "the exporter does not run by itself" exporter_off
	check "the exporter runs" exporter_enabled
	check "the textfile is written" textfile_enabled
	check "another kernel is installed" kernel_installed
	check "dkms has it for that kernel" dkms_has "$other"
	check "nothing has failed" nothing_failed
else
	newer=$version+newer
	[ "$how" = packages ] && plan 8 || plan 6
	check "it was loaded at boot" eval 'uname -r; loaded'
	check "the exporter was started at boot" exporter_runs
	check "the tool counts what conntrack counts" tool_works 2
	check "nothing has failed" nothing_failed
	if [ "$how" = packages ]; then
		check "upgrade to a newer version" upgrade
		check "the newer version loads" newer_loads
	fi
	check "uninstall: $how" "uninstall_$how"
	check "nothing is left" nothing_left
fi
finish
