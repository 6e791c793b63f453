# Every command sets up what it needs; PYTHON is any Python from 3.11.
PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.set-up

.PHONY: setup demo test check bench fuzz docs lock clean

setup: $(SETUP)

$(SETUP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "immpd needs Python 3.11 or later; PYTHON=... names one" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(SETUP)
	@$(BIN)/python demo/demo.py

test: $(SETUP)
	$(BIN)/python -m pytest

check: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/generate.py --check

bench: $(SETUP)
	$(BIN)/python -m bench $(BENCH)

fuzz: $(SETUP)
	$(BIN)/python -m fuzz $(FUZZ)

docs: $(SETUP)
	$(BIN)/python docs/generate.py

lock:
	uv pip compile --generate-hashes --extra dev --universal --no-header --python-version 3.11 pyproject.toml -o requirements.lock

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
