#!/usr/bin/env bash
# image.sh [local]: builds the image IMAGE (downspout:dev). With the Dockerfile, if the builder
# image BUILDER_IMAGE (rust:1-alpine) is here or can be pulled; else, or with `local`, the same
# final stage is filled with the static binary and the CA bundle of this machine.

set -euo pipefail
cd "$(dirname "$0")/.."

image="${IMAGE:-downspout:dev}"
builder="${BUILDER_IMAGE:-rust:1-alpine}"
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
labels=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision")

# How the builder reaches the crates' registry; `host` where bridges have no route.
network=(--network "${BUILD_NETWORK:-default}")

pull() {
    echo ">> looking for the builder image $builder"
    docker image inspect "$builder" >/dev/null 2>&1 || timeout 300 docker pull "$builder"
}

if [ "${1:-}" != local ] && pull; then
    echo ">> building $image with the Dockerfile, on $builder"
    docker build "${network[@]}" --build-arg "BUILDER_IMAGE=$builder" "${labels[@]}" \
        --tag "$image" .
else
    echo ">> assembling $image from the binary built here"
    binary="$(deploy/build.sh | tail -n 1)"
    stage="$(mktemp -d)"
    trap 'rm -rf "$stage"' EXIT
    install -m 755 "$binary" "$stage/downspout"
    install -m 644 /etc/ssl/certs/ca-certificates.crt "$stage/ca-certificates.crt"
    install -d -m 770 "$stage/state/downspout"
    sed -n '/^FROM scratch$/,$p' Dockerfile | sed 's|--from=build /out/||' >"$stage/Dockerfile"
    docker build --quiet "${labels[@]}" --tag "$image" "$stage" >/dev/null
fi
echo ">> $image: $(docker image inspect --format '{{.Size}}' "$image") bytes"
