"""A span for each HTTP request, by opentelemetry-instrumentation-requests.

Its instrumentor patches ``requests`` for the whole process. Only the application may decide that.
This module therefore takes the function that the instrumentor would install, and uses it for this
package's sessions alone. An application that instruments ``requests`` itself gets no second span,
because the inner span is suppressed.
"""

from __future__ import annotations

from contextlib import nullcontext
from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.propagate import inject
from opentelemetry.trace import (
    Span,
    SpanKind,
    Tracer,
    TracerProvider,
    get_tracer,
    set_span_in_context,
)
from opentelemetry.util.http import get_excluded_urls

from ..pipeline.api.upload import SourceError, UploadBody
from ..reasons import classify
from ..redact import hide_in_url
from . import catalogue as names
from .recorder import CURRENT, StreamRecord
from .spans import ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.util.types import AttributeValue
    from requests import PreparedRequest, Response, Session

    from ..pipeline.attempts.seams import Layer, SendPrepared
    from .telemetry_errors import TelemetryErrors


SCHEMA_URL = "https://opentelemetry.io/schemas/1.28.0"
"""The version of the semantic conventions that the instrumentation itself declares."""

_PEER = ("network.peer.address", "network.peer.port")


class _Sending:
    """One request being sent, with its result, which survives any failure of telemetry."""

    __slots__ = ("_send", "_session", "error", "response")

    def __init__(self, send: SendPrepared, session: Session) -> None:
        self._send = send
        self._session = session
        self.response: Response | None = None
        self.error: BaseException | None = None

    def send(self, prepared: PreparedRequest, **options: object) -> Response:
        """Send the request; telemetry wraps this method."""
        try:
            self.response = self._send(self._session, prepared, **options)
        except BaseException as error:
            self.error = error
            raise
        return self.response


def make_wire_layer(
    tracer_provider: TracerProvider | None, errors: TelemetryErrors
) -> Layer[SendPrepared]:
    """Build the layer that gives each request a CLIENT span, by the stable HTTP conventions.

    Raises:
        Exception: The installed version of the instrumentation is not compatible.
    """
    return _make_layer(_instrument(tracer_provider), errors)


def make_quiet_layer(errors: TelemetryErrors) -> Layer[SendPrepared]:
    """Build the layer that propagates the attempt's span and suppresses further CLIENT spans."""
    return _make_layer(_send_quietly, errors)


def _make_layer(observed: SendPrepared, errors: TelemetryErrors) -> Layer[SendPrepared]:
    """Build a layer from an observed ``_Sending.send``; telemetry never fails a request there."""

    def layer(send: SendPrepared) -> SendPrepared:
        def sent(session: Session, prepared: PreparedRequest, **options: object) -> Response:
            body: object = prepared.body
            sending = (
                _Uploading(send, session, prepared, body)
                if isinstance(body, UploadBody)
                else _Sending(send, session)
            )
            try:
                return observed(sending, prepared, **options)
            except Exception as error:
                # Only the request's own error is the caller's; any other is telemetry's.
                if error is sending.error:
                    raise
                errors.note("wire", error)
            if sending.error is not None:
                raise sending.error
            if sending.response is not None:
                return sending.response
            # Telemetry failed before it sent the request, so that sending it now is no repetition.
            return send(session, prepared, **options)

        return sent

    return layer


class CountedBody:
    """The body of an upload, whose bytes are counted when they are read.

    Attributes:
        sent: Whether at least one chunk was read.
    """

    def __init__(self, body: Iterable[bytes], record: StreamRecord) -> None:
        self._body = body
        self._record = record
        self.sent = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._body:
            self.sent = True
            self._record.add(len(chunk))
            yield chunk


class _Uploading(_Sending):
    """A request that uploads image data, whose bytes are counted when they are sent."""

    __slots__ = ("_body", "_record")

    def __init__(
        self, send: SendPrepared, session: Session, prepared: PreparedRequest, body: UploadBody
    ) -> None:
        super().__init__(send, session)
        call = CURRENT.get()
        self._record = StreamRecord(call.recorder, call.servers[-1], "upload", None)
        self._body = CountedBody(body, self._record)
        prepared.body = self._body  # type: ignore[assignment]

    def send(self, prepared: PreparedRequest, **options: object) -> Response:
        """Send the request; a failure after part of the data is an error of the stream."""
        try:
            return super().send(prepared, **options)
        except Exception as error:
            # A SourceError is the caller's own: reading the data to upload failed.
            if self._body.sent and not isinstance(error, SourceError):
                self._record.end(_find_reason(error), complete=False)
            raise


def _find_reason(error: Exception) -> str:
    return classify(error, "").reason


def _send_quietly(sending: _Sending, prepared: PreparedRequest, **options: object) -> Response:
    inject(prepared.headers)
    with suppress_http_instrumentation():
        return sending.send(prepared, **options)


def _instrument(tracer_provider: TracerProvider | None) -> SendPrepared:
    """Return ``_Sending.send`` wrapped in the code with which the instrumentor patches requests.

    Raises:
        RuntimeError: The instrumentation did not wrap the method.
    """
    # These are private, because the public interface patches the whole process. They are imported
    # here so that an incompatible version fails only if wire spans are on.
    import opentelemetry.instrumentation.requests as contrib
    from opentelemetry.instrumentation._semconv import _StabilityMode
    from opentelemetry.instrumentation.requests.version import __version__

    session = SimpleNamespace(send=lambda sending, *args, **kw: sending.send(*args, **kw))
    bare = session.send
    # The function runs with other globals, so that it patches our stand-in and not
    # requests.Session. It also sets net.peer.ip, an attribute of the old conventions; the
    # nullcontext switches that off.
    changed = {"Session": session, "set_ip_on_next_http_connection": nullcontext}
    original = contrib._instrument  # noqa: SLF001 no public one exists
    instrument = FunctionType(
        original.__code__, {**vars(contrib), **changed}, None, original.__defaults__
    )
    tracer = get_tracer(contrib.__name__, __version__, tracer_provider, schema_url=SCHEMA_URL)
    instrument(
        _WireTracer(tracer),
        None,
        None,
        excluded_urls=get_excluded_urls("REQUESTS"),
        sem_conv_opt_in_mode=_StabilityMode.HTTP,
    )
    if session.send is bare:
        raise RuntimeError(f"opentelemetry-instrumentation-requests {__version__} is incompatible")
    observed: SendPrepared = session.send
    return observed


class _WireTracer:
    """A tracer for the instrumentation that adds the resend count and hides secrets in URLs."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_as_current_span(
        self, name: str, *, kind: SpanKind, attributes: dict[str, AttributeValue]
    ) -> _WireSpan:
        url = str(attributes[names.URL_FULL])
        count = _count_resends(str(attributes[names.HTTP_REQUEST_METHOD]), url)
        if count:
            attributes[names.HTTP_RESEND_COUNT] = count
        attributes[names.URL_FULL] = hide_in_url(url)
        for peer in _PEER:
            # The instrumentation sets the server's name here, but the conventions define these
            # attributes as the address of the connection's other end.
            attributes.pop(peer, None)
        return _WireSpan(self._tracer.start_span(name, kind=kind, attributes=attributes))


def _count_resends(method: str, url: str) -> int:
    """Return how often the call under way has sent this request before, to any server."""
    record = CURRENT.get()
    request = method, url.removeprefix(getattr(record.servers[-1], "url", ""))
    count = record.sent.get(request, 0)
    record.sent[request] = count + 1
    return count


class _WireSpan:
    """A context manager that makes a span current and ends it, like ``start_as_current_span``.

    If an exception leaves the block, the span gets its reason from the catalogue. It gets neither
    the message nor the traceback, because both may contain the URL with its secrets.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._token = otel_context.attach(set_span_in_context(self._span))
        return self._span

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        otel_context.detach(self._token)
        if isinstance(error, Exception):
            self._span.set_attribute(names.ERROR_TYPE, _find_reason(error))
            self._span.set_status(ERROR)
        self._span.end()
