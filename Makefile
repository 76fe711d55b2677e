# Everything is set up in .venv; each target may be run again at any time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
REQUIREMENTS := requirements-dev.txt examples/posttrain/requirements.txt
NODES := tests/github/workflows/node tests/browser
NODE_STAMPS := $(NODES:%=%/node_modules/.package-lock.json)

# Else every process that a test starts compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo examples test check unit lint dist install benchmarks mutants screenshots looks schema prerequisites

help:
	@echo "make demo        real training through the whole path, on a host with no GPU"
	@echo "make examples    every test of examples/posttrain, on virtual devices"
	@echo "make test        every test"
	@echo "make check       linters, types, the laws of the house and the fast tests"
	@echo "make dist        the sdist and the wheel in dist/, as an index takes them"
	@echo "make benchmarks  the tables in benchmarks/results"
	@echo "make mutants     faults in examples/posttrain, one at a time, and which test notices (hours)"

demo: $(STAMP)
	@echo "Running trainci run run-ci-short in examples/posttrain on virtual devices (no GPU is needed)."
	cd examples/posttrain && ../../$(BIN)/trainci run run-ci-short --devices cpu:8

examples: $(STAMP)
	cd examples/posttrain && ../../$(BIN)/trainci check && ../../$(BIN)/trainci run 'tests/**/test_*.py' --devices cpu:8

# A worker more than cores, as many tests wait; a file's tests share one, and engines come late (conftest.py).
test: $(STAMP) $(NODE_STAMPS)
	$(BIN)/python -m pytest -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder

check: lint unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/validate-pyproject pyproject.toml

dist: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist
	$(BIN)/pyroma --min 9 dist/*.tar.gz
	@! grep -n 'example\.org' pyproject.toml || echo "Before it is published: addresses of yours in the place of these."

# Many tests wait for others, so there are more workers than cores. Not those of the example nor those with tensors:
# each worker would import torch to collect them.
unit: $(STAMP)
	$(BIN)/python -m pytest tests --ignore tests/testing/with_torch -m "not slow" -q -n $$(($$(nproc) + 1)) --dist worksteal --hypothesis-profile few

benchmarks: $(STAMP)
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.selection
	$(BIN)/python -m benchmarks.output
	$(BIN)/python -m benchmarks.packing
	$(BIN)/python -m benchmarks.lease
	$(BIN)/python -m benchmarks.verdicts
	$(BIN)/python -m benchmarks.faults
	$(BIN)/python -m benchmarks.gates
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m benchmarks.serve
	$(BIN)/python -m benchmarks.terminal

mutants: $(STAMP)
	$(BIN)/python -m benchmarks.mutants

screenshots: $(STAMP)
	$(BIN)/python docs/screenshots/make.py

looks: $(STAMP)
	$(BIN)/python docs/screenshots/looks.py

schema: $(STAMP)
	$(BIN)/python -m trainci.config > docs/trainci.schema.json
	$(BIN)/python -m trainci.answers docs/json

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(REQUIREMENTS) | prerequisites
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . $(addprefix --requirement ,$(REQUIREMENTS))
	@touch $(STAMP)

# GitHub's own parser of workflows; axe. Without npm the tests that ask them are skipped, and fail in CI.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@if command -v npm >/dev/null; then echo "Installing what tests need into $*"; \
	  npm ci --silent --no-audit --no-fund --prefix $* && touch $@; \
	else echo "npm is missing: the tests that need $* will be skipped."; fi

prerequisites:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing. Install Python 3.10 or newer, or run make PYTHON=/path/to/python3."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $$($(PYTHON) --version) is too old; trainci needs Python 3.10 or newer. Try make PYTHON=python3.11."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv."; exit 1; }
	@command -v git >/dev/null || { echo "make: git is missing. Install git."; exit 1; }
