# One command each; `make` alone lists them.  On Windows see "Setup" in README.md.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Small tensors run several times slower on contended OpenMP threads than on one.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup lab app test bench clean
help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## make the virtual environment (once; needs the network only this time)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) with the pinned packages: some minutes the first time, nothing afterwards ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@
	@echo "Ready."

lab: $(READY) ## open JupyterLab on the start page
	$(BIN)/gdm lab

app: $(READY) ## open the studio: one live page an explorer
	$(BIN)/gdm app

test: $(READY) ## run the whole test suite
	$(BIN)/gdm test

bench: $(READY) ## measure speed and quality beside peers; ROW=name for one row
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(BIN)/python -m tests.benchmarks $(ROW)

clean: ## remove what was built (the virtual environment stays)
	rm -rf build .pytest_cache .ruff_cache
