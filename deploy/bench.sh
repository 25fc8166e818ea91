#!/usr/bin/env bash
# The benches: criterion's (micro), and the end-to-end tables with rsyslog, syslog-ng and Docker's
# syslog driver beside us where they can do the job. Run as root, for rsyslog and syslog-ng read the
# engine's files, and on a machine without other containers, for their lines are shipped too:
#   backlog     lines that wait in a log, by each way of reading them
#   transports  the same over TCP, TLS, RELP and a unix stream
#   live        50 containers with 200 lines per second each, and the delays
#   burst       a container that prints as fast as it can
#   outage      a receiver that goes away and comes back
#   scaling     1 to 500 busy containers; lines of 80 bytes to 8 KB; short and long backlogs
#   idle        a thousand containers: their start, without any line, and with few
#   flood       quiet containers beside a loud one
#   cloudwatch  a backlog to CloudWatch Logs, Docker's awslogs driver beside it, and a dead endpoint
# Every part is printed and left in target/bench as soon as it is done; summary.md and summary.json
# there hold all parts of the run and what became of the limits. By the environment:
#   BENCH_PARTS          which of those and micro, with blanks between; all by default
#   BENCH_ROUNDS         rounds of each, of which the medians are shown (3)
#   BENCH_LINES          lines of backlog, transports, burst, scaling and cloudwatch (1000000)
#   BENCH_LIVE_SECONDS   live: seconds of each measurement (30)
#   BENCH_BUSY           scaling: the most containers that print at once (500)
#   BENCH_RATE           outage: lines per second (5000)
#   BENCH_AWAY           outage: seconds for which the receiver is away (10)
#   BENCH_AFTER          outage: seconds of load after its return (30)
#   BENCH_CONTAINERS     idle: containers (1000), about 0.3 s and 15 MiB each
#   BENCH_IDLE_SECONDS   idle: seconds of each measurement (60); cloudwatch: of the dead endpoint
#   BENCH_FLOOD_SECONDS  flood: seconds of each measurement (30), up to 50 MB of log each
#   AGENT_BINARY         what to measure; by default it is built
#   RECEIVERS            where rsyslog and syslog-ng are (target/receivers); what is missing or old
#                        there is unpacked anew, so do not share a folder that is in use
# What is given as arguments goes to the end-to-end bench, e.g. deploy/bench.sh --only downspout
# --only 'downspout, api'.

set -euo pipefail
cd "$(dirname "$0")/.."

sizes=()
size() { # OPTION VALUE
    [ -z "$2" ] || sizes+=("$1" "$2")
}
size --rounds "${BENCH_ROUNDS:-}"
size --lines "${BENCH_LINES:-}"
size --live-seconds "${BENCH_LIVE_SECONDS:-}"
size --busy "${BENCH_BUSY:-}"
size --rate "${BENCH_RATE:-}"
size --away "${BENCH_AWAY:-}"
size --after "${BENCH_AFTER:-}"
size --containers "${BENCH_CONTAINERS:-}"
size --seconds "${BENCH_IDLE_SECONDS:-}"
size --flood-seconds "${BENCH_FLOOD_SECONDS:-}"

micro=
parts=()
all="micro backlog transports live burst outage scaling idle flood cloudwatch"
for part in ${BENCH_PARTS:-$all}; do
    case " $all " in
        *" $part "*) ;;
        *)
            echo "!! BENCH_PARTS: '$part' is none of $all" >&2
            exit 2
            ;;
    esac
    if [ "$part" = micro ]; then micro=1; else parts+=(--part "$part"); fi
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
