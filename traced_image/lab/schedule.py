"""When a fault is on: from one second to another after its start, once or again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .checks import check_number, wrong


@dataclass(frozen=True)
class Schedule:
    """The time in which a fault is on, in seconds since ``break_with()``.

    Attributes:
        start: When it begins.
        end: When it ends; ``math.inf`` for never.
        every: The seconds after which it begins again; None for once.
    """

    start: float
    end: float = math.inf
    every: float | None = None

    def is_on(self, elapsed: float) -> bool:
        """Return whether the fault is on after so many seconds."""
        return self.start <= self._within(elapsed) < self.end

    def next_change(self, elapsed: float) -> float:
        """Return the seconds until the fault begins or ends; ``math.inf`` if it does no more."""
        within = self._within(elapsed)
        times = [self.start, self.end, *(() if self.every is None else (self.every + self.start,))]
        return min((each - within for each in times if each > within), default=math.inf)

    def _within(self, elapsed: float) -> float:
        return elapsed if self.every is None else elapsed % self.every


def make_schedule(start: float, end: float | None, every: float | None) -> Schedule:
    """Build a schedule.

    Raises:
        InvalidArgument: A time is no number of seconds, or their order is wrong.
    """
    check_number("during", start, "give a start in seconds from 0")
    if end is not None:
        check_number("during", end, "give an end in seconds, or None")
    last = math.inf if end is None else end
    if last <= start:
        raise wrong("during", end, f"give an end after the start, {start:g}")
    if every is not None:
        check_number("during", every, "give a period in seconds, or None")
    if every is not None and every < last:
        raise wrong(
            "during", every, "give a period that is not shorter than the time until the end"
        )
    return Schedule(float(start), float(last), None if every is None else float(every))
