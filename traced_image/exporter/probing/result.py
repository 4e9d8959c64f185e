"""What a probe finds, and the metrics of each server's latest result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ...telemetry.catalogue.probe_metrics import (
    API_VERSION,
    CANARY_BYTES,
    CANARY_DURATION,
    CANARY_SUCCESS,
    CERTIFICATE_EXPIRY,
    DURATION,
    FAILURE,
    HEALTHCHECK,
    PROBE_METRICS,
    STATUS_CODE,
    SUCCESS,
    TIME,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ...config import Server
    from ...telemetry.catalogue import Metric
    from ...telemetry.catalogue.probe_metrics import CanaryCheck, Phase


@dataclass(frozen=True, slots=True)
class Canary:
    """An image to ask a server for.

    Attributes:
        image: Its id.
        token: What to ask with; None where the servers want none.
    """

    image: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """How one of the checks with an image went.

    Attributes:
        check: Which one.
        seconds: How long it took.
        reason: Why it failed; empty if it succeeded.
        size: Bytes of image data that came, where that is what was asked for.
    """

    check: CanaryCheck
    seconds: float
    reason: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        server: The server.
        when: When it ended, in seconds since the epoch.
        phases: Seconds of each phase, as far as it came, of asking for the server's root.
        reason: Why it failed, from the catalogue's closed set; empty if it succeeded.
        error: The same in a sentence.
        status: The HTTP status of the root, if it answered.
        request_id: The server's ``X-OpenStack-Request-ID`` of what failed, or of the root.
        certificate_expiry: When its certificate expires, in seconds since the epoch.
        version: The version of the Image API that it has as the current one.
        versions: All that it has.
        healthcheck: Whether ``/healthcheck`` is well; None if it has none.
        canary: The checks with an image, as far as they came.
    """

    server: Server
    when: float
    phases: Mapping[Phase, float]
    reason: str = ""
    error: str = ""
    status: int | None = None
    request_id: str | None = None
    certificate_expiry: float | None = None
    version: str | None = None
    versions: tuple[str, ...] = ()
    healthcheck: bool | None = None
    canary: tuple[CanaryResult, ...] = ()

    @property
    def seconds(self) -> float:
        """How long asking for the root took: the sum of its phases."""
        return sum(self.phases.values())


_Sample = tuple[tuple[str, ...], float]
"""The values of the labels beside the server's, and the metric's."""


def _make_family(value: float | None, *labels: str) -> tuple[_Sample, ...]:
    """A sample, or none where there is no value."""
    return () if value is None else ((labels, float(value)),)


_SAMPLES: dict[Metric, Callable[[ProbeResult], Iterable[_Sample]]] = {
    SUCCESS: lambda result: _make_family(not result.reason),
    FAILURE: lambda result: _make_family(1 if result.reason else None, result.reason),
    TIME: lambda result: _make_family(result.when),
    DURATION: lambda result: (((phase,), each) for phase, each in result.phases.items()),
    STATUS_CODE: lambda result: _make_family(result.status),
    CERTIFICATE_EXPIRY: lambda result: _make_family(result.certificate_expiry),
    HEALTHCHECK: lambda result: _make_family(result.healthcheck),
    API_VERSION: lambda result: _make_family(1 if result.version else None, result.version or ""),
    CANARY_SUCCESS: lambda result: (((each.check,), not each.reason) for each in result.canary),
    CANARY_DURATION: lambda result: (((each.check,), each.seconds) for each in result.canary),
    CANARY_BYTES: lambda result: (
        ((), each.size) for each in result.canary if each.size is not None
    ),
}


class ProbeResults(Collector):
    """The latest result of each server, shown as metrics whenever these are scraped.

    What a probe did not find has no series, so that none is older than its server's latest probe.
    Servers that differ in their scheme or path alone share one place, as in the calls' metrics.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], ProbeResult] = {}

    def put(self, result: ProbeResult) -> None:
        """Show this result of its server from now on."""
        self._latest[_list_labels(result.server)] = result

    def get(self, server: Server) -> ProbeResult | None:
        """The latest result at a server's address and port."""
        return self._latest.get(_list_labels(server))

    def forget(self, server: Server) -> None:
        """Show nothing of a server any more."""
        self._latest.pop(_list_labels(server), None)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The metrics without their series, for a registry to know their names."""
        for metric in PROBE_METRICS:
            yield GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics."""
        latest = list(self._latest.items())
        for metric, family in zip(PROBE_METRICS, self.describe(), strict=True):
            for place, result in latest:
                for labels, value in _SAMPLES[metric](result):
                    family.add_metric((*place, *labels), value)
            yield family


def _list_labels(server: Server) -> tuple[str, str]:
    return server.host, str(server.port)
