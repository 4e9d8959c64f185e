"""A call of a stock client: its record, its attempts so far, and what they mean together."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING

from ..reasons import OTHER, find_reason, find_status
from ..telemetry import catalogue as names
from ..telemetry.verdicts import TOKEN_UNAVAILABLE, decide_verdict, is_cancelled
from .failures import NOBODY, find_blame
from .hazards import find_hazards, names_server, report_hazard

if TYPE_CHECKING:
    from ..config import Server
    from ..telemetry.attempt_record import AttemptRecord
    from ..telemetry.recorder import CallRecord, Recorder
    from .failures import Blame
    from .hazards import PastAttempt
    from .hooks import ClientRequest
    from .upload_progress import UploadProgress

_OVERLOADED = "503"
"""The reason that openstacksdk has no exception of its own for."""

INVALID_ENDPOINT = "invalid_endpoint"
"""The reason of a call that found no server to ask, such as by Keystone's catalogue."""

GaveUp = tuple[type[BaseException], ...]
"""The exception types of a server that can't be reached or is overloaded."""


class ClientCall:
    """A call of a stock client under way, whatever makes its attempts.

    A service that retries, such as nova, opens one with `open_call`; the calls of the client below
    join it as its attempts. Without a service, the client's call opens one of its own.

    Attributes:
        recorder: Records it.
        operation: The operation, such as ``images.get``.
        record: Its record.
        uploaded: How far its last attempt has read its data; None if that has sent none.
    """

    __slots__ = (
        *("_gave_up", "_handled", "_past"),
        *("operation", "record", "recorder", "uploaded"),
    )

    def __init__(
        self, recorder: Recorder, operation: str, gave_up: GaveUp, record: CallRecord
    ) -> None:
        self.recorder = recorder
        self.operation = operation
        self.record = record
        self._gave_up = gave_up
        # Python chains a new exception to the one that the caller handles already.
        self._handled = sys.exc_info()[1]
        self._past: list[PastAttempt] = []
        self.uploaded: UploadProgress | None = None

    def start_attempt(self, endpoint: str, request: ClientRequest) -> AttemptRecord:
        """Start an attempt; it is a retry if the attempt before it failed.

        Args:
            endpoint: The server's URL.
            request: The attempt's first HTTP request.
        """
        # `requests` does not send what has no scheme, and so no server is to be named.
        is_url = endpoint.lower().startswith(("http://", "https://"))
        server = self.recorder.find_server(endpoint) if is_url else None
        if self._has_failed:
            last = self._past[-1]
            self.record.retry(last.reason, perf_counter() - last.ended, server)
        # Another instrumentation may have a span between: that one ends before the attempt's.
        return self.record.attempt(server, request=request, parent=self.record.span)

    def note(self, attempt: PastAttempt) -> None:
        """Record that an attempt has ended, and not because its caller ended it."""
        self._past.append(attempt)

    def end(self, error: BaseException | None = None, source: BaseException | None = None) -> None:
        """End the call.

        Args:
            error: What it raised; None for success.
            source: What the caller's own data raised while it was read; None for nothing.
        """
        try:
            self._end(error, source)
        except BaseException:  # a signal handler's, or that of an exception that can't be examined
            self.record.abandon()
            raise

    def _end(self, error: BaseException | None, source: BaseException | None) -> None:
        try:
            self._note_hazards(error)
        finally:
            if error is not None:
                self._end_raised(error, self.find_blame(error), source)
            elif self._has_failed:  # the client has swallowed the error
                self._end_as_last(error)
            else:
                self.record.end()

    def end_bypassed(self, error: BaseException) -> None:
        """End a call without Glance that raised an exception, whose HTTP status is the service's.

        Args:
            error: What it raised.
        """
        if is_cancelled(error):
            self.record.end("cancelled", OTHER)
        else:
            self.record.end("non_retryable", self.find_reason(error.__context__ or error))

    def find_blame(self, error: BaseException | None) -> Blame:
        """Return whose failure an exception of the call is."""
        return NOBODY if error is None else find_blame(error, self._handled)

    def find_reason(self, error: BaseException) -> str:
        """Return why the call failed with an exception."""
        return names.close_reason(find_reason(error, self._handled))

    def _end_as_last(self, error: BaseException | None) -> None:
        """End the call with the failure of its last attempt, whatever exception came of that.

        A service's exceptions have statuses of their own: all of nova's say 500 if none is set.
        """
        reason = self._past[-1].reason
        if isinstance(error, self._gave_up) or (error is not None and reason == _OVERLOADED):
            self.record.end("exhausted", reason)
        else:
            refused = decide_verdict(reason) == "refused"
            self.record.end("refused" if refused else "non_retryable", reason)

    def _end_raised(self, error: BaseException, blame: Blame, source: BaseException | None) -> None:
        if blame.caller or blame.has(source) or is_cancelled(error):
            self.record.end("cancelled", OTHER)
        elif blame.keystone is not None:
            self.record.end("non_retryable", TOKEN_UNAVAILABLE)
            self.recorder.metrics.token_failed(self.find_reason(blame.keystone), None)
        elif blame.lost and not self._has_failed:
            self.record.end("non_retryable", INVALID_ENDPOINT)
        elif self._has_asked_nobody(error):
            self.record.end("cancelled", OTHER)
        elif self._has_failed:
            self._end_as_last(error)
        else:
            self.record.__exit__(type(error), error, None)

    @property
    def _has_failed(self) -> bool:
        """Whether the last attempt failed."""
        return bool(self._past and self._past[-1].reason)

    def _has_asked_nobody(self, error: BaseException) -> bool:
        """Return whether an argument could not be used, unless the error is a refusal by status."""
        return not self.record.servers and not find_status(error)

    def _note_hazards(self, error: BaseException | None) -> None:
        if not self._past:
            return
        last, failed = self._past[-1], self.record.failed
        for kind in find_hazards(self.operation, self._past):
            if error is None or kind != "upload_truncated":  # the caller knows of that failure
                self._note_hazard(kind, last.server)
        if error is None and last.reason:
            self._note_hazard("error_swallowed", last.server)
        if isinstance(error, self._gave_up) and failed and not names_server(error, failed):
            self._note_hazard("server_unnamed", failed)

    def _note_hazard(self, kind: names.HazardKind, server: Server | None) -> None:
        report_hazard(self.recorder, self.operation, kind, server, self.record.span)


CLIENT_CALL: ContextVar[ClientCall | None] = ContextVar("traced_image_client_call", default=None)
"""The call of a service that makes its attempts by calls of a client, in this thread or task."""


def open_call(recorder: Recorder, operation: str, gave_up: GaveUp) -> ClientCall:
    """Start a call of its own."""
    return ClientCall(recorder, operation, gave_up, recorder.call(operation, gave_up))
