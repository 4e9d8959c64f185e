"""What happened, told by whoever makes calls: an operation, a server, an outcome.

It knows nothing of the pipeline of this package: other libraries' calls are recorded by it too.
"""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING

from .catalogue import KNOWN_REASONS, OTHER

if TYPE_CHECKING:
    from ..config import Server
    from ..errors import AttemptError
    from .catalogue import Direction, Outcome
    from .metrics import Metrics
    from .spans import Active, HTTPRequest, Spans


def reason_of(error: BaseException) -> str:
    """The reason that an error has, if it is one of the closed set."""
    reason = getattr(error, "reason", OTHER)
    return reason if isinstance(reason, str) and reason in KNOWN_REASONS else OTHER


def tell_where(error: AttemptError, active: Active | None) -> None:
    """Have an error tell in which span it is seen."""
    if active is not None:
        context = active.span.get_span_context()
        error.trace_id = format(context.trace_id, "032x")
        error.span_id = format(context.span_id, "016x")


class Recorder:
    """Tells spans and metrics of calls; it raises nothing.

    Args:
        spans: Where spans are started and ended.
        metrics: Where all is counted, failures of telemetry too.
    """

    def __init__(self, spans: Spans, metrics: Metrics) -> None:
        self.spans = spans
        self.metrics = metrics
        self.troubles = metrics.troubles

    def call(self, operation: str) -> CallRecord:
        """A call starts."""
        return CallRecord(self, operation)

    def stream(
        self, operation: str, server: Server, direction: Direction, parent: Active | None = None
    ) -> StreamRecord:
        """Image data starts to come, or to go.

        Args:
            operation: What asked for it.
            server: Where it comes from or goes to.
            direction: Which of the two.
            parent: The span of the attempt that it belongs to.
        """
        active = self.spans.start_stream(operation, server, parent)
        return StreamRecord(self, server, direction, active)


class CallRecord:
    """A call under way, from its start to its `end`, in the thread or task that made it.

    Attributes:
        operation: Its name, such as ``images.get``.
        span: Its span, unless that could not be started.
        servers: The server of each attempt, in order.
        delay: Seconds that it has waited between attempts.
        sent: How often each request was sent, by its method and what follows the server's URL.
    """

    __slots__ = ("_started", "_token", "delay", "operation", "recorder", "sent", "servers", "span")

    def __init__(self, recorder: Recorder, operation: str) -> None:
        self.recorder = recorder
        self.operation = operation
        self.servers: list[Server] = []
        self.delay = 0.0
        self.sent: dict[tuple[str | None, str], int] = {}
        self._token = CURRENT.set(self)
        self._started = perf_counter()
        self.span = recorder.spans.start_call(operation)

    def attempt(
        self,
        server: Server,
        number: int = 1,
        maximum: int = 1,
        *,
        trial: bool = False,
        request: HTTPRequest | None = None,
    ) -> AttemptRecord:
        """An attempt on one server starts.

        Args:
            server: The server.
            number: 1 for the first.
            maximum: How many there may be.
            trial: Whether the server is on trial after a cool-down.
            request: What it sends, for the span to tell if there are none of requests.
        """
        self.servers.append(server)
        return AttemptRecord(self, server, number, maximum, trial=trial, request=request)

    def retry(self, reason: str, delay: float) -> None:
        """Another attempt will follow the one that failed for `reason`, in `delay` seconds."""
        self.delay += delay
        exemplar = None if self.span is None else self.span.exemplar()
        metrics = self.recorder.metrics
        metrics.retry(self.operation, self.servers[-1], reason, delay, exemplar)
        if self.span is not None:
            self.recorder.spans.retry(self.span, delay, reason)

    def end(
        self,
        outcome: Outcome | None = None,
        reason: str = "",
        message: str = "",
        *,
        cancelled: bool = False,
    ) -> None:
        """The call ended.

        Args:
            outcome: How; None for success, after however many attempts.
            reason: Why it failed; empty for success.
            message: What the span tells of that; it must have no secret.
            cancelled: Whether its caller ended it, which is no error of the span's.
        """
        seconds = perf_counter() - self._started
        CURRENT.reset(self._token)
        if outcome is None:
            outcome = "success_first_try" if len(self.servers) <= 1 else "success_after_retry"
        exemplar = None if self.span is None else self.span.exemplar()
        metrics = self.recorder.metrics
        metrics.call(self.operation, outcome, reason, seconds, exemplar)
        if len(self.servers) > 1:
            metrics.call_retries(self.operation, len(self.servers) - 1, exemplar)
        if outcome == "exhausted" and self.servers:
            metrics.connection_failed(self.operation, self.servers[-1], reason, exemplar)
        if self.span is not None:
            self.recorder.spans.end_call(
                self.span, outcome, "" if cancelled else reason, message, self.servers, self.delay
            )


CURRENT: ContextVar[CallRecord] = ContextVar("traced_image_call")
"""The call under way in this thread or task."""


class AttemptRecord:
    """An attempt under way on one server.

    Attributes:
        span: Its span, unless that could not be started.
    """

    __slots__ = ("_call", "_server", "_started", "span")

    def __init__(
        self,
        call: CallRecord,
        server: Server,
        number: int,
        maximum: int,
        *,
        trial: bool,
        request: HTTPRequest | None,
    ) -> None:
        self._call = call
        self._server = server
        recorder = call.recorder
        recorder.metrics.attempt_started(server)
        self.span = recorder.spans.start_attempt(
            call.operation, server, number, maximum, trial=trial, request=request
        )
        self._started = perf_counter()

    def end(
        self,
        reason: str = "",
        status: int = 0,
        request_id: str | None = None,
        *,
        cancelled: bool = False,
    ) -> None:
        """The attempt ended.

        Args:
            reason: Why it failed; empty for success.
            status: The HTTP status of its last reply; 0 for none.
            request_id: The server's id of it.
            cancelled: Whether its caller ended it, which is no error of the span's.
        """
        seconds = perf_counter() - self._started
        call, span = self._call, self.span
        exemplar = None if span is None else span.exemplar()
        call.recorder.metrics.attempt_ended(call.operation, self._server, reason, seconds, exemplar)
        if span is not None:
            told = "" if cancelled else reason
            call.recorder.spans.end_attempt(span, told, status, request_id)


class StreamRecord:
    """Image data under way; ended once, however often it is said."""

    __slots__ = ("_count", "_direction", "_ended", "_recorder", "_server", "span")

    def __init__(
        self, recorder: Recorder, server: Server, direction: Direction, span: Active | None
    ) -> None:
        self._recorder = recorder
        self._server = server
        self._direction = direction
        self._count = 0
        self._ended = False
        self.span = span

    def add(self, count: int) -> None:
        """So many more bytes came or went."""
        self._count += count
        self._recorder.metrics.stream_bytes(self._server, self._direction, count)

    def end(self, reason: str = "", *, complete: bool) -> None:
        """The stream ended.

        Args:
            reason: Why it broke off or was wrong; empty where it did not.
            complete: Whether it came to its end, rather than being given up.
        """
        if self._ended:
            return
        self._ended = True
        if reason:
            exemplar = None if self.span is None else self.span.exemplar()
            self._recorder.metrics.stream_error(self._server, self._direction, exemplar)
        if self.span is not None:
            self._recorder.spans.end_stream(self.span, reason, self._count, complete=complete)
