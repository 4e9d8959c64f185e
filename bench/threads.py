"""Calls a second of 64 threads: one service beside `requests` with a session a thread.

``python bench/threads.py [--rounds 12] [--seconds 1]``

The variants take turns, in a new order in each round. A turn lasts a second in which all threads
call one after the other, each as fast as it can.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import requests
from rounds import conditions, small_environment
from serving import IMAGE_PATH, nginx, nginx_version, recorded_image
from targets import Figure, Report, at_least
from variants import SHOWS, Show, service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

THREADS = 64
SESSIONS = "requests, a Session for each thread"
WIRE = SHOWS["wire"]
MORE = 1.5
"""The calls a second of `WIRE`, as a multiple of `SESSIONS`."""


@dataclass(slots=True)
class Turns:
    """What the calls of one variant took.

    Attributes:
        rates: Calls a second, turn by turn.
        seconds: How long each call took.
    """

    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        """A percentile of the durations, in seconds."""
        return statistics.quantiles(self.seconds, n=100)[percent - 1]


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    options = parser.parse_args()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.rounds, options.seconds)))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(rounds: int, seconds: float) -> dict[str, Turns]:
    """What the calls of each variant took, by its name."""
    image_id, bodies = recorded_image()
    with nginx(bodies) as (url,):
        variants = _variants(url, image_id)
        turns = {name: Turns() for name in variants}
        for calls in variants.values():
            _turn(calls, seconds / 2, Turns())
        for _ in range(rounds):
            for name in random.sample(list(variants), len(variants)):
                _turn(variants[name], seconds, turns[name])
    return turns


def _variants(url: str, image_id: str) -> Mapping[str, Sequence[Show]]:
    """What each thread calls, by the variant's name; all have a connection for each thread."""
    shows = {
        name: service([url], observed, pool_size=THREADS).show for observed, name in SHOWS.items()
    }
    return {
        SESSIONS: [_bare(f"{url}{IMAGE_PATH}{image_id}") for _ in range(THREADS)],
        **{
            name: [lambda show=show: show(None, image_id)] * THREADS for name, show in shows.items()
        },
    }


def _bare(target: str) -> Show:
    session = requests.Session()
    return lambda: session.get(target).json()


def _turn(calls: Sequence[Show], seconds: float, turns: Turns) -> None:
    """Call for so many seconds in all threads."""
    begin = threading.Barrier(len(calls) + 1)
    ends: list[float] = []
    taken: list[list[float]] = [[] for _ in calls]

    def repeat(call: Show, taken: list[float]) -> None:
        clock = time.perf_counter
        begin.wait()
        ended = clock()
        until = ended + seconds
        while ended < until:
            started = clock()
            call()
            ended = clock()
            taken.append(ended - started)
        ends.append(ended)

    threads = [
        threading.Thread(target=repeat, args=each) for each in zip(calls, taken, strict=True)
    ]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    turns.rates.append(sum(map(len, taken)) / (max(ends) - started))
    for each in taken:
        turns.seconds += each


def report(turns: Mapping[str, Turns]) -> Report:
    """The results as a table, and those that have a target."""
    bare, wire = turns[SESSIONS], turns[WIRE]
    p99 = wire.percentile(99) / bare.percentile(99)
    figures = [
        at_least(f"{THREADS} threads, calls a second", _more(wire, bare), MORE, "Session a thread"),
        Figure(f"{THREADS} threads, p99", p99, 1.0, "Session a thread"),
    ]
    head = [
        "| Variant | calls a second | ratio | of single rounds | p50 ms | p99 ms |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows = [_row(name, each, bare) for name, each in turns.items()]
    title = f"`threads.py`, {THREADS} threads, {len(bare.rates)} rounds:"
    return Report(title, "\n".join([*head, *rows]), figures)


def _more(turns: Turns, bare: Turns) -> float:
    return statistics.median(turns.rates) / statistics.median(bare.rates)


def _row(name: str, turns: Turns, bare: Turns) -> str:
    ratios = [rate / other for rate, other in zip(turns.rates, bare.rates, strict=True)]
    p50, p99 = (1e3 * turns.percentile(percent) for percent in (50, 99))
    return (
        f"| {name} | {statistics.median(turns.rates):.0f} | {_more(turns, bare):.2f}"
        f" | {min(ratios):.2f} to {max(ratios):.2f} | {p50:.1f} | {p99:.1f} |"
    )


if __name__ == "__main__":
    main()
