"""What one refusing server of three costs, beside three healthy ones and beside nova's way.

``python bench/failover.py [--seconds 150]``
"""

from __future__ import annotations

import argparse
import logging
import random
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rounds import conditions, small_environment
from serving import nginx, nginx_version, recorded_image, refusing

import traced_image
from traced_image import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE = 50.0
"""Calls a second on each of the two clusters."""

MINUTE = 60.0

SEED_CALLS = 60
"""Calls by nova's way, one after the other: half of them take a second."""

FAILED_TARGET = 0.01
"""Calls whose first attempt failed, of those after the first minute."""

P99_TARGET = 0.005
"""Seconds by which the 99th percentile may be above that of the healthy cluster."""


@dataclass(slots=True)
class Calls:
    """The calls on one cluster.

    Attributes:
        name: What the table calls it.
        starts: When each began, in seconds from the start.
        seconds: How long each took.
        failed: Whether its first attempt failed.
    """

    name: str
    starts: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    failed: list[bool] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        """A percentile of the durations, in seconds."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]

    def share_failed(self, *, late: bool) -> float | None:
        """The share of first attempts that failed: after the first minute, or in it."""
        failed = [
            flag
            for flag, start in zip(self.failed, self.starts, strict=True)
            if (start >= MINUTE) is late
        ]
        return sum(failed) / len(failed) if failed else None


class FailedAttempts(logging.Handler):
    """Counts failed attempts: the pipeline logs each of them once."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, _record: logging.LogRecord) -> None:
        """Count one."""
        self.count += 1


class Client:
    """Calls `show` on a list of servers."""

    def __init__(
        self, name: str, urls: Sequence[str], image_id: str, watch: FailedAttempts, **fields: object
    ) -> None:
        self.calls = Calls(name)
        self._show = traced_image.connect(servers=urls, telemetry=False, **fields).show
        self._image_id = image_id
        self._watch = watch

    def call(self, since: float) -> None:
        """Make one call."""
        before = self._watch.count
        started = time.perf_counter()
        self._show(None, self._image_id)
        self.calls.seconds.append(time.perf_counter() - started)
        self.calls.starts.append(started - since)
        self.calls.failed.append(self._watch.count > before)


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=150.0, help="of the first two clusters")
    options = parser.parse_args()
    small_environment()
    told = conditions(nginx_version())
    image_id, bodies = recorded_image()
    watch = watched()
    with nginx(bodies, 3) as urls, refusing() as dead:
        broken = [*urls[:2], dead]
        well = Client("three healthy", urls, image_id, watch)
        one_dead = Client("one of three refuses", broken, image_id, watch)
        nova = Client(
            "the same, RetryPolicy.nova_2013()",
            broken,
            image_id,
            watch,
            retry=RetryPolicy.nova_2013(),
        )
        paced([well, one_dead], options.seconds)
        since = time.perf_counter()
        for _ in range(SEED_CALLS):
            nova.call(since)
    print(table([well.calls, one_dead.calls, nova.calls]))
    print(verdict(well.calls, one_dead.calls))
    print("\n" + ", ".join(f"{name} {value}" for name, value in told.items()))


def watched() -> FailedAttempts:
    """Watch the log of the attempts, and keep it from the terminal."""
    watch = FailedAttempts()
    log = logging.getLogger("traced_image")
    log.addHandler(watch)
    log.propagate = False
    return watch


def paced(clients: Sequence[Client], seconds: float) -> None:
    """Call on each cluster in turn, in random order, `RATE` times a second."""
    since = time.perf_counter()
    for tick in range(int(seconds * RATE)):
        time.sleep(max(0.0, since + tick / RATE - time.perf_counter()))
        for client in random.sample(clients, len(clients)):
            client.call(since)


def table(results: Sequence[Calls]) -> str:
    """The results as Markdown."""
    head = [
        "| Cluster | calls | failed first, 1st minute | after it | p50 ms | p99 ms | most ms |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    return "\n".join([*head, *(_row(calls) for calls in results)])


def _row(calls: Calls) -> str:
    early, late = (_percent(calls.share_failed(late=late)) for late in (False, True))
    times = (calls.percentile(50), calls.percentile(99), max(calls.seconds))
    shown = " | ".join(f"{1e3 * seconds:.2f}" for seconds in times)
    return f"| {calls.name} | {len(calls.seconds)} | {early} | {late} | {shown} |"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def verdict(well: Calls, one_dead: Calls) -> str:
    """Whether the targets are met."""
    failed = one_dead.share_failed(late=True)
    above = one_dead.percentile(99) - well.percentile(99)
    lines = [f"p99 above the healthy one's: {1e3 * above:+.2f} ms ({_met(above, P99_TARGET)} 5 ms)"]
    if failed is not None:
        words = f"{failed:.2%} ({_met(failed, FAILED_TARGET)} 1 %)"
        lines.append(f"first attempts that failed after the first minute: {words}")
    return "\n" + "\n".join(lines)


def _met(found: float, target: float) -> str:
    return "met: ≤" if found <= target else "missed: ≤"


if __name__ == "__main__":
    main()
