"""The catalogue's metrics in a Prometheus registry, one set for all services that use it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from ..pipeline import forks
from . import catalogue
from .trouble import Troubles

if TYPE_CHECKING:
    from ..config import Server
    from .catalogue import Metric, Outcome

LOG = logging.getLogger(__name__)

_MetricT = TypeVar("_MetricT", Counter, Histogram)


class _Children(dict[tuple[object, ...], _MetricT]):
    """A metric's children by their label values: a look-up here costs a fourth of ``labels``."""

    def __init__(self, parent: _MetricT) -> None:
        super().__init__()
        self._parent: _MetricT = parent

    def __missing__(self, values: tuple[object, ...]) -> _MetricT:
        child = self[values] = self._parent.labels(*values)
        return child


class Metrics:
    """What calls, attempts and retries are counted in.

    Args:
        registry: Where the metrics are registered.

    Attributes:
        troubles: What takes note of failures, here and at the spans beside.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(metric: Metric) -> _Children[Counter]:
            return _Children(Counter(metric.name, metric.help, metric.labels, registry=registry))

        def histogram(metric: Metric) -> _Children[Histogram]:
            return _Children(
                Histogram(
                    metric.name,
                    metric.help,
                    metric.labels,
                    registry=registry,
                    buckets=metric.buckets,
                )
            )

        self._calls = histogram(catalogue.CALL_DURATION)
        self._attempts = histogram(catalogue.ATTEMPT_DURATION)
        self._call_retries = histogram(catalogue.CALL_RETRIES)
        self._retries = counter(catalogue.RETRIES)
        self._delays = histogram(catalogue.RETRY_DELAYS)
        self._connection_failed = counter(catalogue.CONNECTION_FAILED)
        self._errors = counter(catalogue.TELEMETRY_ERRORS)
        self.troubles = Troubles(self.telemetry_error)

    def call(self, operation: str, outcome: Outcome, error_type: str, seconds: float) -> None:
        """Count a call that ended."""
        self._calls[operation, outcome, error_type].observe(seconds)

    def call_retries(self, operation: str, retries: int) -> None:
        """Count the retries of a call that had any."""
        self._call_retries[(operation,)].observe(retries)

    def attempt(self, operation: str, server: Server, error_type: str, seconds: float) -> None:
        """Count an attempt that ended."""
        self._attempts[operation, server.host, server.port, error_type].observe(seconds)

    def retry(self, operation: str, server: Server, error_type: str, delay: float) -> None:
        """Count a retry after `server` failed."""
        self._retries[operation, server.host, server.port, error_type].inc()
        self._delays[(operation,)].observe(delay)

    def connection_failed(self, operation: str, server: Server, error_type: str) -> None:
        """Count a call that gave up, `server` being the last that it tried."""
        self._connection_failed[operation, server.host, server.port, error_type].inc()

    def telemetry_error(self, kind: str) -> None:
        """Count a failure of the telemetry itself."""
        self._errors[(kind,)].inc()


class _Registries:
    """The metrics in each registry."""

    def __init__(self) -> None:
        self._metrics: WeakKeyDictionary[CollectorRegistry, Metrics] = WeakKeyDictionary()
        self._lock = threading.Lock()
        forks.track(self)

    def get(self, registry: CollectorRegistry) -> Metrics:
        with self._lock:
            metrics = self._metrics.get(registry)
            if metrics is None:
                metrics = self._metrics[registry] = _registered(registry)
            return metrics

    def after_fork(self) -> None:
        """Start anew in a child, where nobody holds the lock."""
        self._lock = threading.Lock()


def _registered(registry: CollectorRegistry) -> Metrics:
    try:
        return Metrics(registry)
    except Exception as error:
        LOG.warning("The registry takes no metrics of Glance: none are kept.", exc_info=error)
        return Metrics(CollectorRegistry())


_registries = _Registries()


def metrics_for(registry: CollectorRegistry | None) -> Metrics:
    """The metrics in a registry, registered on first use; None for the default registry."""
    return _registries.get(REGISTRY if registry is None else registry)
