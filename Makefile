# The commands of this project. They need a Rust toolchain, Python 3.11, a C compiler and make.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CARGO ?= cargo
PYTHON ?= python3
ARGS ?=
ROWS ?= 5000000

export PYTHONUNBUFFERED := 1

# Dependencies are built once, in one profile and with one set of features, for everything below. The
# demo and the benchmark differ in this crate alone, which they optimize.
OPTIMIZED := --config 'profile.dev.package.veilflight.opt-level=3' \
	--config 'profile.dev.package.veilflight.codegen-units=8'

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
# Named by what is in it, so that a change of a pin makes it again.
VENV_READY := $(VENV)/ready-$(shell cksum < requirements.txt | tr -d ' ')
# What only the tests need, and is large.
VENV_WHOLE := $(VENV)/whole-$(shell cat requirements.txt requirements-source.txt | cksum | tr -d ' ')
PIP_INSTALL := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check
# The peers of the benchmarks of SQL and releases, apart from the clients.
BENCH_VENV := .venv-bench
# What measures releases beside our own code in the tests; it needs other versions than the clients.
PEERS_VENV := .venv-peers
PEERS_READY := $(PEERS_VENV)/ready-$(shell cksum < requirements-peers.txt | tr -d ' ')
# What noise is compared with; its versions fit nobody else's.
NOISE_VENV := .venv-noise
NOISE_READY := $(NOISE_VENV)/ready-$(shell cksum < requirements-noise.txt | tr -d ' ')
TUMULT_VENV := .venv-tumult
TUMULT_READY := $(TUMULT_VENV)/ready-$(shell cksum < requirements-tumult.txt | tr -d ' ')
BENCH_READY := $(BENCH_VENV)/ready-$(shell cksum < requirements-bench.txt | tr -d ' ')

.PHONY: help demo test bench check format lint doc test-rust test-python venv clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV_READY) ## sample data, three partners, a server; ARGS=--once ends it after the answers
	$(CARGO) build $(OPTIMIZED)
	$(VENV_PYTHON) examples/demo.py $(ARGS)

test: test-rust test-python ## every test

test-rust:
	$(CARGO) test

test-python: $(VENV_WHOLE) $(PEERS_READY)
	$(CARGO) build --bins --examples
	$(VENV_PYTHON) -m pytest tests/python $(ARGS)

bench: $(VENV_READY) $(BENCH_READY) $(NOISE_READY) $(TUMULT_READY) ## kernels, pulls, SQL, ingest, releases and noise, each beside a peer; ROWS=5000000, ARGS=--memory
	$(CARGO) build $(OPTIMIZED)
	$(CARGO) bench --profile dev $(OPTIMIZED) --bench kernels
	$(CARGO) bench --profile dev $(OPTIMIZED) --bench release
	$(VENV_PYTHON) benches/flight.py --rows $(ROWS) $(ARGS)
	$(VENV_PYTHON) benches/sql.py --rows $(ROWS)
	$(VENV_PYTHON) benches/ingest.py
	$(VENV_PYTHON) benches/release.py
	$(VENV_PYTHON) benches/noise.py

check: format lint doc test ## what the continuous integration runs

format: ## formatting, as it should be
	$(CARGO) fmt --check

lint: ## clippy, where a warning is an error
	$(CARGO) clippy --all-targets -- -D warnings

doc: ## the documentation, where a warning is an error
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --document-private-items

venv: $(VENV_WHOLE) ## the Python clients, at the versions of requirements*.txt

$(VENV_READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed; name one with PYTHON=...' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP_INSTALL) --only-binary :all: -r requirements.txt
	touch $@

$(VENV_WHOLE): requirements-source.txt $(VENV_READY)
	$(PIP_INSTALL) --no-deps --no-build-isolation -r requirements-source.txt
	touch $@

$(BENCH_READY): requirements-bench.txt
	$(PYTHON) -m venv --clear $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		-r requirements-bench.txt
	touch $@

# One of its dependencies is there as source alone.
$(NOISE_READY): requirements-noise.txt
	$(PYTHON) -m venv --clear $(NOISE_VENV)
	$(NOISE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		--no-binary antlr4-python3-runtime -r requirements-noise.txt
	touch $@

# Spark is there as source alone.
$(TUMULT_READY): requirements-tumult.txt
	$(PYTHON) -m venv --clear $(TUMULT_VENV)
	$(TUMULT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		--no-binary pyspark -r requirements-tumult.txt
	touch $@

$(PEERS_READY): requirements-peers.txt
	$(PYTHON) -m venv --clear $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		-r requirements-peers.txt
	touch $@

clean: ## remove what the demo and the Python environment made
	rm -rf demo-data bench-data $(VENV) $(BENCH_VENV) $(NOISE_VENV) $(TUMULT_VENV) $(PEERS_VENV)
