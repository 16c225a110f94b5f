# `make repro` and `make test` do everything on a fresh machine with Python 3.11 or newer, git and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONUNBUFFERED := 1
QUICK ?= build/quick
MODEL ?= selected
PORT ?= 9007

.DEFAULT_GOAL := repro

.PHONY: demo help env repro quick serve recipes report test test-fast soak verify bench lint licences format clean

repro quick: export LVM_COMMAND = make $@

demo: env ## the page on port 9007 in under a minute: the model in demo/ over some 1,000 chunks (PORT=9008: elsewhere)
	python -m tools.demo --port $(PORT)

repro: env ## the whole pipeline, one recipe for each core at a time (JOBS=1: one after the other)
	python tools/repro.py $(JOBS)

quick: env ## the same pipeline on a small corpus, in a clone in build/quick: nothing here changes
	python tools/repro.py --check
	rm -rf $(QUICK)
	git clone --quiet --no-hardlinks . $(QUICK)
	git diff --binary HEAD | git -C $(QUICK) apply --allow-empty
	git -C $(QUICK) config user.name quick && git -C $(QUICK) config user.email quick@localhost
	rm $(QUICK)/dvc.lock # of other inputs; DVC writes the whole file anew after each stage
	cd $(QUICK) && dvc exp run --quiet --name parameters -S profile=quick -S 'names=[p1,p5,contrast]' -S 'train.seeds=[]' resolve
	cd $(QUICK) && python tools/repro.py $(JOBS) && dvc exp save --quiet --name quick && dvc exp remove --quiet parameters
	@echo "quick: see $(QUICK)/metrics/comparison.md"

serve: env ## the selected model over HTTP on port 9007 (MODEL=p1: another one; PORT=9008: elsewhere)
	python -m lvm_core.service --model data/models/$(MODEL) --port $(PORT)

recipes: env ## every recipe of params.yaml: architecture, losses, curriculum, parameters, epochs
	@python -m tools.recipes

report: env ## plots/report.html with commit and date: build/report.html
	@python -m tools.report

test: env lint ## format, lint, types and all tests; what needs a browser or curl is skipped where there is none, and named
	python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --durations=25

test-fast: env ## the tests without the run of the whole pipeline
	python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m 'not e2e and not soak'

soak: env ## long runs: 4 GB imports, hundreds of kills, damaged files, 10,000 hostile requests, 16 clients (20 min, 10 GB of disk)
	python -m pytest -m soak -s

verify: env ## same bytes twice, 10,000 hostile files, kills and other faults: what docs/reliability.md says
	python -m tests.verify

bench: env ## measured ratios against plain ways to do the same: metrics/bench.json, metrics/bench.md (25 min)
	python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/requirements.txt
	python -m benchmarks

lint: env ## format, lint and types
	ruff format --check .
	ruff check .
	mypy

licences: env ## name, version and licence of every dependency; fails where one is not allowed
	python tools/licences.py

format: env ## format, and mend what ruff can mend
	ruff format .
	ruff check --fix .

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read target what; do printf '%-10s %s\n' "$$target" "$$what"; done

env: ## the virtual environment with pinned dependencies; made anew if they changed
	@$(or $(PYTHON),$(error Python 3.11 or newer was not found)) tools/environment.py

clean: ## what a run leaves behind outside DVC's cache
	rm -rf build .resume .pytest_cache .mypy_cache .ruff_cache .hypothesis
