# One door for newcomers and for CI: everything below needs only Python 3.11 or later and make.
.PHONY: setup run test check bench simulate clean compiled interpreted
.DEFAULT_GOAL := run

BIN := .venv/bin
STAMP := .venv/.installed

# What `make compiled` makes native, and how it is taken away again: compiled modules go before their sources.
COMPILED := tables/engine/[a-z]*.py schemas/ids.py schemas/numbers.py $(addprefix tables/, accounts.py account_orders.py \
    book_orders.py changes.py holdings.py instrument_rules.py limits.py markets.py matching.py order_memory.py orders.py \
    risk.py settlement.py)
# The one shared library that they all need lies among the packages, under a name of its own.
NATIVE := .venv/.native
INTERPRETED := find tables schemas -name "*.so" -delete; [ ! -f $(NATIVE) ] || { xargs rm -f < $(NATIVE); rm $(NATIVE); }

# Python 3.12 and 3.11 first: every package has a wheel for them.
define FIND_PYTHON
for name in $(PYTHON) python3.12 python3.11 python3 python python3.13 python3.14; do \
    if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$name; break; fi; \
done; \
if [ -z "$$python" ]; then \
    echo "No Python 3.11 or later on the PATH. Install one (python.org, or your system's package python3.12), or: make PYTHON=/path/to/python3" >&2; \
    exit 1; \
fi; \
if ! $$python -c 'import venv, ensurepip' >/dev/null 2>&1; then \
    echo "$$python lacks the module venv or ensurepip. On Debian and Ubuntu: apt install $$($$python -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")')" >&2; \
    exit 1; \
fi
endef

setup: $(STAMP)

# A virtual environment whose Python is gone (upgraded, moved) is made anew.
$(STAMP): pyproject.toml
	@if ! $(BIN)/python -c '' >/dev/null 2>&1; then \
	    $(FIND_PYTHON); \
	    echo "Making .venv with $$($$python --version)"; \
	    $$python -m venv --clear .venv || exit 1; \
	fi
	@echo "Installing packages into .venv (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[local,dev]'
	@touch $(STAMP)

run: setup
	@exec $(BIN)/oms up

# Tests break the code on purpose, which native code does not allow.
test: setup
	@$(INTERPRETED)
	@$(BIN)/python -m app.local.jars
	@$(BIN)/pytest

check: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q tests/test_tidy.py

bench: setup
	@$(BIN)/python -m app.local.jars
	@$(BIN)/python -m tests.bench

simulate: setup
	@$(BIN)/python -m tests.simulation

# Optional, needs a C compiler: tables and matching engine as native code. `make interpreted` takes it away again; after
# a change of the sources it must be taken away or made anew.
compiled: setup
	@$(INTERPRETED)
	@echo "Compiling (a minute)"
	@PYTHONWARNINGS=ignore $(BIN)/mypyc $(COMPILED) >/dev/null
	@place=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))'); \
	    for each in *__mypyc*.so; do mv "$$each" "$$place/" && echo "$$place/$$each" > $(NATIVE); done

interpreted:
	@$(INTERPRETED)

# Packages and caches; data, logs and jars stay in var/ (`oms up --fresh` empties the data).
clean:
	@$(INTERPRETED)
	@rm -rf .venv build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
