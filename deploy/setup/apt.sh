# Sourced by the scripts of this folder: what they all need of apt and of the terminal.
# shellcheck shell=bash

set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# shellcheck disable=SC2034 # read by the scripts that source this
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

# Says one thing that is being done.
say() { printf '>> %s\n' "$*"; }

# Ends with what is wrong and its cure.
stop() {
    printf '!! %s\n' "$*" >&2
    exit 1
}

# Runs a command as root, through sudo only where that is needed.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        stop "this needs root and there is no sudo: $*"
    fi
}

# Whether apt could install a package.
available() {
    apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null
}

# Fetches apt's lists, at most once, unless they already know all the packages named.
know_packages() {
    command -v apt-get >/dev/null || stop "no apt-get: install by hand what provides: $*"
    local package
    for package in "$@"; do
        if ! available "$package"; then
            say "fetching the package lists, $package is not in them"
            as_root apt-get -q update >/dev/null || say "apt-get update failed, going on with the old lists"
            return
        fi
    done
}

# install WHY PACKAGE...: installs packages, starting no service that they bring.
install_packages() {
    local why="$1"
    shift
    say "installing $*: $why"
    know_packages "$@"
    # For the length of the installation, services are told not to start.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root apt-get -q -y install --no-install-recommends "$@" \
        || stop "apt-get could not install $*: run 'apt-get update' and try again"
    if [ -n "$(trap -p EXIT)" ]; then
        as_root rm -f "$policy"
        trap - EXIT
    fi
}
