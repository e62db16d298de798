#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Cross-build the tool and what the tests compile, for a VM of another architecture.
#
# usage: tools.sh arm64 [MAKE ARGUMENT...]
#
# They are left in build/arm64/tools (ctxstat and its plugins) and
# build/arm64/selftests/traffic at the top of the tree, built from a copy of the sources,
# against the libraries of the root file system that root.sh makes.
#
# Exit: 0 built, 1 not, 2 usage.

set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$here/../..")

[[ ${1:-} == arm64 ]] || { echo "usage: tools.sh arm64 [MAKE ARGUMENT...]" >&2; exit 2; }
arch=$1 triplet=aarch64-linux-gnu
shift
build=$top/build/$arch
for tool in "$triplet-gcc" pkg-config; do
	command -v "$tool" >/dev/null || {
		echo "tools.sh: $tool is missing: packages.sh gcc-$triplet" >&2
		exit 1
	}
done

root=$("$here/root.sh" "$arch")

# What was built against another root is of no use.
if [[ $(cat "$build/root" 2>/dev/null) != "$root" ]]; then
	rm -rf "$build"
	mkdir -p "$build"/{tools,selftests}
	echo "$root" >"$build/root"
fi
cp -pu "$top/dkms.conf" "$build/"
cp -pu "$top/tools/Makefile" "$top"/tools/*.[ch] "$build/tools/"
cp -pu "$top/selftests/Makefile" "$top"/selftests/*.[ch] "$build/selftests/"

echo "tools.sh: building the tool for $arch" >&2
export PKG_CONFIG_SYSROOT_DIR=$root
export PKG_CONFIG_LIBDIR=$root/usr/lib/$triplet/pkgconfig:$root/usr/share/pkgconfig
for folder in tools selftests; do
	# rpath-link: where the libraries are that the libraries need
	make -s -C "$build/$folder" CC="$triplet-gcc --sysroot=$root" \
		LDFLAGS="-Wl,-rpath-link,$root/usr/lib/$triplet" "$@" all
done
