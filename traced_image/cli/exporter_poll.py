"""Readings of exporters, all at once: one that is slow delays no other."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..diagnosis.exporter_report import NO_REPORT, ProcessSaw, is_report
from ..diagnosis.live_servers import list_servers
from ..errors import DiagnosisError
from .signals import start_work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from ..diagnosis.live_servers import ServerNow
    from ..diagnosis.requests_of_sources import SourceReader

WAITING = "waiting for its answer"


@dataclass(frozen=True, slots=True)
class ExporterSeen:
    """An exporter that reports no server.

    Attributes:
        url: Its URL, without secrets.
        problem: Why it can't be read or knows no server, or `WAITING`; empty if it was read, and no
            call of its process asked a server.
    """

    url: str
    problem: str


class ExporterPoll:
    """The latest report of each exporter, or why there is none.

    Each reading has a thread of its own. An exporter whose last reading still lasts is not asked
    again, so that there are no more threads than exporters.

    Args:
        readers: Reads each exporter.
        limit: Seconds for one answer.
    """

    def __init__(self, readers: Sequence[SourceReader], limit: float) -> None:
        self._polled = [_PolledExporter(each, limit) for each in readers]

    async def read(self) -> None:
        """Read each exporter once."""
        await asyncio.gather(*(each.read() for each in self._polled))

    async def read_for_ever(self, interval: float) -> None:
        """Read each exporter at an interval in seconds, in a rhythm of its own."""
        await asyncio.gather(*(each.read_for_ever(interval) for each in self._polled))

    @property
    def now(self) -> float:
        """When the latest report was made, in seconds since the epoch; now if there is none."""
        return max((each.end for each in self._list_reports()), default=time.time())

    @property
    def servers(self) -> list[ServerNow]:
        """The servers as the callers see them now, those that fail first."""
        return list_servers(self._list_reports())

    @property
    def without_servers(self) -> list[ExporterSeen]:
        """The exporters that can't be read, or know no server."""
        return [
            ExporterSeen(each.url, each.problem or (each.report.notice if each.report else ""))
            for each in self._polled
            if each.report is None or not any(each.report.list_servers())
        ]

    def _list_reports(self) -> list[ProcessSaw]:
        return [each.report for each in self._polled if each.report is not None]


class _PolledExporter:
    """An exporter that is read again and again."""

    def __init__(self, reader: SourceReader, limit: float) -> None:
        self._reader, self._limit = reader, limit
        self._under_way: Future[object] | None = None
        self.url = reader.shown
        self.report: ProcessSaw | None = None
        self.problem = WAITING

    async def read_for_ever(self, interval: float) -> None:
        while True:
            await self.read()
            await asyncio.sleep(interval)

    async def read(self) -> None:
        try:
            answer = await self._ask()
        except DiagnosisError as error:
            self.report, self.problem = None, str(error).removeprefix(f"{self._reader.name}: ")
            return
        if is_report(answer):
            self.report, self.problem = ProcessSaw(self.url, answer), ""
        else:
            self.report, self.problem = None, NO_REPORT

    async def _ask(self) -> object:
        """Return the answer.

        Raises:
            DiagnosisError: There is none in time.
        """
        if self._under_way is None or self._under_way.done():
            self._under_way = start_work(lambda: self._reader.read("/servers"))
        answer = asyncio.wrap_future(self._under_way)
        try:
            await asyncio.wait({answer}, timeout=self._limit)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        raise DiagnosisError(f"no answer within {self._limit:g} s")
