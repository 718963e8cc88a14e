# Set-up and daily commands. `make demo` and `make test` work on a fresh Debian or Ubuntu with Python 3.11 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/streamguard
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT := gir1.2-gst-plugins-bad-1.0 gir1.2-gst-rtsp-server-1.0 gstreamer1.0-libav gstreamer1.0-nice \
       gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
       janus libnginx-mod-rtmp mosquitto nginx-light postgresql python3-gi

.PHONY: demo test test-long soak bench-streams bench-webrtc lint format runtime system clean

demo: $(VENV)/.installed
	$(RUN) demo

# Workers of two threads each would wait for one another; one thread each is several times as fast. Three of them, as a
# third of the time is spent waiting for streams that play in real time. What fails
# beside others on a crowded machine is asked again, alone, twice at the most; what fails then too fails the run.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.dev system lint
	$(BIN)/python -m pytest -n 3 --dist loadgroup --durations=40 || { \
		echo "=== What failed is run again, alone. What passes only then is named at the end: report it. ==="; \
		export ASKED_AGAIN=1; \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none || \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

# What takes many minutes: 50 kills while 1,000 events flow, on both databases.
test-long: $(VENV)/.dev system
	$(BIN)/python -m pytest -m long -s

# What takes as long as it is told: `make soak ARGS="--seconds 600"`; `ARGS=--help` lists the options.
soak: $(VENV)/.dev
	$(BIN)/python -m tests.soak $(ARGS)

bench-streams bench-webrtc: bench-%: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.$* $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The real peers of the tests: a GStreamer RTSP server, nginx with its RTMP module, PostgreSQL, an MQTT broker, a browser (Ubuntu has no package of it),
# and what checks the sidecar's unit and rules (Prometheus not where systemd would start its server).
system:
	@dpkg -s $(APT) >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq $(APT); }
	@command -v chromium >/dev/null || $(SUDO) apt-get install -y -qq chromium || $(BIN)/playwright install --with-deps chromium
	@command -v systemd-analyze >/dev/null || $(SUDO) apt-get install -y -qq --no-install-recommends systemd
	@command -v promtool >/dev/null || test -d /run/systemd/system || $(SUDO) apt-get install -y -qq --no-install-recommends prometheus

# What Python and OpenCV need of the system; nothing is installed where it is there.
runtime:
	@$(PYTHON) -c "import ensurepip" 2>/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv; }
	@ldconfig -p | grep -q libGL.so.1 || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libgl1; }

# torch by itself: set TORCH_INDEX to an index of CPU builds to keep the CUDA libraries, several gigabytes, away.
$(VENV)/.installed: pyproject.toml | runtime
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[dev,int8,train]"
	@touch $@

clean:
	rm -rf $(VENV) demo-output build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf engines/*/cache
