"""What telemetry costs at 1 to 1,000 calls a second: ``python bench/rates.py [--seconds 2]``.

Each client has a process of its own that calls at a steady rate, when it is its turn. What counts
is the time that all of its threads take of a core, those that export too.
"""

from __future__ import annotations

import argparse
import random
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from processes import sink, started
from report import Plot, Report, Series, markdown
from rounds import WARM_UP, small_environment
from serving import nginx, recorded_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processes import Driver

RATES = (1, 10, 100, 300, 1000)
"""Calls a second."""

TOGETHER = (1, 10)
"""The rates at which all clients call at the same time, since they leave the processor alone."""

ON_TIME = 0.95
"""The part of a rate that counts as reached."""

LEAST = 5
"""Calls of one turn, however slow the rate."""

CLIENTS = {
    "requests": "requests_get",
    "show, telemetry off": "show --observed off",
    "show, no call sampled": "show --observed sampled_out",
    "show, wire spans and metrics": "show --observed wire",
    "show, all of it sent by OTLP": "show --observed otlp",
    "python-glanceclient": "glanceclient_get",
    "python-glanceclient, observed": "glanceclient_get --observed calls",
}
"""What is compared, and what `peer.py` is told."""

Found = dict[str, dict[int, list[tuple[float, float, float]]]]
"""Of each client and rate: the share of a core, the microseconds of a core for a call, and the
calls a second that were reached."""


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    small_environment()
    print(report(measured(options.rounds, options.seconds)))


def measured(rounds: int, seconds: float) -> Found:
    """What each client took at each rate."""
    image_id, bodies = recorded_image()
    found: Found = {name: {rate: [] for rate in RATES} for name in CLIENTS}
    with nginx(bodies) as (url,), sink() as taking, ExitStack() as stack:
        drivers: dict[str, Driver] = {}
        for name, told in CLIENTS.items():
            client, *options = told.split()
            arguments = ("peer.py", client, url, image_id, *options)
            drivers[name] = stack.enter_context(started(*arguments, sink=taking))
            drivers[name].run(WARM_UP)
        turns = [(name, rate) for name in CLIENTS for rate in RATES if rate not in TOGETHER]
        for _ in range(rounds):
            for rate in TOGETHER:
                with ThreadPoolExecutor(len(drivers)) as pool:
                    made = pool.map(
                        lambda each, rate=rate: _turn(each, rate, seconds), drivers.values()
                    )
                    for name, each in zip(drivers, made, strict=True):
                        found[name][rate].append(each)
            for name, rate in random.sample(turns, len(turns)):
                found[name][rate].append(_turn(drivers[name], rate, seconds))
    return found


def _turn(driver: Driver, rate: int, seconds: float) -> tuple[float, float, float]:
    calls = max(LEAST, round(rate * seconds))
    driver.run(calls, rate)
    # By the rate that was asked for: a busy machine does not reach it.
    cost = driver.cpu / calls
    return cost * rate, cost * 1e6, calls / driver.wall


def report(found: Found) -> Report:
    """The results as a table."""
    shares = {name: _medians(each, 0) for name, each in found.items()}
    costs = {name: _medians(each, 1) for name, each in found.items()}
    rows = [
        [name, *(f"{100 * shares[name][rate]:.2f} % ({costs[name][rate]:.0f})" for rate in RATES)]
        for name in found
    ]
    head = " | ".join(["Client", *(f"{rate:,}/s" for rate in RATES)])
    rounds = len(next(iter(found.values()))[RATES[0]])
    return Report(
        "What does telemetry cost at 1 to 1,000 calls a second?",
        f"`rates.py`, {rounds} turns of each client and rate.",
        markdown(head, "l" + "r" * len(RATES), rows),
        [],
        [
            _plot("rates", "Share of a core, by calls a second", "% of a core", shares, 100.0),
            _plot(
                "costs",
                "Cost of one call, by calls a second",
                "µs of a core for a call",
                costs,
                1.0,
            ),
        ],
        "Share of a core at that rate, and in brackets the µs of a core for one call; medians. A"
        " call costs more where calls are rare, since the processor's caches are cold and its"
        " threads wake for it." + _late(found),
    )


def _late(found: Found) -> str:
    """How many clients did not reach the greatest rate."""
    most = RATES[-1]
    slow = sum(_medians(each, 2)[most] < ON_TIME * most for each in found.values())
    said = f" The machine was too busy for {most:,} calls a second of {slow} of these clients."
    return said if slow else ""


def _medians(found: Mapping[int, list[tuple[float, float, float]]], which: int) -> dict[int, float]:
    return {rate: statistics.median(each[which] for each in turns) for rate, turns in found.items()}


def _plot(
    name: str, title: str, y: str, found: Mapping[str, Mapping[int, float]], by: float
) -> Plot:
    series = [
        Series(client, list(map(float, each)), [round(by * value, 3) for value in each.values()])
        for client, each in found.items()
    ]
    return Plot(name, title, "calls a second", y, series, logarithmic="xy")


if __name__ == "__main__":
    main()
