#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Show ctxstat at work on a NAT gateway, in a virtual machine.
#
# usage: demo.sh
#
# As root, Debian packages that are missing are installed; anyone else is told which.
# The kernel of the VM is unpacked into a cache, not installed. Ctrl-C ends it all.
#
# Environment:
#   KERNEL=6.1|6.12      the VM's kernel (6.1)
#   DEMO_SECONDS=N       how long ctxstat is shown (30)
#
# Exit: 0 ctxstat and conntrack-tools agree, 99 the kernel complained, 130 interrupted,
# else something went wrong and was said.

set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/..")
kernel=${KERNEL:-6.1}
seconds=${DEMO_SECONDS:-30}

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
die() { echo "demo: $*" >&2; exit 1; }

[[ $kernel =~ ^6\.(1|12)$ ]] || die "KERNEL=$kernel: must be 6.1 or 6.12"
[[ $seconds =~ ^[1-9][0-9]{0,3}$ ]] || die "DEMO_SECONDS=$seconds: must be a number from 1 to 9999"

vm=''
# shellcheck disable=SC2317 # called by the traps
stop()
{
	trap '' INT TERM HUP
	if [[ -n $vm ]]; then
		kill -TERM "$vm" 2>/dev/null || :
		wait "$vm" || :
	fi
	printf '\ndemo: stopped; nothing is left running\n' >&2
	exit "$1"
}
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM

cat <<END
ctxstat on a NAT gateway: a virtual machine with Debian's kernel $kernel, real traffic,
and at the end a comparison with conntrack -L.

Nothing is loaded into this machine's kernel; what it boots next stays as it is.
Ctrl-C ends it at any time.

END
cd "$top"

say "looking for the packages that this needs"
"$here/vm/packages.sh" iproute2 nftables conntrack iperf3 procps ||
	die "packages are missing: see above (as root, they are installed by this)"

say "building the module for $kernel, the tool and a traffic generator"
make -s --no-print-directory module tools KERNEL="$kernel"
mkdir -p build/demo
"${CC:-cc}" -O2 -Wall -o build/demo/traffic selftests/demo/traffic.c -lm

say "booting the virtual machine: about 10 seconds; it emulates its CPUs"
terminal=()
if [[ -t 1 ]] && size=$(stty size </dev/tty 2>/dev/null); then
	terminal=(--env "DEMO_ROWS=${size% *}" --env "DEMO_COLUMNS=${size#* }")
	[[ $size != "0 0" ]] || terminal=(--env DEMO_ROWS=24 --env DEMO_COLUMNS=80)
fi

# In the background, as bash runs no trap before a foreground command ends.
status=0
"$here/vm/run.sh" --kernel "$kernel" --timeout $((seconds + 420)) \
	--env DEMO_SECONDS="$seconds" "${terminal[@]}" -- \
	"$here/demo/gateway.sh" "$top/build/$kernel/module/ctxstat.ko" "$top/tools/ctxstat" \
	"$top/build/demo/traffic" &
vm=$!
wait "$vm" || status=$?
vm=''

echo
case $status in
0) say "done: no complaint from the VM's kernel, and nothing is left running" ;;
99) say "the kernel complained: see above" ;;
*) say "failed (status $status)" ;;
esac
exit "$status"
