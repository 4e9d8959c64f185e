"""The table of a soak: how fast each figure grows, and whether what was planted was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .measures import CALLS, LEAK, MEASURES, MOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slope import Slope, Verdict
    from .state import State

CALLER = "service"
ALONE = "exporter"
PLANTED = "planted: memory"
COUNTED = "planted: counted"
EXPECTED = {PLANTED: ("memory",), COUNTED: ("descriptors", "threads", "labels", "series")}
"""What must be found to grow, and so shows that growth is found."""

UNEXPECTED = "unexpected errors"
"""The count that must be zero."""

_CALLS = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one process.

    Attributes:
        process: The process.
        measure: The figure.
        first: Its median in the first tenth of the time.
        last: Its median in the last tenth.
        slope: How fast it grows, a second.
        limit: How fast it may grow, a second; infinity if the run is too short to tell.
        rate: Calls a second.
    """

    process: str
    measure: str
    first: float
    last: float
    slope: Slope
    limit: float
    rate: float

    @property
    def verdict(self) -> Verdict:
        """Whether it grows."""
        return self.slope.judge(self.limit) if math.isfinite(self.limit) else "not told"

    @property
    def power(self) -> float:
        """The smallest growth a second, beside its own, that would have been found."""
        return self.limit - self.slope.low

    def __str__(self) -> str:
        slope = self.slope
        ends = f"{self._format(slope.low)} to {self._format(slope.high)}"
        found = "" if self.process in EXPECTED else self._format(self.power)
        cells = [self.process, self.name, f"{self.first:,.0f}", f"{self.last:,.0f}"]
        cells += [self._format(slope.value), ends, self._format(self.limit), found, self.verdict]
        return f"| {' | '.join(cells)} |"

    @property
    def passed(self) -> bool:
        """Whether it does not grow or, where a leak is planted, is not flat."""
        return self.verdict != ("flat" if self.process in EXPECTED else "grows")

    @property
    def name(self) -> str:
        """The figure and its unit."""
        return f"{self.measure}, {MEASURES[self.measure].unit}".rstrip(", ")

    def _format(self, slope: float) -> str:
        value = self.per_calls(slope)
        return "?" if value is None else f"{value:,.1f}"

    def per_calls(self, slope: float) -> float | None:
        """Return what grows by so much a second as growth in 1,000 calls; None if that is none."""
        return slope / self.rate * _CALLS if self.rate and math.isfinite(slope) else None


def make_rows(state: State) -> Iterator[Row]:
    """Return the rows of all processes, but of those with a leak only what was planted."""
    for process in (CALLER, ALONE, PLANTED, COUNTED):
        rate = state.find_rate(CALLER if process == ALONE else process)
        for measure in EXPECTED.get(process, MEASURES):
            values = state.find_values(process, measure)
            if values:
                part = max(1, len(values) // 10)
                yield Row(
                    process,
                    measure,
                    sorted(values[:part])[part // 2],
                    sorted(values[-part:])[part // 2],
                    state.find_slope(process, measure),
                    MEASURES[measure].find_limit(rate, state.find_measured(process, measure)),
                    rate,
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

    def find_problems(self) -> list[str]:
        """Return what makes the run fail."""
        grown = [
            f"{row.measure} of the {row.process} grows"
            for row in self.rows
            if row.process not in EXPECTED and not row.passed
        ]
        blind = [
            f"{row.process}: the leak of {row.measure} was not found"
            for row in self.rows
            if row.process in EXPECTED and not row.passed
        ]
        return [*grown, *self._find_troubles(), *blind]

    def _find_troubles(self) -> list[str]:
        """Return what makes the run fail beside the figures."""
        nothing = [] if self.rows else ["nothing was measured"]
        happened = {name: count for name, count in self.counts.items() if name != UNEXPECTED}
        missing = [f"no {name}" for name, count in happened.items() if not count]
        unexpected = self.counts.get(UNEXPECTED, 0)
        raised = [f"{unexpected:.0f} {UNEXPECTED}: their traces are above"] if unexpected else []
        return [*nothing, *missing, *raised]

    def list_lines(self) -> Iterator[str]:
        """Yield the lines of the table, and what they mean."""
        yield (
            "| Process | Figure | First | Last | Growth in 1,000 calls | 99 % of it | Limit"
            " | Found from | Verdict |"
        )
        yield "|---|---|--:|--:|--:|--:|--:|--:|---|"
        yield from map(str, self.rows)
        yield ", ".join(f"{count:,.0f} {name}" for name, count in self.counts.items())
        yield (
            f"planted: {LEAK:,} bytes a call; a descriptor, a thread and a series every {CALLS}"
            f" calls, or {MOST} in all"
        )
        yield "found from: the growth that would have been found, beside what there is"
        unsure = [f"{row.process} {row.measure}" for row in self.rows if row.verdict == "not told"]
        if unsure:
            yield f"not told by so short a run, and no failure: {', '.join(unsure)}"

    def make_record(self, state: State) -> dict[str, Any]:
        """Return the figures that the documentation shows."""
        return {
            "conditions": state.run,
            "seconds": round(state.seconds),
            "counted": self.counts,
            "checks": {
                **{f"{row.process}: {row.name}": _make_check(row) for row in self.rows},
                **{
                    each.partition(":")[0]: {"verdict": "failed", "passed": False}
                    for each in self._find_troubles()
                },
            },
        }


def _make_check(row: Row) -> dict[str, object]:
    slopes = {"growth": row.slope.value, "at_most": row.slope.high, "limit": row.limit}
    if row.process not in EXPECTED:
        slopes["found_from"] = row.power
    figures = {name: row.per_calls(slope) for name, slope in slopes.items()}
    rounded = {name: None if each is None else round(each, 3) for name, each in figures.items()}
    return {**rounded, "verdict": row.verdict, "passed": row.passed}
