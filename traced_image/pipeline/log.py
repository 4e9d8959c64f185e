"""The log lines: about failed attempts, broken streams, calls that failed, and odd records."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..config.checks import format_value

if TYPE_CHECKING:
    from ..config import Server
    from ..errors import AttemptError, GlanceConnectionFailed, TokenUnavailable
    from .api.operation import Operation
    from .attempts.seams import Failure, Skips


LOG = logging.getLogger(__name__)

MOST_SKIPS = 10
"""Lines about single records that one list logs; one more line has the number of the others."""


def log_failure(failure: Failure) -> None:
    """Log a failed attempt, and the call if it gave up; this is the innermost `Announce`."""
    attempt = failure.attempt
    operation = attempt.call.operation
    fields = {
        "operation": operation.name,
        "attempt": attempt.number,
        "attempts_max": attempt.maximum,
        "retry_delay": failure.delay,
    }
    if failure.error.verdict == "failed":
        retrying = failure.delay is not None
        _log_warning(attempt.server, operation.action, failure.error, fields, retrying=retrying)
    if failure.given_up is not None:
        _log_giving_up(operation.action, failure.given_up, failure)


def log_stream_failure(server: Server, error: AttemptError, *, retrying: bool) -> None:
    """Log a stream that broke after its attempt had succeeded."""
    _log_warning(server, "data", error, {"operation": "images.data"}, retrying=retrying)


def log_token_failure(operation: Operation[object], error: TokenUnavailable) -> None:
    """Log a call for which Keystone gave no token; the line names no server."""
    LOG.error(
        "Got no token for '%(method)s', %(reason)s: %(error)s",
        {"method": operation.action, "reason": error.reason, "error": error},
        extra={"operation": operation.name, "error_type": error.reason},
    )


def log_skips(skips: Skips) -> None:
    """Log what a list left out; this is the innermost `AnnounceSkips`."""
    for record in skips.records[:MOST_SKIPS]:
        LOG.warning(
            "Left a record out of the list: image %(image)s, its %(field)s can't be read.",
            {"image": format_value(record.image_id), "field": record.field},
            extra={"operation": skips.operation},
        )
    rest = len(skips.records) - MOST_SKIPS
    if rest > 0:
        LOG.warning(
            "Left %(count)d more records out of the list.",
            {"count": rest},
            extra={"operation": skips.operation},
        )


def _log_warning(
    server: Server, action: str, error: AttemptError, fields: dict[str, object], *, retrying: bool
) -> None:
    """Log nova's line with the reason behind it. nova adds a traceback, which says no more."""
    # The first sentence is nova's, so that operators' searches and alerts for it still match.
    LOG.warning(
        "Error contacting glance server '%(host)s:%(port)s' for '%(method)s', %(extra)s."
        " Reason: %(reason)s.",
        {
            "host": server.netloc.rpartition(":")[0],
            "port": server.port,
            "method": action,
            "extra": "retrying" if retrying else "done trying",
            "reason": error.reason,
        },
        extra=fields | _make_fields(server, error, error.reason),
    )


def _log_giving_up(action: str, error: GlanceConnectionFailed, failure: Failure) -> None:
    attempt = failure.attempt
    fields = {"operation": attempt.call.operation.name, "attempts": attempt.number}
    # Where earlier attempts had used up the deadline, nothing is held against the last server.
    accused = None if failure.error.verdict == "cancelled" else attempt.server
    LOG.error(
        "Gave up '%(method)s' after %(attempts)d attempts, %(reason)s: %(error)s",
        {
            "method": action,
            "attempts": attempt.number,
            "reason": error.reason,
            "error": error,
        },
        extra=fields | _make_fields(accused, failure.error, error.reason),
    )


def _make_fields(server: Server | None, error: AttemptError, reason: str) -> dict[str, object]:
    """Build the attributes that the record of every line about an attempt or a stream has."""
    return {
        "server_address": server and server.host,
        "server_port": server and server.port,
        "error_type": reason,
        "request_id": error.request_id,
        "trace_id": error.trace_id,
        "span_id": error.span_id,
    }
