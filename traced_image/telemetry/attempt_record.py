"""The record of an attempt: it ends the attempt's span, and counts the attempt for its server."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

from ..errors import AttemptError, TokenUnavailable, TracedImageError, Unauthorized
from ..reasons import find_reason, find_status
from .catalogue import close_reason
from .reporting import find_exemplar, set_trace_ids
from .verdicts import decide_verdict, is_cancelled

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..config import Server
    from .catalogue import VerdictLabel
    from .reporting import CallState, Reporting
    from .spans import Active


class AttemptRecord:
    """An attempt under way on one server.

    The caller sets `status` and `request_id`; the end of the ``with`` block reads them.

    Attributes:
        span: The attempt's span; None if the span could not be started.
        status: The HTTP status of the last reply; 0 for none.
        request_id: The server's ``X-OpenStack-Request-ID``; None for none.
        verdict: What it says about its server; None until it has ended.
        reason: Why it failed; empty for success, and until it has ended.
    """

    __slots__ = (
        *("_call", "_ended", "_handled", "_place", "_reporting", "_server", "_started"),
        *("reason", "request_id", "span", "status", "verdict"),
    )

    def __init__(self, reporting: Reporting, call: CallState, server: Server | None) -> None:
        self._reporting = reporting
        self._call = call
        self._server = server
        self._handled = sys.exc_info()[1]
        self._ended = False
        self.status = 0
        self.request_id: str | None = None
        self.verdict: VerdictLabel | None = None
        self.reason = ""
        self.span: Active | None = None
        self._started = perf_counter()
        metrics = reporting.metrics
        self._place = metrics.find_place(server)
        # Before it is counted: what is raised from here on makes the call leave the attempt.
        call.under_way = self
        try:
            metrics.attempt_started(self._place, id(self))
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            self._reporting.note_metrics(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._ended:
            return
        if error is None:
            self.end("", self.status, self.request_id)
        elif isinstance(error, AttemptError):
            self._fail(error)
        elif is_cancelled(error):
            self.cancel()
        elif isinstance(error, TokenUnavailable):
            # Keystone gave no other token after the server had rejected one.
            self.end(str(Unauthorized.status), Unauthorized.status, self.request_id)
        elif isinstance(error, TracedImageError):
            # The server answered well, and its caller can't use the answer.
            self.end("", self.status, self.request_id)
        else:
            self.end(
                find_reason(error, self._handled),
                find_status(error) or self.status,
                getattr(error, "request_id", self.request_id),
            )

    def idle(self, seconds: float) -> None:
        """Take time out of the duration that its caller spent, such as between a list's pages.

        Args:
            seconds: How long the caller took.
        """
        self._started += seconds

    def _fail(self, error: AttemptError) -> None:
        set_trace_ids(error, self.span)
        if error.verdict == "cancelled":
            self.cancel()
        else:
            self.end(error.reason, find_status(error), error.request_id, error.verdict)

    def cancel(self) -> None:
        """End an attempt that its caller ended: it says nothing about the server.

        Metrics do not count it, and its span has no error.
        """
        self._call.cancelled = self._ended = True
        self.verdict = "cancelled"
        try:
            self.leave()
        finally:
            self._end_span("cancelled", "", self.status, self.request_id)

    def end(
        self,
        reason: str = "",
        status: int = 0,
        request_id: str | None = None,
        verdict: VerdictLabel | None = None,
    ) -> None:
        """End the attempt.

        Args:
            reason: Why it failed; empty for success.
            status: The HTTP status of its last reply; 0 for none.
            request_id: The server's ``X-OpenStack-Request-ID``; None for none.
            verdict: What it says about its server; None for what follows from the reason.
        """
        self._ended = True
        reason = self.reason = close_reason(reason)
        verdict = self.verdict = verdict or decide_verdict(reason)
        if verdict == "failed":
            self._call.failed = self._server
        try:
            self._count(verdict, reason)
        finally:  # also if a signal handler raised: no span stays current
            self._end_span(verdict, reason, status, request_id)

    def _count(self, verdict: VerdictLabel, reason: str) -> None:
        call, exemplar = self._call, find_exemplar(self.span)
        seconds = call.lost = perf_counter() - self._started
        self.leave()
        try:
            self._reporting.metrics.attempt_ended(
                call.operation, self._place, verdict, reason, seconds, exemplar
            )
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            self._reporting.note_metrics(error)

    def leave(self) -> None:
        """Count the attempt as no longer under way."""
        reporting = self._reporting
        try:
            reporting.metrics.attempt_left(self._place, id(self))
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            reporting.note_metrics(error)
        self._call.under_way = None

    def _end_span(
        self, verdict: VerdictLabel, reason: str, status: int, request_id: str | None
    ) -> None:
        if self.span is None:
            return
        reporting = self._reporting
        try:
            reporting.spans.end_attempt(self.span, verdict, reason, status, request_id)
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            reporting.note_spans(error)
