# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # used by who sources this; set by cache.sh
#
# Debian packages of another architecture than this machine's. Sourced after cache.sh,
# by scripts that have say().
#
#   foreign ARCHITECTURE
#       sets what follows, and makes the folder
#   $foreign      the folder in which all of this architecture is kept
#   $triplet      how its compiler is called, without the last hyphen
#   $apt          options for apt-get and apt-cache, an array: package names without an
#                 architecture are of this one; NAME:amd64 is this machine's
#   foreign_update
#       fetches apt's lists if there are none, or this machine's are newer; without
#       success (no network) old lists have to do
#
# dpkg --add-architecture would change what the machine installs, so apt gets lists, a
# cache and a list of installed packages (none) of its own. Sources, keys and proxies
# are the machine's: what is not signed is refused here, too. No root needed.

foreign()
{
	case $1 in
	arm64) triplet=aarch64-linux-gnu ;;
	*) say "no architecture is called $1: amd64 and arm64 are"; exit 2 ;;
	esac
	foreign=$cache/$1
	mkdir -p "$foreign/apt/lists/partial" "$foreign/apt/cache/archives/partial"
	: >>"$foreign/apt/status"
	apt=(
		-o "APT::Architecture=$1" -o "APT::Architectures=$1,amd64"
		-o "Dir::State::lists=$foreign/apt/lists" -o "Dir::State::status=$foreign/apt/status"
		-o "Dir::State::extended_states=$foreign/apt/extended_states"
		-o "Dir::Cache=$foreign/apt/cache" -o "Dir::Log=$foreign/apt"
		# Root drops to a user that cannot write here.
		-o APT::Sandbox::User=root
	)
}

foreign_update()
{
	local lists
	exec {lists}>"$foreign/apt.lock"
	flock "$lists"
	if [[ ! $foreign/apt/updated -nt /var/lib/apt/lists ]]; then
		say "running apt-get update for ${foreign##*/}, in $foreign/apt"
		# Otherwise it is content with having tried.
		if apt-get -q "${apt[@]}" -o APT::Update::Error-Mode=any update {lists}>&- >&2; then
			: >"$foreign/apt/updated"
		else
			say "apt-get update failed"
		fi
	fi
	exec {lists}>&-
}
