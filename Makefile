# Needs make and Python >= 3.11; every target makes the environment .venv by itself.
# PYTHON=/path/to/python names the interpreter to make it with.

.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PROFILE := embedded
BUILDER := html
QUIET := -qq --disable-pip-version-check
CANDIDATES := python3.14 python3.13 python3.12 python3.11 python3
VERSION := import sys, platform; assert sys.version_info >= (3, 11); print(platform.python_version())

# Sets $$python in the shell: PYTHON, or the newest candidate that runs (a pyenv shim may not).
FIND_PYTHON = python=; \
	if [ -n "$(PYTHON)" ]; then set -- "$(PYTHON)"; else set -- $(CANDIDATES); fi; \
	for name in "$$@"; do \
		if "$$name" -c 'import venv, ensurepip; $(VERSION)' >/dev/null 2>&1; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Found no Python >= 3.11 with venv; tried: $$*" >&2; \
		echo "Fix: install one (on Debian and Ubuntu: apt install python3 python3-venv), or name" >&2; \
		echo "one that is not on the PATH: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi

.PHONY: help install test reproduce notebooks docs lab bench wheel lock clean

help: ## Show this list
	@echo "Usage: make TARGET [PYTHON=/path/to/python3]"; echo
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target words; do printf '  %-10s %s\n' $$target "$$words"; done

install: $(STAMP) ## Create the environment .venv; the other targets do this by themselves

# Three processes: tests also wait, for browsers and other processes.
test: $(STAMP) ## Check the style, then run the tests; ARGS='tests/test_notebooks.py -x' goes to pytest
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# Exit code 3 means that some photos of a data set could not be read. DATA is a folder of real data sets.
reproduce: $(STAMP) ## Make missing results, execute all notebooks into build/, print; DATA=FOLDER PROFILE=paper
	$(RUN) -m delfjax reproduce --profile $(PROFILE) $(if $(DATA),--data "$(DATA)") || [ $$? -eq 3 ]
	DELFJAX_PROFILE=$(PROFILE) $(RUN) notebooks/execute.py --jobs 2 --out build/notebooks $(ARGS)
	$(RUN) -m delfjax table --page README.md
	$(if $(filter-out embedded,$(PROFILE)),$(RUN) -m delfjax table --results data/results/$(PROFILE))

notebooks: $(STAMP) ## Execute the notebooks that are out of date, and save them in place; ARGS=--force: all
	$(RUN) notebooks/execute.py $(ARGS)

# Warnings are errors. Nothing is executed, and nothing is downloaded with html. The sources are the repository.
docs: $(STAMP) ## Build the site, docs/_build/html/index.html; BUILDER=linkcheck checks its links
	$(RUN) -m sphinx -b $(BUILDER) -W --keep-going -q -c docs -d docs/_build/doctrees . docs/_build/$(BUILDER) $(ARGS)

# The server's root is the repository, so that jupytext finds pyproject.toml and saves both files of a notebook.
lab: $(STAMP) ## Open JupyterLab at the notebooks
	$(RUN) -m jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks $(ARGS)

bench: $(STAMP) ## Compare the speed with other libraries; ARGS=NAME: one part, or a study
	$(RUN) -m benchmarks $(ARGS)

wheel: $(STAMP) ## Build the wheel into dist/
	$(RUN) -m pip wheel $(QUIET) --no-deps --no-build-isolation --wheel-dir dist .

lock: ## Resolve requirements.lock; versions that still fit stay (ARGS=--upgrade: the newest)
	@$(FIND_PYTHON); folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	echo "Resolving with uv, in a temporary environment" && \
	"$$python" -m venv "$$folder" && \
	"$$folder/bin/python" -m pip install $(QUIET) uv && \
	"$$folder/bin/uv" pip compile pyproject.toml --quiet --python "$$folder/bin/python" \
		--extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header $(ARGS) -o requirements.lock

clean: ## Remove caches and build leftovers; the environment stays (rm -r .venv removes it)
	rm -rf build dist docs/_build .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name $(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) \
		-type d -prune -exec rm -rf {} +

# An environment of another Python version than PYTHON's is created again.
ifneq ($(PYTHON),)
ifneq ($(shell "$(PYTHON)" -c '$(VERSION)' 2>/dev/null),$(shell $(RUN) -c '$(VERSION)' 2>/dev/null))
$(STAMP): FORCE
endif
endif
FORCE:

# The stamp is written last, so that an installation that fails or is interrupted is repeated.
# Python compiles a module at its first import, so pip need not compile all of them.
$(STAMP): requirements.lock pyproject.toml
	@rm -f $@; have=$$($(RUN) -c 'import pip; $(VERSION)' 2>/dev/null); \
	if [ -z "$$have" ] || [ -n "$(PYTHON)" ]; then \
		$(FIND_PYTHON); \
		if [ "$$have" != "$$("$$python" -c '$(VERSION)')" ]; then \
			echo "Making the environment $(VENV) with $$("$$python" -V)"; \
			"$$python" -m venv --clear $(VENV) || exit 1; \
		fi; \
	fi; \
	echo "Installing the locked packages into $(VENV): a minute or two, the first time"; \
	$(RUN) -m pip install $(QUIET) --no-compile --require-hashes -r requirements.lock && \
	$(RUN) -m pip install $(QUIET) --no-build-isolation --no-deps -e . && \
	touch $@
