"""The command ``watch``: probes the servers, and keeps a table of them up to date."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import termios
import tty
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from ..exporter.probing import schedule
from ..exporter.report import make_report
from . import options
from .options import read_duration, verbose, with_choice
from .output import make_line, make_table, open_output
from .probe_observers import ProbeObservers, describe_with_time, make_observers
from .servers import name_state, name_why
from .signals import run_in_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from ..config import Config, Server
    from ..exporter.probing.result import ProbeResult
    from ..exporter.report import ServerReport
    from .options import Choice

_REFRESH_SECONDS = 0.5
_MOST_WRONG = 3
"""How many servers have a line below the table that says what is wrong with their probes."""

_HEADINGS = ("server", "state", "why", "last success", "probes", "failed", "p50 ms", "p95 ms")


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
        with _wait_for_key(ended):
            await (_run_live(console, on, ended) if console.is_interactive else ended.wait())
    if lost:
        raise lost[0]


async def _run_live(console: Console, on: ProbeObservers, ended: asyncio.Event) -> None:
    """Update the table until `ended` is set."""
    with Live(console=console, auto_refresh=False) as live:
        while not ended.is_set():
            live.update(_make_screen(console, on), refresh=True)
            await _pause(ended)


async def _pause(ended: asyncio.Event) -> None:
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait({waiting}, timeout=_REFRESH_SECONDS)
    waiting.cancel()


@contextmanager
def _wait_for_key(ended: asyncio.Event) -> Iterator[None]:
    """Set `ended` when the user presses q, if standard input is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        key = os.read(number, 1)
        if key in b"qQ":
            ended.set()

    # A terminal hands over whole lines by default; in this mode, each key comes at once.
    tty.setcbreak(number)
    loop.add_reader(number, pressed)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _make_screen(console: Console, on: ProbeObservers) -> RenderableType:
    """Draw the servers, those that fail first; below them wrong settings and a summary."""
    probe = on.prober.probe
    known = {
        (each["address"], each["port"]): each for each in make_report(on.journal.hour())["servers"]
    }
    latest = {server: on.prober.results.get(server) for server in probe.config.servers}
    order = sorted(latest, key=lambda server: (not _is_failing(latest[server]), server.netloc))
    rows = [_make_row(server, latest[server], known.get(_format_place(server))) for server in order]
    failing = sum(_is_failing(each) for each in latest.values())
    foot = Text(f"{failing} of {len(order)} fail; every {on.prober.interval:g} s; q ends it", "dim")
    wrong = sorted(on.prober.results.misconfigurations().values())[:_MOST_WRONG]
    notes = [Text(make_line(each), "yellow") for each in wrong]
    return Group(make_table(console, _HEADINGS, rows), *notes, foot)


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
