"""The servers as exporters report them: rows of a table, lines, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from ..diagnosis.live_servers import AT_TIMES, PROBES, REFUSES, SLOW
from ..diagnosis.observations import KEYSTONE
from ..diagnosis.words import (
    describe_reason,
    format_count,
    format_duration,
    format_share,
    format_time,
    join,
    to_time,
)
from .output import make_printable

if TYPE_CHECKING:
    from ..diagnosis.live_servers import ServerNow
    from .exporter_poll import ExporterSeen

HEADINGS = (
    *("server", "state", "reason", "since UTC", "in a row", "operations"),
    *("share of load", "cost of retries", "processes"),
)
FLEXIBLE = ("state", "reason", "operations", "cost of retries", "processes")
OPTIONAL = ("cost of retries", "share of load")
"""The columns that a narrow table leaves out, the last one first."""

_STYLES = {
    "healthy": "green",
    **dict.fromkeys(("trial", AT_TIMES, PROBES, REFUSES, SLOW), "yellow"),
}


def make_row(server: ServerNow, now: float) -> tuple[object, ...]:
    """Return the cells of a server.

    Args:
        server: The server.
        now: The time that it is seen at, in seconds since the epoch.
    """
    return (
        server.server,
        Text(describe_state(server), _STYLES.get(server.state, "red" if server.fails else "dim")),
        describe_reasons(server),
        _format_since(server, now),
        server.row or "",
        ", ".join(server.operations),
        "" if server.share is None else format_share(server.share),
        _format_cost(server),
        describe_callers(server),
    )


def describe_exporter(exporter: ExporterSeen) -> str:
    """Describe an exporter that reports no server in one line."""
    return f"exporter {exporter.url}: {exporter.problem or 'no call of its process asked a server'}"


def describe_state(server: ServerNow) -> str:
    """Return the state of a server, and for how many of several processes it fails."""
    if server.state == PROBES:
        return "probes fail"
    if not server.failing or server.asking == 1:
        return server.state or "no attempts"
    return f"{server.state} for {server.failing} of {server.asking}"


def describe_reasons(server: ServerNow) -> str:
    """Return why a server fails; empty if it does not."""
    return join(describe_reason(each) for each in server.reasons)


def describe_callers(server: ServerNow) -> str:
    """Return for which processes a server fails, and for how many of each kind."""
    return ", ".join(
        name if each.asking == 1 else f"{name} ({each.failing} of {each.asking})"
        for name, each in server.callers.items()
        if each.failing
    )


def _format_since(server: ServerNow, now: float) -> str:
    if server.since is None:
        return ""
    return f"{'' if server.exact else 'about '}{format_time(server.since, now)}"


def _format_cost(server: ServerNow) -> str:
    if not server.calls_saved:
        return ""
    calls = format_count(round(server.calls_saved), "call")
    return f"{format_duration(server.cost_seconds or 0.0)} in {calls}"


def describe_server(server: ServerNow, now: float) -> str:
    """Describe a server in one line."""
    name = make_printable(server.server)
    if not server.fails:
        return f"{name} is {server.state}" if server.state else f"{name} has no attempts"
    who = "its probes" if server.state == PROBES else f"{server.failing} of {server.asking}"
    since = _format_since(server, now)
    parts = [
        f"{name} fails for {who}",
        describe_reasons(server),
        f"since {since} UTC" if since else "",
        ", ".join(server.operations),
        describe_callers(server),
    ]
    return "; ".join(filter(None, parts))


def make_json(server: ServerNow) -> dict[str, object]:
    """Return a server for a program, with the names that ``diagnose`` uses; None is unknown."""
    return {
        "server": server.server,
        "ok": not server.fails,
        "state": server.state or None,
        "reason": next(iter(server.reasons), None),
        "reasons": server.reasons,
        "since": None if server.since is None else to_time(server.since),
        "since_exact": server.exact,
        "failures_in_a_row": server.row,
        "operations": server.operations,
        "share": server.share,
        "calls_saved": server.calls_saved,
        "cost_seconds": server.cost_seconds,
        "processes": {
            name: {"asking": each.asking, "failing": each.failing}
            for name, each in server.callers.items()
        },
    }


def is_server(server: ServerNow) -> bool:
    """Return whether it is a server of Glance, and not Keystone."""
    return server.server != KEYSTONE
