"""The time that a Prometheus is asked about, and when a counter began and ceased to grow."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from .episodes import PAUSE

if TYPE_CHECKING:
    from .prometheus_api import PrometheusAPI

_FINE = 5.0
"""Seconds between two looks at when failures began."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time to look at.

    Attributes:
        start: Its begin, in seconds since the epoch.
        end: Its end.
        scrape: Seconds between two scrapes.
        step: Seconds of each step, in which failures are counted.
    """

    start: float
    end: float
    scrape: float
    step: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start

    @property
    def pause(self) -> float:
        """Seconds without a failure that end an episode; a step without one is longer."""
        return max(PAUSE, 1.5 * self.step)


def find_begin(api: PrometheusAPI, query: str, window: Window, first: float) -> float:
    """Return when a counter began to grow within a step, to half a scrape.

    Args:
        api: Asks Prometheus.
        query: The sum of the counters of all callers.
        window: The time to look at.
        first: The end of the step.
    """
    counts = _read_step(api, query, window, first)
    before = counts[0][1] if counts and counts[0][0] < _find_start(window, first) + 1 else 0.0
    grown = next((time for time, value in counts if value > before), first)
    return grown - (window.scrape + min(_FINE, window.step)) / 2


def find_end(api: PrometheusAPI, query: str, window: Window, last: float) -> float:
    """Return when a counter ceased to grow within a step, to half a scrape.

    Args:
        api: Asks Prometheus.
        query: The sum of the counters of all callers.
        window: The time to look at.
        last: The end of the step.
    """
    counts = _read_step(api, query, window, last)
    grown = [time for (_, one), (time, other) in pairwise(counts) if other > one]
    return (grown[-1] if grown else last) - (window.scrape + min(_FINE, window.step)) / 2


def _find_start(window: Window, end: float) -> float:
    return end - window.step - window.scrape


def _read_step(
    api: PrometheusAPI, query: str, window: Window, end: float
) -> list[tuple[float, float]]:
    fine = min(_FINE, window.step)
    found = api.query_range(query, _find_start(window, end), end, fine)
    return sorted((time, value) for each in found for time, value in each.points)
