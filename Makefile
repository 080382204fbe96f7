# demo test check bench docs, and no more. The first of them makes .venv (Python 3.11 or newer, minutes the first time).
PYTHON ?= python3
READY := .venv/.ready
CORE := $(shell find csrc -name '*.h' -o -name '*.cc')

.PHONY: demo test check bench docs

demo: $(READY)
	.venv/bin/dotori demo

test: $(READY)
	.venv/bin/pytest

check: $(READY)
	.venv/bin/ruff format --check src tests benchmarks docs
	.venv/bin/ruff check src tests benchmarks docs
	.venv/bin/mypy
	.venv/bin/pytest -q tests/design

bench: $(READY)
	@for script in $(patsubst %,benchmarks/%.py,train_throughput data_build runtime); do echo "== $$script" >&2; .venv/bin/python "$$script" || exit 1; done

docs: $(READY)
	.venv/bin/python docs/reference.py

$(READY): pyproject.toml constraints.txt CMakeLists.txt $(CORE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; install Python 3.11 or 3.12, or name one: make PYTHON=python3.12 test" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)
