"""Interleaved rounds: what disturbs the machine disturbs all variants alike."""

from __future__ import annotations

import os
import platform
import random
import re
import statistics
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from processes import Driver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from variants import Show

CALLS = 30
"""Calls of one variant in a row, in each round."""

WARM_UP = 100
"""Calls of each variant before the first round."""

PARTS = 10
"""Parts of a run whose ratios show how steady it was."""

KEPT = ("HOME", "LANG", "PATH")


@dataclass(frozen=True, slots=True)
class Timing:
    """What one variant took, in microseconds a call, and as a ratio to the bare session's median.

    Attributes:
        name: The variant.
        p10: The tenth percentile.
        median: The median.
        p90: The ninetieth percentile.
        ratio: Its median by the bare session's.
        fast_ratio: Its tenth percentile by the bare session's: what other work disturbs least.
        lowest: The least ratio of a tenth of the run.
        highest: The greatest ratio of a tenth of the run.
        core: The median of what a call took of a core.
        core_ratio: That by the bare session's; it does not count how long others had the core.
    """

    name: str
    p10: float
    median: float
    p90: float
    ratio: float
    fast_ratio: float
    lowest: float
    highest: float
    core: float
    core_ratio: float


@dataclass(slots=True)
class Calls:
    """What the calls of one variant took, in seconds.

    Attributes:
        wall: By the clock.
        core: Of a core, in the thread that called.
    """

    wall: list[float] = field(default_factory=list)
    core: list[float] = field(default_factory=list)

    def add(self, other: Calls) -> None:
        """Add calls."""
        self.wall += other.wall
        self.core += other.core


def small_environment() -> None:
    """Leave three variables: ``requests`` reads all of them at each call, a prepared one none."""
    for name in set(os.environ) - set(KEPT):
        del os.environ[name]


def interleaved(variants: Mapping[str, Show | Driver], rounds: int) -> dict[str, Calls]:
    """What each call took, by variant; each round has an order of its own.

    A variant is a function of this process, or a process that waits while others have their turn.
    """
    for variant in variants.values():
        _timed(variant, WARM_UP)
    taken = {name: Calls() for name in variants}
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            taken[name].add(_timed(variants[name], CALLS))
    return taken


def _timed(variant: Show | Driver, calls: int) -> Calls:
    if isinstance(variant, Driver):
        wall = variant.run(calls)
        return Calls(wall, variant.cores)
    clock, used = time.perf_counter, time.thread_time
    taken = Calls()
    for _ in range(calls):
        core, started = used(), clock()
        variant()
        taken.wall.append(clock() - started)
        taken.core.append(used() - core)
    return taken


def timings(taken: Mapping[str, Calls], bare: str) -> list[Timing]:
    """What each variant took, as a ratio to that of `bare`."""
    return [_timing(name, each, taken[bare]) for name, each in taken.items()]


def _timing(name: str, calls: Calls, bare_calls: Calls) -> Timing:
    taken, bare = calls.wall, bare_calls.wall
    deciles = statistics.quantiles(taken, n=10)
    median = statistics.median(taken)
    core = statistics.median(calls.core)
    size = max(1, len(taken) // PARTS)
    ratios = [
        statistics.median(taken[start : start + size])
        / statistics.median(bare[start : start + size])
        for start in range(0, len(taken), size)
    ]
    return Timing(
        name,
        deciles[0] * 1e6,
        median * 1e6,
        deciles[-1] * 1e6,
        median / statistics.median(bare),
        deciles[0] / statistics.quantiles(bare, n=10)[0],
        min(ratios),
        max(ratios),
        core * 1e6,
        core / statistics.median(bare_calls.core),
    )


def conditions(nginx: str) -> dict[str, str]:
    """What the results depend on."""
    return {"Date": today(), **machine(nginx), "Load before": load()}


def today() -> str:
    """The date in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def load() -> str:
    """How many processes ran or waited, on average of 1, 5 and 15 minutes."""
    return " ".join(f"{each:.2f}" for each in os.getloadavg())


def machine(nginx: str) -> dict[str, str]:
    """The machine, and the versions of all that is compared."""
    packages = (
        "requests urllib3 opentelemetry-sdk opentelemetry-instrumentation-requests"
        " prometheus-client python-glanceclient openstacksdk matplotlib"
    ).split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "Processor": f"{os.cpu_count()} cores, {_processor()}",
        "Memory": f"{memory:.0f} GiB",
        "Kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "nginx": nginx,
        **{name: metadata.version(name) for name in packages},
    }


def _processor() -> str:
    """What the kernel calls the processor, as far as it says."""
    text = Path("/proc/cpuinfo").read_text("utf-8")
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()
