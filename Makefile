# Everything a reader or a contributor does with this repository. `make` alone lists it.
SHELL := /bin/bash
VENV  := .venv
PY    := $(VENV)/bin/python
READY := $(VENV)/.ready
HTML  := _build/html/book/index.html
# The pages depend on these; the environment and the build directory are made, not read.
SOURCES := $(shell find book panicsim _ext -type f -not -path '*/.*' -not -name '*.pyc') _config.yml _toc.yml
# Node from the environment is found first, whatever the machine has.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help book test chromium lint unit notebooks browser lab bench lock clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

book: $(HTML) ## build the book into _build/html
	@echo "The book is ready. Open file://$(CURDIR)/$(HTML) in a browser."

test: chromium lint unit notebooks browser ## run every check: style, types, library, chapters, built book

chromium:
	@command -v "$${CHROMIUM:-chromium}" >/dev/null \
	  || { echo "Chromium is missing: apt-get install chromium, or set CHROMIUM to its path"; exit 1; }

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

unit: $(READY)
	$(PY) -m pytest -n 2 tests --ignore=tests/book

notebooks: $(READY)
	$(PY) -m pytest --nbval-lax -n 2 --dist loadfile book

browser: chromium $(HTML)
	$(PY) -m pytest -n 2 tests/book

lab: $(READY) ## open the chapters in JupyterLab
	$(PY) -m jupyter lab --notebook-dir=book $(if $(filter 0,$(shell id -u)),--allow-root)

bench: $(READY) ## measure the speed of the model
	$(PY) -m pytest benchmarks --benchmark-only

lock: ## renew requirements.txt from pyproject.toml
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-annotate -o requirements.txt

clean: ## remove what the other targets made
	rm -rf _build build dist $(VENV) *.egg-info .ruff_cache .mypy_cache .benchmarks .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.txt pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed."; exit 1; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Python cannot make environments here: apt-get install python3-venv"; exit 1; }
	test -x $(PY) || python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --requirement requirements.txt
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# A page that gave a warning is not read again by the next build, so the warning would be forgotten:
# after a failed build the parsed pages are dropped. Executed notebooks stay in their cache.
$(HTML): $(READY) $(SOURCES)
	@$(VENV)/bin/jupyter-book build . --warningiserror --nitpick --keep-going \
	  || { rm -rf _build/.doctrees _build/html; exit 1; }
	@touch $@
