#!/usr/bin/env bash
# The benches: criterion's (micro), and the end-to-end tables with rsyslog and syslog-ng beside us
# (backlog, live, outage, idle, flood). Run as root, for rsyslog and syslog-ng read the engine's
# files. The tables are left in target/bench. By the environment:
#   BENCH_PARTS          which of those, with blanks between; all by default
#   BENCH_ROUNDS         rounds of each, of which the medians are shown (3)
#   BENCH_LINES          lines of backlog and live (1000000)
#   BENCH_RATE           outage: lines per second (5000)
#   BENCH_AWAY           outage: seconds for which the receiver is away (10)
#   BENCH_AFTER          outage: seconds of load after its return (30)
#   BENCH_CONTAINERS     idle: containers (1000), about 0.3 s and 15 MiB each
#   BENCH_IDLE_SECONDS   idle: seconds of each measurement (60)
#   BENCH_FLOOD_SECONDS  flood: seconds of each measurement (30), up to 50 MB of log each
#   AGENT_BINARY         what to measure; by default it is built
#   RECEIVERS            where rsyslog and syslog-ng are (target/receivers); what is missing or old
#                        there is unpacked anew, so do not share a folder that is in use
# What is given as arguments goes to the end-to-end bench, e.g. deploy/bench.sh --only downspout.

set -euo pipefail
cd "$(dirname "$0")/.."

sizes=()
size() { # OPTION VALUE
    [ -z "$2" ] || sizes+=("$1" "$2")
}
size --rounds "${BENCH_ROUNDS:-}"
size --lines "${BENCH_LINES:-}"
size --rate "${BENCH_RATE:-}"
size --away "${BENCH_AWAY:-}"
size --after "${BENCH_AFTER:-}"
size --containers "${BENCH_CONTAINERS:-}"
size --seconds "${BENCH_IDLE_SECONDS:-}"
size --flood-seconds "${BENCH_FLOOD_SECONDS:-}"

micro=
parts=()
for part in ${BENCH_PARTS:-micro backlog live outage idle flood}; do
    case "$part" in
        micro) micro=1 ;;
        backlog | live | outage | idle | flood) parts+=(--part "$part") ;;
        *)
            echo "!! BENCH_PARTS: '$part' is none of micro backlog live outage idle flood" >&2
            exit 2
            ;;
    esac
done

deploy/setup/build-tools.sh
# The agent is measured as deploy/build.sh builds it; the benches themselves need no fat LTO.
export CARGO_PROFILE_BENCH_LTO=thin
[ -z "$micro" ] || cargo bench --locked --bench micro
[ ${#parts[@]} -gt 0 ] || exit 0

deploy/setup/docker-engine.sh
deploy/setup/receivers.sh
deploy/setup/busybox-image.sh

AGENT_BINARY="${AGENT_BINARY:-$(deploy/build.sh | tail -n 1)}"
export AGENT_BINARY
export BUSYBOX_IMAGE=downspout/busybox:test
export RECEIVERS="${RECEIVERS:-$PWD/target/receivers}"

# The bench removes what it starts; this is for one that was killed.
clean_up() {
    local containers
    containers="$(docker ps --all --quiet --filter label=downspout.bench)"
    [ -z "$containers" ] || xargs -n 25 docker rm --force --volumes <<<"$containers" >/dev/null
}
trap clean_up EXIT

cargo bench --locked --bench shipping -- "${parts[@]}" "${sizes[@]}" "$@"
