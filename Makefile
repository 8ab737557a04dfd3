# The commands of this project. `make` alone lists them.
PYTHON ?= python3
PORT ?= 8000
BIN = .venv/bin

.PHONY: help setup demo run test lint types bench

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1 #/' | column -t -s '#'

setup: ## install everything into .venv and build the front end; quick when nothing changed
	@$(PYTHON) scripts/setup.py

demo: setup ## review a Python file and watch it live: make demo [FILE=path.py] [KEEP=1]
	@DEBUG=1 $(BIN)/python scripts/demo.py $(if $(KEEP),--keep) $(FILE)

run: setup ## serve pages, API and workers for development: make run [PORT=8000]
	@DEBUG=1 $(BIN)/python manage.py serve --port $(PORT)

test: setup ## run all tests, on SQLite and, where there is one, on PostgreSQL; print the coverage
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix frontend run --silent test
	@$(BIN)/python scripts/run_tests.py

lint: setup ## check style and who imports whom
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-logo

types: setup ## check types, of Python and of TypeScript
	@DEBUG=1 $(BIN)/mypy .
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix frontend run --silent typecheck

bench: setup ## measure against LangGraph, side by side
	@$(BIN)/python -m benchmarks
