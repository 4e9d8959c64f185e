"""A span for each HTTP request, by opentelemetry-instrumentation-requests.

Its instrumentor patches ``requests`` for the whole process. That is the application's to decide,
so what it would install is taken from it and put around our own sessions alone. An application
that has instrumented ``requests`` itself gets no second span: the inner one is suppressed.
"""

from __future__ import annotations

from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, cast

import opentelemetry.instrumentation.requests as contrib
from opentelemetry.instrumentation._semconv import _StabilityMode
from opentelemetry.instrumentation.requests.version import __version__
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, TracerProvider, get_tracer
from opentelemetry.util.http import get_excluded_urls

from .catalogue import HTTP_RESEND_COUNT
from .record import current_attempt

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

    from ..pipeline.model import Layer, SendPrepared

SCHEMA_URL = "https://opentelemetry.io/schemas/1.28.0"


def wire_layer(tracer_provider: TracerProvider | None) -> Layer[SendPrepared]:
    """Build the layer that gives each request a CLIENT span, with the stable HTTP conventions."""
    tracer = get_tracer(contrib.__name__, __version__, tracer_provider, schema_url=SCHEMA_URL)

    def layer(send: SendPrepared) -> SendPrepared:
        stand = SimpleNamespace(send=send)
        # The same code with another Session in its globals: nothing is patched meanwhile.
        original = contrib._instrument  # noqa: SLF001 - its public face patches the process
        instrument = FunctionType(
            original.__code__, {**vars(contrib), "Session": stand}, None, original.__defaults__
        )
        instrument(
            tracer,
            None,
            None,
            request_hook=_count_resends,
            excluded_urls=get_excluded_urls("REQUESTS"),
            sem_conv_opt_in_mode=_StabilityMode.HTTP,
        )
        return cast("SendPrepared", stand.send)

    return layer


def quiet_layer(send: SendPrepared) -> SendPrepared:
    """Propagate the current span, which is the attempt's, and keep others from making one more."""

    def quiet(session: Session, prepared: PreparedRequest, **options: object) -> Response:
        inject(prepared.headers)
        with suppress_http_instrumentation():
            return send(session, prepared, **options)

    return quiet


def _count_resends(span: Span, _request: PreparedRequest) -> None:
    """Say how often the request was sent before, which the instrumentation leaves open."""
    number = current_attempt()
    if number > 1:
        span.set_attribute(HTTP_RESEND_COUNT, number - 1)
