# Each target sets up what it needs: nothing but python3 with venv, pip and make has to be there.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
# Every supported Python of the machine beside the first, for test-pythons.
PYTHONS ?= $(foreach v,3.10 3.11 3.12 3.13 3.14,$(shell python$(v) -c 'print("python$(v)")' 2>/dev/null))

.PHONY: demo test test-pythons test-real check format docs dashboards bench clean

demo: $(VENV)/.demo
	@$(BIN)/python -m traced_image.demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest --cov --cov-report=term-missing $(ARGS)

# Much of their time the tests wait: with `make -j3 --output-sync` three Pythons take little longer than one.
test-pythons: $(PYTHONS:%=test-on-%)

test-on-%:
	@$(MAKE) --no-print-directory PYTHON=$* VENV=.venv-$* test-one

.PHONY: test-one
test-one: $(VENV)/.dev
	$(BIN)/python -m pytest -q $(ARGS)

test-real: $(VENV)/.dev
	$(BIN)/python -m pytest tests/real -o addopts="--strict-markers --strict-config -ra" $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_public.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev
	PYTHONPATH=docs/src $(BIN)/python -m traced_image_docs docs

dashboards: $(VENV)/.dev
	PYTHONPATH=dashboards/src $(BIN)/python -m traced_image_dashboards

bench: $(VENV)/.dev
	$(BIN)/python -m pip install -q -r bench/requirements.txt
	$(BIN)/python bench/show.py $(ARGS)

clean:
	rm -rf .venv .venv-* build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@echo "Making $(VENV) with $(PYTHON) …" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	@echo "Installing traced-image …" >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[cli,exporter,lab]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	@echo "Installing traced-image and what its tests need …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo
