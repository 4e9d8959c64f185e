"""The recorder: the one door through which any client's calls become spans and metrics.

It knows nothing of the pipeline of this package: other libraries' calls are recorded by it too.
"""

from __future__ import annotations

import re
import sys
from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING

from ..config import Server
from ..errors import AttemptError, GlanceConnectionFailed, InvalidServer, TracedImageError
from ..reasons import find_reason, find_status
from .catalogue import KNOWN_REASONS, OTHER

if TYPE_CHECKING:
    from typing_extensions import Self

    from .backends import Exemplar
    from .catalogue import Direction, Outcome
    from .metrics import Metrics
    from .spans import Active, HTTPRequest, Spans


MOST_ENDPOINTS = 1024
"""Texts of endpoints that are remembered with the servers that they name."""


def _check_reason(reason: str) -> str:
    return reason if not reason or reason in KNOWN_REASONS else OTHER


def set_trace_ids(error: AttemptError, active: Active | None) -> None:
    """Have an error tell in which span it is seen."""
    context = None if active is None else active.span.get_span_context()
    if context is not None and context.is_valid:
        error.trace_id = format(context.trace_id, "032x")
        error.span_id = format(context.span_id, "016x")


class Recorder:
    """Records the calls of any client, as spans and metrics, in the names of the catalogue.

    It is the one door: this package's pipeline, its probes, and adapters of other clients tell it
    of operations, servers and outcomes. What spans and metrics raise is counted, and never
    raised::

        recorder = telemetry.make_recorder()
        with recorder.call("images.get") as call:
            with call.attempt("http://glance-1:9292") as attempt:
                response = session.get(...)
                attempt.status = response.status_code

    Args:
        spans: Where spans are started and ended.
        metrics: Where all is counted, failures of telemetry too.
    """

    def __init__(self, spans: Spans, metrics: Metrics) -> None:
        self.spans = spans
        self.metrics = metrics
        self.guard_spans = metrics.errors.guard("spans")
        self.guard_metrics = metrics.errors.guard("metrics")

    def call(
        self,
        operation: str,
        gave_up: tuple[type[BaseException], ...] = (GlanceConnectionFailed,),
    ) -> CallRecord:
        """Start a call; it ends with its ``with`` block, or by `CallRecord.end`.

        Args:
            operation: What is asked for, such as ``images.get``.
            gave_up: The errors that say that no server answered.
        """
        return CallRecord(self, operation, gave_up)

    def find_server(self, endpoint: str) -> Server | None:
        """Find the server that a URL or a ``host:port`` names; None if it names none.

        The first 1,000 servers have series of their own from then on.
        """
        server = _parse_endpoint(endpoint)
        if server is not None:
            self.metrics.known((server,))
        return server

    def stream(
        self,
        operation: str,
        server: Server | None,
        direction: Direction,
        parent: Active | None = None,
    ) -> StreamRecord:
        """Start to record image data that comes or goes.

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


@lru_cache(maxsize=MOST_ENDPOINTS)
def _parse_endpoint(endpoint: str) -> Server | None:
    """Parse an endpoint's URL, without what is its credentials, query and fragment."""
    head, slashes, rest = endpoint.rpartition("//")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    try:
        return Server.parse(f"{head}{slashes}{authority.rpartition('@')[2]}{slash}{path}")
    except InvalidServer:
        return None


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

    __slots__ = (
        *("_ended", "_gave_up", "_handled", "_started", "_token"),
        *("delay", "operation", "recorder", "sent", "servers", "span"),
    )

    def __init__(
        self, recorder: Recorder, operation: str, gave_up: tuple[type[BaseException], ...]
    ) -> None:
        self.recorder = recorder
        self.operation = operation
        self._gave_up = gave_up
        self._handled = sys.exc_info()[1]
        self._ended = False
        self.servers: list[Server | None] = []
        self.delay = 0.0
        self.sent: dict[tuple[str | None, str], int] = {}
        self.span: Active | None = None
        self._token = CURRENT.set(self)
        self._started = perf_counter()
        with recorder.guard_spans:
            self.span = recorder.spans.start_call(operation)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._ended:
            return
        if error is None:
            self.end()
            return
        self.end(
            "exhausted" if isinstance(error, self._gave_up) else "non_retryable",
            find_reason(error, self._handled),
            # Anybody else's words may have a secret.
            str(error) if isinstance(error, TracedImageError) else "",
            cancelled=not isinstance(error, Exception),
        )

    def attempt(
        self,
        server: Server | str | None,
        number: int = 0,
        maximum: int = 0,
        *,
        trial: bool = False,
        request: HTTPRequest | None = None,
    ) -> AttemptRecord:
        """Start an attempt on one server; it ends with its ``with`` block, or by its `end`.

        Args:
            server: The server, or its endpoint as text; None if nobody knows it.
            number: 1 for the first; 0 for the next.
            maximum: How many there may be; 0 if nobody knows.
            trial: Whether the server is on trial after a cool-down.
            request: What it sends, for the span to tell if there are none of requests.
        """
        if isinstance(server, str):
            server = self.recorder.find_server(server)
        self.servers.append(server)
        number = number or len(self.servers)
        record = AttemptRecord(self, server)
        with self.recorder.guard_spans:
            record.span = self.recorder.spans.start_attempt(
                self.operation, server, number, maximum, trial=trial, request=request
            )
        return record

    def retry(self, reason: str, delay: float) -> None:
        """Record that another attempt follows the one that failed for `reason`.

        Args:
            reason: Why the last attempt failed.
            delay: Seconds until the next one.
        """
        self.delay += delay
        recorder, span, reason = self.recorder, self.span, _check_reason(reason)
        with recorder.guard_metrics:
            server = self.servers[-1]
            recorder.metrics.retry(self.operation, server, reason, delay, _find_exemplar(span))
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
        """End the call.

        Args:
            outcome: How it ended; None for success, after however many attempts.
            reason: Why it failed; empty for success.
            message: What the span tells of that; it must have no secret.
            cancelled: Whether its caller ended it, which is no error of the span's.
        """
        seconds = perf_counter() - self._started
        self._ended = True
        try:  # noqa: SIM105 it costs nothing where nothing is raised
            CURRENT.reset(self._token)
        except (RuntimeError, ValueError):  # it has ended before, or does so elsewhere
            pass
        reason = _check_reason(reason)
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
        metrics, exemplar = self.recorder.metrics, _find_exemplar(self.span)
        metrics.call(self.operation, outcome, reason, seconds, exemplar)
        if len(self.servers) > 1:
            metrics.call_retries(self.operation, len(self.servers) - 1, exemplar)
        if outcome == "exhausted" and self.servers:
            metrics.connection_failed(self.operation, self.servers[-1], reason, exemplar)


CURRENT: ContextVar[CallRecord] = ContextVar("traced_image_call")
"""The call under way in this thread or task."""


def current_call() -> CallRecord | None:
    """Return the call under way in this thread or task, to which an attempt may belong."""
    return CURRENT.get(None)


class AttemptRecord:
    """An attempt under way on one server.

    Attributes:
        span: Its span, unless that could not be started.
        status: The HTTP status of its last reply, for its ``with`` block to end with; 0 for none.
        request_id: The server's ``X-OpenStack-Request-ID``, likewise.
    """

    __slots__ = (
        *("_call", "_ended", "_handled", "_server", "_started"),
        *("request_id", "span", "status"),
    )

    def __init__(self, call: CallRecord, server: Server | None) -> None:
        self._call = call
        self._server = server
        self._handled = sys.exc_info()[1]
        self._ended = False
        self.status = 0
        self.request_id: str | None = None
        self.span: Active | None = None
        self._started = perf_counter()
        with call.recorder.guard_metrics:
            call.recorder.metrics.attempt_started(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._ended:
            return
        if error is None:
            self.end("", self.status, self.request_id)
            return
        if isinstance(error, AttemptError):
            set_trace_ids(error, self.span)
        self.end(
            find_reason(error, self._handled),
            find_status(error) or self.status,
            getattr(error, "request_id", self.request_id),
            cancelled=not isinstance(error, Exception),
        )

    def end(
        self,
        reason: str = "",
        status: int = 0,
        request_id: str | None = None,
        *,
        cancelled: bool = False,
    ) -> None:
        """End the attempt.

        Args:
            reason: Why it failed; empty for success.
            status: The HTTP status of its last reply; 0 for none.
            request_id: The server's id of it.
            cancelled: Whether its caller ended it, which is no error of the span's.
        """
        seconds = perf_counter() - self._started
        self._ended = True
        call, span, reason = self._call, self.span, _check_reason(reason)
        recorder = call.recorder
        with recorder.guard_metrics:
            recorder.metrics.attempt_ended(
                call.operation, self._server, reason, seconds, _find_exemplar(span)
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
        self,
        recorder: Recorder,
        server: Server | None,
        direction: Direction,
        span: Active | None,
    ) -> None:
        self._recorder = recorder
        self._server = server
        self._direction = direction
        self._count = 0
        self._ended = False
        self.span = span

    def add(self, count: int) -> None:
        """Record that `count` more bytes came or went."""
        self._count += count
        with self._recorder.guard_metrics:
            self._recorder.metrics.stream_bytes(self._server, self._direction, count)

    def end(self, reason: str = "", *, complete: bool) -> None:
        """End the stream.

        Args:
            reason: Why it broke off or was wrong; empty where it did not.
            complete: Whether it came to its end, rather than being given up.
        """
        if self._ended:
            return
        self._ended = True
        recorder, span, reason = self._recorder, self.span, _check_reason(reason)
        if reason:
            with recorder.guard_metrics:
                recorder.metrics.stream_error(self._server, self._direction, _find_exemplar(span))
        if span is not None:
            with recorder.guard_spans:
                recorder.spans.end_stream(span, reason, self._count, complete=complete)


def _find_exemplar(span: Active | None) -> Exemplar | None:
    return None if span is None else span.exemplar()
