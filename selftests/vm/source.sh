#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Fetch and unpack the sources of a Debian kernel, without installing them.
#
# usage: source.sh 6.1|6.12
#
# They are 1.4 GB, in the cache, and there to be read: who changes something there
# changes it for all.
#
# stdout: the folder
#
# Exit: 0 all is there, 1 it could not be fetched, 2 usage.
#
# Environment:
#   CTXSTAT_CACHE    the cache folder, see cache.sh

set -euo pipefail
export LC_ALL=C

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
say() { echo "source.sh: $*" >&2; }
die() { say "$*"; exit 1; }

[[ $# == 1 && $1 =~ ^[0-9]+\.[0-9]+$ ]] || { say "usage: source.sh 6.1|6.12"; exit 2; }
series=$1

# shellcheck source=selftests/vm/cache.sh
. "$here/cache.sh"
# shellcheck source=selftests/vm/fill.sh
. "$here/fill.sh"
sources=$cache/sources
mkdir -p "$sources"

package=$("$here/fetch.sh" "linux-source-$series")
dest=$sources/${package##*/}

fill_lock "$cache/sources.lock"
if [[ ! -d $dest ]]; then
	rm -rf "$sources"/.new.*
	new=$(mktemp -d "$sources/.new.XXXXXX")
	chmod 755 "$new"
	say "unpacking into $dest"
	run tar -x -C "$new" --strip-components=1 -f "$package/usr/src/linux-source-$series.tar.xz" ||
		die "it cannot be unpacked"
	mv -T "$new" "$dest"
	new=''
	vm_runs || find "$sources" -mindepth 1 -maxdepth 1 -name "linux-source-${series}_*" ! -name "${dest##*/}" \
		-exec rm -rf {} +
fi
echo "$dest"
