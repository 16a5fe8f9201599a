# Hansa: `make` lists what there is. Nothing needs to be installed or activated by hand.

PYTHON_VENV := .venv/bin/python
HANSA := .venv/bin/hansa
RUN := .venv/.installed
DEV := .venv/.installed-dev
# Three at a time on two cores: whoever starts a network waits for it often.
PYTEST_ARGS ?= -n 3 --dist loadscope --no-loadscope-reorder --durations=25
MUTANTS_ARGS ?=
CONFORMANCE_ARGS ?=
SEEDS ?= 200
FUZZ_SECONDS ?= 10

# Compiled modules are kept: a network's nodes start several times faster with them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-once test test-all conformance coverage mutants corpus fuzz attack drill divergence lint format check sim formal bench bench-quick bench-faults lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV)  ## Make .venv from the lock files, with the test tools
	@echo "Try: $(HANSA) --help"

demo: $(RUN)  ## Start five nodes, play the sample trade, keep the network up until Ctrl-C
	@$(HANSA) demo

demo-once: $(RUN)  ## The same, and stop the network again
	@$(HANSA) demo --once

test: $(DEV)  ## Run the tests; with real nodes too, so it takes minutes
	@$(PYTHON_VENV) -m pytest $(PYTEST_ARGS)

test-all: $(DEV)  ## The same with more seeds, cases and long tests
	@HANSA_TESTS=all HANSA_CORPUS=all $(PYTHON_VENV) -m pytest $(PYTEST_ARGS)

conformance: $(RUN)  ## Execute every contract under several hash seeds and Pythons, compare with golden receipts
	@$(PYTHON_VENV) -m scripts.conformance $(CONFORMANCE_ARGS)

coverage: $(DEV)  ## Branch coverage of consensus/ by its own tests; fails below 95 %
	@HANSA_PBFT_SEEDS=1 $(PYTHON_VENV) -m pytest -q tests/consensus tests/vectors --ignore=tests/consensus/second_opinion \
		--cov=consensus --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=95

mutants: $(DEV)  ## Change consensus/ in every small way: does a test fail? (long; it goes on where it ended)
	@$(PYTHON_VENV) -m scripts.mutants $(MUTANTS_ARGS)

corpus: $(DEV)  ## Hostile contracts: each refused at load or stopped by steps
	@HANSA_TESTS=all HANSA_CORPUS=all $(PYTHON_VENV) -m pytest -q tests/contracts/escape

fuzz: $(DEV)  ## Mutated inputs for every decoder, FUZZ_SECONDS each (10)
	@$(PYTHON_VENV) -m tests.fuzz.run --seconds $(FUZZ_SECONDS)

drill: $(DEV)  ## Back up a validator under load, lose its disk, restore it: recovery time and point
	@$(PYTHON_VENV) -m scripts.restore_drill

attack: $(DEV)  ## Hostile peers and clients against a devnet under load: a table (build/attack.json)
	@$(PYTHON_VENV) -m scripts.attack

divergence: $(DEV)  ## A validator with another build: what it does, and what it reports
	@$(PYTHON_VENV) -m tests.sim.show_divergence

lint: $(DEV)  ## Style, formatting, types, import directions
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

format: $(DEV)  ## Reformat the sources
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

check: lint test  ## Everything a change must pass

sim: $(DEV)  ## Seeded worlds of whole nodes under faults; SEEDS=n of them, resumable
	@$(PYTHON_VENV) -m scripts.sim --seeds $(SEEDS)

formal: $(DEV)  ## Search the formal model of agreement exhaustively (needs spin and gcc)
	@$(PYTHON_VENV) -m scripts.formal

bench: $(RUN)  ## Measure the network and its parts (build/bench.json)
	@$(PYTHON_VENV) -m scripts.bench

bench-quick: $(RUN)  ## A smaller one, under two minutes
	@$(PYTHON_VENV) -m scripts.bench --quick

bench-faults: $(RUN)  ## What one dead or slow validator of four costs the rest (build/bench_faults.json)
	@$(PYTHON_VENV) -m scripts.bench_faults

lock:  ## Rewrite the lock files from pyproject.toml (needs uv)
	@scripts/lock.sh

clean:  ## Stop this folder's devnet and remove what was built
	@if [ -d build/devnet ] && [ -x $(HANSA) ]; then $(HANSA) devnet stop; fi
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The stamps make installing happen only when a lock file has changed.
$(RUN): requirements-build.lock requirements.lock scripts/setup.sh
	@scripts/setup.sh
	@touch $@

$(DEV): requirements-build.lock requirements.lock requirements-dev.lock scripts/setup.sh
	@scripts/setup.sh dev
	@touch $(RUN) $@
