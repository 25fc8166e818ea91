# Every target says what it does; `make` alone lists them.

IMAGE ?= downspout:dev
BUILDER_IMAGE ?= rust:1-alpine
ROUTE ?=
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 600
SOAK_SEED ?=
# Sizes: see deploy/bench.sh.
BENCH_PARTS ?= micro backlog transports live burst outage scaling idle flood cloudwatch
export IMAGE BUILDER_IMAGE ROUTE FUZZ_SECONDS SOAK_SECONDS SOAK_SEED BENCH_PARTS

.DEFAULT_GOAL := help
.PHONY: help run test build image dist deb lint deny bench plot fuzz soak clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 14

run: ## build, start samples if nothing runs, ship to the terminal (or ROUTE=syslog+tcp://…) until Ctrl-C
	@deploy/run.sh

test: ## everything CI checks: format, lints, dependencies, docs, static image, all tests
	@deploy/test.sh

build: ## the static release binary
	@deploy/setup/build-tools.sh
	@deploy/build.sh

image: ## the image IMAGE, with BUILDER_IMAGE if it can be had, else from the binary built here
	@deploy/setup/build-tools.sh
	@deploy/setup/docker-engine.sh
	@deploy/image.sh

dist: ## what a release is made of, in target/dist: two builds that must be the same, SBOM, checksums
	@deploy/dist.sh

deb: ## a Debian package with the binary and its systemd unit, in target
	@deploy/deb.sh

lint: ## format and lints only
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings

deny: ## dependencies: advisories, licences, duplicates
	@deploy/deny.sh

bench: ## all benches (2 hours), or BENCH_PARTS=backlog and the like (needs an engine)
	@deploy/bench.sh

plot: ## draw benches/backlog.svg from the backlog that was measured last
	@CARGO_PROFILE_BENCH_LTO=thin cargo bench --quiet --locked --bench shipping -- \
	    --plot benches/backlog.svg

fuzz: ## each fuzz target for FUZZ_SECONDS (60)
	@deploy/fuzz.sh

soak: ## everything at random for SOAK_SECONDS (600), then the count of lines (needs an engine)
	@deploy/soak.sh

clean: ## remove build output, samples, and the images made here
	cargo clean
	@if docker info >/dev/null 2>&1; then \
	    docker rm --force downspout-sample-1 downspout-sample-2 >/dev/null 2>&1; \
	    docker rmi --force $(IMAGE) downspout:test downspout/busybox:test >/dev/null 2>&1; \
	fi; true
