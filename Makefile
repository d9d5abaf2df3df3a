# The two commands of a fresh machine: `make run` and `make test`. Everything lives in .venv and var.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: run test check format types lint unit bench soak lock docs clean
.DEFAULT_GOAL := help

help:
	@echo "make run    set up and run the gateway on config/gateway.yaml"
	@echo "make test   set up and run every check"
	@echo "make check  formatting, lint and types only"
	@echo "make bench  the benchmark of the design's bars"
	@echo "make soak   the long rounds of the fault suite"

$(STAMP): requirements/test.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; call make PYTHON=python3.12, say")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "python -m venv failed: on Debian, apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@
