#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A gateway whose rules Shorewall makes: three zones, masquerading, port forwarding, helpers and
# accounting. Shorewall checks and loads them beside ctxstat; every cell and port is exact after
# all kinds of traffic through them, and equals what "shorewall show connections" shows; a reload
# under traffic loses nothing; a blacklisted host is disconnected, and what goes with it is counted
# as gone.
#
# Shorewall is taken from where vm/fetch.sh puts it, and appears in /usr/share for this test
# only:
#
#   vm/fetch.sh shorewall shorewall-core
#
# Environment:
#   CTXSTAT_CACHE        see vm/fetch.sh (/var/cache/ctxstat)
# shellcheck disable=SC2154,SC2016 # $here and $tmp are set by lib.sh; awk's $1

# Mounts of its own
if [ -z "${CTXSTAT_UNSHARED:-}" ] && [ "$(id -u)" = 0 ]; then
	CTXSTAT_UNSHARED=1 exec unshare -m "$0"
fi

# shellcheck source=selftests/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=selftests/traffic.sh
. "$here/traffic.sh"
# shellcheck source=selftests/fetched.sh
. "$here/fetched.sh"

COUNT=300

fetched shorewall shorewall-core
require shorewall iptables perl bc
[ -d "$packages/shorewall/usr/share/shorewall" ] || skip_all "no $packages/shorewall: see vm/fetch.sh"
require_module

cleanup_more() {
	traffic_end
	module_restore
}

shorewall() { on "$GATEWAY" shorewall "$@"; }

# Shorewall looks for itself in /usr/share; where the rest is, shorewallrc says.
installed() {
	mkdir -p "$tmp/share/shorewall" "$tmp/var/shorewall" "$tmp/etc/shorewall" &&
		sed -e "s,^CONFDIR=[^ \t]*,CONFDIR=$tmp/etc," -e "s,^VARLIB=[^ \t]*,VARLIB=$tmp/var," \
			-e "s,^SBINDIR=[^ \t]*,SBINDIR=$packages/shorewall-core/sbin," \
			"$packages/shorewall-core/usr/share/shorewall/shorewallrc" >"$tmp/share/shorewall/shorewallrc" &&
		mount -t overlay shorewall /usr/share -o \
			"lowerdir=$tmp/share:$packages/shorewall-core/usr/share:$packages/shorewall/usr/share:/usr/share"
}

# config FILE: in Shorewall's folder, from stdin
config() { cat >"$tmp/etc/shorewall/$1"; }

configured() {
	sed -e "s,^STARTUP_LOG=.*,STARTUP_LOG=$tmp/startup.log," -e 's,^IP_FORWARDING=.*,IP_FORWARDING=On,' \
		-e "s,^LOGFILE=.*,LOGFILE=$tmp/messages," -e 's/^AUTOHELPERS=.*/AUTOHELPERS=Yes/' \
		"$packages/shorewall/etc/shorewall/shorewall.conf" | config shorewall.conf &&
		cp "$packages/shorewall/etc/shorewall/conntrack" "$tmp/etc/shorewall/" || return
	: >"$tmp/messages"
	config zones <<-ZONES
	fw firewall
	net ipv4
	loc ipv4
	dmz ipv4
	ZONES
	config interfaces <<-INTERFACES
	?FORMAT 2
	net to-server tcpflags,nosmurfs,routefilter,logmartians,sourceroute=0
	loc to-client tcpflags,nosmurfs
	dmz to-client2 tcpflags,nosmurfs
	INTERFACES
	config policy <<-POLICY
	loc net ACCEPT
	dmz net ACCEPT
	net all DROP info
	all all REJECT info
	POLICY
	config snat <<-SNAT
	MASQUERADE 10.1.0.0/24,10.3.0.0/24 to-server
	MASQUERADE 10.1.0.0/24 to-client2
	SNAT
	config rules <<-RULES
	?SECTION NEW
	Ping(ACCEPT) loc,dmz \$FW
	DNAT net loc:10.1.0.2:80 tcp,udp 8080
	DNAT loc dmz:10.3.0.2:80 tcp,udp 8081 - 10.2.0.1
	RULES
	config accounting <<-ACCOUNTING
	COUNT - to-client to-server
	ACCOUNTING
	# What it finds out about iptables, which takes a process for each of its questions.
	shorewall show -f capabilities | config capabilities
	grep -q '^NAT_ENABLED=Yes' "$tmp/etc/shorewall/capabilities" &&
		grep -q '^CONNTRACK_MATCH=Yes' "$tmp/etc/shorewall/capabilities"
}

# Its rules, and no others: those of the topology are deleted.
started() {
	local rule
	on "$GATEWAY" nft delete table inet gateway && shorewall start || return
	shorewall status && on "$GATEWAY" iptables-save >"$tmp/rules" || return
	for rule in 'MASQUERADE' 'DNAT --to-destination 10.3.0.2:80' '-A net-loc .*--ctorigdstport 8080' 'CT --helper ftp'; do
		grep -q -e "$rule" "$tmp/rules" || { echo "no rule $rule"; return 1; }
	done
}

# serve, hold, ask, ping, knock, spray: what is let through is translated, what is not leaves nothing.
all_kinds() {
	on "$CLIENT" "$TRAFFIC" ask "$COUNT" 10.2.0.2 7 10.2.0.1 8081 &&
		on "$CLIENT2" "$TRAFFIC" ask "$COUNT" 10.2.0.2 7 &&
		on "$SERVER" "$TRAFFIC" ask "$COUNT" 10.2.0.1 8080 &&
		on "$CLIENT" "$TRAFFIC" ping 50 10.2.0.1 0 10.2.0.2 0 || return
	traffic_in "$CLIENT" hold 100 10.2.0.2 7 10.2.0.1 8081
	traffic_in "$SERVER" hold 100 10.2.0.1 8080
	wait_for 30 traffic_ready $((ready += 2)) || return
	# Of the default policies one drops, one rejects, and one lets through
	on "$SERVER" "$TRAFFIC" spray 50 10.2.0.1 9000 10.1.0.2 9000 2>/dev/null
	on "$CLIENT" "$TRAFFIC" spray 50 10.3.0.2 9000 10.2.0.1 9000
	on "$CLIENT" "$TRAFFIC" knock 50 10.3.0.2 9000 10.2.0.2 9000
	has ipv4 udp - 4 "$COUNT" && has ipv4 tcp ESTABLISHED 1 300
}

# has FAMILY L4PROTO STATE TIMES COUNT: at least so many
has() {
	states_of "$GATEWAY" | awk -v row="$1 $2 $3" -v n=$(($4 * $5)) '
		$1 " " $2 " " $3 == row { print; found = $4 >= n } END { exit !found }'
}

# What Shorewall shows is without the family, as it is for one only.
agrees() {
	exact_and_audited "$GATEWAY" && shorewall show connections >"$tmp/shown" 2>/dev/null || return
	sed -n '/ src=/s/^/ipv4 2 /p' "$tmp/shown" | cells_listed | diff -u --label "shorewall show connections" - --label ctxstat \
		<(grep '^ipv4 ' "$tmp/counted") || return
	# Its first line: N out of MAX
	grep -q "Connections ($(cat "$tmp/count") out of $(value max))" "$tmp/shown" || { sed -n 1p "$tmp/shown"; return 1; }
}

# under_traffic COMMAND...: connections begin and end before, meanwhile and after; on one CPU,
# as Shorewall's compiler needs the other.
under_traffic() {
	kill -CONT "${traffic_churning[0]}"
	traffic_flows 100 && "$@" && traffic_flows 100 || return
	traffic_pause
}

# The client is blacklisted, and what the kernel has of it is deleted.
blacklisted() {
	local destroyed
	destroyed=$(value destroyed)
	shorewall drop 10.1.0.2 &&
		on "$GATEWAY" conntrack -D -s 10.1.0.2 >"$tmp/deleted" || return
	on "$CLIENT" "$TRAFFIC" spray 50 10.2.0.2 9500
	wait_for 10 dropped || return
	echo "destroyed $(($(value destroyed) - destroyed)), deleted $(wc -l <"$tmp/deleted")"
	[ $(($(value destroyed) - destroyed)) = "$(wc -l <"$tmp/deleted")" ] &&
		! on "$GATEWAY" conntrack -L -s 10.1.0.2 2>/dev/null | grep .
}
dropped() { on "$GATEWAY" iptables -nvL dynamic | grep -q '^ *[1-9].*10\.1\.0\.2'; }

stopped() {
	shorewall stop && on "$GATEWAY" conntrack -F && shorewall clear
}

step() {
	local name=$1
	shift
	check "$name" "$@"
	check "$name: exact, as shorewall shows it, and audit finds nothing" agrees
}
STEP=2

installed || skip_all "no overlay can be mounted"
traffic_up 400
traffic_pause
ready=3
plan $((5 * STEP + 4))

check "configured" configured
check "shorewall check" shorewall check
step "shorewall start" started
step "all kinds of traffic" all_kinds
step "shorewall reload under traffic" under_traffic shorewall reload
step "a blacklisted host" blacklisted
step "stop, flush and clear" stopped
check "module as it was" module_restore
check "kernel log is clean" kernel_is_clean
finish
