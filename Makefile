# One door for people and for CI. `make demo` and `make test` need Python 3.11+, make and git, nothing more.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1

.PHONY: demo test check fast sdk browser bench docs picture clean

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
	$(BIN)/pytest -q -m "not sdk and not browser"

sdk: $(VENV)/.dev  ## real SDKs and web frameworks against loopback servers
	$(BIN)/pytest -q -m sdk

browser: $(VENV)/.dev $(VENV)/.chromium  ## a real Chromium; skipped with a reason where none can be had
	$(BIN)/pytest -q -m browser

bench: $(VENV)/.dev  ## measure what is promised, row by row (ROWS="noop ingest" for some, QUICK=1 for a look)
	$(BIN)/python -m bench $(ROWS) $(if $(QUICK),--quick)

docs: $(VENV)/.dev  ## regenerate what is generated in docs/
	$(BIN)/python -m spanreel.cli --reference > docs/cli.md
	$(BIN)/python -m spanreel_exporters.duckdb.reference > docs/views.md

picture: $(VENV)/.dev $(VENV)/.chromium  ## take the README's picture again
	$(BIN)/python docs/picture.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

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

