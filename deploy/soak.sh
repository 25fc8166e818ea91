#!/usr/bin/env bash
# Disturbs the release binary at random for SOAK_SECONDS (600), and counts lines at the end. The
# order of events follows from SOAK_SEED, which is printed; not their moments, for the machine is
# not the same twice.

set -euo pipefail
cd "$(dirname "$0")/.."

deploy/setup/build-tools.sh
deploy/setup/docker-engine.sh
deploy/setup/busybox-image.sh

AGENT_BINARY="$(deploy/build.sh | tail -n 1)"
export AGENT_BINARY

# The soak removes what it starts; this is for one that was killed.
clean_up() {
    local containers
    containers="$(docker ps --all --quiet --filter label=downspout-test)"
    [ -z "$containers" ] || xargs docker rm --force --volumes <<<"$containers" >/dev/null
}
trap clean_up EXIT

export CARGO_PROFILE_BENCH_LTO=thin
arguments=(--seconds "${SOAK_SECONDS:-600}")
[ -z "${SOAK_SEED:-}" ] || arguments+=(--seed "$SOAK_SEED")
cargo bench --locked --bench soak -- "${arguments[@]}" "$@"
