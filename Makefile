# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Byte code is made where it is imported: most modules of most packages never are.
PIP := $(BIN)/pip install -q --disable-pip-version-check --no-compile
PYTEST_ARGS ?=
DOCS_ARGS ?=
# Test processes: more than 2 want much memory. One thread each, since most tests keep one core busy.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 if (os.cpu_count() or 1) > 1 else 0)')
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup
# Where it is set, every process that a test starts would compile torch and transformers anew.
unexport PYTHONDONTWRITEBYTECODE
OLDEST := 5.20.0
TORCHVISION := 0.28.0
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint types oldest processors wheel bench docs clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) -e '.[docs]'
	touch $@

demo: $(VENV)/.installed ## the whole job once: render, cache, train, evaluate, ask
	$(BIN)/vl demo

test: $(VENV)/.installed-dev ## the test suite without slow tests; PYTEST_ARGS adds arguments
	$(PYTEST) $(PYTEST_ARGS)

test-fast: $(VENV)/.installed-dev ## the light and the model parts alone, in a minute; PYTEST_ARGS adds arguments
	$(PYTEST) tests/unit $(addprefix --ignore=tests/unit/,benchmarks pipeline runtime training) $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev ## mypy --strict
	$(BIN)/mypy

$(VENV)/oldest-$(OLDEST): | $(VENV)/.installed-dev
	$(PIP) --no-deps --target $@ transformers==$(OLDEST)

oldest: $(VENV)/oldest-$(OLDEST) ## the tests of backbones on the oldest transformers that is supported
	PYTHONPATH=$< $(BIN)/python -c "import transformers; assert transformers.__version__ == '$(OLDEST)'"
	PYTHONPATH=$< $(BIN)/python -m pytest -q --no-header tests/unit/model tests/e2e/test_families.py

$(VENV)/torchvision-$(TORCHVISION): | $(VENV)/.installed-dev
	$(PIP) --no-deps --target $@ torchvision==$(TORCHVISION)

processors: $(VENV)/torchvision-$(TORCHVISION) ## pixels and prompts against the models' own processors, which need torchvision
	PYTHONPATH=$< $(BIN)/python -m pytest -q --no-header tests/unit/model/backbones/test_pixels.py tests/unit/model/test_batch_processors.py

wheel: $(VENV)/.installed-dev ## build the wheel, install it into a fresh environment, and ask it a question
	rm -rf dist $(VENV)/wheel
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv $(VENV)/wheel
	$(VENV)/wheel/bin/pip install -q --disable-pip-version-check --no-compile torch==2.13.0
	$(VENV)/wheel/bin/pip install -q --disable-pip-version-check --no-compile dist/*.whl
	$(VENV)/wheel/bin/python tests/wheel.py $(VENV)/wheel/bin/vl

bench: $(VENV)/.installed-dev ## all benchmarks; they write docs/results
	$(PIP) -e '.[bench]'
	$(BIN)/python -m benchmarks

docs: $(VENV)/.installed-docs ## the reference pages, then the site; DOCS_ARGS=--check writes no page
	$(BIN)/python -m docs_build $(DOCS_ARGS)
	$(BIN)/zensical build --strict --clean

clean: ## remove the environment and everything that was generated
	rm -rf $(VENV) build dist demo runs site .cache .pytest_cache .mypy_cache .ruff_cache
