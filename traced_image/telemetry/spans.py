"""Spans of calls and attempts, in the names of the catalogue."""

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
from .record import reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from ..pipeline.model import Attempt
    from .record import CallRecord

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions whose names are used."""


_SECRETS = re.compile(rf"(?<=[?&])({'|'.join(names.SECRET_KEYS)})=[^&#]*")


def redacted(url: str) -> str:
    """A URL as ``url.full`` may tell it."""
    return _SECRETS.sub(r"\1=REDACTED", url)


class Active(NamedTuple):
    """A span that is under way, and what makes it current."""

    span: Span
    token: Token[Context]

    def end(
        self,
        attributes: Mapping[str, AttributeValue],
        error: BaseException | None,
        message: str = "",
    ) -> None:
        """End it; the span before it is current again.

        What ends a thread or a process, as KeyboardInterrupt does, is no error of the span's.
        """
        otel_context.detach(self.token)
        if error is not None:
            self.span.set_attribute(names.ERROR_TYPE, reason_of(error))
        if isinstance(error, Exception):
            self.span.set_status(Status(StatusCode.ERROR, message or None))
        self.span.set_attributes(attributes)
        self.span.end()


class Spans:
    """Starts and ends spans.

    Args:
        tracer_provider: Where they go; None for the process's global provider.
        wire_spans: Whether each HTTP request has a CLIENT span below the attempt's; otherwise
            the attempt's span is one.
    """

    def __init__(self, tracer_provider: TracerProvider | None, *, wire_spans: bool) -> None:
        self._tracer = get_tracer(
            names.SCOPE, tracer_provider=tracer_provider, schema_url=SCHEMA_URL
        )
        self._wire_spans = wire_spans

    def start_call(self, operation: str) -> Active:
        """Start the span of a call and make it current."""
        span = self._tracer.start_span(
            names.CALL_SPAN.format(operation=operation),
            kind=SpanKind.INTERNAL,
            attributes={names.OPERATION: operation},
        )
        return Active(span, otel_context.attach(set_span_in_context(span)))

    def end_call(
        self, active: Active, record: CallRecord, outcome: str, error: BaseException | None
    ) -> None:
        """End the span of a call; one that recovered is no error."""
        attributes: dict[str, AttributeValue] = {
            names.OUTCOME: outcome,
            names.ATTEMPTS: len(record.servers),
            names.RETRY_DELAY_TOTAL: record.delay,
            names.SERVERS_TRIED: [server.netloc for server in record.servers],
        }
        active.end(attributes, error, str(error))

    def retry(self, active: Active, delay: float, reason: str) -> None:
        """Note on a call's span that it will try again."""
        active.span.add_event(
            names.RETRY_EVENT, {names.RETRY_DELAY: delay, names.ERROR_TYPE: reason}
        )

    def start_attempt(self, attempt: Attempt[object]) -> Active:
        """Start the span of an attempt and make it current."""
        operation = attempt.call.operation
        server = attempt.server
        attributes: dict[str, AttributeValue] = {
            names.OPERATION: operation.name,
            names.SERVER_ADDRESS: server.host,
            names.SERVER_PORT: server.port,
            names.ATTEMPT_NUMBER: attempt.number,
            names.ATTEMPT_MAXIMUM: attempt.maximum,
            names.ATTEMPT_TRIAL: attempt.trial,
        }
        if not self._wire_spans:
            attributes[names.HTTP_REQUEST_METHOD] = operation.method
            attributes[names.URL_FULL] = redacted(server.url + operation.path)
            if attempt.number > 1:
                attributes[names.HTTP_RESEND_COUNT] = attempt.number - 1
        span = self._tracer.start_span(
            names.ATTEMPT_SPAN.format(operation=operation.name),
            kind=SpanKind.INTERNAL if self._wire_spans else SpanKind.CLIENT,
            attributes=attributes,
        )
        return Active(span, otel_context.attach(set_span_in_context(span)))

    def end_attempt(
        self, active: Active, status: int, request_id: str | None, error: BaseException | None
    ) -> None:
        """End the span of an attempt; a failed one is an error, even if the call recovers."""
        attributes: dict[str, AttributeValue] = {}
        if request_id is not None:
            attributes[names.REQUEST_ID] = request_id
        if status and not self._wire_spans:
            attributes[names.HTTP_RESPONSE_STATUS_CODE] = status
        active.end(attributes, error)
