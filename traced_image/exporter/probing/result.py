"""The result of a probe, and the metrics of each server's latest result."""

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
    MISCONFIGURED,
    PROBE_METRICS,
    SETTINGS,
    STATUS_CODE,
    SUCCESS,
    TIME,
)
from ..server_report import Probed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ...config import Server
    from ...telemetry.catalogue import Metric
    from ...telemetry.catalogue.probe_metrics import CanaryCheck, Phase, Setting


@dataclass(frozen=True, slots=True)
class Canary:
    """The image that a probe requests.

    Attributes:
        image: The image's id.
        token: The ``X-Auth-Token``; None if the servers need no token.
    """

    image: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """The result of one check with the canary.

    Attributes:
        check: Which check.
        seconds: How long the check took.
        reason: Why it failed; empty if it succeeded.
        size: Bytes of image data received; None for a check that downloads nothing.
    """

    check: CanaryCheck
    seconds: float
    reason: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a probe.

    Attributes:
        server: The server.
        when: The time at which the probe ended, in seconds since the epoch.
        phases: Seconds of each phase of the request for ``/versions``, until it failed.
        reason: Why the probe failed or was refused, from the catalogue's closed set; empty if it
            succeeded.
        error: The failure or the refusal as a sentence; empty if the probe succeeded.
        misconfigured: The setting of the probe that a refusal shows to be wrong; None for none.
        status: The HTTP status of ``/versions``; None if the server did not answer.
        request_id: The ``X-OpenStack-Request-ID`` of the reply that failed, or of ``/versions``.
        certificate_expiry: When the server's certificate expires, in seconds since the epoch.
        version: The version of the Image API that the server names as CURRENT.
        versions: All versions that the server lists.
        healthcheck: Whether ``/healthcheck`` answered 200; None if the server has none.
        canary: The results of the checks that the probe made with the canary.
    """

    server: Server
    when: float
    phases: Mapping[Phase, float]
    reason: str = ""
    error: str = ""
    misconfigured: Setting | None = None
    status: int | None = None
    request_id: str | None = None
    certificate_expiry: float | None = None
    version: str | None = None
    versions: tuple[str, ...] = ()
    healthcheck: bool | None = None
    canary: tuple[CanaryResult, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the server is at fault; a wrong setting of the probe is not its fault."""
        return bool(self.reason) and self.misconfigured is None

    @property
    def seconds(self) -> float:
        """How long the request for ``/versions`` took, in seconds: the sum of its phases."""
        return sum(self.phases.values())


_Sample = tuple[tuple[str, ...], float]
"""The values of the labels after the server's, and the value of the metric."""


def _make_family(value: float | None, *labels: str) -> tuple[_Sample, ...]:
    """Return one sample, or no sample if there is no value."""
    return () if value is None else ((labels, float(value)),)


_SAMPLES: dict[Metric, Callable[[ProbeResult], Iterable[_Sample]]] = {
    SUCCESS: lambda result: _make_family(not result.failed),
    FAILURE: lambda result: _make_family(1 if result.failed else None, result.reason),
    MISCONFIGURED: lambda result: (
        ((setting,), setting == result.misconfigured)
        for setting in SETTINGS
        if result.status is not None
    ),
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
    """The latest result of each server; each scrape collects their metrics.

    A value that the latest probe did not find has no series, so that no series is older than the
    server's latest probe. Servers with the same address and port share their series, even if their
    scheme or path differs, as in the metrics of calls.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], ProbeResult] = {}

    def put(self, result: ProbeResult) -> None:
        """Replace the result of this result's server."""
        self._latest[_list_labels(result.server)] = result

    def get(self, server: Server) -> ProbeResult | None:
        """Return the latest result for a server's address and port; None if there is none."""
        return self._latest.get(_list_labels(server))

    def forget(self, server: Server) -> None:
        """Remove a server's result and its series."""
        self._latest.pop(_list_labels(server), None)

    def misconfigurations(self) -> dict[tuple[str, str], str]:
        """Return what is wrong with the probes' settings, as sentences, by address and port."""
        latest = list(self._latest.items())
        return {place: result.error for place, result in latest if result.misconfigured}

    def summarize(self) -> Probed:
        """Return what the report shows of the probes."""
        latest = list(self._latest.items())
        return Probed(
            self.misconfigurations(),
            {place: result.phases for place, result in latest},
        )

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics without series; a registry checks their names before it collects."""
        for metric in PROBE_METRICS:
            yield GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics with their series."""
        # A copy, because a scrape in another thread iterates while probes put their results.
        latest = list(self._latest.items())
        for metric, family in zip(PROBE_METRICS, self.describe(), strict=True):
            for place, result in latest:
                for labels, value in _SAMPLES[metric](result):
                    family.add_metric((*place, *labels), value)
            yield family


def _list_labels(server: Server) -> tuple[str, str]:
    return server.host, str(server.port)
