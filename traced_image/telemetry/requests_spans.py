"""A span for each HTTP request, by opentelemetry-instrumentation-requests.

Its instrumentor patches ``requests`` for the whole process. That is the application's to decide,
so what it would install is taken from it and put around our own sessions alone. An application
that has instrumented ``requests`` itself gets no second span: the inner one is suppressed.
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
"""The instrumentation's own version of the conventions."""

_PEER = ("network.peer.address", "network.peer.port")


class _Sending:
    """One request on its way: how it ended is kept here, whatever happens to telemetry then."""

    __slots__ = ("_send", "_session", "error", "response")

    def __init__(self, send: SendPrepared, session: Session) -> None:
        self._send = send
        self._session = session
        self.response: Response | None = None
        self.error: BaseException | None = None

    def send(self, prepared: PreparedRequest, **options: object) -> Response:
        """Send it; this is what telemetry is put around."""
        try:
            self.response = self._send(self._session, prepared, **options)
        except BaseException as error:
            self.error = error
            raise
        return self.response


def make_wire_layer(
    tracer_provider: TracerProvider | None, errors: TelemetryErrors
) -> Layer[SendPrepared]:
    """Build the layer that gives each request a CLIENT span, with the stable HTTP conventions.

    Raises:
        Exception: The instrumentation is not what this was written for.
    """
    return _make_layer(_instrument(tracer_provider), errors)


def make_quiet_layer(errors: TelemetryErrors) -> Layer[SendPrepared]:
    """Build the layer that propagates the attempt's span and keeps others from making one more."""
    return _make_layer(_send_quietly, errors)


def _make_layer(observed: SendPrepared, errors: TelemetryErrors) -> Layer[SendPrepared]:
    """Build a layer of an observed ``_Sending.send`` that nobody's request can fail by."""

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
                if error is sending.error:
                    raise
                errors.note("wire", error)
            if sending.error is not None:
                raise sending.error
            if sending.response is not None:
                return sending.response
            return send(session, prepared, **options)

        return sent

    return layer


class CountedBody:
    """The body of an upload, counted as it is read.

    Attributes:
        sent: Whether any of it was read.
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
    """A request that carries image data, which is counted as it goes."""

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
        """Send it; to break off with part of the data sent is an error of the stream."""
        try:
            return super().send(prepared, **options)
        except Exception as error:
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
    """Observe ``_Sending.send`` by the code that the instrumentor would patch ``requests`` with."""
    # Private, but its public face patches the process: imported only where it is asked for.
    import opentelemetry.instrumentation.requests as contrib
    from opentelemetry.instrumentation._semconv import _StabilityMode
    from opentelemetry.instrumentation.requests.version import __version__

    session = SimpleNamespace(send=lambda sending, *args, **kw: sending.send(*args, **kw))
    bare = session.send
    # The same code with other globals, so that nothing is patched meanwhile. What it does beside
    # for net.peer.ip, a name of the old conventions, is left out.
    changed = {"Session": session, "set_ip_on_next_http_connection": nullcontext}
    original = contrib._instrument  # noqa: SLF001 private for want of a public one
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
        raise RuntimeError(f"opentelemetry-instrumentation-requests {__version__} has no use here")
    observed: SendPrepared = session.send
    return observed


class _WireTracer:
    """Starts the instrumentation's spans, with what it leaves open and without what it shows."""

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
            # It is the server's name, where the conventions have the address connected to.
            attributes.pop(peer, None)
        return _WireSpan(self._tracer.start_span(name, kind=kind, attributes=attributes))


def _count_resends(method: str, url: str) -> int:
    """How often the call under way has sent this request before, to whichever server."""
    record = CURRENT.get()
    request = method, url.removeprefix(getattr(record.servers[-1], "url", ""))
    count = record.sent.get(request, 0)
    record.sent[request] = count + 1
    return count


class _WireSpan:
    """Makes a span current and ends it, as ``start_as_current_span`` does.

    Of an exception it tells the reason in the catalogue's words, and neither its message nor its
    traceback: these have the URL with its secrets.
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
