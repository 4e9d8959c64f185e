"""The command ``watch``: probes the servers, and keeps a table of them up to date."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.live import Live
from rich.text import Text

from ..exporter.probing import schedule
from . import options
from .options import read_duration, verbose, with_choice
from .output import make_line, open_output
from .probe_observers import ProbeObservers, describe_with_time, make_observers
from .signals import run_in_loop
from .watch_screen import WatchScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Console

    from ..config import Config
    from ..exporter.probing.result import ProbeResult
    from .options import Choice

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


@click.command(short_help="Probe the servers at an interval, and show them.")
@click.option(
    "--interval",
    type=read_duration,
    default="5s",
    show_default=True,
    metavar="DURATION",
    help="Time between two probes of a server.",
)
@options.image
@options.timeout
@verbose
@with_choice
def watch(choice: Choice, *, interval: float, image: str | None, timeout: float) -> None:
    """Probe the servers at an interval, and show their states; q or Ctrl-C ends it.

    Those that fail come first. If not all fit on the terminal, arrows and page keys scroll.
    If the output is not a terminal, each probe prints a line.
    """
    config = choice.config(retries=False)
    logging.getLogger(schedule.__name__).setLevel(logging.ERROR)  # the table says the same
    run_in_loop(_watch(config, choice, interval, image, timeout))


async def _watch(
    config: Config, choice: Choice, interval: float, image: str | None, timeout: float
) -> None:
    console = open_output()
    lines = choice.verbose or not console.is_interactive
    ended, lost = asyncio.Event(), list[OSError]()

    def tell(result: ProbeResult) -> None:
        try:
            if lines:
                console.print(Text(make_line(describe_with_time(result))))
        except OSError as error:  # the reader has closed the output
            lost.append(error)
            ended.set()

    on = make_observers(config, image=image, interval=interval, timeout=timeout, tell=tell)
    async with on.prober:
        if console.is_interactive:
            await _run_live(console, on, ended)
        else:
            with _wait_for_key(ended):
                await ended.wait()
    if lost:
        raise lost[0]


async def _run_live(console: Console, on: ProbeObservers, ended: asyncio.Event) -> None:
    """Update the table until `ended` is set, and at once when a key scrolls it."""
    screen, moved = WatchScreen(console, on, has_keys=sys.stdin.isatty()), asyncio.Event()

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
