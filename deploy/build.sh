#!/usr/bin/env bash
# Builds the static release binary and prints its path as the last line. The same source gives the
# same bytes wherever it lies: no path of this machine goes into the binary.

set -euo pipefail
cd "$(dirname "$0")/.."

host="$(rustc -vV | sed -n 's/^host: //p')"
revision="$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)"
# Shown as downspout_build_info.
export DOWNSPOUT_REVISION="${DOWNSPOUT_REVISION:-$revision}"
# An explicit target keeps +crt-static away from build scripts and procedural macros.
RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$PWD=/src \
--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
    cargo build --release --locked --bin downspout --target "$host" >&2
binary="${CARGO_TARGET_DIR:-$PWD/target}/$host/release/downspout"
if ldd "$binary" 2>&1 | grep '=>' >&2; then
    echo "!! $binary is not static: it needs the libraries above" >&2
    exit 1
fi
printf '%s\n' "$binary"
