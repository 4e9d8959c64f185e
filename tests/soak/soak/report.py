"""The table of a soak: how fast each figure grows, and whether the planted leak was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .measures import LEAK, MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slope import Slope, Verdict
    from .state import State

CALLER = "service"
PLANTED = f"service with a leak of {LEAK:,} bytes a call"
ALONE = "exporter"
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one process.

    Attributes:
        process: The process.
        measure: The figure.
        first: Its median in the first tenth of the time.
        last: Its median in the last tenth.
        slope: How fast it grows, a second.
        limit: How fast it may grow, a second.
    """

    process: str
    measure: str
    first: float
    last: float
    slope: Slope
    limit: float

    @property
    def verdict(self) -> Verdict:
        """Whether it grows."""
        return self.slope.judge(self.limit) if math.isfinite(self.limit) else "unsure"

    def __str__(self) -> str:
        measure = f"{self.measure}, {MEASURES[self.measure].unit}".rstrip(", ")
        slope = f"{self.slope.value * _HOUR:+,.0f}"
        ends = f"{_format(self.slope.low)} to {_format(self.slope.high)}"
        limit = f"{self.limit * _HOUR:,.0f}" if math.isfinite(self.limit) else "not yet"
        cells = [self.process, measure, f"{self.first:,.0f}", f"{self.last:,.0f}", slope, ends]
        return f"| {' | '.join([*cells, limit, self.verdict])} |"


def _format(slope: float) -> str:
    return f"{slope * _HOUR:+,.0f}" if math.isfinite(slope) else "?"


def make_rows(state: State, rate: float) -> Iterator[Row]:
    """Return the rows of all processes.

    Args:
        state: The samples.
        rate: Calls a second, by which the limits are counted.
    """
    for process in (CALLER, ALONE, PLANTED):
        for measure, told in MEASURES.items():
            values = state.find_values(process, measure)
            if values:
                part = max(1, len(values) // 10)
                yield Row(
                    process,
                    measure,
                    sorted(values[:part])[part // 2],
                    sorted(values[-part:])[part // 2],
                    state.find_slope(process, measure),
                    told.find_limit(rate, state.find_measured(process, measure)),
                )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a soak has shown.

    Attributes:
        rows: The figures.
        counts: What happened.
    """

    rows: list[Row]
    counts: dict[str, float]

    @property
    def found(self) -> bool:
        """Whether the planted leak was found."""
        return any(
            row.process == PLANTED and row.measure == "memory" and row.verdict == "grows"
            for row in self.rows
        )

    def find_problems(self) -> list[str]:
        """Return what makes the run fail."""
        grown = [
            f"{row.measure} of the {row.process} grows"
            for row in self.rows
            if row.process != PLANTED and row.verdict == "grows"
        ]
        missing = [f"no {name}" for name, count in self.counts.items() if not count]
        blind = [] if self.found else ["the planted leak was not found: a longer run finds it"]
        return [*grown, *missing, *blind]

    def list_lines(self) -> Iterator[str]:
        """Yield the lines of the table, and what they mean."""
        yield "| Process | Figure | First | Last | Slope an hour | 99 % of it | Limit | Verdict |"
        yield "|---|---|--:|--:|--:|--:|--:|---|"
        yield from map(str, self.rows)
        yield ", ".join(f"{count:,.0f} {name}" for name, count in self.counts.items())
        if any(row.verdict == "unsure" for row in self.rows if row.process != PLANTED):
            yield "unsure: the interval has the limit within; a longer run tells"
        if self.found:
            yield f"the planted leak of {LEAK:,} bytes a call was found"
