"""The terminal of ``watch``: it draws the table again and again, and reads the keys."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from .output import make_line
from .watch_screen import WatchScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Console

    from .watch_screen import WatchTable

_REFRESH_SECONDS = 0.5
_KEY = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|[^\x1b]")
"""One key: a letter, or the sequence that a terminal sends for another key (ECMA-48, xterm)."""
_UP, _DOWN = (-1, 0), (1, 0)
_SCROLLS: Mapping[bytes, tuple[int, int]] = {
    **dict.fromkeys((b"\x1b[A", b"\x1bOA", b"k"), _UP),
    **dict.fromkeys((b"\x1b[B", b"\x1bOB", b"j"), _DOWN),
    b"\x1b[5~": (0, -1),
    **dict.fromkeys((b"\x1b[6~", b" "), (0, 1)),
}
"""The rows and the pages that a key scrolls: arrows and page keys, and those of less."""


class LinePrinter:
    """Prints lines about events, until the reader of the output has gone.

    Args:
        console: The output.
        ended: It is set when the reader has gone.
    """

    def __init__(self, console: Console, ended: asyncio.Event) -> None:
        self._console, self._ended = console, ended
        self._lost: OSError | None = None

    def print(self, line: str) -> None:
        """Print a line, without characters that a terminal would act on."""
        try:
            self._console.print(Text(make_line(line)))
        except OSError as error:
            self._lost = error
            self._ended.set()

    def check(self) -> None:
        """Check that the reader has not gone.

        Raises:
            OSError: It has.
        """
        if self._lost is not None:
            raise self._lost


async def run_live(console: Console, table: WatchTable, ended: asyncio.Event) -> None:
    """Update the table until `ended` is set, and at once when a key scrolls it.

    Without a terminal that can draw it, wait until then.
    """
    if not console.is_interactive:
        with _wait_for_key(ended):
            await ended.wait()
        return
    screen, moved = WatchScreen(console, table, has_keys=sys.stdin.isatty()), asyncio.Event()

    def scroll(key: bytes) -> None:
        if key in _SCROLLS:
            screen.scroll(*_SCROLLS[key])
            moved.set()

    with _wait_for_key(ended, scroll), Live(console=console, auto_refresh=False) as live:
        while not ended.is_set():
            moved.clear()
            live.update(screen.draw(), refresh=True)
            await _pause(ended, moved)


async def _pause(*events: asyncio.Event) -> None:
    """Wait until one of the events is set, or for the time between two refreshes."""
    waiting = {asyncio.ensure_future(each.wait()) for each in events}
    await asyncio.wait(waiting, timeout=_REFRESH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


@contextmanager
def _wait_for_key(ended: asyncio.Event, press: Callable[[bytes], object] = bool) -> Iterator[None]:
    """Set `ended` when the user presses q, if standard input is a terminal.

    Args:
        ended: The event to set.
        press: A function that receives each other key.
    """
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        keys = os.read(number, 1024)
        # Nothing comes from a terminal that has gone.
        if not keys or any(key in b"qQ" for key in _KEY.findall(keys)):
            ended.set()
        for key in _KEY.findall(keys):
            press(key)

    # A terminal hands over whole lines by default; in this mode, each key comes at once.
    tty.setcbreak(number)
    loop.add_reader(number, pressed)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
