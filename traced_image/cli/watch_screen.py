"""The screen of ``watch``: a table that scrolls, and a summary that is always there."""

from __future__ import annotations

from datetime import datetime, timezone
from math import ceil
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from ..exporter.report import make_report
from .output import make_line, make_table
from .servers import name_state, name_why

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from ..config import Server
    from ..exporter.probing.result import ProbeResult
    from ..exporter.schema import ServerReport
    from .probe_observers import ProbeObservers

_HEADINGS = ("server", "state", "why", "last success", "probes", "failed", "p50 ms", "p95 ms")
_FLEXIBLE = ("server", "why")
_MOST_WRONG = 3
"""How many servers have a line below the table that says what is wrong with their probes."""


class WatchScreen:
    """The drawing of the servers, those that fail first, as many as fit on the terminal.

    Args:
        console: The terminal.
        on: The probes and their results.
        has_keys: Whether keys scroll the table.
    """

    def __init__(self, console: Console, on: ProbeObservers, *, has_keys: bool) -> None:
        self._console = console
        self._on = on
        self._has_keys = has_keys
        self._first = 0
        self._shown = 1

    def scroll(self, rows: int, pages: int) -> None:
        """Move by rows or pages: down, or up if the number is negative."""
        self._first += rows + pages * max(self._shown, 1)

    def draw(self) -> RenderableType:
        """Draw the table, and below it the summary with the keys; both fit on the terminal."""
        latest = {
            server: self._on.prober.results.get(server)
            for server in self._on.prober.probe.config.servers
        }
        order = sorted(latest, key=lambda each: (not _is_failing(latest[each]), each.netloc))
        rows = self._make_rows([(server, latest[server]) for server in order])
        failing = [_is_failing(latest[server]) for server in order]
        self._first = min(max(self._first, 0), len(rows) - 1)
        self._shown = len(rows)
        while True:
            # Near the end, the screen stays full.
            first = min(self._first, len(rows) - max(self._shown, 1))
            last = first + self._shown
            drawn = self._draw_rows(rows[first:last], self._summarize(failing, first, last))
            lines = len(self._console.render_lines(drawn, pad=False))
            if lines <= self._console.height or not self._shown:
                self._first = first
                return drawn
            excess = lines - self._console.height
            self._shown -= min(self._shown, ceil(excess * self._shown / lines))

    def _draw_rows(self, rows: Sequence[tuple[object, ...]], summary: Text) -> RenderableType:
        if not rows:
            return summary
        table = make_table(self._console, _HEADINGS, rows, flexible=_FLEXIBLE)
        wrong = sorted(self._on.prober.results.misconfigurations().values())[:_MOST_WRONG]
        notes = [Text(make_line(each), "yellow") for each in wrong]
        return Group(table, *notes, summary)

    def _summarize(self, failing: Sequence[bool], first: int, last: int) -> Text:
        interval = f"every {self._on.prober.interval:g} s"
        parts = [f"{sum(failing)} of {len(failing)} fail", interval]
        if last - first < len(failing):
            hidden = sum(failing[:first]) + sum(failing[last:])
            parts.append(f"{len(failing) - (last - first)} not shown, {hidden} of them fail")
            if self._has_keys:
                parts.append("arrows and page keys scroll")
        return Text("; ".join([*parts, "q ends it"]), "dim")

    def _make_rows(
        self, results: Sequence[tuple[Server, ProbeResult | None]]
    ) -> list[tuple[object, ...]]:
        report = make_report(self._on.journal.hour())["servers"]
        known = {(each["address"], each["port"]): each for each in report}
        return [_make_row(each, result, known.get(_format_place(each))) for each, result in results]


def _format_place(server: Server) -> tuple[str, str]:
    return server.host, str(server.port)


def _is_failing(result: ProbeResult | None) -> bool:
    return result is not None and result.failed


def _make_row(
    server: Server, result: ProbeResult | None, hour: ServerReport | None
) -> tuple[object, ...]:
    if result is None or hour is None:
        return (server.netloc, name_state(None), *[""] * (len(_HEADINGS) - 2))
    return (
        server.netloc,
        name_state(result),
        name_why(result),
        _format_clock(hour["last_success"]),
        hour["attempts"],
        hour["failed"],
        _format_milliseconds(hour["p50"]),
        _format_milliseconds(hour["p95"]),
    )


def _format_clock(when: float | None) -> str:
    if when is None:
        return "never"
    return f"{datetime.fromtimestamp(when, timezone.utc).astimezone():%H:%M:%S}"


def _format_milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"
