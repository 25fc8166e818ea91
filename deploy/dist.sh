#!/usr/bin/env bash
# What a release is made of, in target/dist: an archive with the static binary, manual page and
# completions, the list of what is in it (SBOM, CycloneDX), and the checksums of both. The binary is
# built twice, from two copies of the last commit in two places; unless both are the same to the
# last bit there is no release.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup/apt.sh"
cd "$repository"

# The release of the tool that lists the packages.
sbom_tool=0.5.9

[ -z "$(git status --porcelain)" ] || say "what is not committed is not in the release"
deploy/setup/build-tools.sh
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
architecture="$(rustc -vV | sed -n 's/^host: \([^-]*\).*/\1/p')"
name="downspout-$version-linux-$architecture"
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)"
DOWNSPOUT_REVISION="$(git rev-parse --short=12 HEAD)"
export SOURCE_DATE_EPOCH DOWNSPOUT_REVISION

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
built=()
for place in one another/place; do
    mkdir -p "$work/$place"
    git archive HEAD | tar -x -C "$work/$place"
    say "building in $work/$place"
    # Nothing of the other build may be seen.
    built+=("$(CARGO_TARGET_DIR="$work/$place/target" "$work/$place/deploy/build.sh" | tail -n 1)")
done
sums="$(sha256sum "${built[@]}" | cut -d ' ' -f 1 | sort -u)"
[ "$(wc -l <<<"$sums")" -eq 1 ] || stop "two builds of one commit differ: ${sums//$'\n'/ and }"
say "both builds are the same: $sums"

say "listing what is in it"
tools="$PWD/target/cargo-cyclonedx"
if ! "$tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null | grep -q "$sbom_tool"; then
    cargo install cargo-cyclonedx --version "$sbom_tool" --locked --quiet --root "$tools"
fi
host="$(rustc -vV | sed -n 's/^host: //p')"
(cd "$work/one" && "$tools/bin/cargo-cyclonedx" cyclonedx --format json --target "$host" \
    --override-filename sbom --quiet)

stage="$work/$name"
binary="${built[0]}"
install -D -m 755 "$binary" "$stage/downspout"
install -D -m 644 "$work/one/sbom.json" "$stage/sbom.cdx.json"
"$binary" man >"$stage/downspout.8"
for shell in bash zsh fish; do "$binary" completions "$shell" >"$stage/downspout.$shell"; done
install -m 644 LICENSE-APACHE LICENSE-MIT README.md CHANGELOG.md SECURITY.md "$stage"
dist="$PWD/target/dist"
mkdir -p "$dist"
# Same bytes whenever and by whomever it is packed.
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --mode='u=rwX,go=rX' -C "$work" -c "$name" | gzip -9 -n >"$dist/$name.tar.gz"
install -m 644 "$stage/sbom.cdx.json" "$dist/$name.cdx.json"
(cd "$dist" && sha256sum "$name.tar.gz" "$name.cdx.json" | tee "$name.sha256")
say "in $dist"
