# serve  talk  test  check  bench  docs: each builds the environment it needs, once.
#
#   make serve ARGS="--profile small --port 9000"
#   make talk ARGS="my-question.wav -o answer.wav"
#   make serve PYTHON=python3.12

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

.PHONY: serve talk test check bench docs

serve: .venv/.run
	$(BIN)/duologue serve $(ARGS)

talk: .venv/.run
	$(BIN)/duologue talk $(or $(ARGS),src/duologue/data/question.wav)

# Three at a time on two cores: tests wait more than they compute.
test: .venv/.dev
	$(BIN)/duologue models pull --profile small
	$(BIN)/pytest -m "not slow" -n 3 $(ARGS)

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/lock.py --check
	$(BIN)/python scripts/check_sizes.py

bench: .venv/.dev
	$(BIN)/python bench/voice_to_voice.py $(ARGS)

docs: .venv/.dev
	$(BIN)/python scripts/generate_reference.py
	$(BIN)/python scripts/compatibility.py
	$(BIN)/python scripts/check_docs.py

# The environment: made once, refreshed when a lock changes.

.venv/.run: requirements/run.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "duologue needs Python 3.11 or newer; \"$(PYTHON)\" is not that."; \
	  echo "Install one and name it: make $(or $(MAKECMDGOALS),serve) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "\"$(PYTHON)\" has no venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
