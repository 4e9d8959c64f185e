"""What `show` costs beside its peers, on one server, in one interleaved run.

``python bench/show.py [--rounds 150] [--json]``
"""

from __future__ import annotations

import argparse
import dataclasses
import json

from rounds import CALLS, Timing, conditions, interleaved, small_environment, timings
from serving import nginx, nginx_version, recorded_image
from variants import BARE, SHOWS, variants

TARGETS = {SHOWS["off"]: 0.65, SHOWS["calls"]: 0.75, SHOWS["wire"]: 0.90}
"""The ratios to `BARE` that are not to be exceeded."""


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=150, help=f"of {CALLS} calls of each variant")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    small_environment()
    told = conditions(nginx_version())
    image_id, bodies = recorded_image()
    with nginx(bodies) as (url,):
        results = timings(interleaved(variants(url, image_id), options.rounds), BARE)
    if options.json:
        found = [dataclasses.asdict(result) for result in results]
        print(json.dumps({"conditions": told, "targets": TARGETS, "timings": found}, indent=2))
    else:
        print(table(results, told))


def table(results: list[Timing], told: dict[str, str]) -> str:
    """The results as Markdown."""
    head = [
        "| Variant | p10 µs | median µs | p90 µs | ratio | of tenths of the run | target |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    said = ", ".join(f"{name} {value}" for name, value in told.items())
    return "\n".join([*head, *(_row(result) for result in results), "", said])


def _row(result: Timing) -> str:
    target = TARGETS.get(result.name)
    verdict = ""
    if target is not None:
        verdict = f"≤ {target:.2f} {'met' if result.ratio <= target else 'missed'}"
    return (
        f"| {result.name} | {result.p10:.0f} | {result.median:.0f} | {result.p90:.0f}"
        f" | {result.ratio:.2f} | {result.lowest:.2f} to {result.highest:.2f} | {verdict} |"
    )


if __name__ == "__main__":
    main()
