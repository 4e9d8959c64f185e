"""The figures that have a target, and the table of them before and after a change."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTHON = ".".join(map(str, sys.version_info[:2]))

ALLOWED = 1.05 if sys.version_info >= (3, 12) else 1.0
"""The targets' ratios are those of Python 3.11; on later ones 5 % more may be taken."""

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
        return f"{'≥' if self.least else '≤'} {_number(self.limit)} {self.verdict}"

    @property
    def verdict(self) -> str:
        """``met`` or ``missed``."""
        return "met" if self.is_met else "missed"


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark found.

    Attributes:
        title: What was measured.
        table: All of it, as Markdown.
        figures: Those that have a target.
    """

    title: str
    table: str
    figures: list[Figure]

    def __str__(self) -> str:
        return f"{self.title}\n\n{self.table}\n"


def at_most(name: str, found: float, limit: float, unit: str) -> Figure:
    """A ratio that may be at most `limit` on Python 3.11."""
    return Figure(name, found, limit * ALLOWED, unit)


def at_least(name: str, found: float, limit: float, unit: str) -> Figure:
    """A ratio that must be at least `limit` on Python 3.11."""
    return Figure(name, found, limit / ALLOWED, unit, least=True)


def summary(figures: Sequence[Figure]) -> str:
    """The figures beside those from before, as Markdown."""
    before = _saved().get(PYTHON, {})
    head = ["| Figure | unit | before | now | target | |", "|---|---|--:|--:|--:|---|"]
    return "\n".join([*head, *(_row(figure, before.get(figure.name)) for figure in figures)])


def _row(figure: Figure, before: float | None) -> str:
    was = "" if before is None else _number(before)
    target, _, verdict = figure.target.rpartition(" ")
    found = _number(figure.found)
    return f"| {figure.name} | {figure.unit} | {was} | {found} | {target} | {verdict} |"


def save(figures: Sequence[Figure]) -> None:
    """Keep the figures as those from before, for this version of Python; others stay."""
    kept = _saved()
    kept.setdefault(PYTHON, {}).update({each.name: round(each.found, 3) for each in figures})
    BEFORE.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")


def _saved() -> dict[str, dict[str, float]]:
    if not BEFORE.exists():
        return {}
    found: dict[str, dict[str, float]] = json.loads(BEFORE.read_text("utf-8"))
    return found


def _number(value: float) -> str:
    return f"{value:.2f}".removesuffix(".00")
