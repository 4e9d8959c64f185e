"""The metrics of probes, as rows of the catalogue, and what shows them of each server's latest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ..telemetry.catalogue import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..config import Server
    from .probe import ProbeResult

Phase = Literal["dns", "connect", "tls", "first_byte", "body"]
PHASES: dict[Phase, str] = {
    "dns": "the server's name was looked up",
    "connect": "the TCP connection was made",
    "tls": "TLS was set up",
    "first_byte": "from then until the first byte of the answer",
    "body": "from then until its last byte",
}
"""What a probe's time goes to, in this order; one ends where the next begins."""

Check = Literal["show", "download"]
CHECKS: dict[Check, str] = {
    "show": "the record of an image",
    "download": "the first megabyte of its data",
}
"""What is asked of a server about the image that it is probed with."""

LABELS = {"phase": "phase", "check": "check"}
"""The labels beside those of the calls' metrics, with the attributes that stand for them."""

_SERVER = ("server_address", "server_port")

SUCCESS = Metric(
    "glance_probe_success",
    "glance.probe.success",
    "{probe}",
    "gauge",
    "1 if the latest probe succeeded, else 0.",
    _SERVER,
)
FAILURE = Metric(
    "glance_probe_failure_info",
    "glance.probe.failure_info",
    "",
    "gauge",
    "1, with the reason, if the latest probe failed.",
    (*_SERVER, "error_type"),
)
TIME = Metric(
    "glance_probe_timestamp_seconds",
    "glance.probe.timestamp",
    "s",
    "gauge",
    "When the latest probe ended, in seconds since the epoch.",
    _SERVER,
)
DURATION = Metric(
    "glance_probe_duration_seconds",
    "glance.probe.duration",
    "s",
    "gauge",
    "Duration of each phase of the latest probe, the one that failed included.",
    (*_SERVER, "phase"),
)
STATUS_CODE = Metric(
    "glance_probe_http_status_code",
    "glance.probe.http.status_code",
    "{status}",
    "gauge",
    "The HTTP status of the server's root, which is 300 for Glance.",
    _SERVER,
)
CERTIFICATE_EXPIRY = Metric(
    "glance_probe_tls_certificate_expiry_timestamp_seconds",
    "glance.probe.tls.certificate_expiry_timestamp",
    "s",
    "gauge",
    "When the server's certificate expires, in seconds since the epoch, whether trusted or not.",
    _SERVER,
)
HEALTHCHECK = Metric(
    "glance_probe_healthcheck_up",
    "glance.probe.healthcheck.up",
    "{server}",
    "gauge",
    "1 if /healthcheck is well, 0 if it is not; no series if the server has none.",
    _SERVER,
)
API_VERSION = Metric(
    "glance_probe_api_version_info",
    "glance.probe.api_version_info",
    "",
    "gauge",
    "1, with the version of the Image API that the server has as the current one.",
    (*_SERVER, "version"),
)
CANARY_SUCCESS = Metric(
    "glance_probe_canary_success",
    "glance.probe.canary.success",
    "{check}",
    "gauge",
    "1 if the latest check with an image succeeded, else 0.",
    (*_SERVER, "check"),
)
CANARY_DURATION = Metric(
    "glance_probe_canary_duration_seconds",
    "glance.probe.canary.duration",
    "s",
    "gauge",
    "Duration of the latest check with an image.",
    (*_SERVER, "check"),
)
CANARY_BYTES = Metric(
    "glance_probe_canary_download_bytes",
    "glance.probe.canary.download",
    "By",
    "gauge",
    "Bytes of image data that the latest download brought.",
    _SERVER,
)

PROBE_METRICS = (
    SUCCESS,
    FAILURE,
    TIME,
    DURATION,
    STATUS_CODE,
    CERTIFICATE_EXPIRY,
    HEALTHCHECK,
    API_VERSION,
    CANARY_SUCCESS,
    CANARY_DURATION,
    CANARY_BYTES,
)

_Sample = tuple[tuple[str, ...], float]
"""The values of the labels beside the server's, and the metric's."""


def _one(value: float | None, *labels: str) -> tuple[_Sample, ...]:
    """A sample, or none where there is no value."""
    return () if value is None else ((labels, float(value)),)


_SAMPLES: dict[Metric, Callable[[ProbeResult], Iterable[_Sample]]] = {
    SUCCESS: lambda result: _one(not result.reason),
    FAILURE: lambda result: _one(1 if result.reason else None, result.reason),
    TIME: lambda result: _one(result.when),
    DURATION: lambda result: (((phase,), each) for phase, each in result.phases.items()),
    STATUS_CODE: lambda result: _one(result.status),
    CERTIFICATE_EXPIRY: lambda result: _one(result.certificate_expiry),
    HEALTHCHECK: lambda result: _one(result.healthcheck),
    API_VERSION: lambda result: _one(1 if result.version else None, result.version or ""),
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
        self._latest[_place(result.server)] = result

    def get(self, server: Server) -> ProbeResult | None:
        """The latest result at a server's address and port."""
        return self._latest.get(_place(server))

    def forget(self, server: Server) -> None:
        """Show nothing of a server any more."""
        self._latest.pop(_place(server), None)

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


def _place(server: Server) -> tuple[str, str]:
    return server.host, str(server.port)
