"""The metrics that a process has already: one set for all services that count in the same place."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from opentelemetry.metrics import MeterProvider, get_meter_provider
from prometheus_client import REGISTRY, CollectorRegistry

from .. import _forks
from ..redact import hide_in_record
from .backends import OpenTelemetryBackend, PrometheusBackend
from .metrics import Metrics
from .recorder import Recorder
from .spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..config import Server
    from .backends import Backend
    from .options import Detail, Telemetry


LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

_PlaceT = TypeVar("_PlaceT", CollectorRegistry, MeterProvider)


@dataclass(slots=True)
class _Destination:
    """A registry or a meter provider, as far as it has been used.

    Attributes:
        backends: The metrics in it: one, or none where it takes none.
        views: What counts there, by which labels it has and where it counts in all.
        attached: Where else all of them count.
    """

    backends: tuple[Backend, ...]
    views: dict[tuple[Detail, tuple[Backend, ...]], Metrics] = field(default_factory=dict)
    attached: list[Backend] = field(default_factory=list)


class _Destinations:
    """What was made of each registry and meter provider, for as long as these live."""

    def __init__(self) -> None:
        self._places: WeakKeyDictionary[object, _Destination] = WeakKeyDictionary()
        self._lock = threading.Lock()
        _forks.track(self)

    def get(self, telemetry: Telemetry) -> Metrics:
        with self._lock:
            places = []
            if telemetry.registry is not False:
                places.append(self._place(telemetry.registry or REGISTRY, PrometheusBackend))
            if telemetry.meter_provider is not False:
                provider = telemetry.meter_provider or get_meter_provider()
                places.append(self._place(provider, OpenTelemetryBackend))
            if not places:
                return Metrics(())
            backends = tuple(backend for place in places for backend in place.backends)
            key = telemetry.detail, backends
            if key not in places[0].views:
                attached = tuple(backend for place in places for backend in place.attached)
                places[0].views[key] = Metrics((*backends, *attached), telemetry.detail)
            return places[0].views[key]

    def _place(self, place: _PlaceT, build: Callable[[_PlaceT], Backend]) -> _Destination:
        if place not in self._places:
            backends: tuple[Backend, ...] = ()
            try:
                backends = (build(place),)
            except Exception as error:  # a registry may be anybody's
                LOG.warning(
                    "%s takes no metrics of Glance: none are kept there.",
                    type(place).__name__,
                    exc_info=error,
                )
            self._places[place] = _Destination(backends)
        return self._places[place]

    def attach(self, registry: CollectorRegistry, backend: Backend) -> None:
        with self._lock:
            place = self._place(registry, PrometheusBackend)
            place.attached.append(backend)
            for view in place.views.values():
                view.attach(backend)

    def after_fork(self) -> None:
        """Start anew in a child, where nobody holds the lock."""
        self._lock = threading.Lock()


_places = _Destinations()


def share_metrics(telemetry: Telemetry) -> Metrics:
    """What counts where `telemetry` says, made on first use."""
    return _places.get(telemetry)


def make_recorder(telemetry: Telemetry, servers: Iterable[Server] = ()) -> Recorder:
    """Make a recorder that tells where `telemetry` says; the first call makes the metrics there."""
    metrics = share_metrics(telemetry)
    metrics.known(servers)
    return Recorder(Spans(telemetry.tracer_provider, wire_spans=telemetry.wire_spans), metrics)


def attach(registry: CollectorRegistry, backend: Backend) -> None:
    """Have all that is counted in a registry, by whatever service, be counted by `backend` too."""
    _places.attach(registry, backend)
