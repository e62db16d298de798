# SPDX-License-Identifier: GPL-2.0-only
#
# "make help" lists the verbs. KERNEL=6.1 or KERNEL=6.12 stands for a Debian
# kernel that is fetched into a cache and never installed; without it the module
# is built for the running kernel, or for the one whose build folder is in KDIR.
# With ARCH=arm64 that is Debian's kernel for arm64, and the module is cross-built.

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
KDIR    ?= /lib/modules/$(shell uname -r)/build
DESTDIR ?=
PREFIX  ?= /usr/local
MODULESLOADDIR ?= $(PREFIX)/lib/modules-load.d
MODPROBEDIR ?= $(PREFIX)/lib/modprobe.d
TEXTFILE := /var/lib/prometheus/node-exporter/ctxstat.prom
DKMS_SOURCE := $(DESTDIR)/usr/src/ctxstat-$(VERSION)

# What is removed is named by them.
ifneq ($(words $(VERSION)),1)
$(error no PACKAGE_VERSION="..." in dkms.conf)
endif
ifneq ($(filter-out 0 1,$(words $(DESTDIR)) $(words $(PREFIX))),)
$(error DESTDIR and PREFIX must not have spaces in them)
endif

all: module tools

help:
	@echo 'make               build the module for the running kernel, and the tool'
	@echo 'make install       install the module through DKMS, the tool and what belongs to it'
	@echo 'make uninstall     remove them'
	@echo 'make deb           build Debian packages, in build/deb'
	@echo 'make demo          watch ctxstat at work on a NAT gateway in a virtual machine'
	@echo 'make check         run the tests, on both kernels, in virtual machines'
	@echo 'make check-debug   run those of the module on kernels that look for faults, and on rt and cloud'
	@echo 'make check-stress  run the stress in full size: 5,000,000 connections, 1,000,000 entries'
	@echo 'make bench         measure the cost, in instructions'
	@echo 'make module        the module only; KERNEL=6.1|6.12 for a VM, KDIR=folder for others'
	@echo 'make tools         the tool only'
	@echo 'make clean         remove what was built'
	@echo
	@echo 'demo, check and bench take KERNEL=6.1|6.12; with ARCH=arm64 module (that of a VM) and'
	@echo 'tools are cross-built, and check runs there; install takes DESTDIR= and PREFIX=;'
	@echo 'check ALL=1 leaves no test out; V=1 shows the commands, W=1 and C=1 are for the kernel build.'

ifdef KERNEL
module:
	@selftests/vm/build.sh $(KERNEL) $(if $(ARCH),ARCH=$(ARCH))
else
module:
	@test -e $(KDIR)/Makefile || { \
		echo 'make: no headers in $(KDIR): apt install linux-headers-$(shell uname -r)' >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
endif

ifeq ($(ARCH),arm64)
tools:
	@selftests/vm/tools.sh $(ARCH)
else
tools:
	$(MAKE) -C tools
endif

# With DESTDIR only the files are put in place: a package's maintainer scripts do the rest.
install: tools
	install -d $(DKMS_SOURCE)/module/refuse $(DESTDIR)$(MODULESLOADDIR) $(DESTDIR)$(MODPROBEDIR)
	install -m 644 Kbuild dkms.conf $(DKMS_SOURCE)/
	install -m 644 module/Kbuild module/*.c module/*.h $(DKMS_SOURCE)/module/
	install -m 755 module/dkms.sh $(DKMS_SOURCE)/module/
	install -m 644 module/refuse/Kbuild module/refuse/*.c $(DKMS_SOURCE)/module/refuse/
	install -m 644 module/etc/modules-load.conf $(DESTDIR)$(MODULESLOADDIR)/ctxstat.conf
	install -m 644 module/etc/modprobe.conf $(DESTDIR)$(MODPROBEDIR)/ctxstat.conf
	$(MAKE) -C tools install DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)
ifeq ($(DESTDIR),)
	module/dkms.sh install $(VERSION)
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
endif

# What runs is stopped first, but not from a chroot, which sees the machine's. Folders that are empty then go as well.
uninstall:
ifeq ($(DESTDIR),)
	module/dkms.sh remove
	-[ ! -d /run/systemd/system ] || systemctl disable --now $(patsubst %.in,%,$(notdir $(wildcard tools/systemd/*.in))) 2>/dev/null
	-[ ! -d /run/systemd/system ] || [ ! -d /sys/module/ctxstat ] || rmmod ctxstat
	rm -f $(TEXTFILE)
endif
	rm -rf $(DKMS_SOURCE)
	rm -f $(DESTDIR)$(MODULESLOADDIR)/ctxstat.conf $(DESTDIR)$(MODPROBEDIR)/ctxstat.conf
	rmdir $(DESTDIR)$(MODULESLOADDIR) $(DESTDIR)$(MODPROBEDIR) 2>/dev/null || :
	$(MAKE) -C tools uninstall DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)
ifeq ($(DESTDIR),)
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
endif

# Packages and their source, in build/deb: of what git knows, or of all but build/. The
# packages' own clean target removes what was built in the copy. Times and modes are
# none of the checkout.
deb:
	@dpkg-checkbuilddeps || { echo 'make: what is missing, as root: apt-get build-dep ./' >&2; exit 1; }
	rm -rf build/deb
	install -d -m 755 build/deb/ctxstat-$(VERSION)
	{ if [ -e .git ]; then git ls-files -z; else find . -path ./build -prune -o -type f -print0; fi; } | \
		tar -c --null -T - --mtime="$$(dpkg-parsechangelog -S Date)" --mode=u+rw,go+r,go-w,a+X | \
		(umask 022 && tar -x -p -C build/deb/ctxstat-$(VERSION))
	cd build/deb/ctxstat-$(VERSION) && dpkg-buildpackage --no-sign
	@ls build/deb/*.deb

demo:
	@selftests/demo.sh

check:
	@selftests/check.sh

# It takes many hours: four kernels are built first, and all tests run on eight.
check-debug:
	@ALL=1 KERNEL="$(or $(KERNEL),6.12-debug 6.1-debug 6.12-kcsan 6.1-kcsan 6.12-rt 6.1-rt 6.12-cloud 6.1-cloud)" selftests/check.sh

# Hours as well: what a test of every day does with less of everything.
check-stress:
	@FULL=1 selftests/check.sh stress.sh limit.sh many.sh

bench:
	@selftests/bench.sh

clean:
	rm -rf build
	$(MAKE) -C tools clean
	find . -path ./.git -prune -o \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name modules.order \
		-o -name Module.symvers -o -name .module-common.o \) -exec rm -f {} +

.PHONY: all help module tools install uninstall deb demo check check-debug check-stress bench clean
