# Two commands do everything: `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get

.PHONY: run test coverage programs fuzz lint format bench bench-quick soak clean

run: $(VENV)/run ## Start the server on port 8000.
	$(BIN)/python server.py

test: programs lint ## Every test.
	$(BIN)/python -m pytest -n 6 --dist loadfile

coverage: programs ## Every test, with branch coverage; fails if a place that raises has no test.
	$(BIN)/python -m pytest -n 6 --dist loadfile --cov --cov-report=term --cov-context=test
	$(BIN)/python tests/check_raises.py

programs: $(VENV)/test ## Install what the tests need from Debian, where it is missing.
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || ($(APT) update && ($(APT) install -y chromium-headless-shell || $(APT) install -y chromium))
	@command -v redis-server >/dev/null || ($(APT) update && $(APT) install -y redis-server)
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || ($(APT) update && $(APT) install -y nginx-light)
	@command -v firefox-esr >/dev/null || ($(APT) update && $(APT) install -y --no-install-recommends firefox-esr) || echo "Without firefox-esr the tests in Firefox are skipped."
	@(command -v WebKitWebDriver && command -v Xvfb) >/dev/null || ($(APT) update && $(APT) install -y --no-install-recommends webkit2gtk-driver xvfb) || echo "Without webkit2gtk-driver and xvfb the tests in WebKit are skipped."

fuzz: $(VENV)/test ## The random tests for about ten minutes: more streams, more resets.
	ECHO_TEST_EXAMPLES=3000 ECHO_TEST_RESETS=20000 $(BIN)/python -m pytest -n 2 --dist worksteal \
		--timeout 3600 tests/e2e/test_resets.py tests/protocol -k "properties or any or reset"

bench: $(VENV)/run ## Measure this service beside others, about ten minutes; writes bench/RESULTS.md.
	$(BIN)/python bench/run.py

bench-quick: $(VENV)/run ## The main loads, about two minutes; prints the summary.
	$(BIN)/python bench/run.py --quick

soak: $(VENV)/run ## Clients of all kinds for MINUTES, ten by default; writes bench/SOAK.md.
	$(BIN)/python bench/soak.py --minutes $(or $(MINUTES),10)

lint: $(VENV)/test ## Style, types, and which file may import which.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/test ## Put the code into shape.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what the other commands made.
	rm -rf $(VENV) bench/.work .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# A virtual environment; Debian keeps the module that makes one in a package of its own.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || ($(APT) update && $(APT) install -y python3-venv)
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: $(VENV)/bin/pip requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/test: $(VENV)/run requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
