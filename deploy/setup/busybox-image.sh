#!/usr/bin/env bash
# busybox-image.sh [TAG]: makes the image of the sample and test containers out of Debian's
# busybox-static, because nothing may be pulled. Does nothing if the image exists.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/apt.sh"

tag="${1:-downspout/busybox:test}"
if docker image inspect "$tag" >/dev/null 2>&1; then
    exit 0
fi
"$repository/deploy/setup/unpack.sh" busybox busybox-static
busybox="${RECEIVERS:-$repository/target/receivers}/busybox/bin/busybox"

root="$(mktemp -d)"
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
say "making the image $tag"
tar -C "$root" --owner=0 --group=0 -c . \
    | docker import -c 'ENV PATH=/bin' -c 'CMD ["/bin/sh"]' - "$tag" >/dev/null
