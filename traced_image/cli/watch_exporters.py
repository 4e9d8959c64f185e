"""The watch of ``watch --exporter``: a table of what callers see, or a line for each change."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..diagnosis.words import format_count
from .exporter_poll import WAITING, ExporterPoll, ExporterSeen
from .exporter_table import (
    FLEXIBLE,
    HEADINGS,
    OPTIONAL,
    describe_exporter,
    describe_server,
    is_server,
    make_row,
)
from .output import open_output
from .watch_screen import WatchRow, WatchTable
from .watch_terminal import LinePrinter, run_live

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from ..diagnosis.live_servers import ServerNow
    from ..diagnosis.requests_of_sources import SourceReader

_LOOK_SECONDS = 1.0
"""Seconds between two looks for changes, at most."""

_MOST_EXPORTERS = 3
"""How many exporters that report no server have a line below the table."""


class ExporterTable(WatchTable):
    """The servers as the callers see them.

    Args:
        poll: The latest reports.
        interval: Seconds between two readings of an exporter.
    """

    headings = HEADINGS
    flexible = FLEXIBLE
    optional = OPTIONAL

    def __init__(self, poll: ExporterPoll, interval: float) -> None:
        self._poll = poll
        self.interval = interval

    def list_rows(self) -> list[WatchRow]:
        """Return the servers, those that fail first."""
        now = self._poll.now
        return [
            WatchRow(make_row(each, now), each.fails if is_server(each) else None)
            for each in self._poll.servers
        ]

    def list_notes(self) -> list[str]:
        """Return the exporters that report no server, and why."""
        lines = [describe_exporter(each) for each in self._poll.without_servers]
        more = len(lines) - _MOST_EXPORTERS
        rest = [f"and {format_count(more, 'exporter')} more"] if more > 0 else []
        return [*lines[:_MOST_EXPORTERS], *rest]


class ChangeLog:
    """What was printed about servers and exporters, to print changes only.

    Args:
        poll: The latest reports.
    """

    def __init__(self, poll: ExporterPoll) -> None:
        self._poll = poll
        self._told: dict[str, object] = {}

    def list_changes(self) -> Iterator[str]:
        """Yield a line for each server and exporter that has changed since the last time."""
        now, before, self._told = self._poll.now, self._told, {}
        without = self._poll.without_servers
        for exporter in without:
            self._told[exporter.url] = exporter
            if exporter != before.get(exporter.url) and exporter.problem != WAITING:
                yield describe_exporter(exporter)
        yield from _list_back(before.values(), self._told)
        for each in self._poll.servers:
            self._told[each.server] = state = _choose_told(each)
            if state != before.get(each.server):
                yield describe_server(each, now)


def _list_back(before: Iterable[object], told: Container[str]) -> Iterator[str]:
    """Yield a line for each exporter that reported no server before, and reports some now."""
    for each in before:
        if isinstance(each, ExporterSeen) and each.problem != WAITING and each.url not in told:
            yield f"exporter {each.url} reports servers"


def _choose_told(server: ServerNow) -> object:
    """Return what makes a change of a server, unlike its figures."""
    callers = {name: each.failing for name, each in server.callers.items() if each.failing}
    return server.fails, server.reasons, server.operations, callers


async def watch_exporters(
    readers: Sequence[SourceReader], interval: float, limit: float, *, verbose: bool
) -> None:
    """Show what exporters tell until a key, a signal or the end of the output ends it.

    Args:
        readers: Reads each exporter.
        interval: Seconds between two readings of an exporter.
        limit: Seconds for one answer.
        verbose: Whether changes are told above the table, too.
    """
    console, ended = open_output(), asyncio.Event()
    printer, poll = LinePrinter(console, ended), ExporterPoll(readers, limit)
    tasks = [asyncio.ensure_future(poll.read_for_ever(interval))]
    if verbose or not console.is_interactive:
        tasks.append(asyncio.ensure_future(_tell(ChangeLog(poll), printer, interval)))
    for each in tasks:
        each.add_done_callback(lambda _: ended.set())  # by a defect: it must not pass in silence
    try:
        await run_live(console, ExporterTable(poll, interval), ended)
    finally:
        for each in tasks:
            each.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
    printer.check()


async def _tell(changes: ChangeLog, printer: LinePrinter, interval: float) -> None:
    while True:
        for line in changes.list_changes():
            time = datetime.now(timezone.utc).astimezone()
            printer.print(f"{time:%Y-%m-%dT%H:%M:%S%z} {line}")
        await asyncio.sleep(min(interval, _LOOK_SECONDS))
