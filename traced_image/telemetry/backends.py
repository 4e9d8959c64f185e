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
"""Adds to a counter, sets a gauge, or observes a value of a histogram."""

Labels = tuple[str, ...]
"""The values of a metric's labels, in the metric's order; an empty value means no label."""


class Backend(Protocol):
    """A place that keeps the catalogue's metrics."""

    def bind(self, metric: Metric, labels: Labels) -> Update | None:
        """Return what updates one series; None if this backend does not keep the series.

        An update by 0 creates the series.
        """

    def forget(self, address: str, port: str) -> None:
        """Drop all series of a server, if the backend can."""


class PrometheusBackend:
    """The catalogue's metrics in a registry of prometheus_client.

    Args:
        registry: The registry that gets the metrics, once for the registry's life.

    Raises:
        ValueError: The registry already has a metric of one of these names.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics = {metric.name: _register(metric, registry) for metric in catalogue.METRICS}

    def bind(self, metric: Metric, labels: Labels) -> Update:
        """Return what updates one series, which exists from now on, at zero."""
        child = self._metrics[metric.name].labels(*labels)
        if isinstance(child, Histogram):
            return child.observe
        if isinstance(child, Counter):
            return child.inc
        return _drop_exemplar(child.inc if metric.kind == "updown" else child.set)

    def forget(self, address: str, port: str) -> None:
        """Drop all series of a server; prometheus_client's multiprocess mode can't do that."""
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

    The SDK takes exemplars itself, from the current span.

    Args:
        provider: The provider of the meter.
    """

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(catalogue.SCOPE, schema_url=catalogue.SCHEMA_URL)
        self._records = {
            metric.name: _make_instrument(metric, meter) for metric in catalogue.METRICS
        }

    def bind(self, metric: Metric, labels: Labels) -> Update:
        """Return what updates one series, which exists from its first update on."""
        record = self._records[metric.name]
        attributes: dict[str, str | int] = {
            catalogue.LABELS[label]: int(value) if _is_port(label, value) else value
            for label, value in zip(metric.labels, labels, strict=True)
            # In Prometheus an empty label is the same as no label; OpenTelemetry would keep it.
            if value
        }
        return lambda value, _: record(value, attributes)

    def forget(self, address: str, port: str) -> None:
        """Do nothing: the Metrics API has no way to remove a series."""


def _is_port(label: str, value: str) -> bool:
    """Return whether a label is an integer in OpenTelemetry.

    Only ``server.port`` is. An HTTP status in ``error.type`` stays a string, as the semantic
    conventions define it.
    """
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
