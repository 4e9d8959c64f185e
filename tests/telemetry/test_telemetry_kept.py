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
from traced_image.telemetry.kept import metrics_for

SERVER = Server.parse("glance-1")
CALLS = "glance_client_call_duration_seconds_count"


def count_one(telemetry):
    metrics_for(telemetry).call("images.get", "exhausted", "503", 1.0, None)


def test_services_of_a_registry_share_its_metrics(registry):
    assert metrics_for(Telemetry(registry=registry)) is metrics_for(Telemetry(registry=registry))


def test_services_of_a_meter_provider_share_its_metrics():
    telemetry = Telemetry(registry=False, meter_provider=NoOpMeterProvider())
    assert metrics_for(telemetry) is metrics_for(telemetry)


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
    assert metrics_for(telemetry).troubles is not metrics_for(telemetry).troubles


def test_threads_that_come_at_once_get_the_same_metrics(registry):
    together = threading.Barrier(8)

    def first(_):
        together.wait(10)
        return metrics_for(Telemetry(registry=registry))

    with ThreadPoolExecutor(8) as pool:
        assert 1 == len(set(pool.map(first, range(8))))


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
    metrics_for(telemetry).known([SERVER])
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
        from traced_image.telemetry.kept import metrics_for


        class Forking(CollectorRegistry):
            child = None

            def register(self, collector):
                super().register(collector)
                if self.child is None:
                    self.child = os.fork()
                    if not self.child:
                        metrics_for(Telemetry(registry=CollectorRegistry()))
                        os._exit(0)


        registry = Forking()
        metrics_for(Telemetry(registry=registry))
        print(os.waitstatus_to_exitcode(os.waitpid(registry.child, 0)[1]))
        """
    )
