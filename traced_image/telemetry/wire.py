"""A span for each HTTP request, by opentelemetry-instrumentation-requests.

Its instrumentor patches ``requests`` for the whole process. That is the application's to decide,
so what it would install is taken from it and put around our own sessions alone. An application
that has instrumented ``requests`` itself gets no second span: the inner one is suppressed.
"""

from __future__ import annotations

from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, TracerProvider, get_tracer
from opentelemetry.util.http import get_excluded_urls

from .catalogue import HTTP_RESEND_COUNT, URL_FULL
from .record import resends
from .spans import redacted

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

    from ..pipeline.model import Layer, SendPrepared
    from .trouble import Troubles

SCHEMA_URL = "https://opentelemetry.io/schemas/1.28.0"


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


def wire_layer(tracer_provider: TracerProvider | None, troubles: Troubles) -> Layer[SendPrepared]:
    """Build the layer that gives each request a CLIENT span, with the stable HTTP conventions.

    Raises:
        Exception: The instrumentation is not what this was written for.
    """
    return _around(_instrumented(tracer_provider), troubles)


def quiet_layer(troubles: Troubles) -> Layer[SendPrepared]:
    """Build the layer that propagates the attempt's span and keeps others from making one more."""
    return _around(_quiet, troubles)


def _around(observed: SendPrepared, troubles: Troubles) -> Layer[SendPrepared]:
    """Build a layer of an observed ``_Sending.send`` that nobody's request can fail by."""

    def layer(send: SendPrepared) -> SendPrepared:
        def sent(session: Session, prepared: PreparedRequest, **options: object) -> Response:
            sending = _Sending(send, session)
            try:
                return observed(sending, prepared, **options)
            except Exception as error:
                if error is sending.error:
                    raise
                troubles.note("wire", error)
            if sending.error is not None:
                raise sending.error
            if sending.response is not None:
                return sending.response
            return send(session, prepared, **options)

        return sent

    return layer


def _quiet(sending: _Sending, prepared: PreparedRequest, **options: object) -> Response:
    inject(prepared.headers)
    with suppress_http_instrumentation():
        return sending.send(prepared, **options)


def _instrumented(tracer_provider: TracerProvider | None) -> SendPrepared:
    """Observe ``_Sending.send`` by the code that the instrumentor would patch ``requests`` with."""
    # Private, but its public face patches the process: imported only where it is asked for.
    import opentelemetry.instrumentation.requests as contrib
    from opentelemetry.instrumentation._semconv import _StabilityMode
    from opentelemetry.instrumentation.requests.version import __version__

    tracer = get_tracer(contrib.__name__, __version__, tracer_provider, schema_url=SCHEMA_URL)
    session = SimpleNamespace(send=_Sending.send)
    # The same code with another Session in its globals, so that nothing is patched meanwhile.
    original = contrib._instrument  # noqa: SLF001 private for want of a public one
    instrument = FunctionType(
        original.__code__, {**vars(contrib), "Session": session}, None, original.__defaults__
    )
    instrument(
        tracer,
        None,
        None,
        request_hook=_hook,
        excluded_urls=get_excluded_urls("REQUESTS"),
        sem_conv_opt_in_mode=_StabilityMode.HTTP,
    )
    if session.send is _Sending.send:
        raise RuntimeError(f"opentelemetry-instrumentation-requests {__version__} has no use here")
    observed: SendPrepared = session.send
    return observed


def _hook(span: Span, request: PreparedRequest) -> None:
    """Say what the instrumentation leaves open, and redact what it leaves legible."""
    url = str(request.url)
    count = resends(request.method, url)
    if count:
        span.set_attribute(HTTP_RESEND_COUNT, count)
    if "?" in url:
        span.set_attribute(URL_FULL, redacted(url))
