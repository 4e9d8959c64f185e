"""The metrics of a process: one set for all services that count in the same registry."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from opentelemetry.metrics import MeterProvider
from prometheus_client import REGISTRY, CollectorRegistry

from .. import _forks
from ..redact import hide_in_record
from .backends import OpenTelemetryBackend, PrometheusBackend
from .global_providers import find_meter_provider, find_tracer_provider
from .metrics import Metrics
from .recorder import Recorder
from .spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..config import Server
    from .options import Detail, Telemetry
    from .updates import Backend


LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

_PlaceT = TypeVar("_PlaceT", CollectorRegistry, MeterProvider)


@dataclass(slots=True)
class _Destination:
    """A registry or a meter provider that services count in.

    Attributes:
        backends: The one backend in it; empty if the backend could not be built.
        views: The metrics that count there, by their detail and all their backends.
        attached: Further backends of all these metrics.
        warned: Whether the log says that no backend could be built.
    """

    backends: tuple[Backend, ...] = ()
    views: dict[tuple[Detail, tuple[Backend, ...]], Metrics] = field(default_factory=dict)
    attached: list[Backend] = field(default_factory=list)
    warned: bool = False


class _Destinations:
    """The destination of each registry and meter provider, for as long as that lives."""

    def __init__(self) -> None:
        self._places: WeakKeyDictionary[object, _Destination] = WeakKeyDictionary()
        self._lock = threading.Lock()
        _forks.track(self)

    def get(self, telemetry: Telemetry) -> Metrics:
        with self._lock:
            places, failure = [], None
            if telemetry.registry is not False:
                places.append(self._place(telemetry.registry or REGISTRY, PrometheusBackend))
            if telemetry.meter_provider is not False:
                provider = telemetry.meter_provider
                if provider is None:
                    provider, failure = find_meter_provider()
                places.append(self._place(provider, OpenTelemetryBackend))
            if not places:
                return Metrics(())
            backends = tuple(backend for place in places for backend in place.backends)
            # A registry refuses a second metric of the same name, so that services with the same
            # destinations must share one set.
            key = telemetry.detail, backends
            if key not in places[0].views:
                attached = tuple(backend for place in places for backend in place.attached)
                places[0].views[key] = Metrics((*backends, *attached), telemetry.detail)
            metrics = places[0].views[key]
        if failure is not None:
            metrics.errors.note("metrics", failure)
        return metrics

    def _place(self, place: _PlaceT, build: Callable[[_PlaceT], Backend]) -> _Destination:
        found = self._places.get(place)
        if found is None:
            found = self._places[place] = _Destination()
        if not found.backends:
            # Again for each service, because the registry may have lost what was in the way.
            try:
                found.backends = (build(place),)
            except Exception as error:  # noqa: BLE001 the registry may be of any class
                _warn(place, error, found)
        return found

    def attach(self, registry: CollectorRegistry, backend: Backend) -> None:
        with self._lock:
            place = self._place(registry, PrometheusBackend)
            place.attached.append(backend)
            for view in place.views.values():
                view.attach(backend)

    def after_fork(self) -> None:
        """Replace the lock in a forked child, because no thread there can release the old one."""
        self._lock = threading.Lock()


def _warn(place: object, error: Exception, destination: _Destination) -> None:
    if not destination.warned:
        destination.warned = True
        name = type(place).__name__
        LOG.warning("%s takes no metrics of Glance: none are kept there.", name, exc_info=error)


_places = _Destinations()


def share_metrics(telemetry: Telemetry) -> Metrics:
    """Return the metrics that count where `telemetry` says; the first call creates them."""
    return _places.get(telemetry)


def make_recorder(telemetry: Telemetry, servers: Iterable[Server] = ()) -> Recorder:
    """Build a recorder that reports where `telemetry` says."""
    metrics = share_metrics(telemetry)
    metrics.known(servers)
    provider = find_tracer_provider(telemetry.tracer_provider, metrics.errors)
    return Recorder(Spans(provider, wire_spans=telemetry.wire_spans), metrics)


def attach(registry: CollectorRegistry, backend: Backend) -> None:
    """Make `backend` count everything that any service counts in a registry."""
    _places.attach(registry, backend)
