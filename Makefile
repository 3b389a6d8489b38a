# The only commands a newcomer needs. Everything is installed into .venv of this folder and nowhere else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COMPANY ?= data/demo
OPTIONS ?=
SPAN ?= --first 2024-09-30 --last 2026-06-30 --every month
# One thread a process: the sampler runs its chains side by side, and threads inside each would only get in their way.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.PHONY: help install weekly review backtest check-model calibrate oracle ablation lab test check format lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

# The stamp holds the hash of what decides the installation: a second run installs nothing, a changed lock does, and a
# fresh checkout with new time stamps does not.
install:  ## install everything into .venv (the other commands do it when needed)
	@now=$$(cat requirements.lock pyproject.toml | cksum); \
	if [ -x $(BIN)/forecastlab ] && [ "$$(cat $(STAMP) 2>/dev/null)" = "$$now $(CURDIR)" ]; then exit 0; fi; \
	if ! [ -x $(BIN)/python ] || ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	    python=$$(sh tools/find_python.sh); \
	    echo "Making $(VENV) with $$python"; \
	    rm -rf $(VENV); \
	    "$$python" -m venv $(VENV); \
	fi; \
	rm -f $(STAMP); \
	echo "Installing the locked packages (a few minutes the first time)"; \
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock; \
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	echo "$$now $(CURDIR)" > $(STAMP)

weekly: install  ## forecast: make weekly [COMPANY=folder] [OPTIONS="--as-of 2026-09-25"]
	@$(BIN)/forecastlab weekly "$(COMPANY)" $(OPTIONS)

review: install  ## deals to talk about this week: make review [COMPANY=folder] [OPTIONS="--as-of 2026-09-25"]
	@$(BIN)/forecastlab review "$(COMPANY)" $(OPTIONS)

backtest: install  ## past forecasts held against what came: make backtest [COMPANY=folder] [SPAN="--first ..."]
	@$(BIN)/forecastlab backtest "$(COMPANY)" $(SPAN) $(OPTIONS)

check-model: install  ## may the model be believed about a company: make check-model [COMPANY=folder] [OPTIONS="--as-of ..."]
	@$(ONE_THREAD) $(BIN)/python tools/check_model.py "$(COMPANY)" $(OPTIONS)

calibrate: install  ## hold the whole forecast against simulated companies; an hour or more, goes on where it was stopped
	@$(ONE_THREAD) $(BIN)/python benchmarks/calibration.py $(OPTIONS)

oracle: install  ## the forecast beside one that knows the truth, on simulated companies; goes on where it was stopped
	@$(ONE_THREAD) $(BIN)/python benchmarks/oracle.py $(OPTIONS)

ablation: install  ## what each part of the model is worth; hours, goes on where it was stopped: see --help for less
	@$(ONE_THREAD) $(BIN)/python benchmarks/ablation.py $(OPTIONS)

lab: install  ## open the notebooks in JupyterLab, on this machine only
	@JUPYTER_PREFER_ENV_PATH=1 $(BIN)/jupyter lab --ip=localhost --ServerApp.root_dir=. \
	    --LabApp.default_url=/lab/tree/notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

# Files in the order of collection, tests/conftest.py: xdist's own order, most tests first, leaves the slowest for the end.
test: install  ## run the tests, those with the real sampler included
	@$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q $(OPTIONS)

check: install  ## lint, formatting, types, and thin notebooks without output
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@shopt -s nullglob; for notebook in notebooks/*.ipynb; do $(BIN)/nbstripout --verify "$$notebook"; done
	@$(BIN)/python tools/check_notebooks.py notebooks

format: install  ## put code and notebooks into shape
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .
	@shopt -s nullglob; for notebook in notebooks/*.ipynb; do $(BIN)/nbstripout "$$notebook"; done

lock:  ## resolve the dependencies anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml \
	    -o requirements.lock --python-version 3.12 --quiet

clean:  ## remove .venv, caches and build output; runs of companies stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist output
	@find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
