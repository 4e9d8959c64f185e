"""The table of ``watch`` by its own probes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..exporter.report import make_report
from .servers import name_state, name_why
from .watch_screen import WatchRow, WatchTable

if TYPE_CHECKING:
    from ..config import Server
    from ..exporter.probing.result import ProbeResult
    from ..exporter.schema import ServerReport
    from .probe_observers import ProbeObservers

_MOST_WRONG = 3
"""How many servers have a line below the table that says what is wrong with their probes."""


class ProbeTable(WatchTable):
    """The servers with their latest probes, and those of the last hour.

    Args:
        on: The probes and their results.
    """

    headings = ("server", "state", "why", "last success", "probes", "failed", "p50 ms", "p95 ms")
    flexible = ("server", "why")

    def __init__(self, on: ProbeObservers) -> None:
        self._on = on
        self.interval = on.prober.interval

    def list_rows(self) -> list[WatchRow]:
        """Return a row for each server, those whose latest probe failed first."""
        results = self._on.prober.results
        servers = self._on.prober.probe.config.servers
        latest = {server: results.get(server) for server in servers}
        report = make_report(self._on.journal.hour())["servers"]
        known = {(each["address"], each["port"]): each for each in report}
        order = sorted(latest, key=lambda each: (not _is_failing(latest[each]), each.netloc))
        return [
            WatchRow(
                _make_row(each, latest[each], known.get(_format_place(each))),
                _is_failing(latest[each]),
            )
            for each in order
        ]

    def list_notes(self) -> list[str]:
        """Return what is wrong with the settings of probes, of some servers."""
        return sorted(self._on.prober.results.misconfigurations().values())[:_MOST_WRONG]


def _format_place(server: Server) -> tuple[str, str]:
    return server.host, str(server.port)


def _is_failing(result: ProbeResult | None) -> bool:
    return result is not None and result.failed


def _make_row(
    server: Server, result: ProbeResult | None, hour: ServerReport | None
) -> tuple[object, ...]:
    if result is None or hour is None:
        return (server.netloc, name_state(None), *[""] * (len(ProbeTable.headings) - 2))
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
