"""The command ``watch``: the servers in a table that is always current."""

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
from ..exporter.report import report
from . import options
from .options import duration, verbose, with_choice
from .output import line, output, table
from .probe_observers import Watching, stamped, watching
from .servers import state
from .signals import in_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from ..config import Config, Server
    from ..exporter.probing.result import ProbeResult
    from ..exporter.report import ServerReport
    from .options import Choice

_REFRESH_SECONDS = 0.5
_HEADINGS = ("server", "state", "why", "last well", "probes", "failed", "p50 ms", "p95 ms")


@click.command(short_help="Show the servers, always current.")
@click.option(
    "--interval",
    type=duration,
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
    """Probe the servers again and again, and show how they are; q or Ctrl-C ends it.

    Where the output is no terminal, each probe is a line.
    """
    config = choice.config(retries=False)
    logging.getLogger(schedule.__name__).setLevel(logging.ERROR)  # the same is in the table
    in_loop(_watch(config, choice, interval, image, timeout))


async def _watch(
    config: Config, choice: Choice, interval: float, image: str | None, timeout: float
) -> None:
    console = output()
    lines = choice.verbose or not console.is_interactive
    ended, lost = asyncio.Event(), list[OSError]()

    def tell(result: ProbeResult) -> None:
        try:
            if lines:
                console.print(Text(line(stamped(result))))
        except OSError as error:  # nobody reads on
            lost.append(error)
            ended.set()

    on = watching(config, image=image, interval=interval, timeout=timeout, tell=tell)
    async with on.prober:
        with _key(ended):
            await (_live(console, on, ended) if console.is_interactive else ended.wait())
    if lost:
        raise lost[0]


async def _live(console: Console, on: Watching, ended: asyncio.Event) -> None:
    """Keep the table current until it ends."""
    with Live(console=console, auto_refresh=False) as live:
        while not ended.is_set():
            live.update(_screen(console, on), refresh=True)
            await _pause(ended)


async def _pause(ended: asyncio.Event) -> None:
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait({waiting}, timeout=_REFRESH_SECONDS)
    waiting.cancel()


@contextmanager
def _key(ended: asyncio.Event) -> Iterator[None]:
    """Have q end it, where there is somebody to press it."""
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

    tty.setcbreak(number)
    loop.add_reader(number, pressed)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _screen(console: Console, on: Watching) -> RenderableType:
    """The servers, those that fail first, and what can be done."""
    probe = on.prober.probe
    known = {(each["address"], each["port"]): each for each in report(on.journal.hour())["servers"]}
    latest = {server: on.prober.results.get(server) for server in probe.config.servers}
    order = sorted(latest, key=lambda server: (not _fails(latest[server]), server.netloc))
    rows = [_row(server, latest[server], known.get(_place(server))) for server in order]
    failing = sum(_fails(each) for each in latest.values())
    words = f"{failing} of {len(order)} fail" if failing else f"{len(order)} servers, none fails"
    foot = Text(f"{words}; every {on.prober.interval:g} s; q ends it", "dim")
    return Group(table(console, _HEADINGS, rows), foot)


def _place(server: Server) -> tuple[str, str]:
    return server.host, str(server.port)


def _fails(result: ProbeResult | None) -> bool:
    return result is not None and bool(result.reason)


def _row(
    server: Server, result: ProbeResult | None, hour: ServerReport | None
) -> tuple[object, ...]:
    if result is None or hour is None:
        return (server.netloc, state(None), *[""] * (len(_HEADINGS) - 2))
    return (
        server.netloc,
        state(result.reason),
        result.reason,
        _clock(hour["last_success"]),
        hour["attempts"],
        hour["failed"],
        _milliseconds(hour["p50"]),
        _milliseconds(hour["p95"]),
    )


def _clock(when: float | None) -> str:
    if when is None:
        return "never"
    return f"{datetime.fromtimestamp(when, timezone.utc).astimezone():%H:%M:%S}"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"
