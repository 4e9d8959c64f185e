"""Where the catalogue's metrics are kept: a Prometheus registry, or OpenTelemetry's meters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Observation
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import Collector

from .. import _forks
from .._version import find_version
from . import catalogue
from .collector import Common, Family
from .multiprocess import is_on, shows_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import Meter, MeterProvider
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Samples

    from .catalogue import Metric
    from .updates import Labels, Update


class PrometheusBackend:
    """The catalogue's metrics in a registry of prometheus_client.

    Args:
        registry: The registry that gets the metrics, all or none, once for the registry's life.
        clock: Returns the time, in seconds since the epoch.

    Raises:
        ValueError: The registry already has a metric of one of these names.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.time) -> None:
        self._families: dict[str, Family | SharedFamily]
        # prometheus_client keeps a value in another class if other processes read it as well.
        if is_on():
            self._families = {each.name: SharedFamily(each) for each in catalogue.METRICS}
        else:
            common = Common(clock)
            self._families = {each.name: Family(each, common) for each in catalogue.METRICS}
        # A registry that shows all processes' files would show this process twice.
        if not shows_files(registry):
            _register(list(self._families.values()), registry)

    def bind(self, metric: Metric, labels: Labels) -> Update:
        """Return what updates one series, which exists from now on, at zero."""
        return self._families[metric.name].bind(labels)

    def forget(self, address: str, port: str) -> None:
        """Drop all series of a server; prometheus_client's multiprocess mode can't do that."""
        for metric in catalogue.METRICS:
            if "server_address" in metric.labels:
                self._families[metric.name].forget(address, port)


def _register(collectors: Sequence[Collector], registry: CollectorRegistry) -> None:
    """Register all collectors, or none if the registry refuses one."""
    done: list[Collector] = []
    try:
        for collector in collectors:
            registry.register(collector)
            done.append(collector)
    except Exception:
        for collector in done:
            registry.unregister(collector)
        raise


class SharedFamily(Collector):
    """A metric that several processes share: an object of prometheus_client's multiprocess mode.

    Args:
        metric: The metric, from the catalogue.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._own = _make_own(metric)

    def bind(self, labels: Labels) -> Update:
        """Return what updates a series; this mode drops exemplars."""
        child = self._own.labels(*labels)
        if isinstance(child, Histogram):
            return _drop_exemplar(child.observe)
        if isinstance(child, Counter):
            return _drop_exemplar(child.inc)
        return _drop_exemplar(child.set)

    def forget(self, address: str, port: str) -> None:
        """Do nothing: prometheus_client's multiprocess mode can't remove a series."""

    def describe(self) -> Iterable[Samples]:
        """Return the metric without samples."""
        return self._own.describe()

    def collect(self) -> Iterable[Samples]:
        """Return the metric with this process's samples."""
        return self._own.collect()


def _make_own(metric: Metric) -> Counter | Gauge | Histogram:
    name, text, labels = metric.name, metric.help, metric.labels
    if metric.kind == "counter":
        return Counter(name, text, labels, registry=None)
    if metric.kind == "histogram":
        return Histogram(name, text, labels, registry=None, buckets=metric.buckets)
    return Gauge(name, text, labels, registry=None, multiprocess_mode=metric.merge)


def _drop_exemplar(change: Callable[[float], None]) -> Update:
    return lambda value, _: change(value)


class OpenTelemetryBackend:
    """The catalogue's metrics as instruments of OpenTelemetry's Metrics API.

    The SDK takes exemplars itself, from the current span.

    Args:
        provider: The provider of the meter.
    """

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(catalogue.SCOPE, find_version(), schema_url=catalogue.SCHEMA_URL)
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


class _UpDown:
    """An up-down counter whose current value is set, not each change of it."""

    def __init__(self, name: str, unit: str, text: str, meter: Meter) -> None:
        self._values: dict[tuple[tuple[str, str | int], ...], float] = {}
        meter.create_observable_up_down_counter(name, [self._observe], unit, text)
        _forks.track(self)

    def set(self, value: float, attributes: dict[str, str | int]) -> None:
        """Set the value of one series."""
        self._values[tuple(attributes.items())] = value

    def _observe(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(value, dict(key)) for key, value in self._values.copy().items()]

    def after_fork(self) -> None:
        """Start at zero in a forked child."""
        self._values = dict.fromkeys(self._values, 0.0)


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
        return _UpDown(name, unit, text, meter).set
    if metric.kind == "gauge":
        return meter.create_gauge(name, unit, text).set
    return meter.create_histogram(
        name, unit, text, explicit_bucket_boundaries_advisory=metric.buckets
    ).record
