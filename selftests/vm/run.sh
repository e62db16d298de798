#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run a command as root in a virtual machine that sees this machine's files.
#
# usage: run.sh [options] [--] COMMAND [ARG...]
#
#   --kernel KERNEL      one of kernel.sh's: 6.1, 6.12, 6.12-rt, 6.12-debug and others (6.12)
#   --arch amd64|arm64   of the kernel and the VM (amd64). Without --root an arm64 VM sees the
#                        root file system that root.sh makes
#   --image FILE         another kernel instead, with
#   --release R            what its uname -r says, and
#   --modules-root DIR     the folder that holds its lib/modules/R (none: all built in)
#   --cpus N             virtual CPUs (2)
#   --memory MB          (2048)
#   --icount             count instructions: one guest nanosecond is one instruction,
#                        whatever this machine's load; on one CPU, unless --cpus says
#                        otherwise. Several take turns, and what one executes is time for all
#   --one-thread         the virtual CPUs take turns instead of running in parallel:
#                        slower, but without the fault of QEMU described below
#   --parallel           after --one-thread: all the same in parallel
#   --append "ARGS"      more kernel parameters
#   --root DIR           the VM sees DIR as / instead of this machine's files
#   --disk FILE          the same, with an image of an ext2, ext3 or ext4 file system: what is
#                        written stays there
#   --share DIR          DIR is there as well, at the same place, read-only
#   --init               boot with the init of that root (systemd); COMMAND is run when it
#                        has come up, and afterwards it is told to power off
#   --uefi FILE          boot with UEFI; its variables are kept in FILE, made if it is not there
#   --timeout SEC        from power-on (900)
#   --slot N             wait for VMs with the same number only (0)
#   --env NAME=VALUE     set it for COMMAND; can be repeated
#   --log FILE           keep the kernel's log there
#   --ignore REGEX       complaints in the kernel's log that match are expected
#   --tty                COMMAND gets this terminal
#
# COMMAND runs in the same working directory (or in /, if --root has no such), over the
# host's root file system: it can read everything that the caller can, and write
# everywhere, but what it writes stays in the VM's memory and vanishes with it
# (but for --disk).  Its stdin is /dev/null; stdout and
# stderr arrive on stdout as they are written.  The environment is a clean one plus
# --env.  Processes that it leaves behind are killed.
#
# The VM boots with panic_on_warn, and afterwards the kernel's log is searched for
# complaints: one is a failure, whatever COMMAND said. A kernel with kmemleak is asked
# for leaks. One with KCSAN does not panic. Some reports count only if ctxstat has a part in
# them: reports.awk says which.
#
# Exit:
#   99    the kernel complained; the lines and their context are on stderr
#   124   timeout
#   125   no verdict: usage, or the VM did not start, or ended before COMMAND did
#   130, 143  interrupted, terminated
#   else  COMMAND's own status
#
# Environment:
#   CTXSTAT_CACHE        see kernel.sh.  One VM runs at a time per cache and slot; a second
#                        one waits
#   TMPDIR               for the logs and the initramfs of this run
#
# QEMU emulates the CPU (TCG), which works everywhere.  With several CPUs in parallel
# QEMU 7.2 and 8.0 now and then execute a breakpoint that the kernel has removed again
# while patching its code (jump labels, ftrace), which ends in "Oops: int3" whatever
# was run.  Tests that switch tracing on and off are best run with --one-thread.  Very
# rarely 7.2 loses the flags of a CPU even then, which ends in a double fault.
#
# A kernel without 9P_FS, such as Debian's cloud images, sees files through VIRTIO_FS; this
# needs root.
#
# A kernel of one's own needs,
# built in or as modules: VIRTIO_PCI, VIRTIO_CONSOLE, NET_9P_VIRTIO, 9P_FS,
# OVERLAY_FS, TMPFS (with XATTR), DEVTMPFS, BLK_DEV_INITRD, SERIAL_8250_CONSOLE, ACPI;
# for --disk VIRTIO_BLK and EXT4_FS; on arm64 also PCI_HOST_GENERIC, SERIAL_8250_PCI and
# SERIAL_AMBA_PL011_CONSOLE.

set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

OVMF=/usr/share/OVMF
VIRTIOFSD=/usr/lib/qemu/virtiofsd
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
say() { echo "run.sh: $*" >&2; }
die() { say "$*"; exit 125; }
usage() { sed -n '/^# usage:/,/^#$/{s/^# \?//p}' "${BASH_SOURCE[0]}" >&2; exit 125; }

kernel=6.12 image='' modules_root='' release='' cpus='' memory=2048 icount='' append=''
timeout=900 slot=0 log='' ignore='' tty='' threads=multi env=()
root='' arch=amd64 share='' disk='' init='' uefi=''

while (($#)); do
	case $1 in
	--kernel | --arch | --image | --modules-root | --release | --cpus | --memory | --append | \
		--timeout | --slot | --env | --log | --ignore | --root | --share | --disk | --uefi)
		(($# >= 2)) || die "$1 needs a value"
		;;&
	--kernel) kernel=$2; shift 2 ;;
	--arch) arch=$2; shift 2 ;;
	--image) image=$2; shift 2 ;;
	--modules-root) modules_root=$2; shift 2 ;;
	--release) release=$2; shift 2 ;;
	--cpus) cpus=$2; shift 2 ;;
	--memory) memory=$2; shift 2 ;;
	--append) append=$2; shift 2 ;;
	--timeout) timeout=$2; shift 2 ;;
	--slot) slot=$2; shift 2 ;;
	--env) env+=("$2"); shift 2 ;;
	--log) log=$2; shift 2 ;;
	--ignore) ignore=$2; shift 2 ;;
	--root) root=$2; shift 2 ;;
	--share) share=$2; shift 2 ;;
	--disk) disk=$2; shift 2 ;;
	--uefi) uefi=$2; shift 2 ;;
	--init) init=1; shift ;;
	--icount) icount=1; shift ;;
	--tty) tty=1; shift ;;
	--one-thread) threads=single; shift ;;
	--parallel) threads=multi; shift ;;
	-h | --help) sed -n '3,/^$/{s/^# \?//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
	--) shift; break ;;
	-*) say "unknown option $1"; usage ;;
	*) break ;;
	esac
done
(($#)) || usage
[[ -n $cpus ]] || cpus=$((${icount:-0} ? 1 : 2))

for number in "$cpus" "$memory" "$timeout" "1$slot"; do
	[[ $number =~ ^[1-9][0-9]*$ ]] || die "not a number: $number"
done
for assignment in "${env[@]}"; do
	[[ $assignment =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || die "--env $assignment: not NAME=VALUE"
done
# The console and the port on which init and this script talk. virt has one serial port;
# the other is a card.
case $arch in
amd64)
	qemu_system=qemu-system-x86_64 machine=(-machine pc -cpu max) console=ttyS0 port=ttyS1
	second_serial=(-serial chardev:control)
	case $kernel in
	# pc's interrupt routing is a loop in ACPI's bytecode, which takes these kernels
	# longer than the 30 s that Linux allows; q35's is a list.
	*-debug | *-kcsan) machine=(-machine q35 -cpu max) ;;
	esac
	;;
arm64)
	qemu_system=qemu-system-aarch64 console=ttyAMA0 port=ttyS0
	# Pointer authentication with a hash of QEMU's own: the standard's takes ages.
	machine=(-machine virt -cpu "max,pauth-impdef=on")
	second_serial=(-device "pci-serial,chardev=control")
	[[ -z $uefi ]] || die "--uefi is for amd64"
	;;
*) die "--arch is amd64 or arm64" ;;
esac
for tool in "$qemu_system" busybox cpio modprobe setpriv flock; do
	command -v $tool >/dev/null || die "$tool is missing: see $here/packages.sh"
done
[[ -z $tty || -t 0 ]] || die "--tty: stdin is no terminal"
[[ -z $tty || -z $init ]] || die "--tty and --init do not go together"
if [[ -z $root ]]; then
	root=/
	[[ $arch == amd64 ]] || root=$("$here/root.sh" "$arch") || die "no root file system of $arch"
fi
for folder in "$root" ${share:+"$share"}; do
	[[ -d $folder ]] || die "no folder $folder"
done
root=$(realpath "$root")
[[ -z $share ]] || share=$(realpath "$share")
[[ -z $disk || ( -w $disk && $root == / ) ]] || die "cannot write $disk, or there is --root as well"
[[ -z $init || -n $disk || $root != / ]] ||
	die "--init needs --root or --disk: this machine's services are not to be started"
[[ -z $uefi || -r $OVMF/OVMF_CODE_4M.fd ]] || die "--uefi: no $OVMF/OVMF_CODE_4M.fd: apt install ovmf"

if [[ -n $image ]]; then
	[[ -n $release ]] || die "--image needs --release"
else
	[[ -z $modules_root$release ]] || die "--modules-root and --release go with --image"
	# The values are quoted by the other script.
	settings=$("$here/kernel.sh" "$kernel" "$arch") || die "no $kernel kernel"
	eval "$settings"
	image=$KERNEL_IMAGE release=$KERNEL_RELEASE modules_root=$KERNEL_MODULES
fi
[[ -r $image ]] || die "cannot read $image"
if [[ -n $modules_root ]]; then
	[[ -d $modules_root/lib/modules/$release ]] || die "no $modules_root/lib/modules/$release"
	modules_root=$(realpath "$modules_root")
fi
# Debian's cloud images have no 9p, but virtio-fs; for that QEMU needs the help of a daemon.
has() { modprobe -d "$modules_root" -S "$release" --show-depends "$1" >/dev/null 2>&1; }
transport=9p
if [[ -n $modules_root ]] && ! has 9p && has virtiofs; then
	transport=virtiofs
	[[ -x $VIRTIOFSD ]] || die "no $VIRTIOFSD: apt install qemu-system-common"
	[[ $EUID == 0 ]] || die "only root can show files to $release, which has no 9p"
fi
[[ -z $log ]] || : >"$log" || exit 125

# One VM at a time: two would share the CPUs and time out.  Who starts several says
# so, with --slot, and gives each a CPU of its own, with --one-thread.
# shellcheck source=selftests/vm/cache.sh
. "$here/cache.sh"
tmp='' waiter='' qemu='' timer='' follow='' daemons=()

# Runs on every way out, so that no process and no file stays behind.
# shellcheck disable=SC2317 # called by the trap
cleanup()
{
	local pid
	trap '' INT TERM HUP
	for pid in $waiter $qemu $timer $follow "${daemons[@]}"; do
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	[[ -z $log || ! -e $tmp/kernel.log ]] || cp "$tmp/kernel.log" "$log" || :
	[[ -z $tmp ]] || rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

exec {lock}>"$cache/vm.$slot.lock"
if ! flock -n "$lock"; then
	say "waiting for another VM to end"
	# In the background, as bash runs no trap before a foreground command ends.
	flock "$lock" &
	waiter=$!
	wait "$waiter"
	waiter=''
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ctxstat-vm.XXXXXX")

# --- The initramfs: busybox, the modules that the root file system needs, init.

initrd=$tmp/initrd
mkdir -p "$initrd"/{bin,dev,proc,sys,modules,lower,rw,root,ctxstat}
busybox=$(command -v busybox)
[[ $arch == amd64 ]] || busybox=$root/bin/busybox
install -m 755 "$busybox" "$initrd/bin/busybox" || die "no $busybox"
# Debian's busybox-static has no libraries; its busybox has.
{ ldd "$initrd/bin/busybox" 2>/dev/null || :; } | grep -o '/[^ ]*' | while read -r library; do
	[[ -e $library ]] && install -D "$library" "$initrd$library"
done || :

# Copied in the order in which they must be loaded.
if [[ -n $modules_root ]]; then
	case $transport in
	9p) drivers=(9pnet_virtio 9p) ;;
	virtiofs) drivers=(virtiofs) ;;
	esac
	for module in virtio_pci virtio_console "${drivers[@]}" overlay ${disk:+virtio_blk ext4}; do
		modprobe -d "$modules_root" -S "$release" --show-depends "$module" 2>>"$tmp/modprobe" ||
			[[ $image != "${KERNEL_IMAGE:-}" ]] || die "$(<"$tmp/modprobe")"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$tmp/modules"
	number=100
	while read -r file; do
		name=${file##*/}
		to=$initrd/modules/$((number++))-${name%%.ko*}.ko
		case $file in
		*.xz) xz -dc "$file" >"$to" ;;
		*.zst) zstd -dcq "$file" >"$to" ;;
		*.gz) gzip -dc "$file" >"$to" ;;
		*) cp "$file" "$to" ;;
		esac
	done <"$tmp/modules"
fi

cat >"$initrd/ctxstat/command" <<END
#!/bin/bash
if [ -d ${PWD@Q} ] || [ ${root@Q}${disk@Q} = / ]; then
	cd -- ${PWD@Q} || { echo "run.sh: the VM does not see this working directory" >&2; exit 125; }
fi
export PWD
exec ${*@Q}
END

{
	printf '%s=%q\n' MODULES "$modules_root" RELEASE "$release" TTY "$tty" OWN_ROOT "${root#/}$disk" \
		DISK "$disk" SHARE "$share" TRANSPORT "$transport" INIT "$init" CONSOLE "$console" PORT "$port"
	printf 'set --'
	printf ' %q' "TERM=${TERM:-dumb}" "${env[@]}"
	echo
} >"$initrd/ctxstat/settings"

cat >"$initrd/init" <<'END'
#!/bin/busybox sh
# Before the root file system: whatever fails here is told on the second serial port.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
. /ctxstat/settings
exec 5>"/dev/$PORT"
fail() { echo "fail $*" >&5; poweroff -f; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in /modules/*; do
	[ -e "$module" ] || continue
	insmod "$module" || fail "cannot load $module"
done

options=ro,noatime
[ $TRANSPORT != 9p ] || options=$options,trans=virtio,version=9p2000.L,msize=512000,cache=loose
host() { # TAG FOLDER: mount what QEMU exports
	mount -t $TRANSPORT -o $options "$1" "$2" || fail "cannot mount $1 of the host ($TRANSPORT)"
}

if [ -n "$DISK" ]; then
	mount -t ext4 /dev/vda /root || fail "cannot mount the disk"
	mount -t tmpfs -o mode=755 rw /rw
else
	host root /lower
	mount -t tmpfs -o size=75%,mode=755 rw /rw
	mkdir /rw/upper /rw/work
	mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work root /root ||
		fail "cannot mount the overlay"
fi

mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount --move /dev /root/dev
mount -t tmpfs -o mode=755,nosuid,nodev run /root/run
mkdir /root/run/ctxstat-vm /root/run/lock
cp /ctxstat/* /root/run/ctxstat-vm/
cp /bin/busybox /root/run/ctxstat-vm/busybox

if [ -n "$SHARE" ]; then
	mkdir -p "/root$SHARE"
	host share "/root$SHARE"
fi

# Its own overlay: an own kernel's modules may be anywhere, and depmod shall work. A root
# of its own in which this kernel is installed has them.
mkdir -p "/root/lib/modules/$RELEASE"
if [ -n "$MODULES" ] && { [ -z "$OWN_ROOT" ] || [ ! -d "/root/lib/modules/$RELEASE/kernel" ]; }; then
	mkdir -p /rw/modules/upper /rw/modules/work /modules.lower
	host modules /modules.lower
	mount -t overlay -o lowerdir=/modules.lower,upperdir=/rw/modules/upper,workdir=/rw/modules/work \
			modules "/root/lib/modules/$RELEASE" ||
		fail "cannot mount the modules"
fi
umount /sys /proc
if [ -n "$INIT" ]; then
	units=/root/run/systemd/system
	mkdir -p $units
	cat >$units/ctxstat-vm.target <<-UNIT
	[Unit]
	Wants=multi-user.target ctxstat-vm.service
	UNIT
	# Also if the machine has not come up as it should: COMMAND is to find out.
	cat >$units/ctxstat-vm.service <<-UNIT
	[Unit]
	After=multi-user.target
	[Service]
	Type=oneshot
	TimeoutStartSec=infinity
	StandardOutput=tty
	TTYPath=/dev/$CONSOLE
	ExecStart=/run/ctxstat-vm/busybox sh /run/ctxstat-vm/start
	UNIT
fi
[ -z "$INIT" ] || exec switch_root /root /sbin/init
exec switch_root /root /run/ctxstat-vm/busybox sh /run/ctxstat-vm/start
fail "switch_root"
END
chmod 755 "$initrd/init"

cat >"$initrd/ctxstat/start" <<'END'
# SPDX-License-Identifier: GPL-2.0-only
# Process 1 of the VM, in the host's root file system; with --init, a service.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /
. /run/ctxstat-vm/settings
# Quicker than the host's tools, each of which is first read over 9p.
box=/run/ctxstat-vm/busybox

if [ -z "$INIT" ]; then
	$box mkdir -p /dev/pts /dev/shm
	$box mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
	$box mount -t tmpfs -o mode=1777 shm /dev/shm
	$box mount -t debugfs debugfs /sys/kernel/debug
	$box mount -t tracefs tracefs /sys/kernel/tracing
	$box mount -t bpf bpf /sys/fs/bpf
	$box mount -t cgroup2 cgroup2 /sys/fs/cgroup
	$box ln -sfn /proc/self/fd /dev/fd
	$box ln -sfn fd/0 /dev/stdin
	$box ln -sfn fd/1 /dev/stdout
	$box ln -sfn fd/2 /dev/stderr
	$box mkdir -p /run/netns /run/lock
	$box hostname ctxstat-vm
	echo "127.0.0.1 localhost ctxstat-vm" >/etc/hosts
	$box ip link set lo up
else
	exec 5>"/dev/$PORT"
fi

for port in /sys/class/virtio-ports/*; do
	[ -e "$port" ] && read -r name <"$port/name" && [ "$name" = out ] && out=/dev/${port##*/}
done
command="env -i PATH=$PATH HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 SHELL=/bin/bash"

echo start >&5
if [ -n "$TTY" ]; then
	# The terminal outside turns newlines into CR LF already.  Kept open, as closing
	# it would undo the setting.
	exec 6<>/dev/hvc0
	$box stty -onlcr <&6
	$box setsid -c $command "$@" /bin/bash /run/ctxstat-vm/command </dev/hvc0 >/dev/hvc0 2>&1 5>&- 6>&- &
else
	# Through a pipe: a port can be opened only once, and /dev/stdout opens it again.
	$box mkfifo /run/ctxstat-vm/pipe
	$box cat </run/ctxstat-vm/pipe >"$out" 5>&- &
	copy=$!
	$box setsid $command "$@" /bin/bash /run/ctxstat-vm/command \
		</dev/null >/run/ctxstat-vm/pipe 2>&1 5>&- &
fi
wait $!
status=$?

# What COMMAND left behind would hold the pipe open. An init sees to it.
[ -n "$INIT" ] || for process in /proc/[0-9]*; do
	pid=${process#/proc/}
	[ "$pid" = 1 ] || [ "$pid" = "${copy:-}" ] || [ -z "$($box readlink "$process/exe")" ] ||
		kill -KILL "$pid"
done 2>/dev/null
[ -z "${copy:-}" ] || wait "$copy"

# A kernel that looks for leaks is asked. What is younger than five seconds it does not
# tell, nor what has changed since the scan before.
leaks=/sys/kernel/debug/kmemleak
if [ -e $leaks ]; then
	{ echo scan >$leaks && $box sleep 6 && echo scan >$leaks; } ||
		echo "run.sh: BUG: kmemleak does not scan" >/dev/kmsg
	while IFS= read -r line; do
		echo "$line" >/dev/kmsg
	done <$leaks
fi

echo "exit $status" >&5
exec 5>&-
if [ -n "$INIT" ]; then
	systemctl --no-block poweroff
else
	$box sync
	$box poweroff -f
fi
END

(cd "$initrd" && find . -print0 | cpio --quiet -0 -o -H newc -R 0:0) >"$tmp/initrd.cpio"
rm -rf "$initrd"

[[ -z $uefi || -e $uefi ]] || cp "$OVMF/OVMF_VARS_4M.fd" "$uefi" || die "cannot make $uefi"

# --- The VM.

# Files, not pipes: QEMU never has to wait for whoever reads the output.
: >"$tmp/out"
: >"$tmp/control"
: >"$tmp/kernel.log"

# A slow machine is no stall: the watchdogs are told to wait longer, and the boot
# does not panic because a timer's first ticks came late (no_timer_check).
parameters="console=$console panic=-1 oops=panic panic_on_warn=1 nokaslr no_timer_check watchdog_thresh=60"
parameters+=" rcupdate.rcu_cpu_stall_timeout=100 loglevel=7"
case $kernel in
# Its reports are warnings, and most are of others.
*-kcsan) parameters+=" panic_on_warn=0" ;;
*-debug) parameters+=" page_poison=1" ;;
esac
parameters+=" $append"

[[ -z $init ]] || parameters+=" systemd.unit=ctxstat-vm.target systemd.hostname=ctxstat-vm"

# Commas are QEMU's separators.
escaped=${tmp//,/,,}
arguments=(
	-nodefaults -no-user-config -display none -no-reboot
	"${machine[@]}" -m "$memory" -rtc base=utc
	-kernel "$image" -initrd "$tmp/initrd.cpio" -append "$parameters"
	-chardev "file,id=log,path=$escaped/kernel.log" -serial chardev:log
	-chardev "file,id=control,path=$escaped/control" "${second_serial[@]}"
	-device virtio-serial-pci
)
# export_folder TAG FOLDER
export_folder()
{
	local socket=$tmp/$1.socket deadline=$((SECONDS + 30))
	if [[ $transport == 9p ]]; then
		arguments+=(-virtfs "local,path=${2//,/,,},mount_tag=$1,security_model=none,readonly=on,multidevs=remap")
		return
	fi
	# It has no option for read-only: the root file system is, but for its socket and its
	# lock. The VM mounts all of it so.
	# shellcheck disable=SC2016 # for that shell
	setpriv --pdeathsig KILL unshare --mount --propagation private sh -c \
		'mount --bind "$0" "$0" && mount -o remount,bind,ro / && mount -t tmpfs run /run && exec "$@"' \
		"$tmp" "$VIRTIOFSD" --socket-path="$socket" -o "source=$2" -o sandbox=chroot -o cache=always -o log_level=err \
		</dev/null >>"$tmp/qemu" 2>&1 {lock}>&- &
	daemons+=($!)
	until [[ -S $socket ]]; do
		((SECONDS < deadline)) || die "virtiofsd does not start"
		kill -0 "${daemons[-1]}" 2>/dev/null || die "virtiofsd: $(<"$tmp/qemu")"
		read -rt 0.05 <> <(:) || :
	done
	arguments+=(-chardev "socket,id=$1,path=${escaped}/$1.socket" -device "vhost-user-fs-pci,chardev=$1,tag=$1")
}
# The daemons read and write the VM's memory.
[[ $transport == 9p ]] || arguments+=(-object "memory-backend-memfd,id=memory,size=${memory}M,share=on"
	-machine memory-backend=memory)
[[ -n $disk ]] || export_folder root "$root"
[[ -z $share ]] || export_folder share "$share"
[[ -z $modules_root ]] || export_folder modules "$modules_root/lib/modules/$release"
# Nothing of it has to survive a crash of this machine.
[[ -z $disk ]] || arguments+=(-drive "file=${disk//,/,,},format=raw,if=virtio,cache=unsafe")
if [[ -n $uefi ]]; then
	arguments+=(-drive "file=$OVMF/OVMF_CODE_4M.fd,format=raw,if=pflash,unit=0,readonly=on"
		-drive "file=${uefi//,/,,},format=raw,if=pflash,unit=1")
fi
if [[ -n $icount ]]; then
	arguments+=(-accel "tcg,thread=single" -smp "$cpus" -icount "shift=0,sleep=off")
else
	arguments+=(-accel "tcg,thread=$threads" -smp "$cpus")
fi
if [[ -n $tty ]]; then
	arguments+=(-chardev "stdio,id=out,signal=off" -device "virtconsole,chardev=out")
else
	arguments+=(-chardev "file,id=out,path=$escaped/out"
		-device "virtserialport,chardev=out,name=out")
fi

# All that is started dies with this script, even if that is killed.  QEMU holds
# the lock as well.
if [[ -n $tty ]]; then
	setpriv --pdeathsig KILL "$qemu_system" "${arguments[@]}" <&0 2>>"$tmp/qemu" &
	qemu=$!
else
	setpriv --pdeathsig KILL "$qemu_system" "${arguments[@]}" </dev/null >>"$tmp/qemu" 2>&1 &
	qemu=$!
	setpriv --pdeathsig KILL tail -q -c +1 -s 0.1 -f --pid="$qemu" "$tmp/out" {lock}>&- 2>/dev/null &
	follow=$!
fi
setpriv --pdeathsig KILL sleep "$timeout" {lock}>&- &
timer=$!

ended='' qemu_status=0 timed_out=''
wait -n -p ended "$qemu" "$timer" || qemu_status=$?
if [[ $ended == "$timer" ]]; then
	timed_out=1 timer=''
	kill -KILL "$qemu" 2>/dev/null || :
	wait "$qemu" 2>/dev/null || :
fi
qemu=''
[[ -z $follow ]] || wait "$follow" || :
follow=''

# --- The verdict.

# The first words of a report of each kind; 'Spectre V2 : WARNING' is a boot line.
complaints='BUG:|WARNING:|Oops|Internal error:|Call [Tt]race|kernel BUG|Kernel panic|general protection'
complaints+='|[Pp]ossible (recursive|circular|irq)|suspicious RCU|inconsistent lock state'
complaints+='|unreferenced object|new suspected memory leak|INFO: task .* blocked'
complaints+='|rcu.*(detected.*stall|kthread starved)|INFO: trying to register'
complaints+='|UBSAN:|KASAN|refcount_t:|unregister_netdevice: waiting'
# What has switched itself off finds nothing any more.
complaints+='|kmemleak: (Cannot allocate|Kernel memory leak detector disabled|Kmemleak disabled)|ODEBUG: Out of memory'
harmless='Spectre V2 : WARNING'

verdict=0
tr -d '\r' <"$tmp/kernel.log" >"$tmp/plain.log"
mv "$tmp/plain.log" "$tmp/kernel.log"
awk -f "$here/reports.awk" "$tmp/kernel.log" | grep -E "$complaints" | grep -v -E "$harmless${ignore:+|$ignore}" >"$tmp/complaints" || :
if [[ -s $tmp/complaints ]]; then
	say "the kernel ($release) complained:"
	grep -n -F -x -m 1 -f "$tmp/complaints" "$tmp/kernel.log" >"$tmp/first"
	first=$(cut -d: -f1 "$tmp/first")
	sed -n "$((first > 5 ? first - 5 : 1)),$((first + 60))p" "$tmp/kernel.log" >&2
	say "all complaints ($(wc -l <"$tmp/complaints")):"
	head -n 20 "$tmp/complaints" >&2
	verdict=99
	if [[ $threads == multi && -z $icount ]] && grep -q 'int3: 0000' "$tmp/complaints" "$tmp/kernel.log"; then
		say "a breakpoint left over from code patching is a fault of older QEMUs: run it again," \
			"or with --one-thread"
	fi
	# Bits 22 to 31: no instruction sets them, and no processor has them.
	if grep -qE 'EFLAGS: (0[1-9a-f]|[1-9a-f].|00[4-9a-f])' "$tmp/kernel.log"; then
		say "EFLAGS has bits that no program can set: a fault of QEMU's, run it again"
	fi
fi

control=$(tr -d '\r' <"$tmp/control")
status=$(sed -n 's/^exit //p' <<<"$control")
failed=$(sed -n 's/^fail //p' <<<"$control")
problem=''
if [[ -n $timed_out ]]; then
	problem="timeout after $timeout s"
	((verdict)) || verdict=124
	[[ $control == *start* ]] || problem+=", before the command was started"
elif [[ -n $failed ]]; then
	problem="the VM did not start: $failed"
elif [[ $control != *start* ]]; then
	problem="the VM ended before the command was started (QEMU's status: $qemu_status)"
elif [[ -z $status ]]; then
	problem="the VM ended before the command did"
fi
if [[ -n $problem ]]; then
	say "$problem"
	[[ ! -s $tmp/qemu ]] || sed 's/^/qemu: /' "$tmp/qemu" >&2
	if ((verdict != 99)); then
		say "the last lines of the kernel's log:"
		tail -n 20 "$tmp/kernel.log" >&2
	fi
	((verdict)) || verdict=125
elif ((verdict)); then
	say "the command's own status was $status"
else
	verdict=$status
fi
exit "$verdict"
