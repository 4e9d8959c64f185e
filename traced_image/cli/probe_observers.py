"""What probes are told to: metrics, the last hour, and whoever looks on."""

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
    """Tells of each result as it comes."""

    def __init__(self, tell: Callable[[ProbeResult], object]) -> None:
        super().__init__()
        self._told = tell

    def put(self, result: ProbeResult) -> None:
        super().put(result)
        self._told(result)


@dataclass(frozen=True, slots=True)
class ProbeObservers:
    """A prober, and where what it finds is kept.

    Attributes:
        prober: What probes.
        registry: Metrics of the probes, as of calls, and of the latest of each server.
        journal: The last hour.
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
    """Make ready to probe the servers of a configuration again and again.

    Args:
        config: Whose servers are probed.
        image: The id of an image to ask for.
        interval: Seconds between two probes of a server.
        timeout: Seconds for a probe.
        tell: Is told of each probe that ended.

    Raises:
        ConfigError: What is configured can't be used.
        InvalidImageID: The id is none.
    """
    registry, journal, results = CollectorRegistry(), Journal(), _NotifyingResults(tell)
    attach(registry, journal)
    registry.register(results)

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
    """A probe in a line."""
    server, milliseconds = result.server.netloc, f"{result.seconds * 1000:.1f} ms"
    if not result.reason:
        return f"{server} is well, {milliseconds}"
    why = result.error.removeprefix(f"{server}: ")
    return f"{server} fails, {result.reason}: {why}"


def describe_with_time(result: ProbeResult) -> str:
    """The same after its time."""
    when = datetime.fromtimestamp(result.when, timezone.utc).astimezone()
    return f"{when:%Y-%m-%dT%H:%M:%S%z} {describe(result)}"
