# `make demo` runs the main job, `make test` every check; both install into $(VENV) first, once.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: install demo test lint bench clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install -e '.[dev]'
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit("lenskit needs Python 3.11 or newer, and $(PYTHON) is %d.%d: say make PYTHON=python3.11, or whichever you have" % v[:2])'
	$(PYTHON) -m venv $(VENV)

# LenSiam, SimSiam on the same lenses, what both learned beside an encoder that was never trained, and maps of it.
demo: install
	$(BIN)/lenskit train --recipe quickstart --out runs/lensiam --overwrite
	$(BIN)/lenskit train --recipe quickstart --pairs default --out runs/simsiam --overwrite
	$(BIN)/lenskit probe runs/lensiam runs/simsiam
	$(BIN)/lenskit umap runs/lensiam runs/simsiam
	$(BIN)/lenskit report runs/lensiam runs/simsiam --output runs/report.html

# One thread a process: the processes share the cores.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

bench: $(VENV)/installed-dev
	set -e; for file in tests/benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

clean:
	rm -rf .venv .pytest_cache .hypothesis .mypy_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
