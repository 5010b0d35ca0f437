# Two commands on a fresh machine: `make run` and `make test`. While you work: `make check`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA := data/mask
# A process for each core, and each file's tests in one process.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile

.PHONY: run check test lint docs gpu

run: $(VENV)/.installed
	$(BIN)/compete demo mask $(DATA)
	$(BIN)/compete run competitions/mask.toml

check: lint
	$(PYTEST) -m "not slow"

test: lint
	$(PYTEST)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-test
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/draw_architecture.py

# Tests and benchmarks that need CUDA; writes docs/gpu.md.
gpu: $(VENV)/.installed-test
	$(BIN)/python bench/gpu.py

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "compete needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "compete needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[kaggle,test]'
	touch $@ $(VENV)/.installed
