"""What a benchmark found: a table, the figures that have a target, and plots."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from targets import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one kind of bar of a plot.

    Attributes:
        name: What the legend calls it.
        x: The positions, or the names of the bars.
        y: The values.
        low: The least of each value, such as that of the parts of a run; empty for none.
        high: The greatest of each value; empty for none.
    """

    name: str
    x: list[float] | list[str]
    y: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture of figures.

    Attributes:
        name: Its file, without the suffix.
        title: What is seen.
        x: The title of the horizontal axis, with its unit.
        y: The title of the vertical axis, with its unit.
        series: What is drawn.
        kind: Whether these are horizontal bars, whose values are on the horizontal axis, or lines.
        logarithmic: The axes that are logarithmic.
        limit: The target, drawn as a line across; None for none.
        limit_name: What the legend calls it.
    """

    name: str
    title: str
    x: str
    y: str
    series: list[Series]
    kind: Literal["bars", "lines"] = "lines"
    logarithmic: Literal["", "x", "y", "xy"] = ""
    limit: float | None = None
    limit_name: str = "target"


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark found.

    Attributes:
        question: What it answers.
        title: What was measured, and how often.
        table: All of it, as Markdown.
        figures: Those that have a target.
        plots: Pictures of it.
        notes: What a reader must know of the table.
    """

    question: str
    title: str
    table: str
    figures: list[Figure] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    notes: str = ""

    def __str__(self) -> str:
        return f"{self.title}\n\n{self.table}\n"

    def as_json(self) -> dict[str, Any]:
        """All of it, for JSON, which has no infinite numbers: what did not happen is None."""
        found = asdict(self)
        for figure in found["figures"]:
            if not math.isfinite(figure["found"]):
                figure["found"] = None
        return found


def read_report(found: dict[str, Any]) -> Report:
    """What `Report.as_json` returned, as a report again."""
    figures = [
        Figure(**{**each, "found": math.inf if each["found"] is None else each["found"]})
        for each in found["figures"]
    ]
    plots = [read_plot(each) for each in found["plots"]]
    return Report(**{**found, "figures": figures, "plots": plots})


def read_plot(found: dict[str, Any]) -> Plot:
    """The same of a plot."""
    return Plot(**{**found, "series": [Series(**each) for each in found["series"]]})


def markdown(head: str, align: str, rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown.

    Args:
        head: The titles of the columns, with ``|`` between them.
        align: ``l`` or ``r`` for each column.
        rows: The cells of each row.
    """
    lines = [f"| {' | '.join(each.strip() for each in head.split('|'))} |"]
    lines.append(f"|{'|'.join('---' if each == 'l' else '--:' for each in align)}|")
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def bars(
    name: str, title: str, x: str, found: dict[str, float], limit: float | None = None
) -> Plot:
    """A plot of one bar for each value."""
    series = Series("", list(found), [round(each, 4) for each in found.values()])
    return Plot(name, title, x, "", [series], kind="bars", limit=limit)
