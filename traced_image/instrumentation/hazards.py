"""What a stock client did with a call and its caller does not see, from the call's attempts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ..redact import hide_in_record
from ..telemetry.catalogue import HAZARD_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..config import Server
    from ..telemetry.catalogue import HazardKind
    from ..telemetry.recorder import Recorder
    from ..telemetry.spans import Active

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

_NEVER_SENT = frozenset(
    "connect_timeout connection_refused dns_error invalid_endpoint network_unreachable"
    " tls_error".split()
)
"""The reasons after which a server has not seen the request."""

_SAFE = frozenset({"GET", "HEAD"})
"""The methods of requests that change nothing."""

_UPLOADS = frozenset({"images.create", "images.upload", "images.stage"})
"""The operations that send data; that of openstacksdk that creates an image may."""


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt of a call that has ended, and that the caller did not end.

    Attributes:
        server: Its server; None if unknown.
        reason: Why it failed; empty for success.
        replies: How many HTTP requests were answered without an error, such as a list's pages.
        sent: Bytes of an upload's data that were read to be sent; None if nobody counted them.
        ended: When it ended, in seconds of ``time.perf_counter()``.
        skipped: Bytes of the same data that attempts before it had read, and that it did not send.
        method: The HTTP method of its last request, or of the one that failed; empty if unknown.
        resumes: Whether it went on with the request that failed in the attempt before.
    """

    server: Server | None
    reason: str
    replies: int
    sent: int | None
    ended: float
    skipped: int = 0
    method: str = ""
    resumes: bool = False

    @property
    def may_have_worked(self) -> bool:
        """Whether it failed, and the server may have done what it was asked all the same."""
        changing = self.method not in _SAFE
        return changing and bool(self.reason) and self.reason not in _NEVER_SENT


def find_hazards(operation: str, attempts: Sequence[PastAttempt]) -> Iterator[HazardKind]:
    """Yield what the attempts of a call that has ended did together.

    Args:
        operation: The operation, such as ``images.upload``.
        attempts: The attempts, in order; the call returned something after the last one or raised
            the failure of the last one.
    """
    *before, last = attempts
    if operation in _UPLOADS and not last.reason and _sent_less(before, last):
        yield "upload_truncated"
    if not before:  # the first attempt alone is what its caller asked for
        return
    if operation == "images.create" and _is_repeated(attempts):
        yield "create_repeated"
    if operation == "images.delete" and last.reason == "404" and _may_have_worked(before):
        yield "delete_not_found"
    if operation.endswith(".list") and _is_restarted(attempts):
        yield "list_restarted"


def _is_restarted(attempts: Sequence[PastAttempt]) -> bool:
    return any(
        one.reason and one.replies and not other.resumes for one, other in pairwise(attempts)
    )


def _sent_less(before: Sequence[PastAttempt], last: PastAttempt) -> bool:
    if last.skipped:
        return True
    counts = [each.sent for each in before if each.sent is not None]
    return last.sent is not None and bool(counts) and last.sent < max(counts)


def _is_repeated(attempts: Sequence[PastAttempt]) -> bool:
    """Return whether two attempts may each have created an image.

    One that failed has not if its last request was another one, such as that of the data.
    """
    return (
        sum(
            not each.reason or (each.may_have_worked and each.method in ("", "POST"))
            for each in attempts
        )
        > 1
    )


def _may_have_worked(attempts: Sequence[PastAttempt]) -> bool:
    return any(each.may_have_worked for each in attempts)


def names_server(error: BaseException, server: Server) -> bool:
    """Return whether the text of an exception names a server."""
    return server.host in str(error)


def report_hazard(
    recorder: Recorder, operation: str, kind: HazardKind, server: Server | None, span: Active | None
) -> None:
    """Count a hazard, add its event to a span, and log a warning.

    Args:
        recorder: Counts it.
        operation: The operation of its call.
        kind: What the client did.
        server: The server of the last attempt; None if unknown.
        span: The span of the call or of the stream; None if it has none.
    """
    recorder.hazard(kind, span, server)
    name = "unknown" if server is None else server.netloc
    LOG.warning("%s: %s. The last server: %s.", operation, HAZARD_KINDS[kind], name)
