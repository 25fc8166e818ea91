#!/usr/bin/env bash
# Brings what the tests of the set-ups in deploy/ need: a compose command, and systemd-analyze. Starts
# nothing.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

if ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
    install_packages "running the compose files" docker-compose
fi
if ! command -v systemd-analyze >/dev/null; then
    install_packages "checking the systemd unit" systemd
fi
