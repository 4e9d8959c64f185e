"""Whether a figure grows: the slope of Theil and Sen, with an interval, compared with a limit."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Verdict = Literal["flat", "grows", "not told"]

Points = list[tuple[float, float]]
"""Seconds and values, in order."""

CONFIDENCE = 2.576
"""The normal quantile of an interval that has the slope in 99 of 100 cases."""

WARM_UP = 1200.0
"""Seconds at most that are left out at the beginning of each segment; else it is a third of the
longest one. Rare combinations of labels are met after up to 1,000 seconds."""

_BLOCKS = 40

_LEAST = 3
"""Values that a block has at least."""

_SECONDS = 6.0
"""How long a block is at least: longer than the interval of OTLP's exports."""


@dataclass(frozen=True, slots=True)
class Slope:
    """How fast a figure grows, in units a second.

    Attributes:
        value: The median of the slopes between all pairs of points.
        low: The lower end of its interval; minus infinity if there are too few points.
        high: The upper end of its interval; infinity if there are too few points.
    """

    value: float
    low: float
    high: float

    def judge(self, limit: float) -> Verdict:
        """Return whether it is below a limit, or above it, by the whole interval."""
        if self.high <= limit:
            return "flat"
        return "grows" if self.low > limit else "not told"


def find_slope(series: Sequence[Points]) -> Slope:
    """Return the slope that several series have in common.

    Values of one process hang together: memory is taken in steps, and given back in others. So a
    series is cut into blocks, each of which counts with its least value. Pairs of points are those
    within a series, for each began in a process of its own.

    Sources: Sen, Estimates of the regression coefficient based on Kendall's tau (1968); the
    variance of several series together is that of Hirsch's seasonal test (1982).

    Args:
        series: The points of each series, without their beginning.
    """
    blocks = [cut_blocks(points) for points in series]
    slopes = sorted(
        (right[1] - left[1]) / (right[0] - left[0])
        for points in blocks
        for left, right in combinations(points, 2)
    )
    if not slopes:
        return Slope(0.0, -math.inf, math.inf)
    variance = sum(len(p) * (len(p) - 1) * (2 * len(p) + 5) / 18 for p in blocks)
    reach = CONFIDENCE * math.sqrt(variance)
    below, above = (len(slopes) - reach) / 2, (len(slopes) + reach) / 2
    return Slope(
        statistics.median(slopes),
        slopes[math.floor(below)] if below >= 0 else -math.inf,
        slopes[math.ceil(above)] if math.ceil(above) < len(slopes) else math.inf,
    )


def cut_beginnings(series: Sequence[Points]) -> list[Points]:
    """Return what follows the warm-up of each series, for each began with a process of its own."""
    longest = max((points[-1][0] - points[0][0] for points in series if points), default=0.0)
    warm_up = min(WARM_UP, longest / 3)
    return [[point for point in points if point[0] >= points[0][0] + warm_up] for points in series]


def cut_blocks(points: Points) -> Points:
    """Return the least value of each whole block, at the middle of its time."""
    if not points:
        return []
    seconds = points[-1][0] - points[0][0]
    longest = math.ceil(_SECONDS * (len(points) - 1) / seconds) if seconds else 0
    size = max(_LEAST, longest, math.ceil(len(points) / _BLOCKS))
    blocks = [points[first : first + size] for first in range(0, len(points) - size + 1, size)]
    return [(statistics.mean(t for t, _ in each), min(v for _, v in each)) for each in blocks]
