# make reproduce   the report, from the shipped model: figures, notebooks, scores in reproduced/
# make test        lint and all tests
# make lint        ruff, notebooks included          make format     rewrite what ruff would
# make notebooks   run the committed notebooks again, in place (CIFAR-10 must be there)
# make scores      score the shipped model again, in place (CIFAR-10 must be there)
# make clean       remove what these made
#
# Each makes the virtual environment that it needs. PYTHON=/path/to/python3.12 chooses another
# Python than the first supported one, VENV=folder another place.

VENV = .venv
PYTHON =
BIN = $(VENV)/bin

.PHONY: reproduce test lint format notebooks scores clean

reproduce: $(VENV)/.notebooks
	@$(BIN)/python -m pix2pix_color reproduce

# Everything runs, whatever fails; pytest's closing line comes last.
test: $(VENV)/.test
	@status=0; \
	$(BIN)/python -m ruff check . || status=1; \
	$(BIN)/python -m ruff format --check . || status=1; \
	$(BIN)/python -m pytest || status=1; \
	exit $$status

lint: $(VENV)/.test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

format: $(VENV)/.test
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

notebooks: $(VENV)/.notebooks
	@$(BIN)/python -m pix2pix_color.reproduction notebooks

scores: $(VENV)/.notebooks
	@$(BIN)/python -m pix2pix_color.reproduction scores

clean:
	rm -rf $(VENV) build dist reproduced .pytest_cache .ruff_cache *.egg-info
	find pix2pix_color tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + \
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
