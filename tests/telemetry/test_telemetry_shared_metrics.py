"""One set of metrics for all services that count in the same place, for as long as that lives."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from traced_image import Server, Telemetry
from traced_image.pipeline.attempts.host_state import HostState
from traced_image.telemetry.metrics import Metrics
from traced_image.telemetry.shared_metrics import attach, share_metrics

SERVER = Server.parse("glance-1")
CALLS = "glance_client_call_duration_seconds_count"


def count_one(telemetry):
    share_metrics(telemetry).call("images.get", "exhausted", "503", 1.0, None)


def test_services_of_a_registry_share_its_metrics(registry):
    assert share_metrics(Telemetry(registry=registry)) is share_metrics(
        Telemetry(registry=registry)
    )


def test_services_of_a_meter_provider_share_its_metrics():
    telemetry = Telemetry(registry=False, meter_provider=NoOpMeterProvider())
    assert share_metrics(telemetry) is share_metrics(telemetry)


def test_services_of_different_detail_count_in_one_registry(registry, counts):
    count_one(Telemetry(registry=registry))
    count_one(Telemetry(registry=registry, detail="host"))
    assert {("images.get", "503"): 1.0, ("", "_OTHER"): 1.0} == counts.of(
        CALLS, "operation", "error_type"
    )


def test_a_registry_counts_beside_any_meter_provider(registry, counts):
    for provider in (False, None, NoOpMeterProvider(), NoOpMeterProvider()):
        count_one(Telemetry(registry=registry, meter_provider=provider))
    assert {("images.get",): 4.0} == counts.of(CALLS, "operation")


def test_services_that_count_nowhere_take_note_of_their_troubles_apart():
    telemetry = Telemetry(registry=False, meter_provider=False)
    assert share_metrics(telemetry).errors is not share_metrics(telemetry).errors


def test_threads_that_come_at_once_get_the_same_metrics(registry):
    together = threading.Barrier(8)

    def first(_):
        together.wait(10)
        return share_metrics(Telemetry(registry=registry))

    with ThreadPoolExecutor(8) as pool:
        assert 1 == len(set(pool.map(first, range(8))))


# --- one more place ----------------------------------------------------------------------------


class Noting:
    """A place that notes what it is told, by metric; it may do something when a series begins."""

    def __init__(self, meanwhile=lambda: None):
        self.told = {}
        self._meanwhile = meanwhile

    def bind(self, metric, labels):
        self._meanwhile()
        return lambda value, _: self.told.setdefault(metric.name, []).append((labels, value))


CALL = ("images.get", "exhausted", "503"), 1.0


@pytest.fixture
def alone(registry):
    return Telemetry(registry=registry, meter_provider=False)


@pytest.mark.parametrize("before", [0, 1])
def test_one_more_place_counts_all_that_comes_after(alone, registry, before):
    for _ in range(before):
        count_one(alone)
    noting = Noting()
    attach(registry, noting)
    count_one(alone)
    count_one(alone)
    assert [CALL, CALL] == noting.told["glance_client_call_duration_seconds"]


def test_one_more_place_counts_beside_the_registry(alone, registry, counts):
    attach(registry, Noting())
    count_one(alone)
    assert {("images.get",): 1.0} == counts.of(CALLS, "operation")


def test_one_more_place_is_shown_the_servers_as_they_are(alone, registry):
    metrics = share_metrics(alone)
    metrics.known([SERVER])
    metrics.host(HostState(SERVER, state="cooling", consecutive_failures=2))
    noting = Noting()
    attach(registry, noting)
    assert (
        [
            (("glance-1", "9292", state), state == "cooling")
            for state in ("healthy", "failing", "cooling", "trial")
        ],
        [(("glance-1", "9292"), 2)],
    ) == (
        noting.told["glance_client_server_state"],
        noting.told["glance_client_server_consecutive_failures"],
    )


@pytest.mark.parametrize("others", [0, 1])
def test_a_series_that_begins_meanwhile_is_in_one_more_place_too(others):
    noting, coming = Noting(), []
    first = Noting(lambda: coming and metrics.attach(coming.pop()))
    metrics = Metrics([first, *(Noting() for _ in range(others))])
    coming.append(noting)
    for _ in range(2):
        metrics.call("images.get", "exhausted", "503", 1.0, None)
    assert [CALL] == noting.told["glance_client_call_duration_seconds"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: ("registry", CollectorRegistry()),
        lambda: ("meter_provider", MeterProvider(shutdown_on_exit=False)),
    ],
    ids=["registry", "meter_provider"],
)
def test_a_place_that_nobody_has_any_more_is_forgotten(build):
    """An application that makes a registry for each test must not fill its memory."""
    field, place = build()
    telemetry = Telemetry(**{"registry": False, "meter_provider": False, field: place})
    share_metrics(telemetry).known([SERVER])
    count_one(telemetry)
    found = weakref.ref(place)
    del place, telemetry
    gc.collect()
    assert None is found()


def test_a_child_of_a_fork_can_make_a_service(run_python):
    """The fork happens while the parent holds the lock, which nobody in the child releases."""
    assert ["0"] == run_python(
        """
        import os

        from prometheus_client import CollectorRegistry

        from traced_image import Telemetry
        from traced_image.telemetry.shared_metrics import share_metrics


        class Forking(CollectorRegistry):
            child = None

            def register(self, collector):
                super().register(collector)
                if self.child is None:
                    self.child = os.fork()
                    if not self.child:
                        share_metrics(Telemetry(registry=CollectorRegistry()))
                        os._exit(0)


        registry = Forking()
        share_metrics(Telemetry(registry=registry))
        print(os.waitstatus_to_exitcode(os.waitpid(registry.child, 0)[1]))
        """
    )
