# Linli. `make run` shows a living community; `make test` checks everything.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
NAME ?=

.PHONY: run install test bench compiled clean

run: $(VENV)/.run
	@exec $(BIN)/linli up $(ARGS)

install: $(VENV)/.run

test: $(VENV)/.dev
	@scripts/servers.sh
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/lint-imports --no-cache
	@PATH="$(abspath $(BIN)):$$PATH:/usr/sbin" $(BIN)/pytest -n auto --dist worksteal $(ARGS)

bench: $(VENV)/.dev
	@test -n "$(NAME)" || { echo "say which: make bench NAME=$$(ls -d bench/*/ | xargs -n1 basename | paste -sd'|')"; exit 2; }
	@PATH="$(abspath $(BIN)):$$PATH:/usr/sbin" $(BIN)/python -m bench.$(NAME)

# A wheel for machines like this one, whose judging of readings is compiled (docs/decisions/0016).
compiled: $(VENV)/.dev
	@HATCH_BUILD_HOOKS_ENABLE=true $(BIN)/python -m build --wheel --outdir dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Linli needs Python 3.11 or newer as '$(PYTHON)'; set PYTHON=... (apt install python3)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Linli needs Python's venv module: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[all]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis build dist
