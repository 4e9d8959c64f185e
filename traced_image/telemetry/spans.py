"""Spans of calls, attempts and streams, with the catalogue's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from opentelemetry import context as otel_context
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_current_span,
    get_tracer,
    set_span_in_context,
)

from .._version import find_version
from ..redact import hide_in_url
from . import catalogue as names
from .http_instrumentation import Suppression

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from ..config import Server
    from .catalogue import HazardKind, Outcome, VerdictLabel
    from .updates import Exemplar

ERROR = Status(StatusCode.ERROR)

_NAMED = {*names.OPERATIONS, names.OTHER}
_CALLS = {name: names.CALL_SPAN.format(operation=name) for name in _NAMED}
_ATTEMPTS = {name: names.ATTEMPT_SPAN.format(operation=name) for name in _NAMED}
_STREAMS = {name: names.STREAM_SPAN.format(operation=name) for name in _NAMED}


class HTTPRequest(Protocol):
    """The request of an attempt whose span is the CLIENT span; an `Operation` is one."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def path(self) -> str:
        """The path and query after the server's URL."""


class Active(NamedTuple):
    """A span under way, and the token that restores the previous current span."""

    span: Span
    token: Token[Context] | None

    def exemplar(self) -> Exemplar | None:
        """Return the span's context for a metric's exemplar; None if the span is not sampled."""
        context = self.span.get_span_context()
        return context if context.trace_flags.sampled else None

    def enter(self) -> Active:
        """Make the span current, if it is not; return it with the token to leave it."""
        return self if self.token is not None else _make_current(self.span)

    def leave(self) -> Active:
        """Make the previous span current again, if this one was; return it without a token."""
        return Active(_leave(self), None)

    def abandon(self) -> None:
        """End the span, and make the previous one current again, if neither has been done."""
        if self.token is not None and get_current_span() is self.span:
            otel_context.detach(self.token)
        if self.span.is_recording():
            self.span.end()


class Spans:
    """Starts and ends spans; each method raises whatever a processor or sampler raises.

    Args:
        tracer_provider: Where the spans go; None for the process's global provider.
        wire_spans: Whether each HTTP request has a CLIENT span below the attempt's span;
            otherwise the attempt's span is the CLIENT span.
    """

    def __init__(self, tracer_provider: TracerProvider | None, *, wire_spans: bool) -> None:
        self._tracer = get_tracer(
            names.SCOPE,
            find_version(),
            tracer_provider=tracer_provider,
            schema_url=names.SCHEMA_URL,
        )
        self.wire_spans = wire_spans
        self._suppression = Suppression()
        self._attempt_kind = SpanKind.INTERNAL if wire_spans else SpanKind.CLIENT

    def start_call(self, operation: str) -> Active | None:
        """Start the span of a call and make it current.

        This and the other methods that start a span return None if the application has switched
        all instrumentation off, by OpenTelemetry's ``suppress_instrumentation()``.
        """
        if self._suppression.is_on_for_all(otel_context.get_current()):
            return None
        name = _CALLS.get(operation) or _CALLS[names.OTHER]
        return _make_current(self._tracer.start_span(name, attributes={names.OPERATION: operation}))

    def end_call(
        self,
        active: Active,
        outcome: Outcome,
        reason: str,
        message: str,
        servers: Sequence[Server | None],
        delay: float,
        cost: float,
    ) -> None:
        """End the span of a call; its status is an error only if the call failed.

        Args:
            active: The call's span.
            outcome: How the call ended.
            reason: Why it failed; empty for success.
            message: The description in the span's status; empty for none.
            servers: The server of each attempt, in order; None for an unknown one.
            delay: Seconds waited between attempts.
            cost: Seconds that retries added.
        """
        span = _leave(active)
        if span.is_recording():
            span.set_attributes(
                {
                    names.OUTCOME: outcome,
                    names.ATTEMPTS: len(servers),
                    names.RETRY_DELAY_TOTAL: delay,
                    names.RETRY_COST_TOTAL: cost,
                    names.SERVERS_TRIED: list(map(_format_server, servers)),
                }
            )
        _end(span, reason, message)

    def retry(
        self,
        active: Active,
        failed: Server | None,
        next_server: Server | None,
        reason: str,
        delay: float,
    ) -> None:
        """Add the event of a retry to a call's span.

        Args:
            active: The call's span.
            failed: The server that failed; None if unknown.
            next_server: The server of the next attempt; None if unknown.
            reason: Why the first of these failed.
            delay: Seconds until the next attempt.
        """
        attributes: dict[str, AttributeValue] = {
            names.ERROR_TYPE: reason,
            names.RETRY_DELAY: delay,
        }
        if failed is not None:
            attributes[names.SERVER_ADDRESS] = failed.host
            attributes[names.SERVER_PORT] = failed.port
        if next_server is not None:
            attributes[names.RETRY_NEXT_SERVER] = next_server.netloc
        active.span.add_event(names.RETRY_EVENT, attributes)

    def hazard(self, active: Active, kind: HazardKind, server: Server | None) -> None:
        """Add the event of a hazard to the span of a call or of a stream."""
        attributes: dict[str, AttributeValue] = {names.HAZARD_KIND: kind}
        if server is not None:
            attributes[names.SERVER_ADDRESS] = server.host
            attributes[names.SERVER_PORT] = server.port
        active.span.add_event(names.HAZARD_EVENT, attributes)

    def start_attempt(
        self,
        operation: str,
        server: Server | None,
        number: int,
        maximum: int,
        *,
        trial: bool,
        request: HTTPRequest | None,
        parent: Active | None = None,
    ) -> Active | None:
        """Start the span of an attempt and make it current.

        Args:
            operation: The operation of its call.
            server: Its server; None if unknown.
            number: Its number, from 1.
            maximum: How many attempts the call may make; 0 if unknown.
            trial: Whether the server is on trial after a cool-down.
            request: The HTTP request, for the span if there are no wire spans.
            parent: The span above it; None for the current one.
        """
        if self._suppression.is_on_for_all(otel_context.get_current()):
            return None
        attributes: dict[str, AttributeValue] = {
            names.OPERATION: operation,
            names.ATTEMPT_NUMBER: number,
            names.ATTEMPT_TRIAL: trial,
        }
        if server is not None:
            attributes[names.SERVER_ADDRESS] = server.host
            attributes[names.SERVER_PORT] = server.port
        if maximum:
            attributes[names.ATTEMPT_MAXIMUM] = maximum
        if request is not None and server is not None and not self.wire_spans:
            attributes[names.HTTP_REQUEST_METHOD] = request.method
            attributes[names.URL_FULL] = hide_in_url(server.url + request.path)
            if number > 1:
                attributes[names.HTTP_RESEND_COUNT] = number - 1
        return _make_current(
            self._tracer.start_span(
                _ATTEMPTS.get(operation) or _ATTEMPTS[names.OTHER],
                None if parent is None else set_span_in_context(parent.span),
                kind=self._attempt_kind,
                attributes=attributes,
            )
        )

    def end_attempt(
        self,
        active: Active,
        verdict: VerdictLabel,
        reason: str,
        status: int,
        request_id: str | None,
    ) -> None:
        """End the span of an attempt; a failed attempt is an error, even if the call succeeds."""
        span = _leave(active)
        if span.is_recording():
            if verdict != "success":
                span.set_attribute(names.ATTEMPT_VERDICT, verdict)
            # Two calls, because one `set_attributes` of the SDK costs more than both.
            if request_id is not None:
                span.set_attribute(names.REQUEST_ID, request_id)
            if status and not self.wire_spans:
                span.set_attribute(names.HTTP_RESPONSE_STATUS_CODE, status)
        _end(span, reason)

    def start_stream(
        self, operation: str, server: Server | None, parent: Active | None
    ) -> Active | None:
        """Start the span of a stream below the span of its call; it is never current.

        The reader of the stream may start its own spans meanwhile, or read in another thread.
        """
        if self._suppression.is_on_for_all(otel_context.get_current()):
            return None
        attributes: dict[str, AttributeValue] = {names.OPERATION: operation}
        if server is not None:
            attributes[names.SERVER_ADDRESS] = server.host
            attributes[names.SERVER_PORT] = server.port
        return Active(
            self._tracer.start_span(
                _STREAMS.get(operation) or _STREAMS[names.OTHER],
                None if parent is None else set_span_in_context(parent.span),
                attributes=attributes,
            ),
            None,
        )

    def end_stream(self, active: Active, reason: str, count: int, *, complete: bool) -> None:
        """End the span of a stream."""
        span = _leave(active)
        span.set_attributes({names.STREAM_SIZE: count, names.STREAM_COMPLETE: complete})
        _end(span, reason)


def _format_server(server: Server | None) -> str:
    return names.OTHER if server is None else server.netloc


def _make_current(span: Span) -> Active:
    return Active(span, otel_context.attach(set_span_in_context(span)))


def _leave(active: Active) -> Span:
    """Make the previous span current again and return the span that was current."""
    if active.token is not None:
        otel_context.detach(active.token)
    return active.span


def _end(span: Span, reason: str, message: str = "") -> None:
    if reason:
        span.set_attribute(names.ERROR_TYPE, reason)
        span.set_status(Status(StatusCode.ERROR, message) if message else ERROR)
    span.end()
