# Two commands on a fresh machine: `make demo` runs the main job on built-in data, `make test` passes every check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
SITE := site
# A file's tests stay in one of three processes, so that what they share is made once. On two cores three take a quarter less time
# than two, since tests of pages wait for frames and answers.
PYTEST := $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

# Tests start some hundred processes: what the first of them compiles, the others read.
test fast: export PYTHONDONTWRITEBYTECODE =

.PHONY: setup demo test fast lint rooms docs docs-serve wheels clean

$(VENV)/.installed: pyproject.toml constraints/ci.txt packaging/package-lock.json
	$(PYTHON) -m venv $(VENV) || { echo "venv failed; on Debian: apt install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints/ci.txt -e '.[dev,docs]'
	touch $@

setup: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/hviskd demo -o $(DEMO) --overwrite

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/draw_rooms.py --check

rooms: $(VENV)/.installed
	$(BIN)/python docs/draw_rooms.py

docs: $(VENV)/.installed
	rm -rf $(SITE)
	$(BIN)/python docs/building/session.py
	$(BIN)/python -m sphinx -q -E -W --keep-going -c docs -d $(VENV)/doctrees . $(SITE)
	$(BIN)/python docs/building/check.py $(SITE)

docs-serve: docs
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(SITE)

test: lint
	$(PYTEST)

fast: $(VENV)/.installed
	$(PYTEST) -m "not slow"

# Minutes and gigabytes, so no part of `make test`: the wheel with every Python from 3.11 on that is here.
wheels: $(VENV)/.installed
	$(BIN)/python packaging/try_wheels.py

clean:
	rm -rf $(VENV) $(DEMO) $(SITE) docs/_session
