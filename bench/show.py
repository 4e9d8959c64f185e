"""What `show` costs beside its peers, on one server, in one interleaved run.

``python bench/show.py [--rounds 150] [--json]``
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

from processes import THIS, service_pythons, sink, started
from report import Plot, Report, Series, markdown
from rounds import CALLS, Timing, conditions, interleaved, small_environment, timings
from serving import nginx, nginx_version, recorded_image
from targets import Figure, at_most
from variants import BARE, OTLP, POOL, SHOWS, variants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processes import Driver

TARGETS = {SHOWS["off"]: 0.38, SHOWS["calls"]: 0.56, SHOWS["wire"]: 0.60}
"""The ratios to `BARE` that are not to be exceeded."""

INSTRUMENTED = "requests, with OpenTelemetry's instrumentation"

SERVICES = {
    "nova": "nova 34, GlanceImageServiceV2.show",
    "cinder": "cinder 29, GlanceImageService.show",
}

POOL_TARGET = 1.25
"""The ratio of calls with their spans and metrics to `POOL`."""


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=150, help=f"of {CALLS} calls of each variant")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    service_pythons()
    small_environment()
    told = conditions(nginx_version())
    results = measured(options.rounds)
    if options.json:
        found = [dataclasses.asdict(result) for result in results]
        print(json.dumps({"conditions": told, "targets": TARGETS, "timings": found}, indent=2))
    else:
        print(report(results, options.rounds))
        print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(rounds: int) -> list[Timing]:
    """What each variant took."""
    pythons = service_pythons()
    image_id, bodies = recorded_image()
    with nginx(bodies) as (url,), sink() as taking, ExitStack() as stack:

        def peer(client: str, *options: str, service: str = "") -> Driver:
            python = pythons[service] if service else THIS
            arguments = ("peer.py", client, url, image_id, *options)
            return stack.enter_context(started(*arguments, python=python, sink=taking))

        processes = {
            OTLP: peer("show", "--observed", "otlp"),
            INSTRUMENTED: peer("requests_get", "--observed", "requests"),
            "openstacksdk, conn.image.get_image": peer("openstacksdk"),
            **{SERVICES[name]: peer(name, service=name) for name in pythons},
        }
        return timings(interleaved({**variants(url, image_id), **processes}, rounds), BARE)


def report(results: list[Timing], rounds: int) -> Report:
    """The results as a table, and those that have a target."""
    found = {result.name: result for result in results}
    figures = {
        name: at_most(name, found[name].ratio, most, "bare") for name, most in TARGETS.items()
    }
    calls = SHOWS["calls"]
    beside_pool = found[calls].median / found[POOL].median
    pool = at_most(f"{calls}, by PoolManager's", beside_pool, POOL_TARGET, "PoolManager")
    return Report(
        "What does one `show` take, beside other ways to fetch an image's record?",
        f"`show.py`, {rounds * CALLS} calls of each.",
        table(results, figures),
        [*figures.values(), pool],
        [_plot(results)],
        "Ratios are to `requests.Session().get(url).json()`: of medians, of the tenth percentiles"
        " (p10s), and of what the calling thread took of a core. The last one does not count how"
        " long other programs had the core.",
    )


def _plot(results: list[Timing]) -> Plot:
    found = sorted(results, key=lambda each: each.core_ratio)
    names = [each.name for each in found]
    series = [
        Series("by the clock, median", names, [round(each.ratio, 3) for each in found]),
        Series("of a core, median", names, [round(each.core_ratio, 3) for each in found]),
    ]
    title = "One show of an image, beside a bare requests session"
    return Plot("show", title, "duration, as a ratio to that of requests", "", series, kind="bars")


def table(results: list[Timing], figures: Mapping[str, Figure]) -> str:
    """The results as Markdown."""
    head = (
        "Variant | p10 µs | median µs | p90 µs | ratio | of tenths of the run | p10s | µs of a core"
        " | ratio | target"
    )
    ordered = sorted(results, key=lambda each: each.core_ratio)
    rows = [_row(result, figures.get(result.name)) for result in ordered]
    return markdown(head, "lrrrrrrrrr", rows)


def _row(result: Timing, figure: Figure | None) -> list[str]:
    times = [f"{each:.0f}" for each in (result.p10, result.median, result.p90)]
    ratios = [f"{result.ratio:.2f}", f"{result.lowest:.2f} to {result.highest:.2f}"]
    core = [f"{result.core:.0f}", f"{result.core_ratio:.2f}"]
    target = figure.target if figure else ""
    return [result.name, *times, *ratios, f"{result.fast_ratio:.2f}", *core, target]


if __name__ == "__main__":
    main()
