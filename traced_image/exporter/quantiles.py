"""Quantiles of durations, from counts by the buckets of the catalogue's histogram."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from ..telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

_BOUNDS = catalogue.ATTEMPT_DURATION.buckets


def find_quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return a quantile in seconds; None without any count.

    It mirrors Prometheus's ``histogram_quantile``: linear within a bucket, and for the bucket
    without an upper bound the highest bound.

    Args:
        buckets: Counts by the index of the bucket.
        share: The quantile, from 0 to 1.
    """
    numbers = sorted(number for number, count in buckets.items() if count)
    sums = list(accumulate(buckets[number] for number in numbers))
    if not sums:
        return None
    rank = share * sums[-1]
    place = bisect_left(sums, rank)
    number, below = numbers[place], sums[place - 1] if place else 0
    if number == len(_BOUNDS):
        return _BOUNDS[-1]
    start = _BOUNDS[number - 1] if number else 0.0
    return start + (_BOUNDS[number] - start) * (rank - below) / buckets[number]
