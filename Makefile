# Everything runs in .venv, which scripts/setup makes and keeps as requirements*.lock say.
.PHONY: help run test test-long lint check lock bench clean

help:
	@echo "make run        set up, and serve ~/jan (ROOT=... for another root) with a sample model if there is none"
	@echo "make test       set up, and run the tests"
	@echo "make test-long  the long campaigns: more examples, more crashes"
	@echo "make lint       format, lint, types and architecture"
	@echo "make lock       resolve the dependencies anew"
	@echo "make bench      the benchmarks, printed and kept in benchmarks/results"

run:
	@scripts/setup run
	@.venv/bin/janfs serve --sample $(if $(ROOT),--root "$(ROOT)") $(ARGS)

test:
	@scripts/setup dev
	.venv/bin/python -m pytest -m "not long" $(ARGS)

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
