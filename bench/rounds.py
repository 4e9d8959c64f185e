"""Interleaved rounds: what disturbs the machine disturbs all variants alike."""

from __future__ import annotations

import os
import platform
import random
import statistics
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from processes import Driver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from variants import Show

CALLS = 30
"""Calls of one variant in a row, in each round."""

WARM_UP = 200
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
    """

    name: str
    p10: float
    median: float
    p90: float
    ratio: float
    fast_ratio: float
    lowest: float
    highest: float


def small_environment() -> None:
    """Leave three variables: ``requests`` reads all of them at each call, a prepared one none."""
    for name in set(os.environ) - set(KEPT):
        del os.environ[name]


def interleaved(variants: Mapping[str, Show | Driver], rounds: int) -> dict[str, list[float]]:
    """The duration of each call in seconds, by variant; each round has an order of its own.

    A variant is a function of this process, or a process that waits while others have their turn.
    """
    for variant in variants.values():
        _timed(variant, WARM_UP)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            seconds[name] += _timed(variants[name], CALLS)
    return seconds


def _timed(variant: Show | Driver, calls: int) -> list[float]:
    if isinstance(variant, Driver):
        return variant.run(calls)
    clock = time.perf_counter
    seconds = []
    for _ in range(calls):
        started = clock()
        variant()
        seconds.append(clock() - started)
    return seconds


def timings(seconds: Mapping[str, Sequence[float]], bare: str) -> list[Timing]:
    """What each variant took, as a ratio to that of `bare`."""
    return [_timing(name, taken, seconds[bare]) for name, taken in seconds.items()]


def _timing(name: str, taken: Sequence[float], bare: Sequence[float]) -> Timing:
    deciles = statistics.quantiles(taken, n=10)
    median = statistics.median(taken)
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
    )


def conditions(nginx: str) -> dict[str, str]:
    """What the results depend on."""
    packages = (
        "requests urllib3 opentelemetry-sdk prometheus-client python-glanceclient openstacksdk"
    ).split()
    return {
        "Date": time.strftime("%Y-%m-%d", time.gmtime()),
        "Python": platform.python_version(),
        "Kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Cores": str(os.cpu_count()),
        "Load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "nginx": nginx,
        **{name: metadata.version(name) for name in packages},
    }
