# Each target installs what it needs; only make and python3 with venv and pip must be there.
# It installs the versions and hashes of the files in requirements/, which `make lock` renews.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# For chaos, fuzz and soak.
SECONDS ?= 120
# The number of test processes. Tests wait for half of their time, so that three keep two processors busy.
WORKERS ?= 3
# The lowest Python that pyproject.toml allows, for test-oldest.
OLDEST ?= python3.10
# All other supported Pythons of this machine, for test-pythons and test-all.
PYTHONS ?= $(filter-out python$(firstword $(call facts,$(PYTHON))),$(FOUND))

# OpenStack's releases whose constraints are in requirements/releases, for test-releases. Each
# has its own Pythons: 2025.1 has up to 3.12.
RELEASES ?= 2025.1 2025.2 2026.1 master
# The stock clients for test-clients: library and release.
CLIENTS ?= $(addprefix glanceclient-,4.8.0 4.10.0 4.11.0 4.12.0 newest) nova-31.3.1 nova-34.0.0 \
  cinder-26.3.0 cinder-newest openstacksdk-4.4.0 openstacksdk-newest ironic-newest heat-newest

BIN := $(VENV)/bin
FOUND = $(foreach v,3.10 3.11 3.12 3.13 3.14,$(if $(shell python$(v) -c 'print(1)' 2>/dev/null),python$(v)))
PIP_INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check
INSTALL = $(PIP_INSTALL) --no-deps
MAKEFLAGS += --no-print-directory

# Tests of what users rely on, in about a minute; they pass on the oldest and newest versions.
CONTRACT = tests/test_public.py tests/test_errors.py tests/config tests/lab \
  $(patsubst %,tests/pipeline/test_%.py,retry_loop client connect connect_addresses connection \
    dependencies download ec2 exchange_proxies exchange_replies reply_parser \
    send service service_v1 transport upload v2) \
  $(patsubst %,tests/telemetry/test_telemetry_%.py,attach exemplars http_instrumentation logs \
    metrics off recorder spans wire_layer wire_spans wire_spans_compared) \
  tests/telemetry/test_telemetry_otlp.py::test_a_program_that_just_ends_has_all_exported \
  $(patsubst %,tests/exporter/test_exporter_%.py,app report server start wsgi_server) \
  $(patsubst %,tests/cli/test_cli_%.py,servers show_list)
REAL = $(BIN)/python -m pytest -o addopts="--strict-markers --strict-config -ra -m 'not slow'"
REAL_RULES = $(patsubst %,tests/real/test_real_%.py,rules rules_scenes outage_alerts diagnosis_rules)
REAL_SCENES = $(patsubst %,tests/real/test_real_%.py,diagnose outage outlets)
LOCK = dev
SUITE = $(CONTRACT)

.DELETE_ON_ERROR:
.PHONY: demo test test-contract test-oldest test-newest test-releases test-pythons test-all test-real
.PHONY: test-clients test-client test-wheel test-wheel-oldest test-wheel-newest test-installed
.PHONY: chaos check format docs dashboards bench fuzz soak proof dist audit lock clean FORCE

# Credentials for Keystone in the environment need the packages that read them.
demo: $(VENV)/.$(if $(OS_AUTH_URL)$(OS_CLOUD),keystone,demo)
	@$(BIN)/python -m traced_image.demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term-missing $(ARGS)

test-contract: $(VENV)/.$(LOCK)
	$(BIN)/python -m pytest -q -n $(WORKERS) $(SUITE) $(ARGS)

test-oldest:
	@$(call require,$(OLDEST),OLDEST)$(MAKE) PYTHON=$(OLDEST) VENV=.venv-oldest LOCK=oldest test-contract

test-newest:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) VENV=.venv-newest LOCK=newest test-contract

# The wheel instead of the checkout, with the same versions as the two above.
test-wheel:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) -j1 test-wheel-oldest test-wheel-newest

test-wheel-oldest:
	@$(call require,$(OLDEST),OLDEST)$(MAKE) dist
	@$(MAKE) PYTHON=$(OLDEST) VENV=.venv-wheel-oldest LOCK=wheel-oldest test-installed

test-wheel-newest:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) dist
	@$(MAKE) VENV=.venv-wheel-newest LOCK=wheel-newest test-installed

# Runs from what the archive has beside the package, so that no checkout can be imported.
test-installed: $(VENV)/.$(LOCK)
	@outside=$$(mktemp -d) && trap 'rm -rf "$$outside"' EXIT && \
	tar -xzf dist/*.tar.gz --strip-components=1 --exclude='traced_image-*/traced_image' -C "$$outside" && \
	python=$(abspath $(BIN))/python && cd "$$outside" && \
	$$python -c 'import traced_image; print("Testing", traced_image.__file__)' && \
	$$python -m pytest -q -n $(WORKERS) $(SUITE) $(ARGS)

test-releases:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) $(RELEASES:%=test-release-%)

test-release-%:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) VENV=.venv-release-$* LOCK=release-$* test-contract

test-pythons:
	@$(call require,$(PYTHON),PYTHON)$(if $(PYTHONS),$(MAKE) $(PYTHONS:%=test-on-%),echo "Found no other Python.")

test-on-%:
	@$(MAKE) PYTHON=$* VENV=.venv-$* test-contract

# All tests, one target after the other, because many of them measure time.
test-all:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) test ARGS='-m ""'
	@$(MAKE) -j1 test-pythons SUITE='-m ""'
	@$(MAKE) test-oldest
	@$(MAKE) test-clients
	@$(MAKE) test-real ARGS='-m ""'

# Prometheus's rules need processors and no clock. So they run beside the others, which wait, and give way to them.
# Scenes with many processes need both, and come last. What failed is tried once more when nothing runs
# beside it, because these tests wait for real programs: a failure that stays is one of the code.
# $(call real,rules,tests) runs tests that keep what failed under a name; $(call again,…) runs those.
real = $(REAL) -o cache_dir=.pytest_cache/$(1) $(2)
again = { echo "Once more, alone, what failed of $(1):"; $(call real,$(1),$(2)) --lf --lfnf none; }
REAL_OTHERS = tests/real $(patsubst %,--ignore=%,$(REAL_RULES) $(REAL_SCENES))

test-real: $(VENV)/.dev
ifneq ($(ARGS),)
	$(REAL) tests/real $(ARGS)
else
	@log=$$(mktemp); (nice $(call real,rules,$(REAL_RULES))) >$$log 2>&1 & beside=$$!; \
	$(call real,others,$(REAL_OTHERS)); others=$$?; \
	wait $$beside; rules=$$?; cat $$log; rm $$log; \
	$(call real,scenes,$(REAL_SCENES)); scenes=$$?; \
	if test $$others = 1; then $(call again,others,$(REAL_OTHERS)); others=$$?; fi; \
	if test $$rules = 1; then $(call again,rules,$(REAL_RULES)); rules=$$?; fi; \
	if test $$scenes = 1; then $(call again,scenes,$(REAL_SCENES)); scenes=$$?; fi; \
	test $$others = 0 && test $$rules = 0 && test $$scenes = 0
endif

# Stock clients, each release in an environment of its own.
test-clients:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) -j1 $(CLIENTS:%=test-client-%)

test-client-%:
	@$(MAKE) VENV=.venv-client-$* CLIENT=$* test-client

test-client: $(VENV)/.client
	REAL_CLIENTS=1 $(BIN)/python -m pytest -q $(WARNINGS) -n $(WORKERS) $(CLIENT_TESTS) $(ARGS)
	$(if $(filter nova cinder,$(LIBRARY)),REAL_LIBRARY=$(LIBRARY) $(BIN)/python -m pytest -q $(WARNINGS) -n $(WORKERS) \
	  tests/stock_cycle $(ARGS))

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m '' tests/test_architecture.py tests/test_public.py \
	  tests/test_typing.py tests/test_lock.py tests/test_makefile.py tests/test_wheel.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev
	PYTHONPATH=docs/src $(BIN)/python -m traced_image_docs docs

dashboards: $(VENV)/.dev
	PYTHONPATH=dashboards/src $(BIN)/python -m traced_image_dashboards

# Here and below, `exec` makes the run the process that make tells to end.
# Real servers that break while they are called. SEED is that of a run that is to be made again, or
# that was interrupted and is to go on.
chaos: $(VENV)/.dev
	PYTHONPATH=tests:tests/chaos:tests/real exec $(BIN)/python -m chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m pip install -q -r bench/requirements.txt
	$(BIN)/python bench/compare.py $(ARGS)

# SEED, ONLY and ROUND repeat a round that failed: the output says how.
fuzz: $(VENV)/.dev
	PYTHONPATH=tests:tests/fuzz exec $(BIN)/python -m fuzz $(SECONDS:%=--seconds %) $(SEED:%=--seed %) \
	  $(ONLY:%=--only %) $(ROUND:%=--round %) $(ARGS)

# A run that was interrupted goes on where it was.
soak: $(VENV)/.dev
	PYTHONPATH=tests:tests/soak exec $(BIN)/python -m soak $(SECONDS:%=--seconds %) $(SEED:%=--seed %) $(ARGS)

# All long forms, one after the other, and the page that shows them. What has passed at a commit is not run
# again, and what was interrupted goes on.
PROOF ?= fuzz soak chaos bench dist test-wheel audit
LONG_fuzz = SECONDS=1800 ARGS=--save
LONG_soak = SECONDS=3600 ARGS=--save
LONG_chaos = SECONDS=1800 SEED=$(shell git log -1 --format=%ct) ARGS=--save
LONG_bench = ARGS=--write

proof: $(VENV)/.dev
	@commit=$$(git rev-parse --short HEAD); status=0; \
	$(MAKE) -j1 -k $(PROOF:%=build/proof/$$commit/%) || status=1; \
	$(MAKE) docs || status=1; \
	for each in $(PROOF); do \
	  printf '%-12s%s\n' $$each "$$(test -e build/proof/$$commit/$$each && echo passed || echo 'did not pass')"; \
	done; exit $$status

build/proof/%:
	@$(MAKE) $(notdir $*) $(LONG_$(notdir $*))
	@mkdir -p $(@D) && touch $@

# The same commit gives the same bytes: its files and no others, its time, and the locked build backend.
dist:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) -s VENV=.venv-dist .venv-dist/.build
	@rm -rf build/source dist && mkdir -p build/source
	@git archive HEAD | tar -x -C build/source
	@cd build/source && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) ../../.venv-dist/bin/python -m hatchling build -d ../../dist >/dev/null
	@cd dist && sha256sum traced_image-* | tee SHA256SUMS

# Licences and known vulnerabilities of what is locked.
audit: $(VENV)/.dev
	@$(MAKE) -s VENV=.venv-audit .venv-audit/.audit
	@.venv-audit/bin/python requirements/audit.py $(BIN)/python $(ARGS)

clean:
	rm -rf __pycache__ .venv .venv-* build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find bench dashboards docs tests traced_image -name __pycache__ -prune -exec rm -rf {} +

# --- environments -------------------------------------------------------------------------------

# The version of a Python and whether it has venv, such as "3.11 venv"; empty if it does not run.
facts = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2]); import ensurepip, venv; print("venv")' 2>/dev/null)
COMMA := ,
TOO_OLD = 2.% $(addprefix 3.,0 1 2 3 4 5 6 7 8 9)
# $(call require,python3,PYTHON) ends make, in one line and before there is any file, if a Python can't be used.
require = $(call judge,$(1),$(2),$(call facts,$(1)))
judge = $(if $(3),,$(call refuse,$(1),$(2),does not run))$(if $(filter $(TOO_OLD),$(3)),$(call \
  refuse,$(1),$(2),is Python $(firstword $(3))))$(if $(filter venv,$(3)),,$(call \
  refuse,$(1),$(2),has no venv (on Debian, install python3-venv)))
refuse = $(error $(1) $(3); traced-image needs Python 3.10 or newer, with venv; fix: make \
  $(strip $(2)=$(or $(lastword $(FOUND)),python3.11) $(MAKECMDGOALS)))

$(VENV)/bin/python:
	@$(call require,$(PYTHON),PYTHON)echo "Making $(VENV) with $(PYTHON) …" >&2
	@$(PYTHON) -m venv $(VENV)

# Each lock includes the packages of the demonstration, so each target marks both.
$(VENV)/.%: requirements/%.txt pyproject.toml $(VENV)/bin/python
	@echo "Installing traced-image$(if $(filter-out demo keystone,$*), and the packages of its tests) …" >&2
	@$(INSTALL) --require-hashes -r $<
	@$(INSTALL) --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

# This target uses no lock: it installs the newest versions each time.
$(VENV)/.newest: $(VENV)/bin/python FORCE
	@echo "Installing traced-image and the newest packages of its tests …" >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade pip # that of Python 3.11 finds no solution
	@$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade --upgrade-strategy eager -e '.[dev]'

# The locked oldest, or the newest of today, with the wheel.
$(VENV)/.wheel-oldest: requirements/oldest.txt $(VENV)/bin/python FORCE
	@echo "Installing the wheel, and the oldest packages of its tests …" >&2
	@$(INSTALL) --require-hashes -r $<
	@$(INSTALL) --no-index --force-reinstall dist/*.whl

$(VENV)/.wheel-newest: $(VENV)/bin/python FORCE
	@echo "Installing the wheel, and the newest packages of its tests …" >&2
	@$(PIP_INSTALL) --upgrade pip
	@$(PIP_INSTALL) --upgrade --upgrade-strategy eager "$$(echo dist/*.whl)[test]"
	@$(INSTALL) --no-index --force-reinstall dist/*.whl

# What a release of OpenStack would run has its constraints. The packages of the tests are free, but
# leave it as it is. The instrumentation does not allow the wrapt of 2026.1. That of requests works
# with it; that of urllib3 can't be undone.
UNCHECKED = $(patsubst %,opentelemetry-%==0.60b1,instrumentation instrumentation-requests util-http)

$(VENV)/.release-%: requirements/releases/%.txt pyproject.toml $(VENV)/bin/python
	@echo "Installing traced-image as beside OpenStack $*, and the packages of its tests …" >&2
	@$(PIP_INSTALL) -c $< -e '.[cli,ec2,keystone,oslo,otlp$(if $(filter 2026.1,$*),,$(COMMA)instrument)]'
	@$(BIN)/python -m pip freeze --exclude-editable >$(VENV)/held.txt
	@$(PIP_INSTALL) -c $(VENV)/held.txt -e '.[exporter,lab]' hypothesis pytest pytest-xdist \
	  $(if $(filter 2026.1,$*),,opentelemetry-instrumentation-urllib3)
	@$(if $(filter 2026.1,$*),$(INSTALL) $(UNCHECKED))
	@touch $@

# A stock client, such as nova-31.0.0: its library, its requirement, and the release of OpenStack
# whose constraints it has.
LIBRARY = $(firstword $(subst -, ,$(CLIENT)))
RELEASE = $(lastword $(subst -, ,$(CLIENT)))
DISTRIBUTION = $(or $(DISTRIBUTION_$(LIBRARY)),$(LIBRARY))
DISTRIBUTION_glanceclient = python-glanceclient
DISTRIBUTION_heat = openstack-heat
CONSTRAINTS_nova-31.3.1 = 2025.1
CONSTRAINTS_cinder-26.3.0 = 2025.1
CONSTRAINTS_cinder-newest = master
CONSTRAINTS_openstacksdk-4.4.0 = 2025.1
CONSTRAINTS = $(CONSTRAINTS_$(CLIENT))
# What its tests use beside it; with OWN_TESTS also those that the library brings.
OWN_TESTS = ddt fixtures oslotest requests-mock testresources testscenarios testtools
BESIDE_glanceclient = opentelemetry-configuration opentelemetry-instrumentation-keystoneauth1
BESIDE_nova = $(OWN_TESTS) PyMySQL oslo.db psycopg2-binary wsgi-intercept
BESIDE_cinder = $(BESIDE_nova)
BESIDE_openstacksdk = $(OWN_TESTS) oslo.config python-glanceclient statsd
BESIDE_ironic = $(BESIDE_openstacksdk)

TESTS_glanceclient = $(patsubst %,test_instrumentation_%,calls configuration glanceclient green_tls hazards \
  instrumentor keystoneauth1 services) clients_shapes clients_programs clients_sessions clients_beside
TESTS_nova = test_instrumentation_nova_cinder test_instrumentation_services clients_shapes clients_services \
  clients_nova
TESTS_cinder = test_instrumentation_nova_cinder clients_shapes clients_services
TESTS_openstacksdk = test_instrumentation_openstacksdk clients_openstacksdk
TESTS_ironic = test_instrumentation_ironic clients_openstacksdk
TESTS_heat = clients_heat
# The services and what they use warn of themselves when they are imported.
WARNINGS = $(if $(filter glanceclient,$(LIBRARY)),,-W ignore)
CLIENT_TESTS = $(TESTS_$(LIBRARY):%=tests/instrumentation/%.py)

$(VENV)/.client: pyproject.toml $(VENV)/bin/python
	@echo "Installing traced-image, $(CLIENT) and the packages of its tests …" >&2
	@$(PIP_INSTALL) --upgrade -e '.[instrument]' '$(DISTRIBUTION)$(if $(filter newest,$(RELEASE)),,==$(RELEASE))' \
	  $(if $(CONSTRAINTS),-c requirements/releases/$(CONSTRAINTS).txt)
	@$(BIN)/python -m pip freeze --exclude-editable >$(VENV)/held.txt
	@$(PIP_INSTALL) -c $(VENV)/held.txt eventlet gevent gunicorn hypothesis opentelemetry-distro pytest \
	  pytest-xdist pyuwsgi trustme $(BESIDE_$(LIBRARY))
	@touch $@

$(VENV)/.uv: requirements/lock.txt $(VENV)/bin/python
	@echo "Installing uv …" >&2
	@$(INSTALL) --require-hashes -r $<
	@touch $@

$(VENV)/.build $(VENV)/.audit: $(VENV)/.%: requirements/%.txt $(VENV)/bin/python
	@echo "Installing the tools of make $(if $(filter build,$*),dist,$*) …" >&2
	@$(INSTALL) --require-hashes -r $<
	@touch $@

# --- locks --------------------------------------------------------------------------------------

# The newest version of each package that has wheels: a source distribution would need a build
# backend that no lock pins. The hashes cover all platforms. The oldest have no tools for types:
# types-requests needs urllib3 2.
COMPILE = .venv-lock/bin/uv pip compile --quiet --no-config --system-certs --upgrade --universal \
  --python-version 3.10 --generate-hashes --only-binary :all: --custom-compile-command 'make lock'
PROJECT = $(COMPILE) pyproject.toml --group build

lock:
	@$(call require,$(PYTHON),PYTHON)$(MAKE) VENV=.venv-lock .venv-lock/.uv
	$(PROJECT) --extra dev -o requirements/dev.txt
	$(PROJECT) --extra cli --extra exporter --extra lab -c requirements/dev.txt -o requirements/demo.txt
	$(PROJECT) --extra cli --extra exporter --extra lab --extra keystone -c requirements/dev.txt \
	  -o requirements/keystone.txt
	$(COMPILE) pyproject.toml --extra cli --extra exporter --extra oslo -c requirements/dev.txt \
	  -o requirements/image-oslo.txt
	$(COMPILE) pyproject.toml --extra cli --extra exporter --extra keystone -c requirements/dev.txt \
	  -o requirements/image-keystone.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt
	$(PROJECT) --extra test --resolution lowest-direct -o requirements/oldest.txt
	$(COMPILE) --group lock -o requirements/lock.txt
	$(COMPILE) --group audit -o requirements/audit.txt
