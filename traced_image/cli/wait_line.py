"""The line that names the server that a command waits for, on a terminal."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from rich.live import Live
from rich.text import Text

from ..telemetry import catalogue
from ..terminal import find_server
from .output import make_printable, open_messages
from .signals import run_interruptibly

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from rich.console import Console


WAIT_SECONDS = 2.0
"""Seconds after which a wait is shown: a shorter one needs no explanation."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a command waits for, and since when by the clock."""

    name: str
    since: float


class _AttemptTracker(SpanProcessor):
    """The attempt that is under way.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.latest = _Wait("an answer", clock())

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        number = (span.attributes or {}).get(catalogue.ATTEMPT_NUMBER)
        if number is None:
            return
        name = find_server(span) or ""
        if number != 1:
            name += f", attempt {number}"
        self.latest = _Wait(name, self._clock())

    def on_end(self, span: ReadableSpan) -> None:
        if catalogue.ATTEMPT_NUMBER in (span.attributes or {}):
            self.latest = _Wait("the next attempt", self._clock())


class WaitLine:
    """A line on standard error, drawn while a command has waited for some time.

    Args:
        console: The console to draw on; None to draw nothing.
        clock: Returns seconds that never go back.
    """

    def __init__(
        self, console: Console | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._clock = clock
        self.tracker = _AttemptTracker(clock)

    @property
    def is_shown(self) -> bool:
        """Whether long waits are shown."""
        return self._console is not None

    def run(self, work: Callable[[], _T], name: str = "an answer") -> _T:
        """Run blocking work as `run_interruptibly` does; draw the line, and erase it at the end.

        Args:
            work: A function without arguments.
            name: What the command waits for before the first attempt.
        """
        if self._console is None:
            return run_interruptibly(work)
        begin = self._clock()
        self.tracker.latest = _Wait(name, begin)
        # Transient: it erases itself. And it draws lines of the log above itself.
        live = Live(console=self._console, auto_refresh=False, transient=True)

        def look() -> None:
            if self._clock() - begin >= WAIT_SECONDS:
                live.start()
                live.update(self._draw(), refresh=True)

        try:
            return run_interruptibly(work, look)
        finally:
            live.stop()

    def _draw(self) -> Text:
        latest = self.tracker.latest
        seconds = int(self._clock() - latest.since)
        line = f"waiting for {make_printable(latest.name)}, {seconds} s…"
        return Text(line, "dim", no_wrap=True, overflow="ellipsis")


def open_wait_line(*, verbose: bool) -> WaitLine:
    """Open the line on standard error, if that is a terminal that can erase it.

    Args:
        verbose: Whether the command shows each attempt; if so, the line has nothing to add.
    """
    console = open_messages()
    shown = sys.stderr.isatty() and console.is_interactive and not verbose
    return WaitLine(console if shown else None)
