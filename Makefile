# One door for people and for CI. `make demo` and `make test` need Python 3.11+, make and git, nothing more.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROWS := .coverage-rows
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1

.PHONY: demo test check fast sdk browser matrix coverage bench docs picture clean

demo: $(VENV)/.demo  ## record the demo application and open the viewer on it
	$(BIN)/spanreel demo

test: $(VENV)/.dev  ## everything: lint, types, contracts, all tests
	@$(MAKE) --no-print-directory check fast sdk browser

check: $(VENV)/.dev  ## lint, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pyright

fast: $(VENV)/.dev  ## tests that need no SDK and no browser
	@rm -rf $(ROWS)/fast
	SPANREEL_COVERAGE_ROWS=$(ROWS)/fast $(BIN)/pytest -q -m "not sdk and not browser and not matrix"

sdk: $(VENV)/.dev  ## real SDKs and web frameworks against loopback servers
	@rm -rf $(ROWS)/sdk
	SPANREEL_COVERAGE_ROWS=$(ROWS)/sdk $(BIN)/pytest -q -m "sdk and not matrix"

browser: $(VENV)/.dev $(VENV)/.chromium  ## a real Chromium; skipped with a reason where none can be had
	$(BIN)/pytest -q -m browser

matrix: $(VENV)/bin/python  ## libraries that are heavy or in each other's way, each set in an environment of its own (ENVS="a b")
	$(BIN)/python tests/support/matrix.py $(ENVS)

coverage:  ## write docs/coverage.md from the rows that `make test` and `make matrix` left
	@test -d $(ROWS)/sdk || { echo "no rows yet: run 'make test' and 'make matrix' first" >&2; exit 1; }
	$(PYTHON) tests/support/coverage_table.py $(ROWS) > docs/.coverage.md && mv docs/.coverage.md docs/coverage.md

bench: $(VENV)/.dev  ## measure what is promised, row by row (ROWS="noop ingest" for some, QUICK=1 for a look)
	$(BIN)/python -m bench $(ROWS) $(if $(QUICK),--quick)

docs: $(VENV)/.dev  ## regenerate what is generated in docs/
	$(BIN)/python -m spanreel.cli --reference > docs/cli.md
	$(BIN)/python -m spanreel_exporters.duckdb.reference > docs/views.md

picture: $(VENV)/.dev $(VENV)/.chromium  ## take the README's picture again
	$(BIN)/python docs/picture.py

clean:
	rm -rf $(VENV) .matrix $(ROWS) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -e '.[viewer,demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -e '.[dev]'
	@touch $@ $(VENV)/.demo

# Chromium from Debian's packages, when we are root and there is none.
$(VENV)/.chromium: | $(VENV)/bin/python
	@command -v chromium >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 \
	  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || true
	@touch $@

