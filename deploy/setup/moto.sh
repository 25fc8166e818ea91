#!/usr/bin/env bash
# Brings moto, the emulator of AWS that the tests of CloudWatch Logs ship to and read back from, with
# boto3 and botocore: a virtual environment in target/moto (or MOTO), with the versions of
# tests/receivers/moto-requirements.txt. Does nothing if it is there with these.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

requirements="$repository/tests/receivers/moto-requirements.txt"
destination="${MOTO:-$repository/target/moto}"
stamp="$destination/.installed"

if ! cmp --silent "$requirements" "$stamp"; then
    # Debian keeps what a venv needs in a package of its own.
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        install_packages "a folder of its own for moto" python3-venv
    fi
    say "installing moto from PyPI into ${destination#"$repository"/}"
    rm -rf "$destination"
    python3 -m venv "$destination" || stop "python3 -m venv does not work"
    "$destination/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        --requirement "$requirements" \
        || stop "pip cannot bring what $requirements names: is PyPI reachable?"
    cp "$requirements" "$stamp"
fi
# Fails if a package is missing or does not go with another.
"$destination/bin/pip" check >/dev/null || stop "$destination is not whole: remove it and try again"
