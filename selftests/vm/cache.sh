# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The folder in which kernels and packages are kept from run to run. Sourced.
#
#   $cache       the folder, made if it is not there: $CTXSTAT_CACHE; otherwise
#                /var/cache/ctxstat as root, ${XDG_CACHE_HOME:-$HOME/.cache}/ctxstat as
#                anyone else
#   vm_runs      whether a virtual machine runs, which may be reading what is in it

if [[ -n ${CTXSTAT_CACHE:-} ]]; then
	cache=$CTXSTAT_CACHE
elif ((EUID == 0)); then
	cache=/var/cache/ctxstat
else
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/ctxstat
fi
mkdir -p "$cache"
cache=$(realpath "$cache")

vm_runs()
{
	local file vm
	for file in "$cache"/vm.*.lock; do
		[[ -e $file ]] || continue
		exec {vm}>"$file"
		flock -n "$vm" || return 0
		exec {vm}>&-
	done
	return 1
}
