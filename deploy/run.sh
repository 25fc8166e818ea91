#!/usr/bin/env bash
# Builds downspout and ships the lines of all containers to this terminal, or to the route URI in
# ROUTE, until Ctrl-C. Where nothing runs, two sample containers are started, and removed at the end.

set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '>> %s\n' "$*"; }

deploy/setup/build-tools.sh
deploy/setup/docker-engine.sh

say "building the static binary"
binary="$(deploy/build.sh | tail -n 1)"

samples=(downspout-sample-1 downspout-sample-2)
remove_samples() { docker rm -f "${samples[@]}" >/dev/null 2>&1 || true; }

# Left over from a run that could not clean up.
remove_samples

# A line a second on standard output, every third one also on standard error.
# shellcheck disable=SC2016 # the container's shell expands it
talk='n=0; while :; do n=$((n + 1))
    echo "$0 says line $n"
    if [ $((n % 3)) -eq 0 ]; then echo "$0 complains in line $n" >&2; fi
    sleep 1; done'

if [ -z "$(docker ps --quiet)" ]; then
    deploy/setup/busybox-image.sh
    say "no container is running: starting ${samples[*]}, removed at the end"
    trap 'say "removing ${samples[*]}"; remove_samples' EXIT
    for sample in "${samples[@]}"; do
        docker run --detach --name "$sample" --network none --log-driver json-file \
            downspout/busybox:test sh -c "$talk" "$sample" >/dev/null
    done
else
    say "shipping the containers that run here: $(docker ps --format '{{.Names}}' | paste -s -d ' ')"
fi

# A trial run keeps its positions beside the build, and leaves the host's own agent alone.
export DOWNSPOUT_STATE_DIR="${DOWNSPOUT_STATE_DIR:-$PWD/target/state}"

# The terminal sends Ctrl-C to the agent too; this script waits for its end and cleans up.
trap : INT TERM
if [ -n "${ROUTE:-}" ]; then
    say "shipping to $ROUTE until Ctrl-C"
    set -- "$ROUTE"
else
    say "shipping to this terminal until Ctrl-C"
    set --
fi
status=0
"$binary" "$@" || status=$?
exit "$status"
