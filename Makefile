# Two commands on a fresh machine: `make demo` runs the main job on built-in data, `make test` passes every check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test fast lint rooms clean

$(VENV)/.installed: pyproject.toml constraints/ci.txt
	$(PYTHON) -m venv $(VENV) || { echo "venv failed; on Debian: apt install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints/ci.txt -e '.[dev]'
	touch $@

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

test: lint
	$(BIN)/pytest -n 2 --dist loadgroup

fast: $(VENV)/.installed
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

clean:
	rm -rf $(VENV) $(DEMO)
