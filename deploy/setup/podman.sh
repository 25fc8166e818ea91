#!/usr/bin/env bash
# Brings Podman for the test of its Docker-compatible API: Debian's package with what it runs
# containers by, unpacked into target/podman (or PODMAN). Nothing is installed, and nothing is started.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

destination="${PODMAN:-$repository/target/podman}"
mkdir -p "$(dirname "$destination")"
# runc is a part of what Docker's engine brought.
RECEIVERS="$(cd "$(dirname "$destination")" && pwd)" \
    "$repository/deploy/setup/unpack.sh" "$(basename "$destination")" podman conmon runc

libraries="$(echo "$destination"/usr/lib/*-linux-gnu)"
version="$(LD_LIBRARY_PATH="$libraries" "$destination/usr/bin/podman" --version 2>&1 | head -n 1)" \
    || stop "podman does not run: $version"
say "$version"
