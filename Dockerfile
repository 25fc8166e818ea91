# Two stages: a static binary, then nothing but that binary and the CA bundle. Uses only what the
# classic builder knows (no `RUN --mount`, no heredocs, no `COPY --chmod`); BuildKit takes it too.
#
#   docker build -t downspout .
#   docker build --build-arg BUILDER_IMAGE=my/rust .     any image with cargo, a C compiler, a CA bundle

ARG BUILDER_IMAGE=rust:1-alpine
FROM ${BUILDER_IMAGE} AS build
ARG REVISION=unknown
# ring has C and assembly in it.
RUN if command -v apk >/dev/null; then apk add --no-cache musl-dev gcc ca-certificates; fi
WORKDIR /src
COPY . .
# An explicit target keeps +crt-static away from build scripts and procedural macros.
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
 && DOWNSPOUT_REVISION="$REVISION" RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --release --locked --bin downspout --target "$host" \
 && install -D "target/$host/release/downspout" /out/downspout \
 && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /out/ca-certificates.crt \
 && mkdir -p /out/state/downspout && chmod 770 /out/state/downspout \
 && if ldd /out/downspout 2>&1 | grep '=>'; then echo "the binary is not static" >&2; exit 1; fi

# `deploy/image.sh` takes the lines from here on where no builder image can be had.
FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="downspout" \
      org.opencontainers.image.description="Ships the logs of all containers of a Docker host to syslog or CloudWatch Logs, losing nothing that Docker still has" \
      org.opencontainers.image.source="https://github.com/downspout/downspout" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/downspout /downspout
# A new volume takes over whose this folder is: nobody's, and that of root without capabilities.
COPY --chown=65534:0 --from=build /out/state/ /var/lib/
# Health and metrics.
EXPOSE 9514
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 CMD ["/downspout", "healthcheck"]
ENTRYPOINT ["/downspout"]
