# One command each; `make` alone lists them.  On Windows see "Setup" in README.md.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Small tensors run several times slower on contended OpenMP threads than on one.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup install lab app build test quick bench gpu doctor clean
help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## make the virtual environment (once; needs the network only this time)
	@echo "$(VENV) is ready."

# The stamp holds what was installed, so that a checkout which only touches the files asks for no network.
$(READY): pyproject.toml constraints.txt
	@if cat $^ | cmp -s - $@; then touch $@; else $(MAKE) --no-print-directory install; fi

# The stamp is written last: an installation that broke off is taken up again.
install:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "needed Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); try make setup PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV) with the pinned packages: some minutes the first time, nothing afterwards ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]' || { \
		echo "the packages could not be installed; try again with a network, nothing has to be removed first"; exit 1; }
	@cat pyproject.toml constraints.txt > $(READY)

lab: $(READY) ## open JupyterLab on the start page
	@$(BIN)/gdm lab

app: $(READY) ## open the studio: one live page an explorer
	@$(BIN)/gdm app

build: $(READY) ## run the sources of the lectures and write their notebooks
	@$(BIN)/gdm build

test: $(READY) ## run the whole test suite; of the planted faults those that a change may have touched
	@$(BIN)/gdm test

quick: $(READY) ## run the quick tests alone: no planted faults, no replays, no browser
	@$(BIN)/gdm test --quick

bench: $(READY) ## measure speed and quality beside peers; ROW=name for one row
	@$(BIN)/python -m tests.benchmarks $(ROW)

# On a machine that has torch for CUDA and perhaps no network: the environment that is there, else Python's own.
gpu: ## check a graphics card: CUDA tests, explorers on CPU and card, full profiles; OPTIONS='--device cpu' without one
	@$(or $(wildcard $(BIN)/python),$(PYTHON)) tests/gpu.py $(OPTIONS)

doctor: $(READY) ## say what this machine has for the course and what is missing
	@$(BIN)/gdm doctor

clean: ## remove what was built (the virtual environment stays)
	rm -rf build .pytest_cache .ruff_cache
