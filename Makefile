# make run   installs what is missing and starts Zooscope; options: make run UP="--port 9000 --workers 2"
#            make run ELASTICSEARCH=1 starts a real Elasticsearch beside it (needs Java 17 and Maven)
# make test  installs what the tests need as well and runs them; options: make test PYTEST="tests/zoo -k blobs"
#            make test SLOW=1 runs the long ones as well, as CI does (half an hour)
# Steps that were done are remembered by stamps in .venv and repeated only when their lock changes.

SHELL := /bin/bash
BIN := .venv/bin
UP ?=
WITH := $(if $(ELASTICSEARCH),$(BIN)/python -m zoo.elasticsearch_server .venv/elasticsearch data/elasticsearch)
PYTEST ?=
# A browser or Node.js that was installed into .venv is found first.
TOOLS := PATH="$(CURDIR)/.venv/bin:$$PATH"
LOCK := $(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet

.PHONY: run test lint install install-tests lock screenshots bench clean help
.DEFAULT_GOAL := help

help:
	@sed -n '1,5s/^# //p' Makefile
	@echo "others     make install, lint, lock, screenshots, bench, clean"

run: install
	@exec $(WITH) $(BIN)/python -m zooscope up $(UP)

test: install-tests
	$(TOOLS) $(BIN)/python -m pytest $(if $(SLOW),,-m "not slow") $(PYTEST)

lint: install-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

install: .venv/made .venv/service .venv/accelerator web/node_modules/.package-lock.json
	@install/system.sh beanstalkd

install-tests: install .venv/tests .venv/refereed
	@install/system.sh chromium

.venv/made: install/uv.lock install/environment.sh
	@install/environment.sh
	@touch $@

.venv/service: requirements.lock pyproject.toml .venv/made
	@install/packages.sh service
	@touch $@

.venv/tests: requirements-dev.lock .venv/service
	@install/packages.sh tests
	@touch $@

# Without its referee, bioimageio.core, the tests run and say that they skip it.
.venv/refereed: install/referee.lock .venv/tests
	@if install/packages.sh referee; then touch $@; fi

.venv/accelerator: install/gpu.lock .venv/service
	@install/packages.sh accelerator
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json web/package.json .venv/made
	@install/front_end.sh
	@touch $@

# Take the newest versions that pyproject.toml allows: look at the difference before committing it.
lock: .venv/made
	$(LOCK) --upgrade pyproject.toml -o requirements.lock
	$(LOCK) --upgrade pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	$(LOCK) --upgrade install/referee.in -c requirements.lock -o install/referee.lock
	$(LOCK) --upgrade --python-version 3.11 install/gradio.in -o install/gradio.lock
	$(LOCK) --upgrade install/uv.in -o install/uv.lock
	$(LOCK) --upgrade install/node.in -o install/node.lock
	$(LOCK) --upgrade install/gpu.in -c requirements.lock -o install/gpu.lock

screenshots: install-tests
	$(TOOLS) $(BIN)/python docs/screenshots.py

bench: install
	$(BIN)/python -m benchmarks.start_up
	$(BIN)/python -m benchmarks.preview_latency
	$(BIN)/python -m benchmarks.tiled_engine
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/python -m benchmarks.queue_throughput
	$(BIN)/python -m benchmarks.queue_overhead
	@test -x .venv/gradio/bin/python || install/packages.sh gradio
	$(BIN)/python -m benchmarks.queue_gradio
	$(BIN)/python -m benchmarks.queue_simulation
	$(BIN)/python -m benchmarks.zoo_search
	$(BIN)/python -m benchmarks.zoo_publish

# What was installed and cached goes; data/ stays.
clean:
	rm -rf .venv web/node_modules *.egg-info build .mypy_cache .ruff_cache .pytest_cache .hypothesis
