"""Spans of calls, attempts and streams, in the names of the catalogue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_tracer,
    set_span_in_context,
)

from . import catalogue as names
from .trouble import Troubles, harmless

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from ..config import Server
    from .backends import Exemplar
    from .catalogue import Outcome

ERROR = Status(StatusCode.ERROR)

_SECRETS = re.compile(rf"(?<=[?&])({'|'.join(names.SECRET_KEYS)})=[^&#]*")
_TOKENS = re.compile(r"gAAAA[\w=-]+")
_CALLS = {name: names.CALL_SPAN.format(operation=name) for name in names.OPERATIONS}
_ATTEMPTS = {name: names.ATTEMPT_SPAN.format(operation=name) for name in names.OPERATIONS}


def redacted(url: str) -> str:
    """A URL as ``url.full`` may tell it."""
    return _TOKENS.sub("REDACTED", _SECRETS.sub(r"\1=REDACTED", url))


class HTTPRequest(NamedTuple):
    """The request of an attempt whose span is the CLIENT span."""

    method: str
    url: str


class Active(NamedTuple):
    """A span that is under way, and what makes it current."""

    span: Span
    token: Token[Context] | None

    def exemplar(self) -> Exemplar | None:
        """Its ids for metrics, if it is sampled."""
        context = self.span.get_span_context()
        if not context.trace_flags.sampled:
            return None
        return {
            "trace_id": format(context.trace_id, "032x"),
            "span_id": format(context.span_id, "016x"),
        }


class Spans:
    """Starts and ends spans.

    Args:
        tracer_provider: Where they go; None for the process's global provider.
        wire_spans: Whether each HTTP request has a CLIENT span below the attempt's; otherwise
            the attempt's span is one.
        troubles: Takes note of what processors raise.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None, troubles: Troubles, *, wire_spans: bool
    ) -> None:
        self._tracer = get_tracer(
            names.SCOPE, tracer_provider=tracer_provider, schema_url=names.SCHEMA_URL
        )
        self.wire_spans = wire_spans
        self._attempt_kind = SpanKind.INTERNAL if wire_spans else SpanKind.CLIENT
        self.troubles = troubles

    @harmless("spans")
    def start_call(self, operation: str) -> Active:
        """Start the span of a call and make it current."""
        return _current(
            self._tracer.start_span(
                _CALLS.get(operation, names.CALL_SPAN.format(operation=names.OTHER)),
                attributes={names.OPERATION: operation},
            )
        )

    @harmless("spans")
    def end_call(
        self,
        active: Active,
        outcome: Outcome,
        reason: str,
        message: str,
        servers: Sequence[Server],
        delay: float,
    ) -> None:
        """End the span of a call; one that recovered is no error."""
        _end(
            active,
            {
                names.OUTCOME: outcome,
                names.ATTEMPTS: len(servers),
                names.RETRY_DELAY_TOTAL: delay,
                names.SERVERS_TRIED: [server.netloc for server in servers],
            },
            reason,
            message,
        )

    @harmless("spans")
    def retry(self, active: Active, delay: float, reason: str) -> None:
        """Note on a call's span that it will try again."""
        active.span.add_event(
            names.RETRY_EVENT, {names.RETRY_DELAY: delay, names.ERROR_TYPE: reason}
        )

    @harmless("spans")
    def start_attempt(
        self,
        operation: str,
        server: Server,
        number: int,
        maximum: int,
        *,
        trial: bool,
        request: HTTPRequest | None,
    ) -> Active:
        """Start the span of an attempt and make it current."""
        attributes: dict[str, AttributeValue] = {
            names.OPERATION: operation,
            names.SERVER_ADDRESS: server.host,
            names.SERVER_PORT: server.port,
            names.ATTEMPT_NUMBER: number,
            names.ATTEMPT_MAXIMUM: maximum,
            names.ATTEMPT_TRIAL: trial,
        }
        if request is not None and not self.wire_spans:
            attributes[names.HTTP_REQUEST_METHOD] = request.method
            attributes[names.URL_FULL] = redacted(request.url)
            if number > 1:
                attributes[names.HTTP_RESEND_COUNT] = number - 1
        return _current(
            self._tracer.start_span(
                _ATTEMPTS.get(operation, names.ATTEMPT_SPAN.format(operation=names.OTHER)),
                kind=self._attempt_kind,
                attributes=attributes,
            )
        )

    @harmless("spans")
    def end_attempt(self, active: Active, reason: str, status: int, request_id: str | None) -> None:
        """End the span of an attempt; a failed one is an error, even if the call recovers."""
        attributes: dict[str, AttributeValue] = {}
        if request_id is not None:
            attributes[names.REQUEST_ID] = request_id
        if status and not self.wire_spans:
            attributes[names.HTTP_RESPONSE_STATUS_CODE] = status
        _end(active, attributes, reason)

    @harmless("spans")
    def start_stream(self, operation: str, server: Server, parent: Active | None) -> Active:
        """Start the span of a stream below that of its attempt; it is never current.

        Whoever reads the stream has spans of their own meanwhile, or reads it elsewhere.
        """
        return Active(
            self._tracer.start_span(
                names.STREAM_SPAN.format(operation=operation),
                None if parent is None else set_span_in_context(parent.span),
                attributes={
                    names.OPERATION: operation,
                    names.SERVER_ADDRESS: server.host,
                    names.SERVER_PORT: server.port,
                },
            ),
            None,
        )

    @harmless("spans")
    def end_stream(self, active: Active, reason: str, count: int, *, complete: bool) -> None:
        """End the span of a stream."""
        _end(active, {names.STREAM_SIZE: count, names.STREAM_COMPLETE: complete}, reason)


def _current(span: Span) -> Active:
    return Active(span, otel_context.attach(set_span_in_context(span)))


def _end(
    active: Active, attributes: Mapping[str, AttributeValue], reason: str, message: str = ""
) -> None:
    """End a span; the one before it is current again."""
    span, token = active
    if token is not None:
        otel_context.detach(token)
    if span.is_recording():
        span.set_attributes(attributes)
        if reason:
            span.set_attribute(names.ERROR_TYPE, reason)
            span.set_status(Status(StatusCode.ERROR, message) if message else ERROR)
    span.end()
