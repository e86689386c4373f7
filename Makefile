# Everything a newcomer calls; each target makes .venv when it is missing or older than the lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null)

.PHONY: install nightly test test-long durations ui lint docs bench nights lock upgrade

install: $(STAMP)

# Bytecode is compiled at install: without it `import dbt` takes twice as long at every start; on all cores, which pip does not do. The
# lock is complete, so pip need not resolve again (and takes a pinned gql for another package than gql[requests] when it does).
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
ifdef UV
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib orchestration ml expectations
	touch $(STAMP)

nightly: $(STAMP)
	$(BIN)/northstar simulate --if-empty
	$(BIN)/northstar nightly

# In the order of tests/conftest.py: by itself xdist begins with the files that have the most tests, and the longest have few.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(STAMP)
	$(PYTEST)

# Nights of the promoted company and of real data, killed nights, tiny companies of every shape; and the property tests with examples
# that nobody has seen before.
test-long: $(STAMP)
	$(PYTEST) -m "long or hypothesis" --hypothesis-profile random

# Measure anew how long each file takes: the order of `make test` comes from it.
durations: $(STAMP)
	$(PYTEST) --record-durations

ui: $(STAMP)
	$(BIN)/northstar ui

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 dbt_project/models dbt_project/tests
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m orchestration.reference --check

docs: $(STAMP)
	$(BIN)/python -m orchestration.reference

# Nights of a year with one and with ten million events, and their kernels: writes docs/performance.md; half an hour.
bench: $(STAMP)
	$(BIN)/python tests/benchmarks/bench.py

# Two small companies for thirty nights each, none of which the gate may refuse; half an hour.
nights: $(STAMP)
	$(BIN)/python tests/benchmarks/nights.py

# Every version with hashes and no host; needs uv.
lock:
	uv pip compile --quiet --no-emit-index-url --no-annotate --no-header --generate-hashes --all-extras --universal \
	  --python-version 3.11 pyproject.toml --output-file requirements.lock

# Newer versions of the libraries on whose private behaviour the code relies, each tried against its contract tests in a scratch
# environment; some minutes. FAMILIES="dbt dagster" tries only those.
upgrade: $(STAMP)
	$(BIN)/python tests/upgrade/trial.py $(FAMILIES)
