# Everything works on a fresh machine with Python 3.11 or later, pip and make; the environment is made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint bench docs notebooks clean

demo: $(VENV)/.run
	$(BIN)/integrity demo integrity-demo

test: lint
	$(BIN)/python -m pytest -n 3 -q

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py && $(BIN)/python benchmarks/databases.py && $(BIN)/python benchmarks/mail.py && \
	$(BIN)/python benchmarks/files.py && $(BIN)/python benchmarks/rules.py && $(BIN)/python benchmarks/ledger.py

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The notebooks as they are committed: run over the demo, in a folder that is nobody's.
notebooks: $(VENV)/.dev
	$(BIN)/python notebooks/execute.py

# Two stamps, so that the demo need not wait for the developers' tools.
$(VENV)/.run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis integrity-demo
