"""What it costs to observe stock clients, and what the cycle of servers saves them.

``python bench/stock.py [--rounds 150] [--calls 60]``

python-glanceclient's `images.get`, and the `show` of nova and of cinder, each instrumented in
several ways and not, take turns. Then nova calls three servers of which one refuses connections,
with its own order and with the cycle.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from processes import THIS, service_pythons, sink, started
from report import Plot, Report, Series, markdown
from rounds import CALLS, Calls, conditions, interleaved, small_environment, timings
from serving import nginx, nginx_version, recorded_image, refusing
from targets import Figure, at_most

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rounds import Timing

HOW = {
    "off": "not observed",
    "requests": "OpenTelemetry's instrumentation of requests alone",
    "sampled_out": "observed, no call sampled",
    "calls": "observed",
    "wire": "observed with wire spans",
    "otlp": "observed with wire spans, sent by OTLP",
}
"""How a client is observed, and what the table says."""

GET, SHOW, CINDER = "python-glanceclient, images.get", "nova 34, show", "cinder 29, show"
LIMITS = {GET: 1.18, SHOW: 1.08, CINDER: 1.08}
"""The ratio to the client that is not observed that is not to be exceeded, by client."""

_PEERS = {GET: "glanceclient_get", SHOW: "nova", CINDER: "cinder"}
_SERVICES = {"nova": SHOW, "cinder": CINDER}

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
    service_pythons()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.rounds, options.calls), options.rounds))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(rounds: int, calls: int) -> Results:
    """What observed clients took, and nova with a dead server."""
    services = service_pythons()
    pythons = {GET: THIS, **{_SERVICES[name]: python for name, python in services.items()}}
    image_id, bodies = recorded_image()
    with nginx(bodies, 2) as urls, sink() as taking:
        seconds = _observe(rounds, (urls[0], image_id), pythons, taking)
        nova = services.get("nova")
        outage = _break(calls, urls, image_id, nova) if nova else {}
    found: dict[tuple[str, str], Timing] = {}
    for client in dict.fromkeys(client for client, _ in seconds):
        of_client = {how: seconds[client, how] for how in HOW}
        found |= {(client, each.name): each for each in timings(of_client, "off")}
    return Results(found, outage)


def _observe(
    rounds: int, image: tuple[str, str], pythons: Mapping[str, Sequence[str]], taking: str
) -> dict[tuple[str, str], Calls]:
    """What each call took, by client and how it was observed; all of them take turns."""
    with ExitStack() as stack:
        drivers = {
            (client, how): stack.enter_context(
                started(
                    "peer.py",
                    *(_PEERS[client], *image),
                    *(() if how == "off" else ("--observed", how)),
                    python=python,
                    sink=taking,
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
    table = markdown(
        "Client | | p10 µs | median µs | ratio | of tenths of the run | p10s | µs of a core"
        " | ratio",
        "llrrrrrrr",
        [_row(client, timing) for (client, _), timing in results.timings.items()],
    )
    if results.outage:
        p99 = _percentile(results.outage[CYCLE], 99)
        figures.append(Figure("nova with the cycle, one refuses: p99", p99, P99_LIMIT, "ms"))
        table += "\n\n" + markdown(
            "nova 34, one of three servers refuses | operations | p50 ms | p99 ms | slowest ms",
            "lrrrr",
            [_outage_row(name, seconds) for name, seconds in results.outage.items()],
        )
    return Report(
        "What does it take to observe python-glanceclient, nova and cinder?",
        f"`stock.py`, {rounds * CALLS} calls of each.",
        table,
        figures,
        [_plot(results)],
        "Ratios are to the same client as it is. Beyond the spans of requests alone is the"
        " difference of two ratios, by the clock.",
    )


def _plot(results: Results) -> Plot:
    clients = list(dict.fromkeys(client for client, _ in results.timings))
    names = [client.partition(",")[0] for client in clients]
    series = [
        Series(
            HOW[how],
            names,
            [round(results.timings[client, how].core_ratio, 3) for client in clients],
        )
        for how in HOW
        if how != "off"
    ]
    title = "Stock clients, observed in several ways"
    x = "time of a core, as a ratio to the client as it is"
    return Plot("stock", title, x, "", series, "bars")


def _figures(client: str, found: Mapping[tuple[str, str], Timing]) -> list[Figure]:
    if (client, "off") not in found:
        return []
    limit, ratio = LIMITS[client], {how: found[client, how].ratio for how in HOW}
    beyond = 1 + ratio["wire"] - ratio["requests"]
    return [
        at_most(f"{client}, observed", ratio["calls"], limit, "not observed"),
        at_most(f"{client}, beyond the spans of requests alone", beyond, limit, "not observed"),
    ]


def _row(client: str, timing: Timing) -> list[str]:
    numbers = [f"{timing.p10:.0f}", f"{timing.median:.0f}", f"{timing.ratio:.2f}"]
    spread = [f"{timing.lowest:.2f} to {timing.highest:.2f}", f"{timing.fast_ratio:.2f}"]
    core = [f"{timing.core:.0f}", f"{timing.core_ratio:.2f}"]
    return [client, HOW[timing.name], *numbers, *spread, *core]


def _outage_row(name: str, seconds: Sequence[float]) -> list[str]:
    times = (_percentile(seconds, 50), _percentile(seconds, 99), 1e3 * max(seconds))
    return [name, str(len(seconds)), *(f"{each:.1f}" for each in times)]


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile, in milliseconds."""
    return 1e3 * statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
