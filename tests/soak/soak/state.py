"""The samples of a soak, kept in a file so that another run can go on."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .slope import Points, Slope, cut_beginnings, find_slope

if TYPE_CHECKING:
    from pathlib import Path

Samples = dict[str, list[float]]
"""The values of each measure, and ``time``, in seconds since the segment began."""


@dataclass(slots=True)
class Segment:
    """One run without interruption; each began with processes of its own.

    Attributes:
        samples: The samples of each process, by its name.
        counts: What else happened in it, at its end.
    """

    samples: dict[str, Samples] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)

    def add(self, process: str, seconds: float, figures: dict[str, float]) -> None:
        """Add a sample of a process."""
        samples = self.samples.setdefault(process, {})
        for name, value in {"time": seconds, **figures}.items():
            samples.setdefault(name, []).append(value)

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max((each["time"][-1] for each in self.samples.values()), default=0.0)


@dataclass(slots=True)
class State:
    """A soak, of one or more segments.

    Attributes:
        run: Seed, versions and machine.
        segments: What was measured.
        complete: The seconds that were asked for, once they are over.
    """

    run: dict[str, Any]
    segments: list[Segment] = field(default_factory=list)
    complete: float = 0.0

    @property
    def seconds(self) -> float:
        """How long all segments were."""
        return sum(each.seconds for each in self.segments)

    def find_slope(self, process: str, measure: str) -> Slope:
        """Return how fast a figure of a process grows, in units a second."""
        return find_slope(self._find_series(process, measure))

    def find_measured(self, process: str, measure: str) -> float:
        """Return for how many seconds a figure was measured, without the beginnings."""
        series = self._find_series(process, measure)
        return sum(points[-1][0] - points[0][0] for points in series)

    def find_rate(self, process: str) -> float:
        """Return how many calls a process made a second, without the beginnings."""
        series = self._find_series(process, "calls")
        calls = sum(points[-1][1] - points[0][1] for points in series)
        return calls / (self.find_measured(process, "calls") or math.inf)

    def _find_series(self, process: str, measure: str) -> list[Points]:
        found = (each.samples.get(process, {}) for each in self.segments)
        series = [
            list(zip(each["time"], each[measure], strict=True)) for each in found if measure in each
        ]
        return [points for points in cut_beginnings(series) if points]

    def find_values(self, process: str, measure: str) -> list[float]:
        """Return all values of a figure."""
        return [
            value
            for each in self.segments
            for value in each.samples.get(process, {}).get(measure, [])
        ]

    def add_counts(self) -> dict[str, float]:
        """Return what happened in all segments together."""
        names = {name: None for each in self.segments for name in each.counts}
        return {name: sum(each.counts.get(name, 0) for each in self.segments) for name in names}

    def save(self, path: Path) -> None:
        """Write it as a whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)) + "\n", "utf-8")
        new.replace(path)


def load(path: Path) -> State:
    """Read what `State.save` has written.

    Raises:
        OSError: There is no such file.
        ValueError: It is of another version of this program.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
        segments = [Segment(**each) for each in value["segments"]]
        return State(value["run"], segments, value.get("complete", 0.0))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no file of a soak: {error}; fix: remove it") from error
