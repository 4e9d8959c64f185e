"""The record of a stream: it counts image data, and ends the stream's span."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from .catalogue import close_reason
from .reporting import find_exemplar

if TYPE_CHECKING:
    from ..config import Server
    from .catalogue import Direction
    from .reporting import CallState, Reporting
    from .spans import Active


class StreamRecord:
    """A stream of image data under way; only the first call of `end` counts.

    Attributes:
        span: The stream's span; None if it has none.
        call: The call that the stream belongs to; None if unknown.
    """

    __slots__ = (
        "_count",
        "_direction",
        "_ended",
        "_latest",
        "_reporting",
        "_server",
        "call",
        "span",
    )

    def __init__(
        self,
        reporting: Reporting,
        server: Server | None,
        direction: Direction,
        span: Active | None,
    ) -> None:
        self._reporting = reporting
        self._server = server
        self._direction = direction
        self._count = 0
        self._ended = False
        self._latest = perf_counter()
        self.span = span
        self.call: CallState | None = None

    def add(self, count: int) -> None:
        """Record that `count` more bytes were received or sent."""
        self._count += count
        self._latest = perf_counter()
        with self._reporting.guard_metrics:
            self._reporting.metrics.stream_bytes(self._server, self._direction, count)

    def end(self, reason: str = "", *, complete: bool) -> None:
        """End the stream.

        Args:
            reason: Why the stream broke off or its data was wrong; empty for neither.
            complete: Whether all the data came; false if the reader stopped early.
        """
        if self._ended:
            return
        self._ended = True
        reporting, span, reason = self._reporting, self.span, close_reason(reason)
        if reason:
            if self.call is not None:
                self.call.broken, self.call.lost = reason, perf_counter() - self._latest
            with reporting.guard_metrics:
                reporting.metrics.stream_error(self._server, self._direction, find_exemplar(span))
        if span is not None:
            with reporting.guard_spans:
                reporting.spans.end_stream(span, reason, self._count, complete=complete)
