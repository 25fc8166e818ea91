#!/usr/bin/env bash
# deb.sh [BINARY]: makes a Debian package of the static binary, which is built unless it is given, and
# prints the package's path, in OUT or target, as the last line. It brings the binary, manual page,
# completions, downspout.service and its settings in /etc/default/downspout; makes no user and starts
# nothing.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup/apt.sh"
cd "$repository"

command -v dpkg-deb >/dev/null || stop "no dpkg-deb: this makes packages on Debian and its kin only"
if [ $# -gt 0 ]; then
    binary="$1"
else
    deploy/setup/build-tools.sh
    binary="$(deploy/build.sh | tail -n 1)"
fi
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
architecture="$(dpkg --print-architecture)"
# The same input gives the same package.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH

stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT
root="$stage/root"
install -D -m 755 "$binary" "$root/usr/bin/downspout"
install -D -m 644 deploy/systemd/downspout.service "$root/usr/lib/systemd/system/downspout.service"
install -D -m 644 deploy/systemd/downspout.env "$root/etc/default/downspout"
install -d "$root/usr/share/doc/downspout"
{
    printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n'
    printf 'Upstream-Name: downspout\nSource: https://github.com/downspout/downspout\n\n'
    printf 'Files: *\nCopyright: the authors of downspout\nLicense: MIT or Apache-2.0\n\n'
    printf 'License: MIT or Apache-2.0\n'
    printf ' As you like. Apache-2.0 is in /usr/share/common-licenses/Apache-2.0; MIT says:\n .\n'
    sed 's/^$/./; s/^/ /' LICENSE-MIT
} >"$root/usr/share/doc/downspout/copyright"
manual="$root/usr/share/man/man8"
install -d "$manual" "$root/usr/share/bash-completion/completions" \
    "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
"$binary" man | gzip -9 -n >"$manual/downspout.8.gz"
"$binary" completions bash >"$root/usr/share/bash-completion/completions/downspout"
"$binary" completions zsh >"$root/usr/share/zsh/vendor-completions/_downspout"
"$binary" completions fish >"$root/usr/share/fish/vendor_completions.d/downspout.fish"
gzip -9 -n -c CHANGELOG.md >"$root/usr/share/doc/downspout/changelog.gz"
find "$root/usr/share" -type f -exec chmod 644 {} +

install -d -m 755 "$root/DEBIAN"
echo /etc/default/downspout >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: downspout
Version: $version
Architecture: $architecture
Maintainer: the authors of downspout <downspout@users.noreply.github.com>
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)
Recommends: docker.io | docker-ce, ca-certificates
Section: admin
Priority: optional
Homepage: https://github.com/downspout/downspout
Description: ships the logs of all containers of a Docker host
 Follows every container and ships its lines, complete and in order, to syslog over UDP, TCP, TLS,
 RELP or a unix socket, or to AWS CloudWatch Logs. A destination that is down costs delay, never
 lines that Docker still has.
CONTROL

# What deb-systemd-helper would do, without depending on it. Nobody's settings are known at the first
# installation, so nothing is enabled then; an upgrade starts what runs anew.
cat >"$root/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ -n "$2" ]; then systemctl try-restart downspout.service; fi
fi
SCRIPT
cat >"$root/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now downspout.service
fi
SCRIPT
cat >"$root/DEBIAN/postrm" <<'SCRIPT'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "$1" = purge ]; then rm -rf /var/lib/private/downspout /var/lib/downspout; fi
SCRIPT
chmod 755 "$root"/DEBIAN/p*

package="${OUT:-$repository/target}/downspout_${version}_$architecture.deb"
mkdir -p "$(dirname "$package")"
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
printf '%s\n' "$package"
