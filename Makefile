# make demo               the whole product on loopback, with throwaway data
# make demo ARGS=--check  the same, walking the whole story by itself
# make test               all tests but the nightly ones
# A fresh Debian 12 needs python3.11 with venv, git and make; the rest is fetched by deploy/bootstrap.sh.

ARGS ?=

.PHONY: demo test fast lint env lock clean

demo:
	@deploy/bootstrap.sh demo
	@.venv/bin/sealgate demo $(ARGS)

test:
	@deploy/bootstrap.sh test
	@.venv/bin/python -m tests full $(ARGS)

fast:
	@deploy/bootstrap.sh test
	@.venv/bin/python -m tests fast $(ARGS)

lint:
	@deploy/bootstrap.sh test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

env:
	@deploy/bootstrap.sh test

lock: env
	.uv/bin/uv pip compile pyproject.toml --all-extras --generate-hashes --python-version 3.11 --no-header -q -o requirements.lock

clean:
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
