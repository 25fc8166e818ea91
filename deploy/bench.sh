#!/usr/bin/env bash
# The benches: criterion's, and the end-to-end table, with rsyslog and syslog-ng beside us.

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
cargo bench --locked
