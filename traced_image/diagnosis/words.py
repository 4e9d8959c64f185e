"""The words of the answer: counts, times, durations, and what a server does for each reason."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..telemetry import catalogue
from .observations import STREAM_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERBS = {
    "dns_error": "has a name that does not resolve",
    "connection_refused": "refuses connections",
    "connect_timeout": "can't be reached",
    "network_unreachable": "can't be reached",
    "tls_error": "fails the TLS handshake",
    "proxy_error": "can't be reached through its proxy",
    "read_timeout": "never answers",
    "connection_reset": "closes connections too early",
    "protocol_error": "sends replies that are not valid",
    "deadline_exceeded": "takes longer than its calls may",
    STREAM_ERROR: "breaks off image data",
    "checksum_mismatch": "sends data that does not match its checksum",
}
"""What a server does, by the reason of its failures."""

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_SHORT = 2 * _MINUTE
_MILLISECONDS = 0.9995
"""Seconds up to which milliseconds have three digits: what is more rounds to a second."""

_ONE_PERCENT = 0.01
_LAST = datetime.max.replace(tzinfo=timezone.utc, microsecond=0).timestamp()


def describe_reason(reason: str) -> str:
    """Return a reason as the answer names it: that of the catalogue, and HTTP before a status."""
    if reason in ("", catalogue.OTHER):
        return "reason not told"  # metrics may leave it out: see Telemetry's detail
    return f"HTTP {reason}" if reason[:1].isdigit() else reason


def describe_failure(reasons: Iterable[str]) -> str:
    """Return what a server does that fails, such as ``never answers (read_timeout)``.

    Args:
        reasons: The reasons of its failures, the most frequent first.
    """
    every = list(reasons)
    statuses = [each for each in every if each[:1].isdigit()]
    others = [each for each in every if each not in statuses]
    parts = [f"answers {join(map(describe_reason, statuses))}"] if statuses else []
    if others:
        first = every[0] == others[0]
        verb = _VERBS.get(others[0], "fails") if first else "fails"
        parts.insert(0 if first else 1, f"{verb} ({join(map(describe_reason, others))})")
    return " or ".join(parts) or "fails"


def join(words: Iterable[str]) -> str:
    """Return words as a part of a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *rest, last = [*words] or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


def format_count(count: int, name: str) -> str:
    """Return a count and what it is of, such as ``2 servers``."""
    several = f"{name}es" if name.endswith("s") else f"{name}s"
    return f"{count:,} {name if count == 1 else several}"


def format_share(share: float) -> str:
    """Return a share as a percentage; what is not zero does not become it."""
    return "less than 1 %" if 0 < share < _ONE_PERCENT else f"{share:.0%}".replace("%", " %")


def format_duration(seconds: float) -> str:
    """Return a duration in the unit that fits it, such as ``5 ms``, ``1.01 s``, ``12 min``.

    One below zero is of clocks that differ, and becomes zero.
    """
    seconds = max(seconds, 0.0)
    if seconds < _MILLISECONDS:
        return f"{seconds * 1000:.3g} ms"
    if seconds < _SHORT:
        return f"{seconds:.3g} s"
    for limit, unit, name in ((2 * _HOUR, _MINUTE, "min"), (2 * _DAY, _HOUR, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / _DAY:,.0f} days"


def to_time(seconds: float) -> datetime:
    """Return a time in UTC of seconds since the epoch; what no calendar has becomes its end."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST), timezone.utc)


def format_time(seconds: float, now: float) -> str:
    """Return a time of day in UTC, with its date if that is not the date of `now`."""
    time, today = to_time(seconds), to_time(now)
    return f"{time:%H:%M:%S}" if time.date() == today.date() else f"{time:%Y-%m-%d %H:%M:%S}"
