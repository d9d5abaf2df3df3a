# The two commands of a fresh machine: `make run` and `make test`. All they make lives in .venv, .cache and var.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV := $(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	--quiet --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run run-kafka test check format docs bench soak lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 10

run: .venv/.run ## set up and run the gateway on config/gateway.yaml
	@exec $(BIN)/gateway run --config config/gateway.yaml

run-kafka: .venv/.run .cache/kafka ## the same on a Kafka broker and a Postgres of its own
	@exec $(BIN)/python -m deploy.local

test: check .cache/examples .cache/npm .cache/kafka ## set up and run every check
	$(BIN)/pytest -m "not soak" -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/.test ## formatting, lint and types
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy

format: .venv/.test ## put the formatting right
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

docs: .venv/.test ## write the generated reference pages anew
	$(BIN)/python -m docs.build
	$(BIN)/python -m deploy.grafana.build

bench: .venv/.test ## measure against the design's bars
	$(BIN)/python -m tests.bench.admission
	$(BIN)/python -m tests.bench

soak: .venv/.test ## the long rounds of the fault suite
	$(BIN)/pytest -m soak --timeout 3600 tests/faults tests/fuzz

lock: .venv/.run ## pin the dependencies anew, with hashes
	$(BIN)/python -m pip install --quiet uv
	$(UV) pyproject.toml -o requirements/run.txt
	$(UV) pyproject.toml --group test -c requirements/run.txt -o requirements/test.txt
	$(UV) --group build -o requirements/build.txt

clean: ## remove what these commands made, but for var
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/.base:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; for example: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv || { echo "python -m venv failed; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

.venv/.run: .venv/.base requirements/run.txt requirements/build.txt pyproject.toml
	@echo "installing into .venv ..."
	@$(PIP) --require-hashes -r requirements/build.txt -r requirements/run.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.test: .venv/.run requirements/test.txt
	@$(PIP) --require-hashes -r requirements/test.txt
	@touch $@

# GitHub's published example payloads, for the acceptance tests; without npm those tests say so and are skipped.
.cache/examples: tests/examples.version
	@mkdir -p .cache
	@if command -v npm >/dev/null; then \
		cd .cache && npm pack --silent "@octokit/webhooks-examples@$$(cat ../tests/examples.version)" >/dev/null \
		&& rm -rf examples package && tar xzf octokit-webhooks-examples-*.tgz && mv package examples && touch examples; \
	else echo "npm is not installed: tests with GitHub's example payloads will be skipped"; fi

# Providers' libraries that only npm has, each by its digest; without npm their tests say so and are skipped.
.cache/npm: .venv/.run tests/npm/packages.json tests/npm/fetch.py
	@if command -v npm >/dev/null && command -v node >/dev/null; then \
		rm -rf $@.new && $(BIN)/python -m tests.npm.fetch $@.new && rm -rf $@ && mv $@.new $@ && touch $@; \
	else echo "npm is not installed: tests with the providers' libraries for node will be skipped"; fi

# Apache Kafka's jars, for tests on a real broker and `make run-kafka`; without Maven those tests say so and are skipped.
.cache/kafka: tests/kafka/pom.xml
	@mkdir -p .cache
	@if command -v mvn >/dev/null; then \
		rm -rf $@.new && mvn -q -B -f $< dependency:copy-dependencies \
			-DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$@.new \
		&& rm -rf $@ && mv $@.new $@ && touch $@; \
	else echo "Maven is not installed: there will be no Kafka broker, and tests on one are skipped"; fi
