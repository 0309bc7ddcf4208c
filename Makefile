# Everything runs in .venv, which scripts/setup makes and keeps as requirements*.lock say.
.PHONY: help run test test-long lint check lock bench clean

help:
	@echo "make run        set up, and serve ~/jan (ROOT=... for another root) with a sample model if there is none"
	@echo "make test       set up, and run the tests, some at a time (ARGS=\"-n 0\": one by one)"
	@echo "make test-long  the long campaigns: more examples, more crashes; one by one"
	@echo "make lint       format, lint, types and architecture"
	@echo "make lock       resolve the dependencies anew"
	@echo "make bench      the benchmarks, printed and kept in benchmarks/results"

run:
	@scripts/setup run
	@.venv/bin/janfs serve --sample $(if $(ROOT),--root "$(ROOT)") $(ARGS)

test:
	@scripts/setup dev
	.venv/bin/python -m pytest -m "not long" $(SPREAD) $(ARGS)

# A process for each core, for tests wait as much as they compute; a file's tests stay together, as they share
# services and models. With what it loads and starts a process takes up to 1.7 GB, hence four of them at most. One that
# a test ends is not replaced, for xdist would wait for the new one without end; where a test hung is told before.
SPREAD = -n logical --maxprocesses 4 --dist loadfile --max-worker-restart 0 -o faulthandler_timeout=590

test-long:
	@scripts/setup dev
	.venv/bin/python -m pytest -m "long" --timeout 7200 $(ARGS)

lint:
	@scripts/setup dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

lock:
	@scripts/setup dev
	.venv/bin/uv pip compile -q pyproject.toml --extra sample --group dev $(LOCK) -o requirements-dev.lock
	.venv/bin/uv pip compile -q pyproject.toml --extra sample -c requirements-dev.lock $(LOCK) -o requirements.lock

LOCK = --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url

bench:
	@scripts/setup dev
	.venv/bin/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
