"""What `show` costs beside its peers, on one server, in one interleaved run.

``python bench/show.py [--rounds 150] [--json]``
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

from processes import nova_python, started
from rounds import CALLS, Timing, conditions, interleaved, small_environment, timings
from serving import nginx, nginx_version, recorded_image
from targets import Figure, Report, at_most
from variants import BARE, POOL, SHOWS, variants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processes import Driver

TARGETS = {SHOWS["off"]: 0.38, SHOWS["calls"]: 0.56, SHOWS["wire"]: 0.60}
"""The ratios to `BARE` that are not to be exceeded."""

POOL_TARGET = 1.25
"""The ratio of calls with their spans and metrics to `POOL`."""


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=150, help=f"of {CALLS} calls of each variant")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    nova_python()
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
    nova = nova_python()
    image_id, bodies = recorded_image()
    with nginx(bodies) as (url,), ExitStack() as stack:
        processes: dict[str, Driver] = {
            "openstacksdk, conn.image.get_image": stack.enter_context(
                started("peer.py", "openstacksdk", url, image_id)
            )
        }
        if nova is not None:
            processes["nova 34, GlanceImageServiceV2.show"] = stack.enter_context(
                started("peer.py", "nova", url, image_id, python=nova)
            )
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
    title = f"`show.py`, {rounds * CALLS} calls of each variant:"
    return Report(title, table(results, figures), [*figures.values(), pool])


def table(results: list[Timing], figures: Mapping[str, Figure]) -> str:
    """The results as Markdown."""
    head = [
        "| Variant | p10 µs | median µs | p90 µs | ratio | of tenths of the run | p10s | target |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    return "\n".join([*head, *(_row(result, figures.get(result.name)) for result in results)])


def _row(result: Timing, figure: Figure | None) -> str:
    target = figure.target if figure else ""
    return (
        f"| {result.name} | {result.p10:.0f} | {result.median:.0f} | {result.p90:.0f}"
        f" | {result.ratio:.2f} | {result.lowest:.2f} to {result.highest:.2f}"
        f" | {result.fast_ratio:.2f} | {target} |"
    )


if __name__ == "__main__":
    main()
