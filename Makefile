# make reproduce   reproduce the report with the shipped model: notebooks, figures and scores
# make test        run lint and all tests
# make test-versions   test supported Python and package versions in new environments (about ten minutes)
# make lint        run ruff and check the import contracts
# make format      format the code and fix what ruff can fix
# make notebooks   run the committed notebooks again, in place (needs CIFAR-10)
# make scores      score the report's model again, in place (needs CIFAR-10)
# make clean       remove everything that these commands created
#
# Each command creates the virtual environment that it needs. PYTHON=/path/to/python3.12 chooses
# another Python, VENV=folder another place, WORKERS=N another number of test processes.

VENV = .venv
PYTHON =
WORKERS = 2
BIN = $(VENV)/bin

.PHONY: reproduce test test-versions lint format notebooks scores clean

reproduce: $(VENV)/.notebooks
	@$(BIN)/python -m tools.reproduce

# Everything runs even if something fails; pytest's summary is the last line.
test: $(VENV)/.test
	@status=0; \
	$(BIN)/python -m ruff check . || status=1; \
	$(BIN)/python -m ruff format --check . || status=1; \
	$(BIN)/lint-imports || status=1; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal || status=1; \
	exit $$status

# ENVIRONMENTS="lower colab" runs only these.
test-versions: | $(BIN)/python
	@$(BIN)/python tools/test_versions.py $(ENVIRONMENTS)

lint: $(VENV)/.test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

notebooks: $(VENV)/.notebooks
	@$(BIN)/python -m tools.release notebooks

scores: $(VENV)/.notebooks
	@$(BIN)/python -m tools.release scores

clean:
	rm -rf $(VENV) build dist reproduced .pytest_cache .ruff_cache .import_linter_cache *.egg-info
	find pix2pix_color tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + \
		2>/dev/null || true

# A stamp per extra: installed again when the metadata change. The tests' extra holds the other.
$(VENV)/.test: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[test]'
	@touch $(VENV)/.notebooks $@

$(VENV)/.notebooks: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[notebooks]'
	@touch $@

$(BIN)/python:
	@fit='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; \
	wanted="$(PYTHON)"; \
	for python in $${wanted:-python3 python3.13 python3.12 python3.11}; do \
		if "$$python" -c "$$fit" 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$python" --version)"; \
			rm -rf "$(VENV)"; \
			exec "$$python" -m venv "$(VENV)"; \
		fi; \
	done; \
	echo "No supported Python: this needs Python 3.11 to 3.13 with its venv module (on Debian and" >&2; \
	echo "Ubuntu the package python3-venv). Found: $$($${wanted:-python3} --version 2>&1 | head -n 1)." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1
