#!/usr/bin/env bash
# The benches: criterion's, and the end-to-end table, with rsyslog and syslog-ng beside us. What is
# given as arguments goes to the end-to-end bench, e.g. deploy/bench.sh --rounds 1. The table is
# left in target/bench.

set -euo pipefail
cd "$(dirname "$0")/.."

deploy/setup/build-tools.sh
deploy/setup/docker-engine.sh
deploy/setup/receivers.sh
deploy/setup/busybox-image.sh

AGENT_BINARY="$(deploy/build.sh | tail -n 1)"
export AGENT_BINARY
export BUSYBOX_IMAGE=downspout/busybox:test
export RECEIVERS="${RECEIVERS:-$PWD/target/receivers}"

# The bench removes what it starts; this is for one that was killed.
clean_up() {
    local containers
    containers="$(docker ps --all --quiet --filter label=downspout.bench)"
    [ -z "$containers" ] || xargs docker rm --force --volumes <<<"$containers" >/dev/null
}
trap clean_up EXIT

# The agent is measured as it is built above; the benches themselves need no fat LTO.
export CARGO_PROFILE_BENCH_LTO=thin
cargo bench --locked --bench micro
cargo bench --locked --bench drain -- "$@"
