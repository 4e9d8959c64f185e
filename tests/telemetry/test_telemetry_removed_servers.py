"""Servers that are configured no longer: their series go, and nobody else's."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from traced_image import Server, Telemetry
from traced_image.telemetry import catalogue
from traced_image.telemetry.shared_metrics import attach, share_metrics

GONE, STAYING = Server.parse("glance-1"), Server.parse("glance-2")


class Refusing:
    """A backend that forgets nothing."""

    def bind(self, metric, labels):
        return lambda value, exemplar: None

    def forget(self, address, port):
        raise OSError("no way")


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    """The metrics of two servers that had an attempt each."""
    metrics = share_metrics(Telemetry(registry=registry, meter_provider=False))
    metrics.known([GONE, STAYING])
    for server in (GONE, STAYING):
        attempt(metrics, server)
    return metrics


def attempt(metrics, server):
    place = metrics.find_place(server)
    metrics.attempt_started(place, 1)
    metrics.attempt_left(place, 1)
    metrics.attempt_ended("images.get", place, "failed", "503", 0.5, None)


def series(registry, server):
    """The series of a server: names and values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.labels.get("server_address") == server.host
        and not sample.name.endswith("_created")
    }


def test_all_series_of_a_server_go(metrics, registry):
    metrics.forget(GONE)
    assert {} == series(registry, GONE)


def test_those_of_others_stay_and_go_on(metrics, registry):
    before = series(registry, STAYING)
    metrics.forget(GONE)
    attempt(metrics, STAYING)
    changed = {key for key, value in series(registry, STAYING).items() if before[key] != value}
    assert {"glance_client_attempt_duration_seconds_count"} < {name for name, *_ in changed}


def test_one_that_comes_back_starts_at_zero(metrics, registry):
    fresh = CollectorRegistry()
    share_metrics(Telemetry(registry=fresh, meter_provider=False)).known([GONE])
    metrics.forget(GONE)
    metrics.known([GONE])
    assert series(fresh, GONE) == series(registry, GONE)


def test_one_that_is_not_known_changes_nothing(metrics, registry):
    before = series(registry, STAYING)
    metrics.forget(Server.parse("glance-3"))
    assert before == series(registry, STAYING)


def test_what_comes_late_of_it_is_of_another_server(metrics, registry):
    metrics.forget(GONE)
    attempt(metrics, GONE)
    assert {} == series(registry, GONE)


def test_a_place_that_forgets_nothing_keeps_no_other_from_it(metrics, registry):
    attach(registry, Refusing())
    metrics.forget(GONE)
    errors = registry.get_sample_value(catalogue.TELEMETRY_ERRORS.name, {"kind": "metrics"})
    assert ({}, 1.0) == (series(registry, GONE), errors)


def test_opentelemetry_keeps_what_it_has():
    reader = InMemoryMetricReader()
    metrics = share_metrics(Telemetry(registry=False, meter_provider=MeterProvider([reader])))
    metrics.known([GONE])
    attempt(metrics, GONE)
    metrics.forget(GONE)
    (resource,) = reader.get_metrics_data().resource_metrics
    kept = [each.name for scope in resource.scope_metrics for each in scope.metrics]
    assert catalogue.ATTEMPT_DURATION.otel in kept
