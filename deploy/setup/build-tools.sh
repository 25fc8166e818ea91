#!/usr/bin/env bash
# Installs what a build needs: a C compiler (ring has C and assembly), libc's static library, git,
# certificates, and Rust where a new enough one can be had from Debian.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

wanted=()
command -v gcc >/dev/null || wanted+=(gcc)
command -v make >/dev/null || wanted+=(make)
command -v git >/dev/null || wanted+=(git)
libc="$(gcc -print-file-name=libc.a 2>/dev/null || true)"
[ -e "$libc" ] || wanted+=(libc6-dev)
[ -e /etc/ssl/certs/ca-certificates.crt ] || wanted+=(ca-certificates)
if [ "${#wanted[@]}" -gt 0 ]; then
    install_packages "the C side of the build and the CA bundle of the image" "${wanted[@]}"
fi

needed="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$repository/Cargo.toml")"
if ! command -v cargo >/dev/null; then
    know_packages rustup
    available rustup || stop "no cargo, and this Debian has no rustup package (its rustc is too old:" \
        "Rust $needed is needed). Install Rust from https://rustup.rs and run this again."
    install_packages "the Rust toolchain" rustup
    say "fetching Rust's stable toolchain: $needed or later is needed"
    rustup default stable
fi
found="$(rustc --version | cut -d ' ' -f 2)"
if [ "$(printf '%s\n%s\n' "$needed" "$found" | sort -V | head -n 1)" != "$needed" ]; then
    stop "rustc $found is too old: Rust $needed or later is needed. Run 'rustup update stable'."
fi
