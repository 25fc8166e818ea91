#!/usr/bin/env bash
# The whole test suite, with everything it needs installed, ending in the counts of the tests.
# Leaves no container, no network and no image behind.

set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

# What the tests start carries this label; what they assemble has these tags.
label=downspout-test
images=(downspout:test downspout/busybox:test)

clean_up() {
    local containers networks
    containers="$(docker ps --all --quiet --filter "label=$label")"
    [ -z "$containers" ] || xargs docker rm --force --volumes <<<"$containers" >/dev/null
    networks="$(docker network ls --quiet --filter "label=$label")"
    [ -z "$networks" ] || xargs docker network rm <<<"$networks" >/dev/null
    docker rmi --force "${images[@]}" >/dev/null 2>&1 || true
}

step "what the tests need"
deploy/setup/build-tools.sh
deploy/setup/docker-engine.sh
trap clean_up EXIT
clean_up
deploy/setup/readers.sh
deploy/setup/receivers.sh
deploy/setup/moto.sh
deploy/setup/prometheus.sh
deploy/setup/podman.sh
deploy/setup/deployments.sh
deploy/setup/busybox-image.sh

step "format"
cargo fmt --check

step "lints"
cargo clippy --all-targets --locked -- -D warnings
# The agent that speaks syslog only.
cargo clippy --locked --no-default-features -- -D warnings

step "dependencies"
deploy/deny.sh

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked

step "static binary and image"
IMAGE=downspout:test deploy/image.sh local

step "tests"
AGENT_BINARY="$(deploy/build.sh 2>/dev/null | tail -n 1)"
export AGENT_BINARY
export AGENT_IMAGE=downspout:test
export BUSYBOX_IMAGE=downspout/busybox:test
export RECEIVERS="${RECEIVERS:-$PWD/target/receivers}"
export MOTO="${MOTO:-$PWD/target/moto}"
export PROMETHEUS="${PROMETHEUS:-$PWD/target/prometheus}"
export PODMAN="${PODMAN:-$PWD/target/podman}"
log="$(mktemp)"
outcome=0
cargo test --locked --no-fail-fast -- --test-threads "${TEST_THREADS:-4}" 2>&1 | tee "$log" \
    || outcome=$?

left="$(docker ps --all --filter "label=$label" --format '{{.Names}}')"
if [ -n "$left" ]; then
    echo "!! the tests left containers behind: $left" >&2
    outcome=1
fi

# One line for all test crates together, documentation's included.
step "all tests"
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$log"
rm -f "$log"
exit "$outcome"
