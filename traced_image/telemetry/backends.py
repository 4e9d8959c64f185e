"""Where the catalogue's metrics are kept: a Prometheus registry, or OpenTelemetry's meters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from . import catalogue

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider

    from .catalogue import Metric

Exemplar = dict[str, str]
"""``trace_id`` and ``span_id`` in hex digits."""

Update = Callable[[float, Exemplar | None], object]
"""Adds to a counter, sets a gauge, or observes a histogram's value."""

Labels = tuple[str, ...]
"""The values of a metric's labels, in its order; an empty one is as good as none."""


class Backend(Protocol):
    """Keeps the catalogue's metrics."""

    def bind(self, metric: Metric, labels: Labels) -> Update | None:
        """One series of a metric, to record 0 makes it exist; None for one that is not kept."""

    def forget(self, address: str, port: str) -> None:
        """Drop all series of a server, where that is possible."""


class PrometheusBackend:
    """The catalogue's metrics in a registry of prometheus_client.

    Args:
        registry: Where they are registered, once for its life.

    Raises:
        ValueError: The registry has one of the names already.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics = {metric.name: _register(metric, registry) for metric in catalogue.METRICS}

    def bind(self, metric: Metric, labels: Labels) -> Update:
        """One series of a metric; it is at zero from now on."""
        child = self._metrics[metric.name].labels(*labels)
        if isinstance(child, Histogram):
            return child.observe
        if isinstance(child, Counter):
            return child.inc
        return _drop_exemplar(child.inc if metric.kind == "updown" else child.set)

    def forget(self, address: str, port: str) -> None:
        """Drop all series of a server; in multiprocess mode prometheus_client can't."""
        for metric in catalogue.METRICS:
            if "server_address" in metric.labels:
                labels = {"server_address": address, "server_port": port}
                self._metrics[metric.name].remove_by_labels(labels)


def _register(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    name, text, labels = metric.name, metric.help, metric.labels
    if metric.kind == "counter":
        return Counter(name, text, labels, registry=registry)
    if metric.kind == "histogram":
        return Histogram(name, text, labels, registry=registry, buckets=metric.buckets)
    return Gauge(name, text, labels, registry=registry, multiprocess_mode=metric.merge)


def _drop_exemplar(change: Callable[[float], None]) -> Update:
    return lambda value, _: change(value)


class OpenTelemetryBackend:
    """The catalogue's metrics as instruments of OpenTelemetry's Metrics API.

    Exemplars are the SDK's to take, from the span that is current.

    Args:
        provider: Whose meter is used.
    """

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(catalogue.SCOPE, schema_url=catalogue.SCHEMA_URL)
        self._records = {
            metric.name: _make_instrument(metric, meter) for metric in catalogue.METRICS
        }

    def bind(self, metric: Metric, labels: Labels) -> Update:
        """One series of a metric; it exists once something was recorded."""
        record = self._records[metric.name]
        attributes: dict[str, str | int] = {
            catalogue.LABELS[label]: int(value) if _is_port(label, value) else value
            for label, value in zip(metric.labels, labels, strict=True)
            if value
        }
        return lambda value, _: record(value, attributes)

    def forget(self, address: str, port: str) -> None:
        """Do nothing: OpenTelemetry's instruments keep what they have."""


def _is_port(label: str, value: str) -> bool:
    """Whether a label is an integer in OpenTelemetry; a status as a reason is a string there."""
    return label == "server_port" and value != catalogue.OTHER


def _make_instrument(metric: Metric, meter: Meter) -> Callable[[float, dict[str, str | int]], None]:
    name, unit, text = metric.otel, metric.unit, metric.help
    if metric.kind == "counter":
        return meter.create_counter(name, unit, text).add
    if metric.kind == "updown":
        return meter.create_up_down_counter(name, unit, text).add
    if metric.kind == "gauge":
        return meter.create_gauge(name, unit, text).set
    return meter.create_histogram(
        name, unit, text, explicit_bucket_boundaries_advisory=metric.buckets
    ).record
