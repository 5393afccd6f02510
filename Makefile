# `make demo` runs the main job, `make test` every check; both install into $(VENV) first, once. `make test-lowest` runs
# the suite with the oldest supported version of every dependency, `make test-fast` the quick tests, `make coverage` the
# suite with coverage, `make reliability` thousands of random tries, `make combinations` every combination of components.

VENV ?= .venv
LOWEST ?= .venv-lowest
PYTHON ?= python3
PYTHON_LOWEST ?= python3.11
BIN := $(VENV)/bin

.PHONY: install demo test test-fast test-lowest coverage notebook docs test-docs lint reliability combinations bench clean

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

# LenSiam, SimSiam on the same lenses, what both learned beside an encoder that was never trained, and maps of it; then
# lenses like real ones, and their Einstein radii by the encoder in the box. The tables go to a file, and the last lines
# are the result.
demo: install
	$(BIN)/lenskit train --recipe quickstart --out runs/lensiam --overwrite
	$(BIN)/lenskit train --recipe quickstart --pairs default --out runs/simsiam --overwrite
	$(BIN)/lenskit probe runs/lensiam runs/simsiam > runs/tables.txt
	$(BIN)/lenskit umap runs/lensiam runs/simsiam >> runs/tables.txt
	$(BIN)/lenskit report runs/lensiam runs/simsiam --output runs/report.html >> runs/tables.txt
	$(BIN)/lenskit simulate --recipe hst-lens --pairs single --lenses 20 --seed 7 --out runs/lenses.zarr
	$(BIN)/lenskit predict hst-lens runs/lenses.zarr -o runs/radii.csv --rings runs/rings.png --overwrite
	@$(BIN)/python examples/demo/result.py runs

# One thread a process: the processes share the cores.
PYTEST := pytest -n auto --maxprocesses 4 --dist loadfile

test: lint
	OMP_NUM_THREADS=1 $(BIN)/$(PYTEST)

# Four fifths of the tests, in less than two minutes on two cores: those that take less than about 0.2 s each.
test-fast: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/$(PYTEST) -m "not slow"

coverage: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/$(PYTEST) --cov --cov-report=term

# The site of the documentation, in build/site. It is built from the source without importing it, so only the packages of
# the extra `docs` are needed. The variable silences an announcement of the theme.
docs: $(BIN)/pip
	$(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; print(*extras["docs"], sep="\n")' | $(BIN)/pip install -q -r /dev/stdin
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site
	@echo "To read it: $(PYTHON) -m http.server --directory build/site"

# The code blocks of README.md and docs/, at small sizes.
test-docs: $(VENV)/installed-dev
	$(BIN)/python -m tests.docs.run_blocks

test-lowest: $(LOWEST)/installed
	OMP_NUM_THREADS=1 $(LOWEST)/bin/$(PYTEST)

# uv can choose the lowest versions, but does not read where pip is told to look.
$(LOWEST)/installed: pyproject.toml
	$(PYTHON_LOWEST) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install uv
	index="$${PIP_INDEX_URL:-$$($(LOWEST)/bin/pip config get global.index-url 2>/dev/null || true)}"; \
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --resolution lowest-direct \
		$${index:+--default-index "$$index"} -e '.[dev]'
	@touch $@

# Executes the notebooks of the examples; `make test` runs the same code without Jupyter, at a small size.
notebook: $(VENV)/installed-dev
	$(BIN)/pip install -q -e '.[notebook]'
	$(BIN)/pytest --nbmake examples/notebooks

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

# Writes docs/results/reliability.md; takes some ten minutes on two quiet cores.
reliability: $(VENV)/installed-dev
	$(BIN)/python tests/reliability/run.py --jobs 2 --lines 10000 --kills 50 --flips 100 --records 500 \
		--page docs/results/reliability.md

# Two steps of every method with every backbone, pairs and simulator. What is done is kept: a second call goes on.
combinations: $(VENV)/installed-dev
	$(BIN)/python tests/combinations/run.py --out combinations.jsonl --table combinations.md

bench: $(VENV)/installed-dev
	set -e; for file in tests/benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

clean:
	rm -rf .venv .venv-lowest .pytest_cache .hypothesis .mypy_cache .ruff_cache build dist .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
