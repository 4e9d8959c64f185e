"""The display during the demonstration: a line for each event, and on a terminal a table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from ..terminal import ServerTally, count_attempts, make_row, make_servers_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import Console, RenderableType

    from ..pipeline.service import GlanceImageService
    from ..terminal import AttemptSummary
    from .evidence import SpanLog
    from .scenario import Scenario


_WINDOW_SECONDS = 60.0
"""The table shows the attempts that ended in this time."""


@final
class Screen:
    """A display on a console: lines of events and of the log, and a live table below them.

    Args:
        console: The console to draw on.
        play: The scenario that runs.
        service: The service with the servers to show.
        spans: The spans of its calls.
        page: The address of the exporter's page.
        live: Whether to draw the table.
    """

    def __init__(
        self,
        console: Console,
        play: Scenario,
        service: GlanceImageService,
        spans: SpanLog,
        page: str,
        *,
        live: bool,
    ) -> None:
        self._console = console
        self._play = play
        self._service = service
        self._spans = spans
        self._page = page
        self._begun = time.monotonic()
        self._live: Live | None = None
        if live:
            # Transient: the table goes at the end, because the report has the final one.
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, line: str) -> None:
        """Print a line, with the seconds since the start."""
        self._console.print(Text(f"{self._elapsed:5.1f} s  {line}"))

    def log(self, line: str) -> None:
        """Print a line of the log."""
        self._console.print(Text(line, "dim"))

    def refresh(self) -> None:
        """Draw the current table."""
        if self._live is not None:
            self._live.update(self._draw(), refresh=True)

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._begun

    def _draw(self) -> RenderableType:
        known = count_attempts(find_latest(self._spans.attempts, time.time()))
        broken = self._play.broken
        rows = [
            make_row(
                health,
                known.get(health.server.netloc, ServerTally()),
                broken.get(health.server.netloc, ""),
            )
            for health in sorted(self._service.servers(), key=lambda health: health.server.netloc)
        ]
        of = "" if self._play.seconds is None else f" of about {self._play.seconds} s"
        head = Text(f"{self._elapsed:.0f} s{of}; the last minute:", "dim")
        foot = Text(f"{self._page} shows the last hour; Ctrl-C ends it", "dim")
        return Group("", head, make_servers_table(rows, self._console, brief=True), foot)


def find_latest(attempts: Sequence[AttemptSummary], now: float) -> Sequence[AttemptSummary]:
    """Return the attempts that ended in the last minute.

    Args:
        attempts: Attempts in the order of their ends.
        now: Seconds since the epoch.
    """
    # From the end: the list grows all the time, the last minute does not.
    place = len(attempts)
    while place and now - attempts[place - 1].ended < _WINDOW_SECONDS:
        place -= 1
    return attempts[place:]
