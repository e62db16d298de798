#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make install on a fresh Debian, with the real dkms, under the real systemd; a second kernel,
# which boots; make uninstall. Starts its own virtual machines: machine.sh has the
# environment.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=selftests/ktap.sh
. "$here/ktap.sh"
# shellcheck source=selftests/install/machine.sh
. "$here/install/machine.sh"

machine_make
machine_boots source
