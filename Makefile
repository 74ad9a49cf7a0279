# Two commands set up everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test slow check bench bench-gateway scoreboard clean

demo: $(VENV)/demo.ready  ## Set up, pull the default weights, screen a dozen telling samples, write demo/report.html
	$(BIN)/python tools/demo.py demo

test: $(VENV)/dev.ready  ## Set up what the tests need and run the fast ones
	$(BIN)/python -m pytest -n 2 -m "not slow" $(PYTEST)

slow: $(VENV)/dev.ready  ## Kills, real clients, browsers
	$(BIN)/python -m pytest -n 2 -m slow $(PYTEST)

check: $(VENV)/dev.ready  ## Lint, types, import law
	$(BIN)/ruff check src tests tools
	$(BIN)/ruff format --check src tests tools
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.ready  ## CPU seconds and memory a stage, beside named peers
	$(BIN)/assay models pull
	$(BIN)/python tools/bench.py $(BENCH)

bench-gateway: $(VENV)/dev.ready  ## What `assay serve` answers, how fast, at which rate, and beyond what it can carry
	$(BIN)/assay models pull
	$(BIN)/python tools/bench_gateway.py $(BENCH)

scoreboard: $(VENV)/dev.ready  ## Every figure of docs/scoreboard.md, from media and seeds; takes hours (SCOREBOARD="--media ...")
	$(BIN)/assay models pull
	$(BIN)/python tools/scoreboard.py make $(SCOREBOARD)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25"

$(VENV)/demo.ready: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[demo]"
	touch $@

$(VENV)/dev.ready: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[demo,dev]"
	touch $@ $(VENV)/demo.ready

clean:
	rm -rf $(VENV) demo build dist src/*.egg-info
