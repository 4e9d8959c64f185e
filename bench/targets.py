"""The figures that have a target, and the table of them before and after a change."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTHON = ".".join(map(str, sys.version_info[:2]))

MAIN = "3.11"
"""The version of Python whose tables the page has in full; of others it has the targets."""

ALLOWED = 1.05 if sys.version_info >= (3, 12) else 1.0
"""The targets' ratios are those of Python 3.11; on later versions they may be 5 % beyond."""

BEFORE = Path(__file__).with_name("before.json")
"""The figures of an earlier commit, by the version of Python: what `before` shows."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure with its target.

    Attributes:
        name: What was measured; it is unique.
        found: The figure.
        limit: The most that it may be, or the least if `least`.
        unit: What it is a multiple of, or its unit.
        least: Whether more is better.
    """

    name: str
    found: float
    limit: float
    unit: str
    least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether it is within the target."""
        return self.found >= self.limit if self.least else self.found <= self.limit

    @property
    def target(self) -> str:
        """The target and whether it is met, for a table."""
        return f"{'≥' if self.least else '≤'} {format_number(self.limit)} {self.verdict}"

    @property
    def verdict(self) -> str:
        """``met`` or ``missed``."""
        return "met" if self.is_met else "missed"


def at_most(name: str, found: float, limit: float, unit: str) -> Figure:
    """A ratio that may be at most `limit` on Python 3.11."""
    return Figure(name, found, limit * ALLOWED, unit)


def at_least(name: str, found: float, limit: float, unit: str) -> Figure:
    """A ratio that must be at least `limit` on Python 3.11."""
    return Figure(name, found, limit / ALLOWED, unit, least=True)


def summary(figures: Sequence[Figure]) -> str:
    """The figures beside those from before, as Markdown; ``none`` is for what did not happen."""
    before = _saved().get(PYTHON, {})
    head = ["| Figure | unit | before | after | target | |", "|---|---|--:|--:|--:|---|"]
    return "\n".join([*head, *(_row(figure, before) for figure in figures)])


def _row(figure: Figure, before: dict[str, float | None]) -> str:
    was = format_number(before[figure.name]) if figure.name in before else ""
    target, _, verdict = figure.target.rpartition(" ")
    found = format_number(figure.found)
    return f"| {figure.name} | {figure.unit} | {was} | {found} | {target} | {verdict} |"


def save(figures: Sequence[Figure]) -> None:
    """Keep the figures as those from before, for this version of Python; others stay."""
    kept = _saved()
    found = {each.name: round(each.found, 3) for each in figures if math.isfinite(each.found)}
    names = [each.name for each in figures]
    kept[PYTHON] = {**kept.get(PYTHON, {}), **dict.fromkeys(names), **found}
    BEFORE.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")


def _saved() -> dict[str, dict[str, float | None]]:
    if not BEFORE.exists():
        return {}
    found: dict[str, dict[str, float | None]] = json.loads(BEFORE.read_text("utf-8"))
    return found


def format_number(value: float | None) -> str:
    """A figure for a table."""
    if value is None or not math.isfinite(value):
        return "none"
    return f"{value:.2f}".removesuffix(".00")
