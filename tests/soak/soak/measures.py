"""What is measured of a process each second, and by how much it may grow."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LABEL = re.compile(r'\w+="(?:[^"\\]|\\.)*"')

LEAK = 1024
"""Bytes a call of the leak of memory that is planted, which must be found."""

CALLS = 20
"""Calls after which a descriptor, a thread and a series are planted, which must be found."""

MOST = 500
"""How many of these are planted at most, so that a long run does not end for lack of them."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure that must not grow.

    Attributes:
        unit: Its unit.
        per_call: By how much it may grow at each call of the service, which counts in short runs.
        in_all: By how much it may grow in the time that is measured, which counts in long ones.
        least: Seconds for which it is to be measured before it is judged.
    """

    unit: str
    per_call: float
    in_all: float
    least: float = 0.0

    def find_limit(self, rate: float, seconds: float) -> float:
        """Return the slope that it may have, a second; infinity if it is not judged yet.

        Args:
            rate: Calls a second.
            seconds: How long it was measured.
        """
        if seconds < self.least:
            return math.inf
        return min(self.per_call * rate, self.in_all / seconds if seconds else math.inf)


MEASURES: Mapping[str, Measure] = {
    "memory": Measure("KiB", LEAK / 1024 / 2, 1024),
    "descriptors": Measure("", 1 / 500, 5),
    "threads": Measure("", 1 / 500, 5),
    "labels": Measure("", 1 / 500, 5),
    "series": Measure("", 1 / 500, 50, least=1800.0),
    "blocks": Measure("", 4, 20_000),
    "garbage": Measure("", 1 / 500, 50),
}
"""Resident memory, open descriptors, threads, the values of labels, time series, the blocks of
memory that Python's objects have after a collection, and the garbage that was collected since then.

Series are the combinations of labels, which are met one after the other for many minutes: two rare
ones, with a histogram of 25 series each, may be met late. That no label has a new value is seen
sooner."""


def read_process(pid: int) -> dict[str, float]:
    """Return the resident memory in KiB, the open descriptors and the threads of a process.

    Raises:
        OSError: It has ended.
    """
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    found = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.MULTILINE))
    return {
        "memory": float(found["VmRSS"]),
        "threads": float(found["Threads"]),
        "descriptors": float(len(list(Path(f"/proc/{pid}/fd").iterdir()))),
    }


def count_series(page: str) -> dict[str, float]:
    """Return how many time series a page of metrics has, and how many values their labels have."""
    lines = [line for line in page.splitlines() if line and not line.startswith("#")]
    labels = {label for line in lines for label in _LABEL.findall(line)}
    return {"series": float(len(lines)), "labels": float(len(labels))}
