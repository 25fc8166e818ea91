#!/usr/bin/env bash
# Makes a Docker engine answer: Debian's docker.io, installed and started only if none does.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

answers() { docker info >/dev/null 2>&1; }
# Asked by name, for an engine that this user may not talk to.
answers_root() { as_root docker info >/dev/null 2>&1; }

if command -v docker >/dev/null && answers; then
    exit 0
fi
if [ -n "${DOCKER_HOST:-}" ]; then
    stop "DOCKER_HOST is $DOCKER_HOST and no engine answers there: start it, or unset DOCKER_HOST."
fi
if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    know_packages docker.io
    packages=(docker.io iptables)
    # From Debian 13 on the command is a package of its own.
    if available docker-cli; then packages+=(docker-cli); fi
    install_packages "no Docker engine answers here" "${packages[@]}"
fi

log="$repository/target/dockerd.log"
mkdir -p "$repository/target"
if ! answers && ! answers_root; then
    if [ -d /run/systemd/system ]; then
        say "starting the engine with systemctl"
        as_root systemctl start docker
        log=""
    else
        say "starting dockerd in the background, its log is target/dockerd.log"
        as_root sh -c "setsid dockerd >'$log' 2>&1 </dev/null &"
    fi
fi

# 60 s: the first start of an engine makes keys, bridges and its store.
for _ in $(seq 120); do
    if answers; then
        say "the engine answers: $(docker version --format '{{.Server.Version}}')"
        exit 0
    fi
    sleep 0.5
done
if [ "$(id -u)" -ne 0 ] && answers_root; then
    stop "the engine answers root but not $(id -un): run 'sudo usermod -aG docker $(id -un)'," \
        "log in again, and try again."
fi
if [ -n "$log" ]; then
    as_root tail -n 30 "$log" >&2 || true
else
    as_root journalctl -u docker -n 30 --no-pager >&2 || true
fi
stop "the engine did not answer within 60 s: the end of its log is above."
