"""The recorder alone, as an adapter for another library uses it: no pipeline, no requests."""

import contextvars
from types import SimpleNamespace

import pytest
from opentelemetry.trace import INVALID_SPAN, SpanKind, StatusCode, get_current_span

from traced_image import Server, Telemetry
from traced_image.errors import (
    CommunicationError,
    ImageUnacceptable,
    InvalidOption,
    InvalidQuery,
    Reason,
    StreamConsumed,
    TokenUnavailable,
)
from traced_image.telemetry import (
    Recorder,
    attempt_record,
    catalogue,
    current_call,
    make_recorder,
    stream_record,
)
from traced_image.telemetry import recorder as recorder_module
from traced_image.telemetry.metrics import MOST_SERVERS, Metrics
from traced_image.telemetry.spans import Spans

FIRST, SECOND = Server.parse("glance-1"), Server.parse("https://glance-2")
UNKNOWN = Server.parse("elsewhere")

CALLS = "glance_client_call_duration_seconds"
ATTEMPTS = "glance_client_attempt_duration_seconds"
SERVER = ("server_address", "server_port")


def recorder_for(registry, provider, *, wire_spans=False):
    telemetry = Telemetry(
        tracer_provider=provider, registry=registry, meter_provider=False, wire_spans=wire_spans
    )
    return make_recorder(telemetry, [FIRST, SECOND])


@pytest.fixture
def recorder(registry, trace):
    return recorder_for(registry, trace.provider)


def recovered(recorder, operation="images.get"):
    """A call whose first server refuses, and whose second one answers."""
    call = recorder.call(operation)
    call.attempt(FIRST, 1, 4).end("connection_refused")
    call.retry("connection_refused", 0.5, SECOND)
    call.attempt(SECOND, 2, 4, trial=True).end(status=200, request_id="req-2")
    call.end()


def without_cost(span):
    """The attributes of a call's span but for the one that is measured."""
    attributes = dict(span.attributes)
    del attributes[catalogue.RETRY_COST_TOTAL]
    return attributes


# --- spans -------------------------------------------------------------------------------------


def test_a_call_has_its_attempts_beneath(recorder, trace):
    recovered(recorder)
    attempt = "glance.images.get attempt"
    assert [("glance.images.get", [(attempt, []), (attempt, [])])] == trace.tree()


def test_a_call_tells_what_came_of_it(recorder, trace):
    recovered(recorder)
    assert {
        catalogue.OPERATION: "images.get",
        catalogue.OUTCOME: "success_after_retry",
        catalogue.ATTEMPTS: 2,
        catalogue.RETRY_DELAY_TOTAL: 0.5,
        catalogue.SERVERS_TRIED: ("glance-1:9292", "glance-2:443"),
    } == without_cost(trace.one("glance.images.get"))


def test_an_attempt_tells_what_it_met(recorder, trace):
    recovered(recorder)
    assert [
        {
            catalogue.OPERATION: "images.get",
            catalogue.SERVER_ADDRESS: "glance-1",
            catalogue.SERVER_PORT: 9292,
            catalogue.ATTEMPT_NUMBER: 1,
            catalogue.ATTEMPT_MAXIMUM: 4,
            catalogue.ATTEMPT_TRIAL: False,
            catalogue.ATTEMPT_VERDICT: "failed",
            catalogue.ERROR_TYPE: "connection_refused",
        },
        {
            catalogue.OPERATION: "images.get",
            catalogue.SERVER_ADDRESS: "glance-2",
            catalogue.SERVER_PORT: 443,
            catalogue.ATTEMPT_NUMBER: 2,
            catalogue.ATTEMPT_MAXIMUM: 4,
            catalogue.ATTEMPT_TRIAL: True,
            catalogue.REQUEST_ID: "req-2",
            catalogue.HTTP_RESPONSE_STATUS_CODE: 200,
        },
    ] == [dict(span.attributes) for span in trace.named("glance.images.get attempt")]


def test_a_retry_is_an_event_of_the_call(recorder, trace):
    recovered(recorder)
    assert [
        (
            catalogue.RETRY_EVENT,
            {
                catalogue.RETRY_DELAY: 0.5,
                catalogue.ERROR_TYPE: "connection_refused",
                catalogue.SERVER_ADDRESS: "glance-1",
                catalogue.SERVER_PORT: 9292,
                catalogue.RETRY_NEXT_SERVER: "glance-2:443",
            },
        )
    ] == [(event.name, dict(event.attributes)) for event in trace.one("glance.images.get").events]


def test_only_what_failed_is_an_error(recorder, trace):
    recovered(recorder)
    assert [StatusCode.UNSET, StatusCode.ERROR, StatusCode.UNSET] == [
        span.status.status_code for span in trace.spans
    ]


@pytest.mark.parametrize(("wire_spans", "kind"), [(True, "INTERNAL"), (False, "CLIENT")])
def test_an_attempt_is_the_client_where_requests_have_no_spans(registry, trace, wire_spans, kind):
    recovered(recorder_for(registry, trace.provider, wire_spans=wire_spans))
    assert [SpanKind[kind]] * 2 == [span.kind for span in trace.named("glance.images.get attempt")]


def test_an_attempt_may_tell_its_request(recorder, trace):
    request = SimpleNamespace(method="GET", path="/v2/images?sig=secret&name=cirros")
    call = recorder.call("images.list")
    call.attempt(SECOND, request=request).end()
    call.end()
    attributes = trace.one("glance.images.list attempt").attributes
    assert ("GET", "https://glance-2:443/v2/images?sig=REDACTED&name=cirros") == (
        attributes[catalogue.HTTP_REQUEST_METHOD],
        attributes[catalogue.URL_FULL],
    )


def test_a_call_is_current_and_then_its_attempt(recorder, trace):
    call = recorder.call("images.get")
    seen = [get_current_span()]
    attempt = call.attempt(FIRST)
    seen.append(get_current_span())
    attempt.end()
    seen.append(get_current_span())
    call.end()
    assert [call.span.span, attempt.span.span, call.span.span, INVALID_SPAN] == [
        *seen,
        get_current_span(),
    ]


def test_what_its_caller_cancelled_is_no_error(recorder, trace):
    call = recorder.call("images.get")
    call.attempt(FIRST).cancel()
    call.end("cancelled", "_OTHER")
    assert [(StatusCode.UNSET, None)] * 2 == [
        (span.status.status_code, span.attributes.get(catalogue.ERROR_TYPE)) for span in trace.spans
    ]


def test_a_call_that_failed_may_say_what_it_met(recorder, trace):
    recorder.call("images.get").end("non_retryable", "_OTHER", "no token")
    assert "no token" == trace.one("glance.images.get").status.description


def test_a_call_may_end_before_its_first_attempt(recorder, trace, counts):
    recorder.call("images.get").end("exhausted", "deadline_exceeded")
    assert (0, {}) == (
        trace.one("glance.images.get").attributes[catalogue.ATTEMPTS],
        counts.of("glance_client_connection_failed_total"),
    )


def test_an_attempt_says_where_it_is_seen(recorder, trace):
    call = recorder.call("images.get")
    attempt = call.attempt(FIRST)
    attempt.end()
    call.end()
    context = trace.one("glance.images.get attempt").context
    assert context == attempt.span.exemplar()


# --- metrics -----------------------------------------------------------------------------------


def test_a_call_is_counted_once(recorder, counts):
    recovered(recorder)
    assert {("images.get", "success_after_retry", ""): 1.0} == counts.of(
        f"{CALLS}_count", "operation", "outcome", "error_type"
    )


def test_attempts_are_counted_by_server_and_reason(recorder, counts):
    recovered(recorder)
    assert {
        ("images.get", "glance-1", "9292", "connection_refused"): 1.0,
        ("images.get", "glance-2", "443", ""): 1.0,
    } == counts.of(f"{ATTEMPTS}_count", "operation", *SERVER, "error_type")


def test_a_retry_is_counted_for_the_server_that_failed(recorder, counts):
    recovered(recorder)
    assert {("images.get", "glance-1", "9292", "connection_refused"): 1.0} == counts.of(
        "glance_client_retries_total", "operation", *SERVER, "error_type"
    )


def test_the_retries_of_a_call_and_its_waits_are_counted(recorder, counts):
    recovered(recorder)
    assert ({("images.get",): 1.0}, {("images.get",): 0.5}) == (
        counts.of("glance_client_call_retries_sum", "operation"),
        counts.of("glance_client_retry_delay_seconds_sum", "operation"),
    )


def test_a_call_that_gave_up_is_counted_for_its_last_server(recorder, counts):
    call = recorder.call("images.get")
    for number, server in enumerate((FIRST, SECOND), 1):
        call.attempt(server, number, 2).end("503", 503)
    call.end("exhausted", "503")
    assert {("images.get", "glance-2", "443", "503"): 1.0} == counts.of(
        "glance_client_connection_failed_total", "operation", *SERVER, "error_type"
    )


def test_an_attempt_is_active_until_it_ends(recorder, counts):
    active = []
    call = recorder.call("images.get")
    attempt = call.attempt(FIRST)
    active.append(counts.of("glance_client_active_attempts", *SERVER))
    attempt.end()
    active.append(counts.of("glance_client_active_attempts", *SERVER))
    call.end()
    assert [{("glance-1", "9292"): 1.0}, {}] == active


def test_a_state_that_an_adapter_knows_is_shown(recorder, counts):
    host = SimpleNamespace(
        server=FIRST,
        shown_state="cooling",
        consecutive_failures=2,
        last_success=None,
        last_failure=1_800_000_000.0,
        trial_at=None,
    )
    recorder.metrics.host(host)
    assert (
        {("glance-1", "cooling"): 1.0},
        {("glance-1",): 2.0},
        {("glance-1",): 1_800_000_000.0},
    ) == (
        counts.of("glance_client_server_state", "server_address", "state"),
        counts.of("glance_client_server_consecutive_failures", "server_address"),
        counts.of("glance_client_server_last_failure_timestamp_seconds", "server_address"),
    )


def test_a_stream_is_counted_and_has_a_span_of_its_own(recorder, trace, counts):
    call = recorder.call("images.data")
    call.attempt(FIRST).end()
    call.end()
    stream = call.stream(FIRST, "download")
    stream.add(6)
    stream.add(4)
    for _ in range(2):
        stream.end("read_timeout", complete=False)
    key = ("glance-1", "9292", "download")
    assert (
        [
            (
                "glance.images.data",
                [("glance.images.data attempt", []), ("glance.images.data stream", [])],
            )
        ],
        {key: 10.0},
        {key: 1.0},
    ) == (
        trace.tree(),
        counts.of("glance_client_stream_bytes_total", *SERVER, "direction"),
        counts.of("glance_client_stream_errors_total", *SERVER, "direction"),
    )


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        for module in (recorder_module, attempt_record, stream_record):
            monkeypatch.setattr(module, "perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def cost(trace):
    return trace.one("glance.images.data").attributes[catalogue.RETRY_COST_TOTAL]


def test_retries_cost_the_attempts_that_failed_before_them_and_the_waits(recorder, trace, clock):
    call = recorder.call("images.data")
    for seconds, wait in ((2.0, 0.5), (4.0, 0.25)):
        attempt = call.attempt(FIRST)
        clock.now += seconds
        attempt.end("503", 503)
        call.retry("503", wait, SECOND)
        clock.now += wait
    attempt = call.attempt(SECOND)
    clock.now += 8.0
    attempt.end()
    call.end()
    assert 6.75 == cost(trace)


def test_a_call_that_failed_without_a_retry_has_no_cost_of_retries(recorder, trace, clock):
    call = recorder.call("images.data")
    attempt = call.attempt(FIRST)
    clock.now += 2.0
    attempt.end("503", 503)
    call.end("exhausted", "503")
    assert 0.0 == cost(trace)


def test_a_stream_that_broke_costs_what_was_waited_for_after_its_last_bytes(recorder, trace, clock):
    call = recorder.call("images.data")
    call.attempt(FIRST).end()
    stream = call.stream(FIRST, "download")
    clock.now += 10.0
    stream.add(1)
    clock.now += 3.0
    stream.end("read_timeout", complete=False)
    call.attempt(SECOND).end()
    call.end()
    assert 3.0 == cost(trace)


def test_an_attempt_after_a_broken_stream_is_a_retry(recorder, trace, counts):
    call = recorder.call("images.data")
    call.attempt(FIRST).end()
    call.stream(FIRST, "download").end("read_timeout", complete=False)
    call.attempt(SECOND).end()
    call.attempt(SECOND).end()
    call.end()
    span = trace.one("glance.images.data")
    assert (
        "success_after_retry",
        [("glance-1", 9292, "read_timeout", "glance-2:443")],
        {("glance-1", "read_timeout"): 1.0},
    ) == (
        span.attributes[catalogue.OUTCOME],
        [
            tuple(
                event.attributes[name]
                for name in (
                    catalogue.SERVER_ADDRESS,
                    catalogue.SERVER_PORT,
                    catalogue.ERROR_TYPE,
                    catalogue.RETRY_NEXT_SERVER,
                )
            )
            for event in span.events
        ],
        counts.of("glance_client_retries_total", "server_address", "error_type"),
    )


def test_keystone_is_named_if_there_was_no_token_for_the_rest_of_a_stream(recorder, trace, counts):
    cause = TokenUnavailable("Keystone is down", reason=Reason("connection_refused"))
    with pytest.raises(CommunicationError), recorder.call("images.data"):
        raise CommunicationError("it broke", reason=Reason("read_timeout")) from cause
    span = trace.one("glance.images.data")
    assert (("non_retryable", "read_timeout"), {("connection_refused",): 1.0}) == (
        (span.attributes[catalogue.OUTCOME], span.attributes[catalogue.ERROR_TYPE]),
        counts.of("glance_client_token_failures_total", "error_type"),
    )


def test_an_unknown_server_is_not_named_by_a_retry(recorder, trace):
    call = recorder.call("images.get")
    call.retry("503", 0.0)
    call.end()
    (event,) = trace.one("glance.images.get").events
    assert {catalogue.ERROR_TYPE: "503", catalogue.RETRY_DELAY: 0.0} == dict(event.attributes)


def test_a_stream_may_have_no_attempt(recorder, trace):
    recorder.stream("images.data", FIRST, "download").end(complete=True)
    assert [("glance.images.data stream", [])] == trace.tree()


# --- what is not of a closed set ---------------------------------------------------------------


def test_an_unknown_operation_is_other_in_metrics_and_in_the_names_of_spans(
    recorder, trace, counts
):
    recovered(recorder, "stores.list")
    recorder.stream("stores.list", FIRST, "download").end(complete=True)
    assert (
        {
            "glance._OTHER",
            "glance._OTHER attempt",
            "glance._OTHER stream",
        },
        {("_OTHER",)},
    ) == (
        {span.name for span in trace.spans},
        set(counts.of(f"{CALLS}_count", "operation")),
    )


def test_an_unknown_server_is_other_in_metrics_and_named_in_spans(recorder, trace, counts):
    call = recorder.call("images.get")
    call.attempt(UNKNOWN).end("503")
    call.end("exhausted", "503")
    assert ({("_OTHER", "_OTHER")}, "elsewhere") == (
        set(counts.of(f"{ATTEMPTS}_count", *SERVER)),
        trace.one("glance.images.get attempt").attributes[catalogue.SERVER_ADDRESS],
    )


def test_the_state_of_an_unknown_server_is_not_shown(recorder, counts):
    recorder.metrics.host(
        SimpleNamespace(
            server=UNKNOWN,
            state="cooling",
            consecutive_failures=1,
            last_success=None,
            last_failure=1.0,
        )
    )
    assert {} == counts.of("glance_client_server_state", *SERVER)


def test_an_unknown_reason_is_other_wherever_it_is_told(recorder, trace, counts):
    reason = "token gAAAAAB refused"
    call = recorder.call("images.get")
    call.attempt(FIRST).end(reason)
    call.retry(reason, 0.0)
    call.end("exhausted", reason)
    recorder.stream("images.data", FIRST, "download").end(reason, complete=False)
    events = [event for span in trace.spans for event in span.events]
    counted = [counts.of(f"{name}_count", "error_type") for name in (CALLS, ATTEMPTS)]
    assert (["_OTHER"] * 4, [{("_OTHER",): 1.0}] * 2) == (
        [each.attributes[catalogue.ERROR_TYPE] for each in (*trace.spans, *events)],
        counted,
    )


# --- misuse ------------------------------------------------------------------------------------


@pytest.fixture
def apart():
    """Run something in a context of its own, where it leaves behind what it likes."""
    return contextvars.copy_context().run


def test_a_call_that_ends_twice_raises_nothing(recorder, apart):
    def twice():
        call = recorder.call("images.get")
        call.end()
        call.end()

    apart(twice)


def test_a_call_that_ends_in_another_context_raises_nothing(recorder, trace, apart):
    call = apart(recorder.call, "images.get")
    call.end()
    assert ["glance.images.get"] == [span.name for span in trace.spans]


def test_a_retry_before_any_attempt_raises_nothing(recorder, trace, apart):
    call = recorder.call("images.get")
    call.retry("503", 0.0)
    call.end()
    assert 1 == len(trace.one("glance.images.get").events)


def test_calls_of_different_contexts_do_not_mix(recorder, trace):
    first = recorder.call("images.get")
    contextvars.Context().run(recovered, recorder, "images.list")
    first.attempt(FIRST).end()
    first.end()
    assert [("glance.images.get", 1), ("glance.images.list", 2)] == [
        (span.name, span.attributes[catalogue.ATTEMPTS]) for span in trace.below(None)
    ]


# --- calls and attempts as blocks --------------------------------------------------------------


class LostError(Exception):
    """What another library raises in place of what it met, without ``from``."""


def lose(kind):
    """Meet an error of a kind, and raise another as python-glanceclient does: without ``from``."""
    try:
        meet(kind)
    except kind:
        raise LostError("no connection")  # noqa: B904 as described


def meet(kind):
    raise kind


def reasons(counts):
    """The reasons of the failed attempts that were counted."""
    return {reason for (reason,) in counts.of(f"{ATTEMPTS}_count", "error_type") if reason}


def test_a_block_that_ends_is_a_success(recorder, trace, counts):
    with recorder.call("images.get") as call, call.attempt(FIRST) as attempt:
        attempt.status, attempt.request_id = 200, "req-1"
    assert ({("success_first_try",): 1.0}, (200, "req-1")) == (
        counts.of(f"{CALLS}_count", "outcome"),
        tuple(
            trace.one("glance.images.get attempt").attributes[name]
            for name in (catalogue.HTTP_RESPONSE_STATUS_CODE, catalogue.REQUEST_ID)
        ),
    )


def test_a_block_that_raises_is_a_failure_with_its_reason(recorder, counts):
    with (
        pytest.raises(LostError),
        recorder.call("images.get") as call,
        call.attempt(FIRST),
    ):
        lose(ConnectionRefusedError)
    assert ({("non_retryable", "connection_refused"): 1.0}, {"connection_refused"}) == (
        counts.of(f"{CALLS}_count", "outcome", "error_type"),
        reasons(counts),
    )


def test_an_error_that_says_that_no_server_answered_ends_the_call_as_exhausted(recorder, counts):
    with pytest.raises(LostError), recorder.call("images.get", (LostError,)):
        lose(TimeoutError)
    assert {("exhausted",): 1.0} == counts.of(f"{CALLS}_count", "outcome")


def test_the_words_of_a_foreign_error_are_not_told(recorder, trace):
    with pytest.raises(ValueError, match="secret"), recorder.call("images.get"):
        raise ValueError("secret")
    assert trace.one("glance.images.get").status.description is None


def test_the_words_of_an_own_error_are_told(recorder, trace):
    with pytest.raises(InvalidQuery), recorder.call("images.list"):
        raise InvalidQuery("limit is -1: pass 0 or more")
    assert "limit is -1: pass 0 or more" == trace.one("glance.images.list").status.description


def test_an_own_error_of_an_attempt_says_where_it_is_seen(recorder, trace):
    with (
        pytest.raises(CommunicationError) as raised,
        recorder.call("images.get") as call,
        call.attempt(FIRST),
    ):
        raise CommunicationError("no")
    span = trace.one("glance.images.get attempt").get_span_context()
    assert (f"{span.trace_id:032x}", f"{span.span_id:016x}") == (
        raised.value.trace_id,
        raised.value.span_id,
    )


def test_a_block_that_was_ended_before_is_counted_once(recorder, counts):
    with recorder.call("images.get") as call:
        with call.attempt(FIRST) as attempt:
            attempt.end("503", 503)
        call.end("exhausted", "503")
    assert ({("exhausted",): 1.0}, {("503",): 1.0}) == (
        counts.of(f"{CALLS}_count", "outcome"),
        counts.of(f"{ATTEMPTS}_count", "error_type"),
    )


def test_a_block_that_is_cancelled_is_no_error_of_its_spans(recorder, trace):
    with pytest.raises(KeyboardInterrupt), recorder.call("images.get") as call, call.attempt(FIRST):
        raise KeyboardInterrupt
    assert [StatusCode.UNSET] * 2 == [span.status.status_code for span in trace.spans]


def test_what_was_being_handled_before_is_not_the_reason(recorder, counts):
    try:
        meet(ConnectionRefusedError)
    except ConnectionRefusedError:
        with pytest.raises(LostError), recorder.call("images.get") as call, call.attempt(FIRST):
            raise LostError("no connection")  # noqa: B904 what is tested
    assert {"_OTHER"} == reasons(counts)


def test_an_error_that_is_raised_anew_has_its_own_reason(recorder, counts):
    try:
        meet(ConnectionRefusedError)
    except ConnectionRefusedError:
        with (
            pytest.raises(ConnectionRefusedError),
            recorder.call("images.get") as call,
            call.attempt(FIRST),
        ):
            raise
    assert {"connection_refused"} == reasons(counts)


@pytest.mark.parametrize(
    "attributes",
    [
        {"code": 503},
        {"http_status": 503},
        {"status_code": 503},
        {"code": "N/A", "response": SimpleNamespace(status_code=503)},
    ],
    ids=["python-glanceclient", "keystoneauth1", "openstacksdk", "requests"],
)
def test_the_status_of_a_foreign_error_is_its_reason(recorder, trace, counts, attributes):
    error = LostError("unavailable")
    vars(error).update(attributes)
    with pytest.raises(LostError), recorder.call("images.get") as call, call.attempt(FIRST):
        raise error
    told = trace.one("glance.images.get attempt").attributes
    assert ({"503"}, 503) == (reasons(counts), told[catalogue.HTTP_RESPONSE_STATUS_CODE])


# --- servers by their endpoints ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "netloc"),
    [
        ("glance-1:9292", "glance-1:9292"),
        ("http://glance-1:9292/v2/", "glance-1:9292"),
        ("http://glance-1:9292/v2/images?limit=1#first", "glance-1:9292"),
        ("https://user:password@glance-2/image", "glance-2:443"),
        ("http://[fd00::3]:9292", "[fd00::3]:9292"),
    ],
)
def test_an_endpoint_names_a_server(recorder, endpoint, netloc):
    assert netloc == recorder.find_server(endpoint).netloc


@pytest.mark.parametrize("endpoint", ["", "http://", "ftp://glance-1", "http://glance-1:x"])
def test_an_endpoint_that_names_no_server_is_none(recorder, endpoint):
    assert recorder.find_server(endpoint) is None


def test_a_server_has_series_from_its_first_attempt_on(recorder, counts):
    with recorder.call("images.get") as call, call.attempt("http://glance-9:9292/v2"):
        pass
    assert {("glance-9", "9292"): 1.0} == counts.of(f"{ATTEMPTS}_count", *SERVER)


def test_an_attempt_on_a_server_that_nobody_knows_is_other(recorder, trace, counts):
    with recorder.call("images.get") as call, call.attempt(None):
        pass
    told = trace.one("glance.images.get attempt").attributes
    assert ({("_OTHER", "_OTHER"): 1.0}, False, ("_OTHER",)) == (
        counts.of(f"{ATTEMPTS}_count", *SERVER),
        catalogue.SERVER_ADDRESS in told,
        trace.one("glance.images.get").attributes[catalogue.SERVERS_TRIED],
    )


def test_a_stream_of_a_server_that_nobody_knows_is_other(recorder, trace, counts):
    recorder.stream("images.data", None, "download").end(complete=True)
    assert catalogue.SERVER_ADDRESS not in trace.one("glance.images.data stream").attributes


def test_attempts_are_numbered_where_nobody_says_how(recorder, trace):
    with recorder.call("images.get") as call:
        call.attempt(FIRST).end("503")
        call.attempt(SECOND).end()
    assert [(1, None), (2, None)] == [
        (
            span.attributes[catalogue.ATTEMPT_NUMBER],
            span.attributes.get(catalogue.ATTEMPT_MAXIMUM),
        )
        for span in trace.named("glance.images.get attempt")
    ]


def test_beyond_the_most_servers_there_is_one_warning(recorder, caplog):
    for number in range(MOST_SERVERS + 5):
        recorder.find_server(f"many-{number}")
    assert 1 == len(caplog.records)


# --- the outer call ----------------------------------------------------------------------------


def test_outside_of_a_call_there_is_none():
    assert current_call() is None


def test_within_a_call_it_is_found(recorder):
    with recorder.call("images.get") as call:
        assert current_call() is call
    assert current_call() is None


# --- where it comes from -----------------------------------------------------------------------


def test_a_recorder_is_made_for_a_registry(registry, counts):
    recorder = make_recorder(Telemetry(registry=registry, meter_provider=False), [FIRST])
    with recorder.call("images.get") as call, call.attempt(FIRST):
        pass
    assert {("glance-1", "9292"): 1.0} == counts.of(f"{ATTEMPTS}_count", *SERVER)


def test_a_recorder_is_made_for_the_process_by_default():
    assert isinstance(make_recorder(), Recorder)


def test_what_is_no_telemetry_is_refused():
    with pytest.raises(InvalidOption, match="telemetry"):
        make_recorder("yes")


# --- a backend that fails ----------------------------------------------------------------------


class Full:
    """A backend that has no room for any series."""

    def bind(self, metric, labels):
        raise OSError("no room")


def test_a_call_whose_only_backend_fails_has_its_spans(trace, caplog):
    recorder = Recorder(Spans(trace.provider, wire_spans=False), Metrics([Full()]))
    with recorder.call("images.get") as call, call.attempt(FIRST):
        pass
    assert [("glance.images.get", [("glance.images.get attempt", [])])] == trace.tree()


@pytest.mark.parametrize(
    ("error", "verdict", "reason"),
    [
        (TokenUnavailable("no token"), "refused", "401"),
        (ImageUnacceptable("no data"), "success", ""),
        (StreamConsumed("read"), None, None),
    ],
)
def test_an_attempt_may_end_well_though_its_call_fails(recorder, counts, error, verdict, reason):
    with pytest.raises(type(error)), recorder.call("images.get") as call, call.attempt(FIRST):
        raise error
    expected = {} if verdict is None else {(verdict, reason): 1.0}
    assert expected == counts.of(f"{ATTEMPTS}_count", "verdict", "error_type")


def test_a_call_without_a_token_has_its_spans_if_the_counter_fails(recorder, trace):
    recorder.metrics.token_failed = None
    with pytest.raises(TokenUnavailable), recorder.call("images.get"):
        raise TokenUnavailable("no token")
    assert "token_unavailable" == trace.one("glance.images.get").attributes[catalogue.ERROR_TYPE]


def test_an_attempt_ends_though_its_server_is_no_longer_configured(recorder, counts):
    with recorder.call("images.get") as call, call.attempt(FIRST):
        recorder.metrics.forget(FIRST)
    places = counts.of("glance_client_active_attempts", "server_address", zeros=True)
    assert ("glance-1",) not in places


def test_a_hazard_of_an_unknown_server_names_none(recorder, trace):
    with recorder.call("images.upload") as call:
        recorder.hazard("upload_truncated", call.span, None)
    (event,) = trace.one("glance.images.upload").events
    assert {"glance.hazard.kind": "upload_truncated"} == dict(event.attributes)
