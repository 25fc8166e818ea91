#!/usr/bin/env bash
# Runs each fuzz target of tests/fuzz for FUZZ_SECONDS (60), with the nightly toolchain that
# cargo-fuzz needs.

set -euo pipefail
cd "$(dirname "$0")/.."

deploy/setup/build-tools.sh
if ! rustc +nightly --version >/dev/null 2>&1; then
    echo "!! fuzzing needs a nightly toolchain: run 'rustup toolchain install nightly'" >&2
    exit 1
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo ">> installing cargo-fuzz: it builds and runs the targets"
    cargo install cargo-fuzz --locked
fi
for target in $(cargo +nightly fuzz list --fuzz-dir tests/fuzz); do
    echo ">> fuzzing $target for ${FUZZ_SECONDS:-60} s"
    cargo +nightly fuzz run --fuzz-dir tests/fuzz "$target" -- \
        -max_total_time="${FUZZ_SECONDS:-60}"
done
