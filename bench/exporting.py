"""What the exporter's presence costs a service's calls.

``python bench/exporting.py [--rounds 60] [--calls 400]``

Two services call one nginx in turns, in a new order each round. One has the exporter running: what
it counts goes into the journal too, and ``/metrics`` is scraped once a second by another process:
for each `CALLS_A_SECOND` calls, however long they take on a machine that is busy. CPU seconds are
those of this process, the exporter's thread included; nginx and the scraper have another core.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peer_telemetry import tracing
from prometheus_client import CollectorRegistry
from report import Report, markdown
from rounds import WARM_UP, conditions, small_environment
from scraper import FORMATS, scraper
from serving import nginx, nginx_version, recorded_image
from targets import Figure

import traced_image
from traced_image import Telemetry, exporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from scraper import Scraper

CALLS_A_SECOND = 1000
"""Calls that one thread makes in a second, on a machine that has nothing else to do."""

MOST = 2.0
"""Percent by which calls may take longer."""

WITHOUT, WITH = "without the exporter", "with the exporter"


@dataclass(slots=True)
class Taken:
    """What the calls of one variant took, in seconds, round by round.

    Attributes:
        wall: By the clock.
        cpu: Of this process.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=400, help="of each variant in each round")
    options = parser.parse_args()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.rounds, options.calls), options.calls))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(rounds: int, calls: int) -> dict[str, Taken]:
    """What the calls took of a service that has the exporter running, and of one without."""
    image_id, bodies = recorded_image()
    with scraper() as scrapes, nginx(bodies) as (url,):
        registry = CollectorRegistry()
        shows = {
            WITHOUT: _show(url, image_id, CollectorRegistry()),
            WITH: _show(url, image_id, registry),
        }
        with exporter.start(registry=registry, port=0) as handle:
            for show in shows.values():
                _timed(show, WARM_UP)
            return _interleaved(shows, rounds, calls, (scrapes, f"{handle.url}metrics"))


def _interleaved(
    shows: dict[str, Callable[[], object]], rounds: int, calls: int, scraped: tuple[Scraper, str]
) -> dict[str, Taken]:
    taken = {name: Taken() for name in shows}
    scrapes, target = scraped
    count = 0
    for _ in range(rounds):
        for name in random.sample(list(shows), len(shows)):
            if name == WITH and len(taken[name].cpu) * calls >= count * CALLS_A_SECOND:
                count += 1
                scrapes.ask(target, FORMATS["OpenMetrics"])
            wall, cpu = _timed(shows[name], calls)
            scrapes.answers()
            taken[name].wall.append(wall)
            taken[name].cpu.append(cpu)
    return taken


def _show(url: str, image_id: str, registry: CollectorRegistry) -> Callable[[], object]:
    telemetry = Telemetry(
        tracer_provider=tracing("calls"), registry=registry, meter_provider=False, wire_spans=False
    )
    show = traced_image.connect(servers=[url], telemetry=telemetry).show
    return lambda: show(None, image_id)


def _timed(call: Callable[[], object], times: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        call()
    return time.perf_counter() - wall, time.process_time() - cpu


def report(taken: dict[str, Taken], calls: int) -> Report:
    """The results as a table, and those that have a target."""
    without, having = taken[WITHOUT], taken[WITH]
    rows = []
    for name, each in taken.items():
        times = [statistics.median(values) / calls * 1e6 for values in (each.wall, each.cpu)]
        rows.append([name, *(f"{value:.1f}" for value in times)])
    cpu = 100 * (sum(having.cpu) / sum(without.cpu) - 1)
    pairs = [100 * (b / a - 1) for a, b in zip(without.wall, having.wall, strict=True)]
    lower, middle, upper = statistics.quantiles(pairs, n=4)
    return Report(
        "What does a running exporter cost the calls of its service?",
        f"`exporting.py`, {len(pairs)} rounds of {calls} calls each, a scrape for each"
        f" {CALLS_A_SECOND:,} calls.",
        markdown("Service | median µs a call | µs of a core", "lrr", rows),
        [
            Figure("exporter running: CPU of all calls", cpu, MOST, "% more"),
            Figure("exporter running: median of the rounds", middle, MOST, "% more"),
        ],
        [],
        f"With the exporter, calls took {cpu:+.1f} % of a core, and {middle:+.1f} % by the clock;"
        f" half of the rounds were from {lower:+.1f} to {upper:+.1f} %. On a quiet machine a run is"
        " exact to one or two percent.",
    )


if __name__ == "__main__":
    main()
