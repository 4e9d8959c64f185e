"""A span for each HTTP request, by the stable HTTP conventions, and its propagation to the server.

An application may instrument ``requests`` and ``urllib3`` itself. A request of this package still
has one CLIENT span, because the layers here switch other instrumentation off while they send it.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import (
    Span,
    SpanKind,
    Tracer,
    TracerProvider,
    get_tracer,
    set_span_in_context,
)

from .._version import find_version
from ..errors import AttemptError
from ..pipeline.api.upload import SourceError, UploadBody
from ..reasons import classify
from ..redact import hide_in_url
from . import catalogue as names
from .counted_body import CountedBody
from .global_providers import has_tracer_provider
from .http_attributes import describe_reply, describe_request
from .http_instrumentation import (
    RequestDurations,
    Suppression,
    find_excluded_urls,
    is_instrumented,
    is_requests_instrumented,
)
from .instrumented_requests import send_instrumented
from .propagation import Propagation
from .recorder import CURRENT, current_call
from .spans import ERROR
from .stream_record import StreamRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from requests import PreparedRequest

    from ..pipeline.attempts.seams import Exchange, Layer, SendPrepared, U, UnreadReply
    from .http_attributes import Attributes
    from .telemetry_errors import Guard, TelemetryErrors


def make_wire_layer(
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    errors: TelemetryErrors,
    *,
    is_global: bool = False,
) -> Layer[SendPrepared]:
    """Build the layer that gives each request a CLIENT span, by the stable HTTP conventions.

    Args:
        tracer_provider: Where the spans go; None for the process's global provider.
        meter_provider: Where the durations go that `RequestDurations` records; None likewise.
        errors: Counts failures of this layer.
        is_global: Whether the spans go to the global provider. While there is none, those of an
            application that instruments ``requests`` replace them.
    """
    tracer = get_tracer(
        names.SCOPE,
        find_version(),
        tracer_provider=tracer_provider,
        schema_url=names.SCHEMA_URL,
    )
    return _WireLayer(tracer, meter_provider, errors, is_global=is_global).layer


def make_quiet_layer(
    meter_provider: MeterProvider | None, errors: TelemetryErrors, *, is_global: bool = False
) -> Layer[SendPrepared]:
    """Build the layer that propagates the attempt's span and suppresses further CLIENT spans."""
    return _WireLayer(None, meter_provider, errors, is_global=is_global).layer


class _WireLayer:
    """Sends requests with a span each, or below the current span if there is no tracer.

    A failure of telemetry never changes what the caller gets: the start and the end of the span
    are guarded, and the request between them is not.
    """

    def __init__(
        self,
        tracer: Tracer | None,
        meter_provider: MeterProvider | None,
        errors: TelemetryErrors,
        *,
        is_global: bool,
    ) -> None:
        self._tracer = tracer
        self._is_global = is_global
        self._note = partial(errors.note, "wire")
        self._guard = errors.guard("wire")
        self._suppression = Suppression()
        self._durations = RequestDurations(meter_provider)
        self._propagation = Propagation(errors)
        self._is_excluded: Callable[[str], object] | None = None
        with self._guard:
            self._is_excluded = find_excluded_urls()

    def layer(self, send: SendPrepared) -> SendPrepared:
        """Wrap a function that sends requests."""

        def sent(exchange: Exchange[U], prepared: PreparedRequest, /) -> U:
            if self._is_global and is_requests_instrumented() and not has_tracer_provider():
                return send_instrumented(partial(send, exchange), prepared, self._note)
            current = get_current()
            if self._tracer is not None and self._is_off(prepared, current):
                return send(exchange, prepared)
            request = _SentRequest(exchange, prepared, current)
            with self._guard:
                self._start(request)
            token = attach(self._suppression.add_to(request.context))
            try:
                self._propagation.add_to(prepared.headers, request.context)
                request.started = perf_counter()
                response = send(exchange, prepared)
            except BaseException as error:
                detach(token)
                with self._guard:
                    self._end(request, _describe_failure(error))
                raise
            detach(token)
            with self._guard:
                self._end(request, describe_reply(response.status, response.version))
            return response

        return _count_uploads(sent, self._guard)

    def _is_off(self, prepared: PreparedRequest, current: Context) -> bool:
        """Return whether the application wants no span of a request.

        Such a request is sent as opentelemetry-instrumentation-requests sends it: as it is,
        without propagation.
        """
        excluded = self._is_excluded is not None and self._is_excluded(str(prepared.url))
        return bool(excluded) or self._suppression.is_on(current)

    def _start(self, request: _SentRequest) -> None:
        """Start a request's span, with all that is known before the request is sent."""
        if self._tracer is None:
            return
        attributes = describe_request(request.method, request.url)
        attributes[names.URL_FULL] = hide_in_url(request.url)
        agent = request.agent
        if agent is not None:
            attributes[names.USER_AGENT_ORIGINAL] = agent
        if request.peer is not None:
            attributes[names.NETWORK_PEER_ADDRESS] = request.peer[0]
            attributes[names.NETWORK_PEER_PORT] = request.peer[1]
        count = _count_resends(request.method, request.url)
        if count:
            attributes[names.HTTP_RESEND_COUNT] = count
        request.span = self._tracer.start_span(
            request.method, request.context, SpanKind.CLIENT, attributes
        )
        request.context = set_span_in_context(request.span, request.context)

    def _end(self, request: _SentRequest, result: Attributes) -> None:
        """End a request's span, and record its duration for an application that measures it."""
        try:
            # A cancelled request has no result. It is no error, and its duration says nothing.
            if result and is_instrumented():
                seconds = perf_counter() - request.started
                attributes = {**describe_request(request.method, request.url), **result}
                self._durations.record(seconds, attributes, request.context)
        finally:
            if request.span is not None:
                _end_span(request.span, request.new_peer(), result)


class _SentRequest:
    """A request that is sent, and its span.

    Attributes:
        method: The HTTP method.
        url: The full URL, with its secrets.
        peer: The other end of the connection before the request was sent; None if there was none.
        span: The request's span; None if it has none.
        context: The context in which the request is sent.
        started: When it was sent, by `perf_counter`.
    """

    __slots__ = ("context", "exchange", "method", "peer", "prepared", "span", "started", "url")

    def __init__(
        self, exchange: Exchange[UnreadReply], prepared: PreparedRequest, context: Context
    ) -> None:
        self.exchange = exchange
        self.prepared = prepared
        self.method = str(prepared.method)
        self.url = str(prepared.url)
        self.peer = exchange.peer
        self.span: Span | None = None
        self.context = context
        self.started = 0.0

    @property
    def agent(self) -> str | None:
        """The ``User-Agent`` that is sent; None for none."""
        agent = self.prepared.headers.get("User-Agent")
        return agent if isinstance(agent, str) else None

    def new_peer(self) -> tuple[str, int] | None:
        """Return the other end of a connection that was opened for the request; None for none."""
        return self.exchange.peer if self.peer is None else None


def _end_span(span: Span, peer: tuple[str, int] | None, result: Attributes) -> None:
    try:
        # One by one, because one `set_attributes` of the SDK costs more than all of them.
        if peer is not None:
            span.set_attribute(names.NETWORK_PEER_ADDRESS, peer[0])
            span.set_attribute(names.NETWORK_PEER_PORT, peer[1])
        for name, value in result.items():
            span.set_attribute(name, value)
        if names.ERROR_TYPE in result:
            span.set_status(ERROR)
    finally:
        span.end()


def _describe_failure(error: BaseException) -> Attributes:
    """Return the reason of a failed request, and neither its message nor its traceback.

    Those may contain the URL with its secrets. A KeyboardInterrupt or a cancellation is no error.
    """
    return {names.ERROR_TYPE: _find_reason(error)} if isinstance(error, Exception) else {}


def _find_reason(error: Exception) -> str:
    return error.reason if isinstance(error, AttemptError) else classify(error, "").reason


def _count_resends(method: str | None, url: str) -> int:
    """Return how often the call under way has sent this request before, to any server."""
    record = current_call()
    if record is None:
        return 0
    request = method, url.removeprefix(getattr(record.servers[-1], "url", ""))
    count = record.sent.get(request, 0)
    record.sent[request] = count + 1
    return count


def _count_uploads(send: SendPrepared, guard: Guard) -> SendPrepared:
    """Count the bytes of uploads; a failure after part of the data is an error of the stream."""

    def sent(exchange: Exchange[U], prepared: PreparedRequest, /) -> U:
        body: object = prepared.body
        if not isinstance(body, UploadBody):
            return send(exchange, prepared)
        counted = None
        with guard:
            call = CURRENT.get()
            record = StreamRecord(call.recorder, call.servers[-1], "upload", None)
            counted = CountedBody(body, record)
            prepared.body = counted  # type: ignore[assignment]
        try:
            return send(exchange, prepared)
        except Exception as error:
            # A SourceError is the caller's own: reading the data to upload failed.
            if counted is not None and counted.sent and not isinstance(error, SourceError):
                counted.record.end(_find_reason(error), complete=False)
            raise

    return sent
