"""When failures began and ended, by how many there were in each step of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PAUSE = 300.0
"""Seconds without a failure after which the next one begins another episode."""

STEPS = 120
"""How many steps a window has at most."""

_LEAST_STEP = 5.0
_NOTHING = 0.5
"""Of a count that Prometheus has extrapolated, less is nothing."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Failures that belong together.

    Attributes:
        first: The end of the first step with failures, in seconds since the epoch.
        last: The end of the last one.
        pause: The longest time between two of them.
    """

    first: float
    last: float
    pause: float = 0.0


def choose_step(window: float, scrape: float) -> float:
    """Return the seconds of a step: not less than two scrapes, and `STEPS` in a window."""
    return max(_LEAST_STEP, 2 * scrape, window / STEPS)


def find_latest(counts: Mapping[float, float], pause: float = PAUSE) -> Episode | None:
    """Return the latest episode; None if there are no failures.

    Args:
        counts: How many failures there were, by the end of each step.
        pause: Seconds without a failure that end an episode.
    """
    found: Episode | None = None
    for time in sorted(time for time, count in counts.items() if count >= _NOTHING):
        if found is None or time - found.last > pause:
            found = Episode(time, time)
        else:
            found = Episode(found.first, time, max(found.pause, time - found.last))
    return found


def add_points(series: Iterable[Iterable[tuple[float, float]]]) -> dict[float, float]:
    """Return the sums of several series by time."""
    sums: dict[float, float] = {}
    for points in series:
        for time, value in points:
            sums[time] = sums.get(time, 0.0) + value
    return sums
