#!/usr/bin/env bash
# unpack.sh FOLDER PACKAGE...: unpacks Debian packages, and the libraries they miss here, into
# target/receivers/FOLDER. Nothing is installed: no root, no service, no conflict between two
# syslog daemons or with the one of this machine.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

folder="$1"
shift
destination="${RECEIVERS:-$repository/target/receivers}/$folder"
stamp="$destination/.unpacked"

if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$*" ]; then
    exit 0
fi
know_packages "$@"

# What an installation would bring, less what it would only replace by a newer version.
missing="$(apt-get -s install --no-install-recommends "$@" 2>/dev/null \
    | sed -n 's/^Inst \([^ ]*\) (.*/\1/p')"
mapfile -t packages < <(printf '%s\n' "$@" "$missing" | sed '/^$/d' | sort -u)

say "unpacking ${packages[*]} into ${destination#"$repository"/} (nothing is installed)"
rm -rf "$destination"
mkdir -p "$destination"
archives="$(mktemp -d)"
chmod 755 "$archives" # apt downloads as a user of its own
trap 'rm -rf "$archives"' EXIT
if ! (cd "$archives" && apt-get -q download "${packages[@]}" >download.log 2>&1); then
    as_root apt-get -q update >/dev/null || true
    (cd "$archives" && apt-get -q download "${packages[@]}") \
        || stop "cannot download ${packages[*]}: run 'apt-get update' and try again"
fi
for archive in "$archives"/*.deb; do
    dpkg-deb -x "$archive" "$destination"
done
printf '%s' "$*" >"$stamp"
