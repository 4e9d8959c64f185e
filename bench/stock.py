"""What it costs to observe stock clients, and what the cycle of servers saves them.

``python bench/stock.py [--rounds 150] [--calls 60]``

python-glanceclient's `images.get` and nova's `show`, each instrumented and not, take turns. Then
nova calls three servers of which one refuses connections, with its own order and with the cycle.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from processes import THIS, observed_nova_python, started
from rounds import CALLS, conditions, interleaved, small_environment, timings
from serving import nginx, nginx_version, recorded_image, refusing
from targets import Figure, Report, at_most

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rounds import Timing

HOW = {
    "off": "not observed",
    "calls": "observed",
    "requests": "only requests instrumented",
    "wire": "observed with wire spans",
}
"""How a client is observed, and what the table says."""

GET, SHOW = "python-glanceclient, images.get", "nova 34, show"
LIMITS = {GET: 1.18, SHOW: 1.08}
"""The ratio to the client that is not observed that is not to be exceeded, by client."""

_PEERS = {GET: "glanceclient_get", SHOW: "nova"}

STOCK, CYCLE = "its own order and waits", "the cycle"
P99_LIMIT = 20.0
"""Milliseconds that 99 of 100 operations may take with the cycle, with one server dead of three."""

MORE = 10
"""How many times as many operations are made with the cycle, which takes them less time."""


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured.

    Attributes:
        timings: What each client took, by its name and how it was observed.
        outage: The seconds of nova's operations with one server dead, by whose order it was.
    """

    timings: Mapping[tuple[str, str], Timing]
    outage: Mapping[str, Sequence[float]]


def main() -> None:
    """Run, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=150, help=f"of {CALLS} calls of each variant")
    parser.add_argument("--calls", type=int, default=60, help="of stock nova, with a dead server")
    options = parser.parse_args()
    observed_nova_python()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.rounds, options.calls), options.rounds))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(rounds: int, calls: int) -> Results:
    """What observed clients took, and nova with a dead server."""
    nova = observed_nova_python()
    image_id, bodies = recorded_image()
    with nginx(bodies, 2) as urls:
        seconds = _observe(rounds, urls[0], image_id, {GET: THIS, **({SHOW: nova} if nova else {})})
        outage = _break(calls, urls, image_id, nova) if nova else {}
    found: dict[tuple[str, str], Timing] = {}
    for client in dict.fromkeys(client for client, _ in seconds):
        of_client = {how: seconds[client, how] for how in HOW}
        found |= {(client, each.name): each for each in timings(of_client, "off")}
    return Results(found, outage)


def _observe(
    rounds: int, url: str, image_id: str, pythons: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], list[float]]:
    """What each call took, by client and how it was observed; all of them take turns."""
    with ExitStack() as stack:
        drivers = {
            (client, how): stack.enter_context(
                started(
                    "peer.py",
                    *(_PEERS[client], url, image_id),
                    *(() if how == "off" else ("--observed", how)),
                    python=python,
                )
            )
            for client, python in pythons.items()
            for how in HOW
        }
        names = {f"{client}, {how}": (client, how) for client, how in drivers}
        taken = interleaved({name: drivers[key] for name, key in names.items()}, rounds)
        return {names[name]: seconds for name, seconds in taken.items()}


def _break(
    calls: int, urls: Sequence[str], image_id: str, nova: Sequence[str]
) -> dict[str, list[float]]:
    """What each of nova's operations took with one server dead, by whose order it was."""
    found: dict[str, list[float]] = {}
    with refusing() as dead:
        for name, options in ((STOCK, ()), (CYCLE, ("--cycle",))):
            arguments = ("nova_operation", ",".join([*urls, dead]), image_id, *options)
            with started("peer.py", *arguments, python=nova) as driver:
                found[name] = driver.run(calls * (MORE if options else 1))
    return found


def report(results: Results, rounds: int) -> Report:
    """The results as two tables, and those that have a target."""
    figures = [figure for client in LIMITS for figure in _figures(client, results.timings)]
    rows = [
        "| Client | | p10 µs | median µs | ratio | of tenths of the run | p10s |",
        "|---|---|--:|--:|--:|--:|--:|",
        *(_row(client, timing) for (client, _), timing in results.timings.items()),
        "",
        "| nova 34, one of three servers refuses | operations | p50 ms | p99 ms | slowest ms |",
        "|---|--:|--:|--:|--:|",
        *(_outage_row(name, seconds) for name, seconds in results.outage.items()),
    ]
    if results.outage:
        p99 = _percentile(results.outage[CYCLE], 99)
        figures.append(Figure("nova with the cycle, one refuses: p99", p99, P99_LIMIT, "ms"))
    title = f"`stock.py`, {rounds * CALLS} calls of each variant:"
    return Report(title, "\n".join(rows), figures)


def _figures(client: str, found: Mapping[tuple[str, str], Timing]) -> list[Figure]:
    if (client, "off") not in found:
        return []
    limit, ratio = LIMITS[client], {how: found[client, how].ratio for how in HOW}
    beyond = 1 + ratio["wire"] - ratio["requests"]
    return [
        at_most(f"{client}, observed", ratio["calls"], limit, "not observed"),
        at_most(f"{client}, beyond requests' own spans", beyond, limit, "not observed"),
    ]


def _row(client: str, timing: Timing) -> str:
    return (
        f"| {client} | {HOW[timing.name]} | {timing.p10:.0f} | {timing.median:.0f}"
        f" | {timing.ratio:.2f} | {timing.lowest:.2f} to {timing.highest:.2f}"
        f" | {timing.fast_ratio:.2f} |"
    )


def _outage_row(name: str, seconds: Sequence[float]) -> str:
    times = (_percentile(seconds, 50), _percentile(seconds, 99), 1e3 * max(seconds))
    return f"| {name} | {len(seconds)} | " + " | ".join(f"{each:.1f}" for each in times) + " |"


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile, in milliseconds."""
    return 1e3 * statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
