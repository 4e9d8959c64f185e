"""The screen of ``watch``: a table that scrolls, and a summary that is always there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from .output import make_line, make_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType


@dataclass(frozen=True, slots=True)
class WatchRow:
    """A row of the table.

    Attributes:
        cells: Its values.
        fails: Whether it is of a server that fails; None if it is of no server.
    """

    cells: tuple[object, ...]
    fails: bool | None


class WatchTable(ABC):
    """What the screen draws.

    Attributes:
        headings: The headings of the columns.
        flexible: Those of columns whose values may be broken into several lines.
        optional: Those of columns that a narrow table leaves out, the last one first.
        interval: Seconds between two updates.
    """

    headings: tuple[str, ...]
    flexible: tuple[str, ...]
    optional: tuple[str, ...] = ()
    interval: float

    @abstractmethod
    def list_rows(self) -> list[WatchRow]:
        """Return the rows, those that fail first."""

    @abstractmethod
    def list_notes(self) -> list[str]:
        """Return lines to show below the table."""


class WatchScreen:
    """The drawing of the servers, those that fail first, as many as fit on the terminal.

    Args:
        console: The terminal.
        table: What it draws.
        has_keys: Whether keys scroll the table.
    """

    def __init__(self, console: Console, table: WatchTable, *, has_keys: bool) -> None:
        self._console = console
        self._table = table
        self._has_keys = has_keys
        self._first = 0
        self._shown = 1

    def scroll(self, rows: int, pages: int) -> None:
        """Move by rows or pages: down, or up if the number is negative."""
        self._first += rows + pages * max(self._shown, 1)

    def draw(self) -> RenderableType:
        """Draw the table, and below it the summary with the keys; both fit on the terminal."""
        rows = self._table.list_rows()
        self._first = max(min(self._first, len(rows) - 1), 0)
        self._shown = len(rows)
        while True:
            # Near the end, the screen stays full.
            first = max(min(self._first, len(rows) - max(self._shown, 1)), 0)
            last = first + self._shown
            summary = self._summarize(rows, first, last)
            drawn = summary if rows and last == first else self._draw(rows[first:last], summary)
            lines = len(self._console.render_lines(drawn, pad=False))
            if lines <= self._console.height or not self._shown:
                self._first = first
                return drawn
            excess = lines - self._console.height
            self._shown -= min(self._shown, ceil(excess * self._shown / lines))

    def _draw(self, rows: Sequence[WatchRow], summary: Text) -> RenderableType:
        notes = [Text(make_line(each), "yellow") for each in self._table.list_notes()]
        if not rows:
            return Group(*notes, summary)
        table = make_table(
            self._console,
            self._table.headings,
            [each.cells for each in rows],
            flexible=self._table.flexible,
            optional=self._table.optional,
        )
        return Group(table, *notes, summary)

    def _summarize(self, rows: Sequence[WatchRow], first: int, last: int) -> Text:
        servers = sum(each.fails is not None for each in rows)
        parts = [f"{_count_failing(rows)} of {servers} fail", f"every {self._table.interval:g} s"]
        if last - first < len(rows):
            hidden = _count_failing([*rows[:first], *rows[last:]])
            parts.append(f"{len(rows) - (last - first)} not shown, {hidden} of them fail")
            if self._has_keys:
                parts.append("arrows and page keys scroll")
        return Text("; ".join([*parts, "q ends it"]), "dim")


def _count_failing(rows: Sequence[WatchRow]) -> int:
    return sum(each.fails is True for each in rows)
