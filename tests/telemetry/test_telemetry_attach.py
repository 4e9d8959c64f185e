"""One more place where metrics are kept, attached while services count already."""

from __future__ import annotations

import sys
import threading
from collections import Counter

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from prometheus_client import CollectorRegistry

from traced_image import Server, Telemetry
from traced_image.pipeline.attempts.host_state import HostState
from traced_image.telemetry import catalogue
from traced_image.telemetry.collector import CounterSeries
from traced_image.telemetry.metrics import Metrics
from traced_image.telemetry.shared_metrics import attach, share_metrics

SERVER = Server.parse("glance-1")
PLACE = "glance-1", "9292"


class Kept:
    """A backend that counts what it is told, of the metrics that it wants."""

    def __init__(self, *metrics):
        self.metrics = metrics or catalogue.METRICS
        self.told = []

    def bind(self, metric, labels):
        if metric not in self.metrics:
            return None
        return lambda value, _: self.told.append((metric, labels, value))

    def of(self, metric):
        """What was told of a metric."""
        return [(labels, value) for which, labels, value in self.told if which is metric]


class Broken:
    """A backend that can't be told anything."""

    def bind(self, metric, labels):
        raise OSError("no room")


class Slow:
    """A backend that has something happen while it binds."""

    def __init__(self, meanwhile):
        self.meanwhile = meanwhile

    def bind(self, metric, labels):
        self.meanwhile()
        return lambda value, exemplar: None


def call(metrics):
    metrics.call("images.get", "exhausted", "503", 1.0, None)


def telemetry(registry, **fields):
    return Telemetry(**{"registry": registry, "meter_provider": False, **fields})


CALLED = [(("images.get", "exhausted", "503"), 1.0)]


# --- who is told -------------------------------------------------------------------------------


def test_what_a_service_counts_from_then_on_is_told(registry):
    metrics, kept = share_metrics(telemetry(registry)), Kept()
    call(metrics)
    attach(registry, kept)
    call(metrics)
    assert CALLED == kept.of(catalogue.CALL_DURATION)


def test_the_registry_counts_as_before(registry, counts):
    metrics = share_metrics(telemetry(registry))
    call(metrics)
    attach(registry, Kept())
    call(metrics)
    assert {(): 2.0} == counts.of("glance_client_call_duration_seconds_count")


@pytest.mark.parametrize("fields", [{}, {"detail": "full"}, {"meter_provider": None}])
def test_what_a_service_counts_that_is_made_later_is_told(registry, fields):
    kept = Kept()
    attach(registry, kept)
    call(share_metrics(telemetry(registry, **fields)))
    assert CALLED == kept.of(catalogue.CALL_DURATION)


def test_services_of_any_detail_and_meter_are_told_of(registry):
    services = [
        share_metrics(telemetry(registry)),
        share_metrics(telemetry(registry, detail="host")),
        share_metrics(telemetry(registry, meter_provider=NoOpMeterProvider())),
    ]
    kept = Kept()
    attach(registry, kept)
    for metrics in services:
        call(metrics)
    labels = Counter(labels for labels, _ in kept.of(catalogue.CALL_DURATION))
    assert {CALLED[0][0]: 2, ("", "exhausted", "_OTHER"): 1} == labels


def test_services_of_another_registry_are_not(registry):
    kept = Kept()
    attach(registry, kept)
    call(share_metrics(telemetry(CollectorRegistry())))
    assert [] == kept.of(catalogue.CALL_DURATION)


def test_several_can_be_attached(registry):
    kept = [Kept(), Kept()]
    for each in kept:
        attach(registry, each)
    call(share_metrics(telemetry(registry)))
    assert [CALLED, CALLED] == [each.of(catalogue.CALL_DURATION) for each in kept]


def test_a_registry_that_takes_no_metrics_is_attached_to_all_the_same(registry, caplog):
    PrometheusTaken(registry)
    kept = Kept()
    attach(registry, kept)
    call(share_metrics(telemetry(registry)))
    assert CALLED == kept.of(catalogue.CALL_DURATION)


def PrometheusTaken(registry):  # noqa: N802
    """Have a registry refuse the catalogue's names, which it has already."""
    from prometheus_client import Counter as PrometheusCounter

    PrometheusCounter(catalogue.RETRIES.name, "Somebody else's.", registry=registry)


# --- what is told at once ----------------------------------------------------------------------


def test_the_servers_are_told_as_they_are(registry):
    metrics, host = share_metrics(telemetry(registry)), HostState(SERVER)
    metrics.known([SERVER])
    host.state, host.consecutive_failures, host.last_failure = "cooling", 3, 5.0
    metrics.host(host)
    kept = Kept()
    attach(registry, kept)
    assert [((*PLACE, state), float(state == "cooling")) for state in catalogue.STATES] == kept.of(
        catalogue.SERVER_STATE
    )
    assert [[(PLACE, 3)], [(PLACE, 0.0)], [(PLACE, 5.0)]] == [
        kept.of(metric)
        for metric in (
            catalogue.CONSECUTIVE_FAILURES,
            catalogue.LAST_SUCCESS,
            catalogue.LAST_FAILURE,
        )
    ]


def test_nothing_else_is_told_at_once(registry):
    metrics = share_metrics(telemetry(registry))
    call(metrics)
    metrics.attempt_started(metrics.find_place(SERVER), 1)
    kept = Kept()
    attach(registry, kept)
    assert [] == kept.told


# --- what goes wrong ---------------------------------------------------------------------------


def test_one_that_fails_keeps_nothing_from_the_registry(registry, counts, caplog):
    metrics = share_metrics(telemetry(registry))
    attach(registry, Broken())
    call(metrics)
    assert {(): 1.0} == counts.of("glance_client_call_duration_seconds_count")


def test_that_one_fails_is_counted(registry, counts, caplog):
    metrics = share_metrics(telemetry(registry))
    attach(registry, Broken())
    call(metrics)
    assert {("metrics",): 1.0} == counts.of("traced_image_telemetry_errors_total", "kind")


def test_one_that_wants_a_metric_no_more_costs_it_nothing(registry):
    """The record is the registry's own, with nothing around it."""
    metrics = share_metrics(telemetry(registry))
    attach(registry, Kept(catalogue.CALL_DURATION))
    metrics.stream_bytes(SERVER, "download", 5)
    (record,) = metrics._bytes.values()
    assert CounterSeries is type(record.__self__)


def test_where_nobody_wants_a_metric_it_is_told_to_nobody():
    metrics = Metrics([Kept(catalogue.CALL_DURATION)])
    assert None is metrics.stream_bytes(SERVER, "download", 5)


@pytest.mark.parametrize("backends", [1, 2])
def test_one_attached_while_a_series_is_made_hears_of_it(backends):
    """By another thread, in the moment between looking for a series and keeping it."""
    kept = Kept(catalogue.CALL_DURATION)
    meanwhile = []
    metrics = Metrics([Slow(lambda: [each() for each in meanwhile]) for _ in range(backends)])
    meanwhile.append(lambda: (meanwhile.clear(), metrics.attach(kept)))
    call(metrics)
    call(metrics)
    assert CALLED == kept.of(catalogue.CALL_DURATION)


def test_servers_may_come_while_one_is_attached(registry):
    metrics = share_metrics(telemetry(registry))
    servers = [Server.parse(f"10.0.0.{number}") for number in range(200)]
    metrics.known(servers)
    hosts = [HostState(server) for server in servers]
    before, problems = sys.getswitchinterval(), []
    sys.setswitchinterval(1e-6)

    def tell():
        for host in hosts:
            metrics.host(host)

    def attaching():
        try:
            for _ in range(5):
                attach(registry, Kept(catalogue.SERVER_STATE))
        except RuntimeError as error:
            problems.append(error)

    try:
        threads = [threading.Thread(target=work) for work in (tell, attaching)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert [] == problems


def test_a_state_that_can_not_be_told_is_counted_and_raises_nothing():
    kept = Kept(catalogue.TELEMETRY_ERRORS)
    metrics = Metrics((kept,))
    kept.told.clear()
    metrics.host(None)
    assert [(("metrics",), 1)] == kept.of(catalogue.TELEMETRY_ERRORS)
