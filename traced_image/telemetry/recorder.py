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
    from .backends import Exemplar
    from .catalogue import Direction, Outcome
    from .metrics import Metrics
    from .spans import Active, HTTPRequest, Spans


def reason_of(error: BaseException) -> str:
    """The reason that an error has, if it is one of the closed set."""
    reason = getattr(error, "reason", OTHER)
    return reason if isinstance(reason, str) and reason in KNOWN_REASONS else OTHER


def _known(reason: str) -> str:
    return reason if not reason or reason in KNOWN_REASONS else OTHER


def tell_where(error: AttemptError, active: Active | None) -> None:
    """Have an error tell in which span it is seen."""
    context = None if active is None else active.span.get_span_context()
    if context is not None and context.is_valid:
        error.trace_id = format(context.trace_id, "032x")
        error.span_id = format(context.span_id, "016x")


class Recorder:
    """Tells spans and metrics of calls. What these raise is noted, and never raised.

    Args:
        spans: Where spans are started and ended.
        metrics: Where all is counted, failures of telemetry too.
    """

    def __init__(self, spans: Spans, metrics: Metrics) -> None:
        self.spans = spans
        self.metrics = metrics
        self.guard_spans = metrics.troubles.guard("spans")
        self.guard_metrics = metrics.troubles.guard("metrics")

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
        span = None
        with self.guard_spans:
            span = self.spans.start_stream(operation, server, parent)
        return StreamRecord(self, server, direction, span)


class CallRecord:
    """A call under way, from its start to its `end`, in the thread or task that made it.

    Attributes:
        recorder: What is told.
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
        self.span: Active | None = None
        self._token = CURRENT.set(self)
        self._started = perf_counter()
        with recorder.guard_spans:
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
        record = AttemptRecord(self, server)
        with self.recorder.guard_spans:
            record.span = self.recorder.spans.start_attempt(
                self.operation, server, number, maximum, trial=trial, request=request
            )
        return record

    def retry(self, reason: str, delay: float) -> None:
        """Another attempt will follow the one that failed for `reason`, in `delay` seconds."""
        self.delay += delay
        recorder, span, reason = self.recorder, self.span, _known(reason)
        with recorder.guard_metrics:
            server = self.servers[-1]
            recorder.metrics.retry(self.operation, server, reason, delay, _exemplar(span))
        if span is not None:
            with recorder.guard_spans:
                recorder.spans.retry(span, delay, reason)

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
        try:  # noqa: SIM105 it costs nothing where nothing is raised
            CURRENT.reset(self._token)
        except (RuntimeError, ValueError):  # it has ended before, or does so elsewhere
            pass
        reason = _known(reason)
        if outcome is None:
            outcome = "success_first_try" if len(self.servers) <= 1 else "success_after_retry"
        recorder, span = self.recorder, self.span
        with recorder.guard_metrics:
            self._count(outcome, reason, seconds)
        if span is not None:
            told = "" if cancelled else reason
            with recorder.guard_spans:
                recorder.spans.end_call(span, outcome, told, message, self.servers, self.delay)

    def _count(self, outcome: Outcome, reason: str, seconds: float) -> None:
        metrics, exemplar = self.recorder.metrics, _exemplar(self.span)
        metrics.call(self.operation, outcome, reason, seconds, exemplar)
        if len(self.servers) > 1:
            metrics.call_retries(self.operation, len(self.servers) - 1, exemplar)
        if outcome == "exhausted" and self.servers:
            metrics.connection_failed(self.operation, self.servers[-1], reason, exemplar)


CURRENT: ContextVar[CallRecord] = ContextVar("traced_image_call")
"""The call under way in this thread or task."""


class AttemptRecord:
    """An attempt under way on one server.

    Attributes:
        span: Its span, unless that could not be started.
    """

    __slots__ = ("_call", "_server", "_started", "span")

    def __init__(self, call: CallRecord, server: Server) -> None:
        self._call = call
        self._server = server
        self.span: Active | None = None
        self._started = perf_counter()
        with call.recorder.guard_metrics:
            call.recorder.metrics.attempt_started(server)

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
        call, span, reason = self._call, self.span, _known(reason)
        recorder = call.recorder
        with recorder.guard_metrics:
            recorder.metrics.attempt_ended(
                call.operation, self._server, reason, seconds, _exemplar(span)
            )
        if span is not None:
            told = "" if cancelled else reason
            with recorder.guard_spans:
                recorder.spans.end_attempt(span, told, status, request_id)


class StreamRecord:
    """Image data under way; ended once, however often it is said.

    Attributes:
        span: Its span, unless it has none.
    """

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
        with self._recorder.guard_metrics:
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
        recorder, span, reason = self._recorder, self.span, _known(reason)
        if reason:
            with recorder.guard_metrics:
                recorder.metrics.stream_error(self._server, self._direction, _exemplar(span))
        if span is not None:
            with recorder.guard_spans:
                recorder.spans.end_stream(span, reason, self._count, complete=complete)


def _exemplar(span: Active | None) -> Exemplar | None:
    return None if span is None else span.exemplar()
