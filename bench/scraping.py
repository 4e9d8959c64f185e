"""What a scrape takes, by its number of series: ``python bench/scraping.py [--scrapes 20]``.

Series are of attempts on so many servers that there are enough. The same series in
prometheus_client's own objects take turns with those of this package, which keeps plain numbers.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from report import Plot, Report, Series, markdown
from rounds import conditions, small_environment
from scraper import FORMATS, scraper
from serving import nginx_version
from targets import Figure, at_most

from traced_image import Server, Telemetry, exporter
from traced_image.telemetry import catalogue
from traced_image.telemetry.backends import PrometheusBackend, SharedFamily
from traced_image.telemetry.metrics import Metrics
from traced_image.telemetry.shared_metrics import share_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scraper import Scraper

    from traced_image.telemetry.catalogue import Metric
    from traced_image.telemetry.updates import Labels, Update

SIZES = (300, 1000, 3000, 10_000, 30_000)
"""About how many series there are."""

LARGE = 10_000
"""The size that has targets."""

MOST_MILLISECONDS = 100.0
"""What a scrape of so many series may take of a core."""

MOST_BESIDE = 1.0
"""The most that it may take beside prometheus_client's own objects."""

ENCODERS = {"text": text, "OpenMetrics": openmetrics}

Found = dict[tuple[int, str], dict[str, float]]
"""Of each number of series and format: the milliseconds of a core of a scrape by HTTP, those by
the clock, and those without HTTP, of ours and of prometheus_client's own objects."""

CPU, WALL, OURS, THEIRS = "cpu", "wall", "ours", "theirs"


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


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scrapes", type=int, default=20, help="of each size and format")
    options = parser.parse_args()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.scrapes), options.scrapes))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(scrapes: int) -> Found:
    """What scrapes take."""
    found: Found = {}
    with scraper() as asked:
        for size in SIZES:
            registry = CollectorRegistry()
            count(share_metrics(Telemetry(registry=registry, meter_provider=False)), size)
            series = sum(len(metric.samples) for metric in registry.collect())
            for name, each in _scraped(registry, asked, scrapes).items():
                found[series, name] = each
            for name, each in _encoded(size, scrapes).items():
                found[series, name] |= each
    return found


def count(metrics: Metrics, size: int) -> None:
    """Count attempts on so many servers that there are about so many series."""
    reasons = ("", "connection_refused", "503")
    # A histogram has a series for each bucket, one for all, its sum, its count and when it began.
    each = len(reasons) * 3 * (len(catalogue.ATTEMPT_DURATION.buckets) + 4)
    for number in range(size // (each + 30) + 1):
        server = Server.parse(f"10.0.{number // 250}.{number % 250}")
        metrics.known([server])
        place = metrics.find_place(server)
        for operation in ("images.get", "images.list", "images.data"):
            for reason in reasons:
                verdict = "failed" if reason else "success"
                metrics.attempt_ended(operation, place, verdict, reason, 0.004, None)


def _scraped(
    registry: CollectorRegistry, asked: Scraper, scrapes: int
) -> dict[str, dict[str, float]]:
    """Scrapes by HTTP, gzipped, as the scraper sees them and by what they take of a core here."""
    found = {}
    with exporter.start(registry=registry, port=0) as handle:
        for name, headers in FORMATS.items():
            cpu: list[float] = []
            wall: list[float] = []
            for _ in range(scrapes):
                started = time.process_time()
                asked.ask(f"{handle.url}metrics", headers)
                wall += asked.answers()
                cpu.append(time.process_time() - started)
            found[name] = {CPU: _milliseconds(cpu), WALL: _milliseconds(wall)}
    return found


def _encoded(size: int, scrapes: int) -> dict[str, dict[str, float]]:
    """What the registry takes for a scrape, beside prometheus_client's own objects."""
    registries = {}
    for which, build in ((OURS, PrometheusBackend), (THEIRS, Own)):
        registries[which] = CollectorRegistry()
        count(Metrics([build(registries[which])]), size)
    found = {}
    for name, encode in ENCODERS.items():
        taken: dict[str, list[float]] = {OURS: [], THEIRS: []}
        for _ in range(scrapes):
            for which in random.sample(list(registries), len(registries)):
                started = time.process_time()
                encode(registries[which])
                taken[which].append(time.process_time() - started)
        found[name] = {which: _milliseconds(each) for which, each in taken.items()}
    return found


def _milliseconds(seconds: Sequence[float]) -> float:
    return 1e3 * statistics.median(seconds)


def report(found: Found, scrapes: int) -> Report:
    """The results as a table, and those that have a target."""
    rows = [
        [
            *(f"{series:,}", name, *(f"{each[which]:.1f}" for which in (CPU, WALL, OURS, THEIRS))),
            f"{each[OURS] / each[THEIRS]:.2f}",
        ]
        for (series, name), each in found.items()
    ]
    large = min((series for series, _ in found), key=lambda series: abs(series - LARGE))
    figures = []
    for name in ENCODERS:
        each = found[large, name]
        what = f"scrape of {large:,} series, {name}"
        figures += [
            Figure(f"{what}, gzipped", each[CPU], MOST_MILLISECONDS, "ms of a core"),
            at_most(
                f"{what}, without HTTP", each[OURS] / each[THEIRS], MOST_BESIDE, "prometheus_client"
            ),
        ]
    return Report(
        "How long does a scrape take, by its number of series?",
        f"`scraping.py`, {scrapes} scrapes of each.",
        markdown(
            "Series | Format | ms of a core, by HTTP | ms by the clock | without HTTP"
            " | prometheus_client's own | ratio",
            "rlrrrrr",
            rows,
        ),
        figures,
        [_plot(found)],
        "By HTTP with gzip; without HTTP it is `generate_latest` alone, on the same series in"
        " this package's plain"
        " numbers and in prometheus_client's own objects. Medians.",
    )


def _plot(found: Found) -> Plot:
    kinds = [
        ("traced-image, by HTTP, gzipped", CPU),
        ("traced-image, without HTTP", OURS),
        ("prometheus_client's own, without HTTP", THEIRS),
    ]
    sizes = [series for series, name in found if name == "OpenMetrics"]
    series = [
        Series(
            name,
            list(map(float, sizes)),
            [round(found[size, "OpenMetrics"][which], 3) for size in sizes],
        )
        for name, which in kinds
    ]
    title = "A scrape as OpenMetrics, by its series"
    return Plot(
        "scraping",
        title,
        "series",
        "ms of a core",
        series,
        logarithmic="xy",
        limit=MOST_MILLISECONDS,
        limit_name=f"target for {LARGE:,} series",
    )


if __name__ == "__main__":
    main()
