"""What a `show` takes with 1 to 100 servers: ``python bench/servers.py [--rounds 60]``.

nginx serves the same record on all ports. All numbers of servers take turns with a bare session.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import requests
from report import Plot, Report, Series, markdown
from rounds import CALLS, Timing, conditions, interleaved, small_environment, timings
from serving import IMAGE_PATH, nginx, nginx_version, recorded_image
from targets import at_most
from variants import BARE, service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from variants import Observed, Show

COUNTS = (1, 3, 10, 30, 100)
"""How many servers a service has."""

HOW: dict[Observed, str] = {"off": "telemetry off", "calls": "call and attempt spans, metrics"}

MOST = 1.15
"""What a `show` on the most servers may take, beside one on a single server."""


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60, help=f"of {CALLS} calls of each variant")
    options = parser.parse_args()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.rounds), options.rounds))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(rounds: int) -> list[Timing]:
    """What each variant took."""
    image_id, bodies = recorded_image()
    with nginx(bodies, COUNTS[-1]) as urls:
        session = requests.Session()
        target = f"{urls[0]}{IMAGE_PATH}{image_id}"
        variants: dict[str, Show] = {BARE: lambda: session.get(target).json()}
        for how in HOW:
            for count in COUNTS:
                variants[_name(how, count)] = _show(urls[:count], image_id, how)
        return timings(interleaved(variants, rounds), BARE)


def _name(how: Observed, count: int) -> str:
    return f"{how} {count}"


def _show(urls: Sequence[str], image_id: str, how: Observed) -> Show:
    # A call could try them all; a warning says so if it could not.
    show = service(urls, how, num_retries=len(urls) - 1).show
    return lambda: show(None, image_id)


def report(results: Sequence[Timing], rounds: int) -> Report:
    """The results as a table, and those that have a target."""
    found = {each.name: each for each in results}
    figures = [
        at_most(
            f"{COUNTS[-1]} servers, show, {text}",
            found[_name(how, COUNTS[-1])].median / found[_name(how, 1)].median,
            MOST,
            "one server",
        )
        for how, text in HOW.items()
    ]
    rows = [
        [str(count), text, *_cells(found[_name(how, count)], found[_name(how, 1)])]
        for how, text in HOW.items()
        for count in COUNTS
    ]
    series = [
        Series(
            text,
            list(map(float, COUNTS)),
            [round(found[_name(how, count)].core_ratio, 3) for count in COUNTS],
        )
        for how, text in HOW.items()
    ]
    return Report(
        "Does a `show` take longer with more servers?",
        f"`servers.py`, {rounds * CALLS} calls of each.",
        markdown(
            "Servers | Telemetry | p10 µs | median µs | ratio | by one server | µs of a core |"
            " ratio | by one server",
            "rlrrrrrrr",
            rows,
        ),
        figures,
        [
            Plot(
                *("servers", "One show, by the number of servers", "servers"),
                *("time of a core, as a ratio to that of requests", series),
                logarithmic="x",
            )
        ],
        "Ratios are to `requests.Session().get(url).json()` in the same run.",
    )


def _cells(found: Timing, one: Timing) -> list[str]:
    times = [f"{found.p10:.0f}", f"{found.median:.0f}"]
    wall = [f"{found.ratio:.2f}", f"{found.median / one.median:.2f}"]
    core = [f"{found.core:.0f}", f"{found.core_ratio:.2f}", f"{found.core / one.core:.2f}"]
    return [*times, *wall, *core]


if __name__ == "__main__":
    main()
