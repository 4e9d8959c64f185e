"""The spans of requests in the pipeline: one each, by the stable conventions, or none at all."""

import pytest
from opentelemetry.trace import SpanKind, StatusCode

import traced_image
from traced_image import GlanceConnectionFailed
from traced_image.lab import faults
from traced_image.redact import SECRET_KEYS

ATTEMPT = "glance.images.get attempt"


def clients(trace):
    return [span for span in trace.spans if span.kind is SpanKind.CLIENT]


def sent_by(span):
    """What a server is told that `span` is its caller's."""
    context = span.context
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_a_request_has_the_stable_conventions_attributes(service, servers, image_id, trace):
    service().show(None, image_id)
    assert {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": servers[0].port,
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": servers[0].port,
        "url.full": f"{servers[0].url}/v2/images/{image_id}",
        "user_agent.original": f"traced-image/{traced_image.__version__}",
    } == dict(trace.one("GET").attributes)


def test_a_request_that_failed_is_an_error(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    service().show(None, image_id)
    span = trace.named("GET")[0]
    assert (StatusCode.ERROR, "503") == (span.status.status_code, span.attributes["error.type"])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.refuse(), "connection_refused"),
        (faults.reset(), "connection_reset"),
        (faults.garbage_headers(), "protocol_error"),
    ],
)
def test_a_request_that_met_nobody_is_an_error_in_the_catalogues_words(
    service, servers, image_id, trace, fault, reason
):
    servers[0].break_with(fault)
    service().show(None, image_id)
    span = trace.named("GET")[0]
    assert (StatusCode.ERROR, reason) == (span.status.status_code, span.attributes["error.type"])


def test_a_request_that_met_nobody_tells_no_message_and_no_traceback(
    service, servers, image_id, trace
):
    servers[0].break_with(faults.refuse())
    service().show(None, image_id)
    span = trace.named("GET")[0]
    assert (None, ()) == (span.status.description, span.events)


def test_the_upload_of_an_interrupted_reader_is_no_error(service, trace):
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    with pytest.raises(KeyboardInterrupt):
        service().create(None, fields, Interrupted())
    span = trace.one("PUT")
    assert (StatusCode.UNSET, None) == (
        span.status.status_code,
        span.attributes.get("error.type"),
    )


class Interrupted:
    """Data whose reader is stopped."""

    def __iter__(self):
        raise KeyboardInterrupt


def test_the_server_is_told_the_requests_span(service, servers, image_id, trace):
    service().show(None, image_id)
    assert sent_by(trace.one("GET")) == servers[0].access_log[0].traceparent


def test_headers_that_the_process_captures_are_not_captured_here(
    service, image_id, trace, monkeypatch
):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", ".*")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE", ".*")
    service().show(None, image_id)
    assert [] == [name for name in trace.one("GET").attributes if ".header." in name]


# --- how often a request was sent before -------------------------------------------------------


def resent(spans):
    return [span.attributes.get("http.request.resend_count") for span in spans]


def test_the_first_request_was_not_sent_before(service, image_id, trace):
    service().show(None, image_id)
    assert [None] == resent(clients(trace))


def test_each_retry_says_how_often_the_request_was_sent(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    servers[1].break_with(faults.refuse())
    service().show(None, image_id)
    assert [None, 1, 2] == resent(clients(trace))


def test_a_request_is_the_same_whatever_a_servers_prefix(service, servers, image_id, trace):
    servers[0].break_with(faults.refuse())
    service(servers=[f"{servers[0].url}/image", servers[1].url]).show(None, image_id)
    assert [None, 1] == resent(clients(trace))


def test_only_the_page_that_failed_was_sent_before(service, servers, images, trace):
    for name in ("one", "two", "three"):
        images.add(name=name)
    servers[0].break_with(faults.flapping(None, faults.status(503)))
    service().detail(None, page_size=1)
    assert [
        200,
        503,
        200,
        200,
    ] == [span.attributes["http.response.status_code"] for span in clients(trace)[:4]]
    assert [None, None, 1, None] == resent(clients(trace)[:4])


class Tokens:
    """A token that has expired, then one that has not."""

    def __init__(self):
        self.left = ["expired", "good"]

    def get_token(self):
        return self.left[0]

    def invalidate(self):
        self.left.pop(0)
        return True


def test_a_request_repeated_with_a_new_token_was_sent_before(service, image_id, trace, servers):
    servers[0].break_with(faults.status(401).times(1))
    service(auth=Tokens()).show(None, image_id)
    assert [(401, None), (200, 1)] == [
        (span.attributes["http.response.status_code"], *resent([span])) for span in clients(trace)
    ]


def test_an_attempt_whose_token_was_renewed_is_no_error(service, image_id, trace, servers):
    servers[0].break_with(faults.status(401).times(1))
    service(auth=Tokens()).show(None, image_id)
    assert StatusCode.UNSET is trace.one(ATTEMPT).status.status_code


# --- without spans of requests -----------------------------------------------------------------


def test_without_wire_spans_the_attempt_is_of_kind_client(service, image_id, trace):
    service(wire_spans=False).show(None, image_id)
    assert [
        ("glance.images.get", SpanKind.INTERNAL),
        (ATTEMPT, SpanKind.CLIENT),
    ] == [(span.name, span.kind) for span in trace.spans]


def test_without_wire_spans_the_attempt_has_the_stable_conventions_attributes(
    service, servers, image_id, trace
):
    service(wire_spans=False).show(None, image_id)
    assert {
        "glance.operation": "images.get",
        "glance.attempt.number": 1,
        "glance.attempt.max": 4,
        "glance.attempt.trial": False,
        "glance.request_id": servers[0].access_log[0].request_id,
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": servers[0].port,
        "url.full": f"{servers[0].url}/v2/images/{image_id}",
    } == dict(trace.one(ATTEMPT).attributes)


def test_without_wire_spans_failed_attempts_tell_their_status(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    service(wire_spans=False).show(None, image_id)
    assert [(503, "503", StatusCode.ERROR), (200, None, StatusCode.UNSET)] == [
        (
            span.attributes["http.response.status_code"],
            span.attributes.get("error.type"),
            span.status.status_code,
        )
        for span in trace.named(ATTEMPT)
    ]


def test_without_wire_spans_what_met_nobody_has_no_status(service, servers, image_id, trace):
    servers[0].break_with(faults.refuse())
    service(wire_spans=False).show(None, image_id)
    assert "http.response.status_code" not in trace.named(ATTEMPT)[0].attributes


def test_without_wire_spans_attempts_tell_how_often_they_were_made(
    service, servers, image_id, trace
):
    servers[0].break_with(faults.status(503))
    servers[1].break_with(faults.refuse())
    service(wire_spans=False).show(None, image_id)
    assert [None, 1, 2] == resent(trace.named(ATTEMPT))


def test_without_wire_spans_the_server_is_told_the_attempts_span(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    service(wire_spans=False).show(None, image_id)
    told = [server.access_log[0].traceparent for server in servers[:2]]
    assert [sent_by(span) for span in trace.named(ATTEMPT)] == told


# --- what a URL may tell -----------------------------------------------------------------------

SECRET = "hunter2"


@pytest.mark.parametrize("wire_spans", [True, False])
@pytest.mark.parametrize("key", SECRET_KEYS)
def test_the_value_of_a_secret_key_is_not_told(service, trace, key, wire_spans):
    service(wire_spans=wire_spans).detail(None, filters={key: SECRET, "name": "cirros"})
    (span,) = clients(trace)
    assert SECRET not in span.to_json()
    assert f"&{key}=REDACTED&name=cirros" in span.attributes["url.full"]


def test_the_value_of_a_key_that_ends_in_a_secret_one_is_told(service, trace):
    service().detail(None, filters={"design": "art-nouveau"})
    assert trace.one("GET").attributes["url.full"].endswith("design=art-nouveau")


def test_without_wire_spans_no_span_of_a_failure_tells_a_secret_keys_value(service, servers, trace):
    servers[0].break_with(faults.refuse())
    with pytest.raises(GlanceConnectionFailed):
        service(num_retries=0, wire_spans=False).detail(None, filters={"sig": SECRET})
    assert SECRET not in "".join(span.to_json() for span in trace.spans)
