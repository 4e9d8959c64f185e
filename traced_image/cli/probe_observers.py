"""The observers of probes: metrics, the journal of the last hour, and a callback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from ..exporter.journal import Journal
from ..exporter.probing.result import ProbeResults
from ..exporter.probing.schedule import ProbeSchedule
from ..telemetry import Telemetry, make_recorder
from ..telemetry.shared_metrics import attach

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Config
    from ..exporter.probing.result import ProbeResult


class _NotifyingResults(ProbeResults):
    """Results that pass each new result to a callback."""

    def __init__(self, tell: Callable[[ProbeResult], object]) -> None:
        super().__init__()
        self._told = tell

    def put(self, result: ProbeResult) -> None:
        super().put(result)
        self._told(result)


@dataclass(frozen=True, slots=True)
class ProbeObservers:
    """A prober and the places that keep its results.

    Attributes:
        prober: The schedule that probes the servers.
        registry: Metrics of the probes over time, and of the latest probe of each server.
        journal: The probes of the last hour.
    """

    prober: ProbeSchedule
    registry: CollectorRegistry
    journal: Journal


def make_observers(
    config: Config,
    *,
    image: str | None,
    interval: float,
    timeout: float,
    tell: Callable[[ProbeResult], object],
) -> ProbeObservers:
    """Build a prober of a configuration's servers, with its metrics and its journal.

    Args:
        config: The configuration that names the servers.
        image: The id of the canary image; None for probes without one.
        interval: Seconds between two probes of a server.
        timeout: The time limit of a probe in seconds.
        tell: A function that receives the result of each probe.

    Raises:
        ConfigError: The configuration is invalid.
        InvalidImageID: `image` is not an image id.
    """
    registry, journal, results = CollectorRegistry(), Journal(), _NotifyingResults(tell)
    attach(registry, journal)
    registry.register(results)

    # A probe's phases are metrics already; spans of its requests would only cost time.
    telemetry = Telemetry(registry=registry, meter_provider=False, wire_spans=False)
    recorder = make_recorder(telemetry)
    prober = ProbeSchedule(
        config,
        recorder=recorder,
        results=results,
        image=image,
        interval=interval,
        timeout=timeout,
        gone=recorder.metrics.forget,
    )
    return ProbeObservers(prober, registry, journal)


def describe(result: ProbeResult) -> str:
    """Describe a probe in one line."""
    server, milliseconds = result.server.netloc, f"{result.seconds * 1000:.1f} ms"
    if not result.reason:
        return f"{server} answers, {milliseconds}"
    why = result.error.removeprefix(f"{server}: ")
    if result.misconfigured is not None:
        return f"{server} answers, {milliseconds}; wrong {result.misconfigured}: {why}"
    return f"{server} fails, {result.reason}: {why}"


def describe_with_time(result: ProbeResult) -> str:
    """Describe a probe in one line that begins with its time."""
    when = datetime.fromtimestamp(result.when, timezone.utc).astimezone()
    return f"{when:%Y-%m-%dT%H:%M:%S%z} {describe(result)}"
