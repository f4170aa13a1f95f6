# Siltstone's commands. `make help` lists them.
#
# One profile for everything: tests and the binary that users run are the same code, and nothing is
# compiled twice. Build products go to the user's cache unless CARGO_TARGET_DIR says otherwise, so that
# several clones share them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/siltstone
export CARGO_TARGET_DIR ?= $(cache)/target
bin := $(CARGO_TARGET_DIR)/release
e2e := server/tests/e2e

# What the end-to-end tests are run with: `make e2e ARGS='-k poison'`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo build test unit e2e nightly readers check fmt clippy doc tidy deny bench need

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | expand -t 10

demo: need ## build, then show moving rollups over a made-up stream, with a prompt to query them
	cargo build --release --workspace --bins
	$(bin)/siltstone demo

build: need ## the binary, in $CARGO_TARGET_DIR/release/siltstone
	cargo build --release --workspace --bins

test: need-test build ## all tests: units, integration, end to end against a real Kafka broker
	cargo test --release --workspace
	$(MAKE) --no-print-directory e2e

unit: need ## the Rust tests alone
	cargo test --release --workspace

e2e: need-test build readers ## the end-to-end tests alone
	python=$$(.ci/python); \
	SILTSTONE_BIN=$(bin)/siltstone ADGEN_BIN=$(bin)/adgen \
	  "$$python" -m pytest $(e2e) -m 'not nightly' $(ARGS)

nightly: need-test build readers ## the long tests: more keys, more kills, more rows
	.ci/readers spark > /dev/null
	SILTSTONE_SCHEDULES=1000 cargo test --release --workspace --test server lake:: -- --nocapture
	python=$$(.ci/python); \
	SILTSTONE_BIN=$(bin)/siltstone ADGEN_BIN=$(bin)/adgen SILTSTONE_NIGHTLY=1 \
	  "$$python" -m pytest $(e2e) $(ARGS)

check: need fmt clippy doc tidy ## formatting, lints, docs and the tidy test

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --release --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps --lib

tidy:
	cargo test --release --workspace --test tidy

deny: ## dependencies' licences, duplicates and sources, by cargo-deny
	@command -v cargo-deny > /dev/null || { echo 'missing: cargo-deny; install with: cargo install cargo-deny --locked' >&2; exit 1; }
	cargo deny check licenses bans sources

bench: need-test build ## beside peers in the same run; prints ratios. `make bench ARGS=help`; docs/benchmarks.md
	python=$$(.ci/python); \
	$(bin)/bench --siltstone $(bin)/siltstone --python "$$python" $(ARGS)

readers: need-test ## environments of other engines, which read the lake's tables in the tests
	@.ci/readers > /dev/null

need:
	@.ci/need build

need-test:
	@.ci/need test
.PHONY: need-test
