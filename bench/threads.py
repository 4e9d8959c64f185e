"""Calls a second of 1 to 64 threads: one service beside `requests` with a session a thread.

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
from report import Plot, Report, Series, markdown
from rounds import conditions, small_environment
from serving import IMAGE_PATH, nginx, nginx_version, recorded_image
from targets import Figure, at_least
from variants import SHOWS, Show, service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from variants import Observed

COUNTS = (1, 4, 16, 64)
"""How many threads call at the same time."""

THREADS = COUNTS[-1]
"""The number that has targets."""

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
        cores: Seconds of a core for a call, turn by turn.
    """

    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Calls a second, by the median turn."""
        return statistics.median(self.rates)

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


def measured(rounds: int, seconds: float) -> dict[int, dict[str, Turns]]:
    """What the calls of each variant took, by the number of threads and the variant's name."""
    image_id, bodies = recorded_image()
    with nginx(bodies) as (url,):
        variants = _variants(url, image_id)
        turns = {count: {name: Turns() for name in variants} for count in COUNTS}
        for calls in variants.values():
            _turn(calls, seconds / 2, Turns())
        order = [(count, name) for count in COUNTS for name in variants]
        for _ in range(rounds):
            for count, name in random.sample(order, len(order)):
                _turn(variants[name][:count], seconds, turns[count][name])
    return turns


def _variants(url: str, image_id: str) -> Mapping[str, Sequence[Show]]:
    """What each thread calls, by the variant's name; all have a connection for each thread."""
    kinds: tuple[Observed, ...] = ("off", "calls", "wire")
    shows = {SHOWS[how]: service([url], how, pool_size=THREADS).show for how in kinds}
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
    started, used = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    turns.cores.append((time.process_time() - used) / sum(map(len, taken)))
    turns.rates.append(sum(map(len, taken)) / (max(ends) - started))
    for each in taken:
        turns.seconds += each


def report(turns: Mapping[int, Mapping[str, Turns]]) -> Report:
    """The results as a table, and those that have a target."""
    bare, wire = turns[THREADS][SESSIONS], turns[THREADS][WIRE]
    p99 = wire.percentile(99) / bare.percentile(99)
    figures = [
        at_least(f"{THREADS} threads, calls a second", _more(wire, bare), MORE, "Session a thread"),
        Figure(f"{THREADS} threads, p99", p99, 1.0, "Session a thread"),
    ]
    rows = [
        _row(str(count), name, each, found[SESSIONS])
        for count, found in turns.items()
        for name, each in found.items()
    ]
    head = (
        "Threads | Variant | calls a second | ratio | of single rounds | p50 ms | p99 ms"
        " | µs of a core"
    )
    return Report(
        "How many calls a second do 1 to 64 threads make?",
        f"`threads.py`, {len(bare.rates)} rounds.",
        markdown(head, "rlrrrrrr", rows),
        figures,
        [_plot(turns)],
        "All threads share one service. Ratios are to `requests` with a session for each thread.",
    )


def _plot(turns: Mapping[int, Mapping[str, Turns]]) -> Plot:
    counts = list(map(float, turns))
    series = [
        Series(name, counts, [round(found[name].rate, 1) for found in turns.values()])
        for name in turns[THREADS]
    ]
    title = "Calls a second of one process, by its threads"
    return Plot("threads", title, "threads", "calls a second", series, logarithmic="x")


def _more(turns: Turns, bare: Turns) -> float:
    return turns.rate / bare.rate


def _row(count: str, name: str, turns: Turns, bare: Turns) -> list[str]:
    ratios = [rate / other for rate, other in zip(turns.rates, bare.rates, strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    times = [f"{1e3 * turns.percentile(percent):.1f}" for percent in (50, 99)]
    times.append(f"{1e6 * statistics.median(turns.cores):.0f}")
    return [count, name, f"{turns.rate:.0f}", f"{_more(turns, bare):.2f}", spread, *times]


if __name__ == "__main__":
    main()
