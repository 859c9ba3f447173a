# `make score` and `make test` are all that a new checkout needs; `make help` lists the rest.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# A process a core, one thread each: tests are small.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal
# In make's own terms: a stamp is newer than what it was made from, so nothing is installed twice.
MADE := $(VENV)/.made
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
PERF := $(VENV)/.installed-perf

.PHONY: help score test lint fast slow docs bench wheel clean
.DEFAULT_GOAL := help

help:  ## list these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

score: $(RUN)  ## score the median ConvRNN against simulated posterior IT
	$(BIN)/brainfit score --model median_convrnn --region pIT
	@echo "That network is not trained. One that is: $(BIN)/brainfit score --model median_convrnn_mini --region pIT" >&2

test: lint fast slow docs  ## everything that CI checks

lint: $(DEV)  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

fast: $(DEV)  ## the tests that take seconds
	$(PYTEST) -m "not slow"

slow: $(DEV)  ## the tests that take longer
	$(PYTEST) -m slow

docs: $(DEV)  ## build the documentation in docs/_build; warnings are errors
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build
	@echo docs/_build/index.html

bench: $(PERF)  ## measure every workload beside its peers; an hour or so
	$(BIN)/python perf/bench.py

wheel: $(MADE)  ## build dist/brainfit-….whl
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove the environment and what was built or cached; runs/ stays
	rm -rf $(VENV) dist build docs/_build docs/_generated .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "brainfit needs Python 3.11 or newer$(if $(PYTHON),; $(PYTHON) is older or missing,)." >&2; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(RUN): $(MADE) pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(DEV): $(MADE) pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@ $(RUN)

$(PERF): $(DEV)
	$(PIP) install -c constraints.txt -e ".[perf]"
	@touch $@
