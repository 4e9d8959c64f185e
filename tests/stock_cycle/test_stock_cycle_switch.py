"""The switch: what it puts where, what it puts back, and what it leaves alone."""

import itertools
import re
import time as clocks
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from stock_libraries import forget_libraries

from traced_image import RetryPolicy, Server
from traced_image.instrumentation import GlanceInstrumentor, hosts
from traced_image.instrumentation.hosts import FailingHost
from traced_image.lab import faults
from traced_image.stock_cycle import StockCycle, start_from_environment

NAMES = ("itertools", "time")


def replaced(library):
    """What the switch replaces, as it is now."""
    module = library.module
    return [vars(module)[name] for name in NAMES] + [vars(module.GlanceClientWrapper)["call"]]


def differ(one, other):
    return [each is not there for each, there in zip(one, other, strict=True)]


# --- before and after --------------------------------------------------------------------------


def test_what_was_there_is_put_back(library, make_cycle):
    before = replaced(library)
    cycle = make_cycle()
    cycle.install()
    assert [True] * 3 == differ(before, replaced(library))
    cycle.remove()
    assert [False] * 3 == differ(before, replaced(library))


def test_a_second_install_changes_nothing(library, make_cycle):
    cycle = make_cycle()
    cycle.install()
    before = replaced(library)
    cycle.install()
    assert [False] * 3 == differ(before, replaced(library))


def test_to_remove_what_was_never_installed_does_nothing():
    assert StockCycle().remove() is None


def test_all_else_of_the_modules_is_their_own(library, make_cycle):
    make_cycle().install()
    module = library.module
    assert (clocks.monotonic, itertools.chain) == (module.time.monotonic, module.itertools.chain)


def test_a_client_that_had_the_cycle_goes_on_without_it(
    library, servers, image_id, slept, make_cycle
):
    cycle = make_cycle()
    cycle.install()
    client = library.make()
    library.call("get", image_id, client=client)
    cycle.remove()
    servers[0].break_with(faults.refuse())
    for _ in servers:
        library.call("get", image_id, client=client)
    assert {1} == set(slept)


def test_a_list_made_after_the_end_has_the_librarys_order(library, servers, make_cycle):
    cycle = make_cycle()
    cycle.install()
    kept = library.module.itertools
    cycle.remove()
    assert itertools.cycle is type(kept.cycle([1]))


@pytest.mark.parametrize(
    ("kind", "items"),
    [(list, ()), (iter, ("a",)), (list, ([],)), (list, (None,))],
    ids=["empty", "an iterator", "a list in it", "no endpoint"],
)
def test_what_is_no_list_of_servers_has_the_librarys_order(library, make_cycle, kind, items):
    make_cycle().install()
    assert itertools.cycle is type(library.module.itertools.cycle(kind(items)))


def test_a_library_that_is_imported_later_has_the_cycle(library, make_cycle):
    forget_libraries()
    make_cycle().install()
    assert clocks is not type(library)().module.time


def test_a_library_that_is_imported_after_the_end_is_left_alone(library, make_cycle):
    forget_libraries()
    cycle = make_cycle()
    cycle.install()
    cycle.remove()
    assert clocks is type(library)().module.time


@pytest.mark.parametrize(
    "fault",
    [None, faults.refuse(), faults.status(503), faults.status(404)],
    ids=["well", "refuse", "503", "404"],
)
def test_results_and_errors_are_the_librarys(library, servers, image_id, slept, make_cycle, fault):
    for server in servers if fault else ():
        server.break_with(fault)
    found = [describe(library, image_id, servers)]
    make_cycle().install()
    found.append(describe(library, image_id, servers))
    assert found[0] == found[1]


def describe(library, image_id, servers):
    """What a call returns or raises, and where that was raised, without our own code."""
    try:
        result = library.call("get", image_id)
    except Exception as error:  # noqa: BLE001
        frames, trace = [], error.__traceback__.tb_next
        while trace is not None:
            if "traced_image" not in trace.tb_frame.f_code.co_filename:
                frames.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
            trace = trace.tb_next
        # The attempts' ports differ.
        return type(error), re.sub(r"[:=]\d+|req-[-\w]+|0x\w+", "", str(error)), frames
    return type(result), result["id"]


# --- a library that has changed ----------------------------------------------------------------


def other_call(self, method):
    """A call with other parameters."""


def call(self, context, version, method=None, *args):
    """A call that waits for nothing."""


def no_servers(context):
    """A function that makes no cycle."""


CHANGES = {
    "GlanceClientWrapper.call() has other parameters": ("GlanceClientWrapper.call", other_call),
    "has no GlanceClientWrapper._create_onetime_client()": (
        "GlanceClientWrapper._create_onetime_client",
        None,
    ),
    "get_api_servers() does not use itertools.cycle()": ("get_api_servers", no_servers),
    ".get_api_servers() does not use itertools.cycle(): None": ("get_api_servers", None),
    ".GlanceClientWrapper.call() does not use time.sleep()": ("time", clocks.sleep),
}


@pytest.mark.parametrize(("said", "change"), CHANGES.items(), ids=[str(n) for n in range(5)])
def test_a_library_that_has_changed_is_left_as_it_is_with_one_warning(
    library, make_cycle, monkeypatch, caplog, said, change
):
    monkeypatch.setattr(library.module, *change) if "." not in change[0] else monkeypatch.setattr(
        library.module.GlanceClientWrapper, change[0].partition(".")[2], change[1]
    )
    before = replaced(library)
    make_cycle().install()
    assert [False] * 3 == differ(before, replaced(library))
    (record,) = caplog.records
    assert f"{library.name} " in record.getMessage()
    assert said.partition(": ")[0] in record.getMessage()
    assert "keeps its own order and waits" in record.getMessage()


# --- the environment ---------------------------------------------------------------------------


@pytest.fixture
def started(library):
    """Start as `opentelemetry-instrument` does."""
    made = []

    def start(**environ):
        made.append(start_from_environment(environ))
        return made[-1]

    yield start
    for each in filter(None, made):
        each.remove()


@pytest.mark.parametrize("text", ["true", "1", "on"])
def test_a_variable_switches_it_on(library, started, text):
    assert started(TRACED_IMAGE_STOCK_CYCLE=text) is not None
    assert clocks is not library.module.time


@pytest.mark.parametrize("text", ["", "false", "off"])
def test_it_is_off_otherwise(library, started, text):
    assert started(TRACED_IMAGE_STOCK_CYCLE=text) is None
    assert clocks is library.module.time


def test_it_is_off_by_default(monkeypatch):
    monkeypatch.delenv("TRACED_IMAGE_STOCK_CYCLE", raising=False)
    assert start_from_environment() is None


def test_the_rules_are_those_of_the_environment(started, caplog):
    found = started(TRACED_IMAGE_STOCK_CYCLE="true", TRACED_IMAGE_RETRY_COOLDOWN_BASE="7")
    assert (RetryPolicy(cooldown_base=7), []) == (found._rules.policy, caplog.records)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"TRACED_IMAGE_STOCK_CYCLE": "perhaps"},
            "stock_cycle (from TRACED_IMAGE_STOCK_CYCLE): 'perhaps' is not a boolean",
        ),
        (
            {"TRACED_IMAGE_STOCK_CYCLE": "true", "TRACED_IMAGE_RETRY_COOLDOWN_BASE": "-1"},
            "retry.cooldown_base (from TRACED_IMAGE_RETRY_COOLDOWN_BASE)",
        ),
    ],
)
def test_what_cant_be_used_is_said_once_and_nothing_is_installed(
    library, started, caplog, environ, said
):
    assert started(**environ) is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"nova and cinder keep their own order and waits: {said}")
    assert clocks is library.module.time


def test_opentelemetry_instrument_finds_it():
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    group = project.partition("[project.entry-points.opentelemetry_post_instrument]")[2]
    assert 'traced_image_stock_cycle = "traced_image.stock_cycle:start_from_environment"' in group


# --- the state of the servers ------------------------------------------------------------------


@pytest.fixture
def instrumentor():
    made = GlanceInstrumentor()
    if made.is_instrumented_by_opentelemetry:  # by the example of a page
        made.uninstrument()
    yield made
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()


@pytest.mark.parametrize("first", ["the switch", "the instrumentor"])
def test_the_metrics_show_the_cycles_states(
    library, servers, image_id, slept, make_cycle, instrumentor, first, time
):
    registry, cycle = CollectorRegistry(), make_cycle()

    def instrument():
        instrumentor.instrument(registry=registry, meter_provider=False, skip_dep_check=True)

    starts = [cycle.install, instrument] if first == "the switch" else [instrument, cycle.install]
    for start in starts:
        start()
    servers[0].break_with(faults.status(503))
    library.call("get", image_id)
    assert ["cooling", "healthy", "healthy"] == find_states(registry, servers)
    time.now += 10
    client = library.make()
    library.call("get", image_id, client=client)
    library.call("get", image_id, client=client)
    assert ["cooling", "healthy", "healthy"] == find_states(registry, servers)


def test_without_the_cycle_the_states_are_those_of_the_attempts(
    library, servers, image_id, slept, make_cycle, instrumentor
):
    registry, cycle = CollectorRegistry(), make_cycle()
    instrumentor.instrument(registry=registry, meter_provider=False, skip_dep_check=True)
    cycle.install()
    servers[0].break_with(faults.status(503))
    library.call("get", image_id)
    cycle.remove()
    library.set_servers([servers[0].url], retries=0)
    with pytest.raises(library.module.exception.GlanceConnectionFailed):
        library.call("get", image_id)
    assert ["failing", "healthy", "healthy"] == find_states(registry, servers)


def find_states(registry, servers):
    """The state of each server, in the order of the cycle."""
    found = {
        sample.labels["server_port"]: sample.labels["state"]
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "glance_client_server_state" and sample.value
    }
    return [found.get(str(server.port)) for server in servers]


def test_states_are_told_of_so_many_servers(monkeypatch, servers):
    monkeypatch.setattr(hosts, "MOST_SERVERS", 1)
    told, server = hosts.ToldStates(), [Server.parse(each.url) for each in servers]
    for each in server:
        told.tell(FailingHost(each))
    assert [True, False, False] == [told.has(each) for each in server]


def test_states_that_were_told_before_are_shown(counts, servers):
    told, shown = hosts.ToldStates(), []

    class Shown:
        show = shown.append

    host = FailingHost(Server.parse(servers[0].url))
    told.tell(host)
    told.add(Shown)
    assert [host] == shown
