# Tierwatch. `make help` lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
REQ    := deploy/requirements
# The services' user may not write here: without this they would compile every module at every start.
COMPILE = $(BIN)/python -m compileall -q tierwatch.py config exporters alerting dashboards deploy

# Tests wait more than they work: two for each core, the long ones first.
BESIDE = --numprocesses auto --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup setup-node setup-dev demo test lint types imports units bench dashboards clean lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/created:
	@sh deploy/install/venv.sh $(PYTHON) $(VENV)
	@touch $@

# One stamp for each set of packages: changed pins install again, unchanged ones cost nothing.
$(VENV)/installed-%: $(REQ)/%.txt $(REQ)/build.txt pyproject.toml $(VENV)/created
	@echo "installing the packages of $(REQ)/$*.txt into $(VENV) (a minute or two on a small board)"
	@$(PIP) install --require-hashes --only-binary=:all: --prefer-binary -r $(REQ)/$*.txt -r $(REQ)/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(VENV)/installed-hub ## install what the hub runs (exporter, aggregator, dashboards) into .venv
	@$(COMPILE)
	@echo "ready: $(BIN)/tierwatch --help"

setup-node: $(VENV)/installed-exporter ## install only what a node runs (the exporter) into .venv
	@$(COMPILE)
	@echo "ready: $(BIN)/tierwatch exporter --help"

setup-dev: $(VENV)/installed-dev

demo: $(VENV)/installed-hub ## start the whole suite on this machine; Ctrl-C stops it
	@$(BIN)/tierwatch demo

test: setup-dev lint types imports units ## install what it needs, run every check and test

lint: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup-dev
	$(BIN)/mypy

imports: setup-dev
	$(BIN)/lint-imports

units: setup-dev
	sh tests/support/fetch_peers.sh
	$(BIN)/tierwatch check config --config config
	$(BIN)/tierwatch check rules config/rules/*.yml
	$(BIN)/tierwatch dashboards --config config --check
	$(BIN)/python -m pytest $(BESIDE) -m "not timed" --durations=30
	$(BIN)/python -m pytest -m timed --durations=20

bench: setup-dev ## measure and print: budgets, then ingest, queries, rules and size beside Prometheus (an hour)
	sh tests/support/fetch_peers.sh
	$(BIN)/python -m pytest -m bench -s tests/bench
	for what in ingest queries rules size; do $(BIN)/python -m tests.bench.bench_$$what || exit 1; done

dashboards: $(VENV)/installed-hub ## write the Grafana dashboards again
	$(BIN)/tierwatch dashboards build --config config --out dashboards/generated

lock: ## pin the packages again (needs uv)
	for set in exporter "exporter --extra aggregator --extra dashboards --extra remote" \
	  "exporter --extra aggregator --extra dashboards --extra remote --extra dev"; do \
	  case "$$set" in *dev) out=dev;; *remote) out=hub;; *) out=exporter;; esac; \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --quiet pyproject.toml --extra $$set -o $(REQ)/$$out.txt || exit 1; \
	done
	printf 'jupyterhub==6.1.1\nconfigurable-http-proxy==0.4.0\n' | uv pip compile --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet - \
	  -o tests/support/jupyterhub.txt

clean: ## remove the virtual environment and everything made
	rm -rf $(VENV) .peers .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
