"""The spans of calls and attempts: parents, kinds, names, attributes, status and events."""

import pytest
import sqlalchemy
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

import traced_image
from traced_image import (
    GlanceConnectionFailed,
    ImageNotFound,
    RequestContext,
    RetryPolicy,
    S3ImageService,
    Telemetry,
    TokenUnavailable,
    TracedImageError,
    UnsafeToRepeat,
)
from traced_image.errors import DeadlineExceeded, ImageMapUnavailable, RetryBudgetExhausted
from traced_image.lab import faults
from traced_image.telemetry import catalogue

CALL = "glance.images.get"
ATTEMPT = "glance.images.get attempt"
NO_WAIT = RetryPolicy(backoff_base=0.0)


def netloc(server):
    return f"127.0.0.1:{server.port}"


def test_a_call_has_one_attempt_with_one_request_beneath(service, image_id, trace):
    service().show(None, image_id)
    assert [(CALL, [(ATTEMPT, [("GET", [])])])] == trace.tree()


def test_only_requests_are_of_kind_client(service, image_id, trace):
    service().show(None, image_id)
    assert [
        SpanKind.INTERNAL,
        SpanKind.INTERNAL,
        SpanKind.CLIENT,
    ] == [span.kind for span in trace.spans]


def test_a_call_is_below_the_span_of_its_caller(service, image_id, trace):
    with trace.provider.get_tracer("caller").start_as_current_span("boot"):
        service().show(None, image_id)
    assert [("boot", [(CALL, [(ATTEMPT, [("GET", [])])])])] == trace.tree()


def test_the_callers_span_is_current_again_after_a_call(service, image_id, trace):
    with trace.provider.get_tracer("caller").start_as_current_span("boot") as span:
        service().show(None, image_id)
        assert span is get_current_span()


def test_the_callers_span_is_current_again_after_a_failure(service, servers, trace):
    with trace.provider.get_tracer("caller").start_as_current_span("boot") as span:
        with pytest.raises(ImageNotFound):
            service().show(None, "absent")
        assert span is get_current_span()


def test_spans_are_of_this_packages_scope_and_of_the_conventions_version(service, image_id, trace):
    service().show(None, image_id)
    scope = trace.one(CALL).instrumentation_scope
    assert (
        "traced_image",
        traced_image.__version__,
        "https://opentelemetry.io/schemas/1.44.0",
    ) == (scope.name, scope.version, scope.schema_url)


def test_spans_of_requests_are_of_the_same_scope(service, image_id, trace):
    service().show(None, image_id)
    assert trace.one(CALL).instrumentation_scope == trace.one("GET").instrumentation_scope


def test_each_retry_has_an_attempt_of_its_own(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    servers[1].break_with(faults.refuse())
    service().show(None, image_id)
    attempt = (ATTEMPT, [("GET", [])])
    assert [(CALL, [attempt, attempt, attempt])] == trace.tree()


def test_a_call_that_succeeded_at_once_says_so(service, servers, image_id, trace):
    service().show(None, image_id)
    assert {
        catalogue.OPERATION: "images.get",
        catalogue.OUTCOME: "success_first_try",
        catalogue.ATTEMPTS: 1,
        catalogue.RETRY_DELAY_TOTAL: 0.0,
        catalogue.RETRY_COST_TOTAL: 0.0,
        catalogue.SERVERS_TRIED: (netloc(servers[0]),),
    } == dict(trace.one(CALL).attributes)


def test_a_call_that_recovered_is_no_error(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    service().show(None, image_id)
    call = trace.one(CALL)
    assert StatusCode.UNSET is call.status.status_code
    assert {
        catalogue.OPERATION: "images.get",
        catalogue.OUTCOME: "success_after_retry",
        catalogue.ATTEMPTS: 2,
        catalogue.RETRY_DELAY_TOTAL: 0.0,
        catalogue.RETRY_COST_TOTAL: call.attributes[catalogue.RETRY_COST_TOTAL],
        catalogue.SERVERS_TRIED: (netloc(servers[0]), netloc(servers[1])),
    } == dict(call.attributes)


STRANGER = RequestContext(user_id="nobody", project_id="nothing")


@pytest.mark.parametrize("version", [1, 2])
def test_an_image_that_its_caller_may_not_see_is_refused(service, images, trace, counts, version):
    hidden = images.add(name="hidden", visibility="private")
    with pytest.raises(ImageNotFound):
        service(api_version=version).show(STRANGER, hidden)
    call, attempt = trace.one(CALL), trace.one(ATTEMPT)
    assert (
        ("refused", "404", StatusCode.ERROR),
        StatusCode.UNSET,
        {("refused", "404"): 1.0},
    ) == (
        (
            call.attributes[catalogue.OUTCOME],
            call.attributes[catalogue.ERROR_TYPE],
            call.status.status_code,
        ),
        attempt.status.status_code,
        counts.of("glance_client_call_duration_seconds_count", "outcome", "error_type"),
    )


def test_the_server_of_an_image_that_its_caller_may_not_see_is_not_accused(service, images):
    hidden = images.add(name="hidden", visibility="private")
    shown = service()
    with pytest.raises(ImageNotFound) as caught:
        shown.show(STRANGER, hidden)
    assert (0, (), None) == (
        shown.servers()[0].consecutive_failures,
        caught.value.attempts,
        caught.value.__cause__,
    )


UNKNOWN_EC2 = {
    "images.get": lambda images: images.show(None, "ami-0000000a"),
    "images.list": lambda images: images.detail(None, marker="ami-0000000a"),
    "images.create": lambda images: images.create(None, {"properties": {"kernel_id": 10}}),
    "images.update": lambda images: images.update(None, 10, {}),
    "images.delete": lambda images: images.delete(None, 10),
    "images.data": lambda images: images.download(None, 10),
}


@pytest.mark.parametrize("operation", UNKNOWN_EC2)
def test_an_unknown_ec2_id_is_a_call_that_asked_no_server(service, trace, counts, operation):
    with S3ImageService(service(), "sqlite://") as images, pytest.raises(ImageNotFound):
        UNKNOWN_EC2[operation](images)
    (call,) = trace.spans
    assert (
        {
            catalogue.OPERATION: operation,
            catalogue.OUTCOME: "refused",
            catalogue.ATTEMPTS: 0,
            catalogue.RETRY_DELAY_TOTAL: 0.0,
            catalogue.RETRY_COST_TOTAL: 0.0,
            catalogue.SERVERS_TRIED: (),
            catalogue.ERROR_TYPE: "404",
        },
        StatusCode.ERROR,
        {(operation, "refused", "404"): 1.0},
    ) == (
        dict(call.attributes),
        call.status.status_code,
        counts.of(
            "glance_client_call_duration_seconds_count", "operation", "outcome", "error_type"
        ),
    )


def test_a_broken_database_of_ec2_ids_is_a_failure_of_the_call(service, trace):
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    with S3ImageService(service(), engine) as images:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE s3_images")
        with pytest.raises(ImageMapUnavailable):
            images.show(None, 10)
    assert "non_retryable" == trace.one(CALL).attributes[catalogue.OUTCOME]


def test_the_failed_attempt_of_a_call_that_recovered_is_an_error(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    service().show(None, image_id)
    assert [
        StatusCode.ERROR,
        StatusCode.UNSET,
    ] == [span.status.status_code for span in trace.named(ATTEMPT)]


def test_an_attempt_names_its_server_and_place(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    service(num_retries=2).show(None, image_id)
    assert {
        catalogue.OPERATION: "images.get",
        catalogue.SERVER_ADDRESS: "127.0.0.1",
        catalogue.SERVER_PORT: servers[0].port,
        catalogue.ATTEMPT_NUMBER: 1,
        catalogue.ATTEMPT_MAXIMUM: 3,
        catalogue.ATTEMPT_TRIAL: False,
        catalogue.ATTEMPT_VERDICT: "failed",
        catalogue.REQUEST_ID: servers[0].access_log[0].request_id,
        catalogue.ERROR_TYPE: "503",
    } == dict(trace.named(ATTEMPT)[0].attributes)


def test_an_attempt_that_succeeded_has_no_error_type(service, servers, image_id, trace):
    service().show(None, image_id)
    assert catalogue.ERROR_TYPE not in trace.one(ATTEMPT).attributes


def test_an_attempt_that_met_no_server_has_no_request_id(service, servers, image_id, trace):
    servers[0].break_with(faults.refuse())
    service().show(None, image_id)
    assert catalogue.REQUEST_ID not in trace.named(ATTEMPT)[0].attributes


def test_an_attempt_after_a_cool_down_is_a_trial(service, servers, image_id, trace, time):
    servers[0].break_with(faults.status(503).times(1))
    shown = service(servers=[servers[0].url, servers[1].url])
    shown.show(None, image_id)
    time.now += 100.0
    shown.show(None, image_id)
    assert [
        False,
        False,
        True,
    ] == [span.attributes[catalogue.ATTEMPT_TRIAL] for span in trace.named(ATTEMPT)]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.refuse(), "connection_refused"),
        (faults.reset(), "connection_reset"),
        (faults.not_json(), "protocol_error"),
        (faults.redirect_loop(), "too_many_redirects"),
        (faults.status(429), "429"),
    ],
)
def test_a_failed_attempt_says_why(service, servers, image_id, trace, fault, reason):
    servers[0].break_with(fault)
    service().show(None, image_id)
    assert reason == trace.named(ATTEMPT)[0].attributes[catalogue.ERROR_TYPE]


def test_each_retry_is_an_event_of_the_call(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    refusing = servers[1].port
    servers[1].break_with(faults.refuse())
    service(retry=RetryPolicy(fixed_delay=1.5)).show(None, image_id)
    assert [
        (
            catalogue.RETRY_EVENT,
            {
                catalogue.RETRY_DELAY: 1.5,
                catalogue.ERROR_TYPE: reason,
                catalogue.SERVER_ADDRESS: "127.0.0.1",
                catalogue.SERVER_PORT: port,
                catalogue.RETRY_NEXT_SERVER: following,
            },
        )
        for reason, port, following in (
            ("503", servers[0].port, netloc(servers[1])),
            ("connection_refused", refusing, netloc(servers[2])),
        )
    ] == [(event.name, dict(event.attributes)) for event in trace.one(CALL).events]


def test_a_call_sums_up_what_it_waited(service, servers, image_id, trace, time):
    servers[0].break_with(faults.status(503))
    servers[1].break_with(faults.refuse())
    service(retry=RetryPolicy(fixed_delay=1.5)).show(None, image_id)
    assert 3.0 == sum(time.slept)
    assert 3.0 == trace.one(CALL).attributes[catalogue.RETRY_DELAY_TOTAL]


def ended(trace):
    call = trace.one(CALL)
    return (
        call.attributes[catalogue.OUTCOME],
        call.attributes[catalogue.ERROR_TYPE],
        call.attributes[catalogue.ATTEMPTS],
        call.status.status_code,
    )


def test_a_call_that_nobody_answered_is_exhausted(service, servers, image_id, trace):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        service(num_retries=2, retry=NO_WAIT).show(None, image_id)
    assert ("exhausted", "503", 3, StatusCode.ERROR) == ended(trace)


def test_the_last_failure_of_a_call_is_no_retry(service, servers, image_id, trace):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        service(num_retries=2, retry=NO_WAIT).show(None, image_id)
    assert 2 == len(trace.one(CALL).events)


def test_a_failed_calls_status_says_what_its_error_says(service, servers, image_id, trace):
    servers[0].break_with(faults.refuse())
    with pytest.raises(GlanceConnectionFailed) as caught:
        service(num_retries=0).show(None, image_id)
    assert str(caught.value) == trace.one(CALL).status.description


def test_a_failed_attempts_status_has_no_words(service, servers, image_id, trace):
    servers[0].break_with(faults.refuse())
    service().show(None, image_id)
    assert None is trace.named(ATTEMPT)[0].status.description


def test_an_answer_that_no_other_server_would_mend_is_not_retried(service, servers, trace):
    with pytest.raises(ImageNotFound):
        service().show(None, "absent")
    assert ("refused", "404", 1, StatusCode.ERROR) == ended(trace)


def test_a_call_past_its_deadline_says_so(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503, retry_after=20))
    with pytest.raises(DeadlineExceeded):
        service(servers=[servers[0].url], deadline=10.0).show(None, image_id)
    assert ("exhausted", "deadline_exceeded", 1, StatusCode.ERROR) == ended(trace)


def test_a_call_that_the_retry_budget_refused_says_so(service, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    policy = RetryPolicy(budget_share=0.0, budget_floor=0.0)
    with pytest.raises(RetryBudgetExhausted):
        service(retry=policy).show(None, image_id)
    assert ("exhausted", "budget_exhausted", 1, StatusCode.ERROR) == ended(trace)


def test_a_call_that_is_unsafe_to_repeat_says_what_it_met(service, servers, trace):
    servers[0].break_with(faults.lost_reply())
    with pytest.raises(UnsafeToRepeat):
        service().create(None, {"name": "new"})
    call = trace.one("glance.images.create")
    assert ("exhausted", "connection_reset") == (
        call.attributes[catalogue.OUTCOME],
        call.attributes[catalogue.ERROR_TYPE],
    )


class NoTokens:
    def get_token(self):
        raise LookupError("Keystone is away")

    def invalidate(self):
        return False


def test_a_failure_that_is_no_servers_has_no_reason_of_the_list(service, image_id, trace):
    with pytest.raises(TokenUnavailable):
        service(auth=NoTokens()).show(None, image_id)
    assert ("non_retryable", "token_unavailable", 0, StatusCode.ERROR) == ended(trace)


class TokensByCall:
    """Tokens of somebody who makes a call of his own for each."""

    def __init__(self, call):
        self.call = call

    def get_token(self):
        self.call()
        return "token"

    def invalidate(self):
        return False


def test_a_call_within_a_call_is_below_it(service, image_id, trace):
    inner = service()
    service(auth=TokensByCall(lambda: inner.detail(None, limit=0))).show(None, image_id)
    listed = ("glance.images.list", [("glance.images.list attempt", [("GET", [])])])
    assert [(CALL, [listed, (ATTEMPT, [("GET", [])])])] == trace.tree()


def test_a_call_within_a_call_counts_its_own_attempts(service, servers, image_id, trace):
    inner = service(servers=[servers[1].url])
    servers[0].break_with(faults.status(503))
    service(auth=TokensByCall(lambda: inner.detail(None))).show(None, image_id)
    assert [(CALL, 2), ("glance.images.list", 1)] == [
        (span.name, span.attributes[catalogue.ATTEMPTS])
        for span in trace.spans
        if catalogue.ATTEMPTS in span.attributes
    ]


class Interrupted:
    """Data whose reader is stopped."""

    def __iter__(self):
        raise KeyboardInterrupt


def test_an_interrupted_call_is_no_error_and_no_success(service, trace):
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    with pytest.raises(KeyboardInterrupt):
        service().create(None, fields, Interrupted())
    spans = [trace.one("glance.images.upload"), trace.one("glance.images.upload attempt")]
    assert [(StatusCode.UNSET, None)] * 2 == [
        (span.status.status_code, span.attributes.get(catalogue.ERROR_TYPE)) for span in spans
    ]


def test_every_operation_has_spans_of_its_name(service, image_id, trace):
    shown = service()
    shown.detail(None)
    created = shown.create(
        None, {"name": "new", "disk_format": "raw", "container_format": "bare"}, b"data"
    )
    shown.update(None, created["id"], {"name": "newer"}, purge_props=False)
    list(shown.download(None, created["id"]))
    shown.delete(None, created["id"])
    assert [
        "glance.images.list",
        "glance.images.create",
        "glance.images.upload",
        "glance.images.get",
        "glance.images.update",
        "glance.images.data",
        "glance.images.delete",
    ] == [span.name for span in trace.below(None)]


def test_the_first_version_of_the_api_has_the_same_spans(service, image_id, trace):
    service(api_version=1).show(None, image_id)
    assert [(CALL, [(ATTEMPT, [("HEAD", [])])])] == trace.tree()


def test_what_is_not_sampled_is_not_recorded(service, image_id, trace, registry):
    provider = TracerProvider(sampler=ALWAYS_OFF)
    service(telemetry=Telemetry(tracer_provider=provider, registry=registry)).show(None, image_id)
    assert () == tuple(trace.spans)


def test_servers_are_told_what_is_not_sampled(service, servers, image_id, registry):
    provider = TracerProvider(sampler=ALWAYS_OFF)
    service(telemetry=Telemetry(tracer_provider=provider, registry=registry)).show(None, image_id)
    flags = servers[0].access_log[0].traceparent.rpartition("-")[2]
    assert 0 == int(flags, 16) & 1


def test_what_is_not_sampled_is_counted(service, image_id, registry, counts):
    provider = TracerProvider(sampler=ALWAYS_OFF)
    service(telemetry=Telemetry(tracer_provider=provider, registry=registry)).show(None, image_id)
    assert {("success_first_try",): 1.0} == counts.of(
        "glance_client_call_duration_seconds_count", "outcome"
    )


SECRET = "gAAAAABsecret"


def text_of(span):
    """All that a span tells."""
    return " ".join([span.to_json(), str(span.status.description)])


@pytest.mark.parametrize("wire_spans", [True, False])
@pytest.mark.parametrize(
    "fault", [faults.status(503), faults.status(401), faults.refuse(), faults.reset()]
)
def test_no_token_is_in_any_span(service, servers, image_id, trace, fault, wire_spans, monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", ".*")
    for server in servers:
        server.break_with(fault)
    shown = service(wire_spans=wire_spans, auth_strategy="keystone", retry=NO_WAIT)
    with pytest.raises(TracedImageError):
        shown.show(RequestContext(auth_token=SECRET), image_id)
    assert SECRET not in "".join(map(text_of, trace.spans))


# --- what the reference page says ---------------------------------------------------------------


def kind_of(span):
    """The title of the span's section on the page."""
    if span.name == "GET":
        return "Request"
    return {"attempt": "Attempt", "stream": "Stream"}.get(span.name.rpartition(" ")[2], "Call")


def shown(title):
    (found,) = (one for one in catalogue.SPAN_TYPES if one.title == title)
    return dict(found.attributes)


def test_each_span_has_what_the_page_says(service, servers, images, trace):
    """Of calls that succeeded at once, recovered, were refused and broke off."""
    image_id = images.add(name="cirros", data=bytes(1000))
    asked = service(retry=NO_WAIT)
    list(asked.download(None, image_id))
    servers[1].break_with(faults.status(503))
    asked.show(None, image_id)
    servers[2].break_with(faults.cut_body().only(path="/file$"))
    list(asked.download(None, image_id))
    with pytest.raises(ImageNotFound):
        asked.show(None, "absent")
    found = [(kind_of(span), set(span.attributes)) for span in trace.spans]
    found += [("Retry", set(event.attributes)) for span in trace.spans for event in span.events]
    assert {"Call", "Retry", "Attempt", "Stream", "Request"} == {title for title, _ in found}
    for title, names in found:
        levels = shown(title)
        required = {name for name, level in levels.items() if level == "Required"}
        assert (set(), set()) == (names - set(levels), required - names)
