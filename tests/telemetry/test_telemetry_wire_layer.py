"""The layers of requests by themselves, over an exchange whose replies are set."""

import threading
from types import SimpleNamespace

import pytest
import requests
from opentelemetry import baggage, propagate
from opentelemetry.context import attach, create_key, detach, get_current, set_value
from opentelemetry.instrumentation.utils import (
    is_http_instrumentation_enabled,
    suppress_http_instrumentation,
    suppress_instrumentation,
)
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import INVALID_SPAN, SpanKind, StatusCode, TraceFlags, get_current_span

from traced_image.errors import CommunicationError, Reason
from traced_image.pipeline.api.upload import SourceError, UploadBody
from traced_image.telemetry.telemetry_errors import TelemetryErrors
from traced_image.telemetry.wire_spans import make_quiet_layer, make_wire_layer

URL = "http://glance-1:9292/v2/images/x"
PEER = ("192.0.2.1", 9292)


class Exchange:
    """An exchange that gives a set reply, and notes what it saw when it was sent.

    Args:
        reply: The status of the reply, or the exception to raise.
        peer: The other end before the request is sent.
        connected: The other end once it was sent.
    """

    def __init__(self, reply=200, *, peer=PEER, connected=PEER, version="1.1"):
        self.peer = peer
        self.sent = []
        self._reply = reply
        self._connected = connected
        self._version = version

    def send(self, prepared):
        self.sent.append(dict(prepared.headers))
        self.span = get_current_span()
        self.other = is_http_instrumentation_enabled()
        self.peer = self._connected
        self.read = b"" if prepared.body is None else b"".join(prepared.body)
        if isinstance(self._reply, BaseException):
            raise self._reply
        return SimpleNamespace(status=self._reply, version=self._version)


def request(method="GET", url=URL, body=None, **headers):
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url, prepared.body = method, url, body
    prepared.headers = {"User-Agent": "traced-image", **headers}
    return prepared


@pytest.fixture
def noted():
    """The kinds of telemetry's failures so far."""
    return []


@pytest.fixture
def make(noted):
    """Build a function that sends requests with a span each, or without."""

    def build(provider=None, *, quiet=False):
        errors = TelemetryErrors(noted.append)
        layer = make_quiet_layer(None, errors) if quiet else make_wire_layer(provider, None, errors)
        return layer(lambda exchange, prepared: exchange.send(prepared))

    return build


@pytest.fixture
def send(make, trace):
    return make(trace.provider)


@pytest.fixture
def propagator():
    """Set the process's propagator for a test."""
    before = propagate.get_global_textmap()
    yield propagate.set_global_textmap
    propagate.set_global_textmap(before)


# --- the span ----------------------------------------------------------------------------------


def test_a_span_says_what_was_sent_where_and_what_came_back(send, trace):
    send(Exchange(), request())
    assert {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.peer.address": "192.0.2.1",
        "network.peer.port": 9292,
        "network.protocol.version": "1.1",
        "server.address": "glance-1",
        "server.port": 9292,
        "url.full": URL,
        "user_agent.original": "traced-image",
    } == dict(trace.one("GET").attributes)


def test_a_span_is_a_client_and_of_this_packages_scope(send, trace):
    send(Exchange(), request())
    span = trace.one("GET")
    scope = span.instrumentation_scope
    assert (SpanKind.CLIENT, "traced_image", "https://opentelemetry.io/schemas/1.44.0") == (
        span.kind,
        scope.name,
        scope.schema_url,
    )


def test_a_reply_is_handed_on_as_it_is(send):
    assert "1.0" == send(Exchange(version="1.0"), request()).version


def test_the_version_of_http_is_the_replys(send, trace):
    send(Exchange(version="1.0"), request())
    assert "1.0" == trace.one("GET").attributes["network.protocol.version"]


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("http://glance/v2/images", "glance", 80),
        ("https://glance/v2/images", "glance", 443),
        ("https://glance:9292", "glance", 9292),
        ("http://[fd00::2]:9292/v2/images", "fd00::2", 9292),
        ("http://glance:9292/image/v2/images", "glance", 9292),
        ("http://me:hunter2@glance:9292/v2/images", "glance", 9292),
    ],
)
def test_the_server_is_the_one_in_the_url(send, trace, url, address, port):
    send(Exchange(), request(url=url))
    found = trace.one("GET").attributes
    assert (address, port) == (found["server.address"], found["server.port"])


def test_a_connection_that_the_request_opened_has_its_peer_on_the_span(send, trace):
    send(Exchange(peer=None), request())
    found = trace.one("GET").attributes
    assert PEER == (found["network.peer.address"], found["network.peer.port"])


def test_without_a_connection_there_is_no_peer(send, trace):
    with pytest.raises(ConnectionRefusedError):
        send(Exchange(ConnectionRefusedError(), peer=None, connected=None), request())
    assert [] == [name for name in trace.one("GET").attributes if "peer" in name]


def test_a_request_without_user_agent_has_none_on_its_span(send, trace):
    prepared = request()
    del prepared.headers["User-Agent"]
    send(Exchange(), prepared)
    assert "user_agent.original" not in trace.one("GET").attributes


class Noting(Sampler):
    """Notes what a sampler may decide by."""

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, *_, **__):
        self.seen = name, kind, dict(attributes)
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self):
        return "Noting"


def test_a_sampler_sees_what_is_known_before_the_request(make):
    sampler = Noting()
    make(TracerProvider(sampler=sampler))(Exchange(peer=None), request())
    assert (
        "GET",
        SpanKind.CLIENT,
        {
            "http.request.method": "GET",
            "server.address": "glance-1",
            "server.port": 9292,
            "url.full": URL,
            "user_agent.original": "traced-image",
        },
    ) == sampler.seen


def test_a_request_that_is_not_sampled_is_sent(make):
    exchange = Exchange()
    make(TracerProvider(sampler=ALWAYS_OFF))(exchange, request())
    assert 0 == int(exchange.sent[0]["traceparent"][-2:], 16) & TraceFlags.SAMPLED


@pytest.mark.parametrize("status", [200, 204, 302, 399])
def test_a_status_below_400_is_no_error(send, trace, status):
    send(Exchange(status), request())
    span = trace.one("GET")
    assert (StatusCode.UNSET, None) == (span.status.status_code, span.attributes.get("error.type"))


@pytest.mark.parametrize("status", [400, 404, 503])
def test_a_status_of_400_or_more_is_an_error(send, trace, status):
    send(Exchange(status), request())
    span = trace.one("GET")
    assert (StatusCode.ERROR, None, str(status), ()) == (
        span.status.status_code,
        span.status.description,
        span.attributes["error.type"],
        span.events,
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError("hunter2"), "connection_refused"),
        (CommunicationError("x", reason=Reason("proxy_error")), "proxy_error"),
        (ValueError("hunter2"), "_OTHER"),
    ],
)
def test_an_exception_is_an_error_with_its_reason_alone(send, trace, error, reason):
    with pytest.raises(type(error)) as caught:
        send(Exchange(error), request())
    span = trace.one("GET")
    assert (error, StatusCode.ERROR, None, reason, ()) == (
        caught.value,
        span.status.status_code,
        span.status.description,
        span.attributes["error.type"],
        span.events,
    )


def test_an_interrupted_request_is_no_error_and_its_span_ends(send, trace):
    with pytest.raises(KeyboardInterrupt):
        send(Exchange(KeyboardInterrupt()), request())
    span = trace.one("GET")
    assert (StatusCode.UNSET, None) == (span.status.status_code, span.attributes.get("error.type"))


@pytest.mark.parametrize("reply", [200, 503, OSError(), KeyboardInterrupt()])
def test_no_span_stays_current(send, reply):
    before = get_current()
    if isinstance(reply, int):
        send(Exchange(reply), request())
    else:
        with pytest.raises(type(reply)):
            send(Exchange(reply), request())
    assert before == get_current()


def test_a_request_outside_a_call_was_never_sent_before(send, trace):
    for _ in range(2):
        send(Exchange(), request())
    assert [None, None] == [
        span.attributes.get("http.request.resend_count") for span in trace.named("GET")
    ]


# --- propagation -------------------------------------------------------------------------------


def test_the_server_is_told_the_current_span(send, trace):
    exchange = Exchange()
    send(exchange, request())
    context = trace.one("GET").context
    assert (context, f"00-{context.trace_id:032x}-{context.span_id:016x}") == (
        exchange.span.get_span_context(),
        exchange.sent[0]["traceparent"][:52],
    )


def test_the_server_is_told_the_baggage(send):
    exchange = Exchange()
    token = attach(baggage.set_baggage("tenant", "demo"))
    send(exchange, request())
    detach(token)
    assert "tenant=demo" == exchange.sent[0]["baggage"]


class Saying:
    """A propagator of one header, and of a good one after it."""

    fields = frozenset()

    def __init__(self, name, value):
        self._told = {name: value, "x-good": "good"}

    def inject(self, carrier, context=None, setter=None):
        carrier.update(self._told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-trace", "a\r\nX-Auth-Token: stolen"),
        ("x-trace", "a\nb"),
        ("x-trace", "a\0b"),
        ("x-trace", "ideogram \u96ea"),
        ("x-trace", 5),
        ("x-trace", b"bytes"),
        ("x trace", "a"),
        ("", "a"),
        (5, "a"),
    ],
)
@pytest.mark.parametrize("quiet", [True, False])
def test_a_header_that_http_cant_carry_is_left_out_and_counted(
    make, trace, noted, propagator, name, value, quiet
):
    propagator(Saying(name, value))
    exchange = Exchange()
    make(trace.provider, quiet=quiet)(exchange, request())
    assert ([{"User-Agent": "traced-image", "x-good": "good"}], ["wire"]) == (exchange.sent, noted)


@pytest.mark.parametrize("value", ["", "tab\tspace ", "caf\xe9"])
def test_any_header_that_http_can_carry_is_sent(send, noted, propagator, value):
    propagator(Saying("x-trace", value))
    exchange = Exchange()
    send(exchange, request())
    assert (value, []) == (exchange.sent[0]["x-trace"], noted)


def test_a_propagator_that_is_not_installed_is_counted_and_done_without(run_python):
    assert ["Telemetry failed at wire: further failures are only counted.", "wire 200 {}"] == (
        run_python(
            """
            import logging
            import sys
            from types import SimpleNamespace

            import requests

            from traced_image.telemetry.telemetry_errors import TelemetryErrors
            from traced_image.telemetry.wire_spans import make_wire_layer

            logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
            said = logging.StreamHandler(sys.stdout)
            said.setFormatter(SimpleNamespace(format=logging.LogRecord.getMessage))
            logging.getLogger("traced_image").addHandler(said)
            noted = []
            layer = make_wire_layer(None, None, TelemetryErrors(noted.append))
            send = layer(lambda exchange, prepared: SimpleNamespace(status=200, version="1.1"))
            prepared = requests.PreparedRequest()
            prepared.method, prepared.url, prepared.headers = "GET", "http://glance/", {}
            reply = send(SimpleNamespace(peer=None), prepared)
            print(*noted, reply.status, prepared.headers)
            """,
            OTEL_PROPAGATORS="tracecontext,jaeger",
        )
    )


# --- what the application has switched off ------------------------------------------------------


@pytest.mark.parametrize("quiet", [True, False])
def test_other_instrumentation_is_off_while_the_request_is_sent(make, trace, quiet):
    exchange = Exchange()
    make(trace.provider, quiet=quiet)(exchange, request())
    assert (False, True) == (exchange.other, is_http_instrumentation_enabled())


@pytest.mark.parametrize("suppress", [suppress_instrumentation, suppress_http_instrumentation])
def test_where_the_application_suppresses_instrumentation_there_is_neither_span_nor_header(
    send, trace, suppress
):
    exchange = Exchange()
    with suppress():
        send(exchange, request())
    assert ([], [{"User-Agent": "traced-image"}]) == (trace.spans, exchange.sent)


def test_the_key_with_a_plain_name_suppresses_too(send, trace):
    token = attach(set_value("suppress_instrumentation", True))
    send(Exchange(), request())
    detach(token)
    assert [] == trace.spans


def test_a_key_that_says_no_suppresses_nothing(send, trace):
    token = attach(set_value("suppress_instrumentation", False))
    send(Exchange(), request())
    detach(token)
    assert ["GET"] == [span.name for span in trace.spans]


def test_the_keys_are_found_also_where_they_are_set(make, trace):
    with suppress_instrumentation(), suppress_http_instrumentation():
        send = make(trace.provider)
    exchange = Exchange()
    send(exchange, request())
    assert (False, ["GET"]) == (exchange.other, [span.name for span in trace.spans])


def test_without_the_instrumentation_package_there_are_spans(run_python):
    assert ["GET False", "200 0"] == run_python(
        """
        import sys
        from types import SimpleNamespace

        sys.modules["opentelemetry.instrumentation"] = None
        import requests
        from opentelemetry.context import attach, set_value
        from opentelemetry.trace import get_current_span

        from opentelemetry.sdk.trace import TracerProvider
        from traced_image.telemetry.telemetry_errors import TelemetryErrors
        from traced_image.telemetry.wire_spans import make_wire_layer


        def send(exchange, prepared):
            span = get_current_span()
            if span.is_recording():
                print(span.name, "opentelemetry.instrumentation.utils" in sys.modules)
            return SimpleNamespace(status=200, version="1.1")


        errors = []
        sent = make_wire_layer(TracerProvider(), None, TelemetryErrors(errors.append))(send)
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.headers = "GET", "http://glance/", {}
        sent(SimpleNamespace(peer=None), prepared)
        attach(set_value("suppress_instrumentation", True))
        print(sent(SimpleNamespace(peer=None), prepared).status, len(errors))
        """
    )


@pytest.mark.parametrize(
    ("variables", "excluded"),
    [
        ({"OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "healthcheck, v2/images/. "}, True),
        ({"OTEL_PYTHON_EXCLUDED_URLS": "^http://glance-1:"}, True),
        ({"OTEL_PYTHON_EXCLUDED_URLS": "healthcheck"}, False),
        ({"OTEL_PYTHON_EXCLUDED_URLS": ""}, False),
        (
            {
                "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "healthcheck",
                "OTEL_PYTHON_EXCLUDED_URLS": "images",
            },
            False,
        ),
        (
            {"OTEL_PYTHON_REQUESTS_EXCLUDED_URLS": "", "OTEL_PYTHON_EXCLUDED_URLS": "images"},
            False,
        ),
    ],
)
def test_urls_that_the_process_excludes_have_neither_span_nor_header(
    make, trace, monkeypatch, variables, excluded
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    exchange = Exchange()
    make(trace.provider)(exchange, request())
    assert (excluded, excluded) == (not trace.spans, "traceparent" not in exchange.sent[0])


def test_an_exclusion_that_is_no_pattern_is_counted_and_excludes_nothing(
    make, trace, noted, monkeypatch
):
    monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "(")
    make(trace.provider)(Exchange(), request())
    assert (["wire"], 1) == (noted, len(trace.spans))


# --- without spans ------------------------------------------------------------------------------


def test_the_quiet_layer_tells_the_server_the_span_around_it(make, trace):
    exchange = Exchange()
    tracer = trace.provider.get_tracer("application")
    with tracer.start_as_current_span("attempt") as span:
        make(quiet=True)(exchange, request())
    assert (["attempt"], f"{span.context.span_id:016x}") == (
        [span.name for span in trace.spans],
        exchange.sent[0]["traceparent"][36:52],
    )


@pytest.mark.parametrize("reply", [OSError(), KeyboardInterrupt()])
def test_the_quiet_layer_raises_what_the_request_raises(make, reply):
    with pytest.raises(type(reply)) as caught:
        make(quiet=True)(Exchange(reply), request())
    assert reply is caught.value


# --- what fails in telemetry --------------------------------------------------------------------


class Deaf(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise ConnectionRefusedError("start")


class Dumb(SpanProcessor):
    def on_end(self, span):
        raise ConnectionRefusedError("end")


class Stopped(SpanProcessor):
    """A time limit that strikes while a span ends."""

    def on_end(self, span):
        raise KeyboardInterrupt


def failing(processor):
    provider = TracerProvider()
    provider.add_span_processor(processor)
    return provider


@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_a_span_that_fails_is_counted_and_the_request_sent_once(make, noted, processor):
    exchange = Exchange()
    reply = make(failing(processor))(exchange, request())
    assert (200, 1, ["wire"]) == (reply.status, len(exchange.sent), noted)


@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_a_request_that_fails_raises_its_own_error_whatever_telemetry_does(make, processor):
    error = ConnectionResetError()
    exchange = Exchange(error)
    with pytest.raises(ConnectionResetError) as caught:
        make(failing(processor))(exchange, request())
    assert (error, 1) == (caught.value, len(exchange.sent))


def test_a_span_that_does_not_start_leaves_the_one_around_it_to_the_server(make, trace):
    exchange = Exchange()
    tracer = trace.provider.get_tracer("application")
    with tracer.start_as_current_span("attempt") as span:
        make(failing(Deaf()))(exchange, request())
    assert f"{span.context.span_id:016x}" == exchange.sent[0]["traceparent"][36:52]


def test_what_stops_a_thread_in_telemetry_is_not_swallowed(make):
    with pytest.raises(KeyboardInterrupt):
        make(failing(Stopped()))(Exchange(), request())


def test_a_url_without_a_server_costs_the_span_alone(send, trace, noted):
    reply = send(Exchange(), request(url="/v2/images"))
    assert (200, [], ["wire"]) == (reply.status, trace.spans, noted)


def test_threads_have_spans_of_their_own(send, trace):
    threads = [threading.Thread(target=send, args=(Exchange(), request())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 8 == len({span.context.trace_id for span in trace.named("GET")})


# --- uploads ------------------------------------------------------------------------------------


def test_an_upload_outside_a_call_is_sent_uncounted(send, noted):
    exchange = Exchange(204)
    send(exchange, request("PUT", body=UploadBody([b"01", b"23"])))
    assert (b"0123", ["wire"]) == (exchange.read, noted)


def test_an_upload_outside_a_call_raises_its_own_error(send):
    error = SourceError(OSError())
    with pytest.raises(SourceError) as caught:
        send(Exchange(error), request("PUT", body=UploadBody([b"01"])))
    assert error is caught.value


def test_the_reader_of_an_uploads_data_has_the_callers_context(service):
    key = create_key("callers")
    seen = []

    def read():
        context = get_current()
        seen.append((context.get(key), get_current_span().name, is_http_instrumentation_enabled()))
        yield b"0123"

    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    token = attach(set_value(key, "mine"))
    service().create(None, fields, read())
    detach(token)
    assert [("mine", "glance.images.upload attempt", True)] == seen


def test_outside_a_span_the_current_one_is_none(make):
    exchange = Exchange()
    make(quiet=True)(exchange, request())
    assert (INVALID_SPAN, [{"User-Agent": "traced-image"}]) == (exchange.span, exchange.sent)
