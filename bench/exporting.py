"""What the exporter's presence costs a service's calls, and what a large scrape takes.

``python bench/exporting.py [--rounds 60] [--calls 400]``

Two services call one nginx in turns, in a new order each round. One has the exporter running: what
it counts goes into the journal too, and ``/metrics`` is scraped once a second by another process:
for each `CALLS_A_SECOND` calls, however long they take on a machine that is busy. CPU seconds are
those of this process, the exporter's thread included; nginx and the scraper have another core.
The last lines compare a scrape of many series with one of prometheus_client's own objects.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from rounds import WARM_UP, small_environment
from serving import nginx, nginx_version, recorded_image

import traced_image
from traced_image import Server, Telemetry, exporter
from traced_image.telemetry import catalogue
from traced_image.telemetry.backends import PrometheusBackend, SharedFamily
from traced_image.telemetry.metrics import Metrics
from traced_image.telemetry.shared_metrics import share_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from traced_image.telemetry.catalogue import Metric
    from traced_image.telemetry.updates import Labels, Update

CALLS_A_SECOND = 1000
"""Calls that one thread makes in a second, on a machine that has nothing else to do."""

MOST = 0.02
"""The share by which calls may take longer."""

SERIES = 10_000
MOST_MILLISECONDS = 100.0
"""What a scrape of so many series may take."""

SCRAPES = 20
GZIP = {"Accept-Encoding": "gzip"}
FORMATS = {
    "text": GZIP,
    "OpenMetrics": {**GZIP, "Accept": "application/openmetrics-text; version=1.0.0"},
}


class _NoExporter(SpanExporter):
    """Takes spans and does nothing with them."""

    def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Do nothing."""
        return SpanExportResult.SUCCESS


@dataclass(slots=True)
class Taken:
    """What the calls of one variant took, in seconds, round by round.

    Attributes:
        wall: By the clock.
        cpu: Of this process.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Scraper:
    """Fetches URLs in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._asked = 0

    def ask(self, url: str, headers: dict[str, str]) -> None:
        """Have it fetch a URL, and go on meanwhile."""
        print(json.dumps([url, headers]), file=self._process.stdin, flush=True)
        self._asked += 1

    def answers(self) -> list[float]:
        """Wait for what it was asked for; the seconds that each took."""
        found = [float(self._process.stdout.readline()) for _ in range(self._asked)]  # type: ignore[union-attr]
        self._asked = 0
        return found


@contextmanager
def scraper() -> Iterator[Scraper]:
    """A scraper beside nginx."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--scrape"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Scraper(process)
    finally:
        process.stdin.close()  # type: ignore[union-attr]
        process.wait()


def be_scraper() -> None:
    """Fetch each URL that a line of standard input names, and print the seconds that it took."""
    os.sched_setaffinity(0, sorted(range(os.cpu_count() or 1))[-1:])
    for line in sys.stdin:
        url, headers = json.loads(line)
        started = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
            reply.read()
        print(time.perf_counter() - started, flush=True)


def main() -> int:
    """Run, print the figures, and tell whether they are within what they may be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=400, help="of each variant in each round")
    parser.add_argument("--scrape", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scrape:
        be_scraper()
        return 0
    small_environment()
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    with scraper() as scrapes:
        met = [presence(options.rounds, options.calls, scrapes), large(scrapes), encoded()]
    print(f"Python {sys.version.split()[0]}, nginx {nginx_version()}, load before {load}")
    return 0 if all(met) else 1


def presence(rounds: int, calls: int, scrapes: Scraper) -> bool:
    """Compare the calls of a service that has the exporter running with those of one without."""
    image_id, bodies = recorded_image()
    taken = {"without": Taken(), "with": Taken()}
    count = 0
    with nginx(bodies) as (url,):
        registry = CollectorRegistry()
        shows = {
            "without": _show(url, image_id, CollectorRegistry()),
            "with": _show(url, image_id, registry),
        }
        with exporter.start(registry=registry, port=0) as handle:
            for show in shows.values():
                _timed(show, WARM_UP)
            for _ in range(rounds):
                for name in random.sample(list(shows), len(shows)):
                    if name == "with" and len(taken[name].cpu) * calls >= count * CALLS_A_SECOND:
                        count += 1
                        scrapes.ask(f"{handle.url}metrics", FORMATS["OpenMetrics"])
                    wall, cpu = _timed(shows[name], calls)
                    scrapes.answers()
                    taken[name].wall.append(wall)
                    taken[name].cpu.append(cpu)
    return _compared(taken, calls, count)


def _show(url: str, image_id: str, registry: CollectorRegistry) -> Callable[[], object]:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_NoExporter()))
    telemetry = Telemetry(
        tracer_provider=provider, registry=registry, meter_provider=False, wire_spans=False
    )
    show = traced_image.connect(servers=[url], telemetry=telemetry).show
    return lambda: show(None, image_id)


def _timed(call: Callable[[], object], times: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        call()
    return time.perf_counter() - wall, time.process_time() - cpu


def _compared(taken: dict[str, Taken], calls: int, scrapes: int) -> bool:
    without, having = taken["without"], taken["with"]
    print(f"{len(having.wall)} rounds of {calls} calls each, {scrapes} scrapes")
    for name, each in taken.items():
        wall, cpu = (statistics.median(values) / calls * 1e6 for values in (each.wall, each.cpu))
        print(f"  {name} the exporter: {wall:.1f} µs a call, {cpu:.1f} µs of a core")
    total = sum(having.cpu) / sum(without.cpu) - 1
    pairs = [b / a - 1 for a, b in zip(without.wall, having.wall, strict=True)]
    lower, _, upper = statistics.quantiles(pairs, n=4)
    print(f"  CPU of all calls: {total:+.2%} (≤ {MOST:.0%} {_met(total <= MOST)})")
    print(
        f"  wall, median of the rounds: {statistics.median(pairs):+.2%}"
        f" (half of them {lower:+.2%} to {upper:+.2%})"
    )
    return total <= MOST


def large(scrapes: Scraper) -> bool:
    """Time scrapes of many series, as a scraper sees them and by what they take of a core."""
    registry = CollectorRegistry()
    _fill(registry)
    samples = sum(len(metric.samples) for metric in registry.collect())
    met = True
    with exporter.start(registry=registry, port=0) as handle:
        for name, headers in FORMATS.items():
            cpu, wall = [], []
            for _ in range(SCRAPES):
                started = time.process_time()
                scrapes.ask(f"{handle.url}metrics", headers)
                wall += scrapes.answers()
                cpu.append(time.process_time() - started)
            took, core = statistics.median(wall) * 1000, statistics.median(cpu) * 1000
            met = met and core <= MOST_MILLISECONDS
            print(
                f"scrape of {samples} series, {name}, gzipped: {core:.0f} ms of a core"
                f" (≤ {MOST_MILLISECONDS:.0f} {_met(core <= MOST_MILLISECONDS)}),"
                f" {took:.0f} ms by the clock, at best {min(wall) * 1000:.0f}"
            )
    return met


class Own:
    """A backend that keeps the metrics in prometheus_client's own objects."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._families = {metric: SharedFamily(metric) for metric in catalogue.METRICS}
        for family in self._families.values():
            registry.register(family)

    def bind(self, metric: Metric, labels: Labels) -> Update:
        """Return what updates one series."""
        return self._families[metric].bind(labels)

    def forget(self, address: str, port: str) -> None:
        """Drop all series of a server."""


def encoded() -> bool:
    """Compare what the registry takes for a scrape with prometheus_client's own objects."""
    met = True
    registries = {}
    for name, build in (("ours", PrometheusBackend), ("theirs", Own)):
        registries[name] = CollectorRegistry()
        _count(Metrics([build(registries[name])]))
    for name, encode in {"text": text, "OpenMetrics": openmetrics}.items():
        taken: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(SCRAPES):
            for which in random.sample(list(registries), len(registries)):
                started = time.process_time()
                encode(registries[which])
                taken[which].append(time.process_time() - started)
        ours, theirs = (statistics.median(each) * 1000 for each in taken.values())
        met = met and ours <= theirs
        print(
            f"scrape without HTTP, {name}: {ours:.0f} ms, {theirs:.0f} ms with prometheus_client's"
            f" own objects: {ours / theirs:.2f} of it (≤ 1 {_met(ours <= theirs)})"
        )
    return met


def _fill(registry: CollectorRegistry) -> None:
    _count(share_metrics(Telemetry(registry=registry, meter_provider=False)))


def _count(metrics: Metrics) -> None:
    """Count attempts on so many servers that there are enough series."""
    reasons = ("", "connection_refused", "503")
    # A histogram has a series for each bucket, one for all, its sum, its count and when it began.
    each = len(reasons) * 3 * (len(catalogue.ATTEMPT_DURATION.buckets) + 4)
    for number in range(SERIES // (each + 30) + 1):
        server = Server.parse(f"10.0.{number // 250}.{number % 250}")
        metrics.known([server])
        place = metrics.find_place(server)
        for operation in ("images.get", "images.list", "images.data"):
            for reason in reasons:
                verdict = "failed" if reason else "success"
                metrics.attempt_ended(operation, place, verdict, reason, 0.004, None)


def _met(within: bool) -> str:  # noqa: FBT001
    return "met" if within else "missed"


if __name__ == "__main__":
    sys.exit(main())
