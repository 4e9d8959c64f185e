"""What sessions of keystoneauth1 send again, and what they ask of Keystone, within a call."""

import io
import signal

import pytest
import requests
from keystoneauth1 import session
from keystoneauth1.noauth import NoAuth
from opentelemetry.trace import INVALID_SPAN, get_current_span
from stock_client import over_catalogue, over_session

from traced_image.lab import faults

NEW = {"name": "new", "disk_format": "raw", "container_format": "bare"}
AT_ONCE = {"connect_retry_delay": 0.001, "status_code_retry_delay": 0.001}
# A record needs a second request, for its schema.
ONCE = faults.flapping(faults.status(503), None, None)
TWICE = faults.flapping(faults.status(503), faults.lost_reply(), None, None)
RETRIES = {"connect_retries": 2, "status_code_retries": 2, **AT_ONCE}


@pytest.fixture(params=[over_session, over_catalogue], ids=["over_session", "over_catalogue"])
def kind(request):
    return request.param


@pytest.fixture
def connect(library, kind):
    """Build a client of a server whose session sends requests again."""

    def make(server, **options):
        def client(*args, **kwargs):
            return library("glanceclient").Client(*args, **kwargs, **{**RETRIES, **options})

        return kind(client, server.url)

    return make


@pytest.fixture
def client(instrumentor, connect, server):
    instrumentor.instrument()
    return connect(server)


def calls(counts):
    return counts.of(
        "glance_client_call_duration_seconds_count", "operation", "outcome", "error_type"
    )


def attempts(counts):
    return counts.of(
        "glance_client_attempt_duration_seconds_count", "server_port", "verdict", "error_type"
    )


def retries(counts):
    return counts.of("glance_client_retries_total", "server_port", "error_type")


def hazards(counts):
    return {kind for (kind,) in counts.of("glance_client_hazards_total", "kind")}


def tree(operation, count):
    return [(f"glance.{operation}", [(f"glance.{operation} attempt", [])] * count)]


# --- requests that are sent again --------------------------------------------------------------


def test_each_time_that_a_request_is_sent_is_an_attempt(client, server, image_id, trace):
    server.break_with(TWICE)
    client.images.get(image_id)
    assert tree("images.get", 3) == trace.tree()


def test_attempts_follow_one_another(client, server, image_id, trace):
    server.break_with(TWICE)
    client.images.get(image_id)
    times = [
        time
        for span in trace.named("glance.images.get attempt")
        for time in (span.start_time, span.end_time)
    ]
    assert sorted(times) == times


def test_attempts_that_are_repeated_have_their_reasons(client, server, image_id, counts):
    server.break_with(TWICE)
    client.images.get(image_id)
    port = str(server.port)
    assert {
        (port, "failed", "503"): 1.0,
        (port, "failed", "connection_reset"): 1.0,
        (port, "success", ""): 1.0,
    } == attempts(counts)


def test_repeated_attempts_are_retries(client, server, image_id, counts):
    server.break_with(TWICE)
    client.images.get(image_id)
    port = str(server.port)
    assert {(port, "503"): 1.0, (port, "connection_reset"): 1.0} == retries(counts)
    assert {("images.get", "success_after_retry", ""): 1.0} == calls(counts)


def test_a_failed_attempt_has_the_status_and_the_request_id(client, server, image_id, trace):
    server.break_with(faults.flapping(faults.status(503), None))
    client.images.delete(image_id)
    spans = trace.named("glance.images.delete attempt")
    assert [(503, server.access_log[0].request_id), (204, server.access_log[1].request_id)] == [
        (span.attributes["http.response.status_code"], span.attributes["glance.request_id"])
        for span in spans
    ]


def test_the_server_is_told_the_attempt(client, server, image_id, trace):
    server.break_with(ONCE)
    client.images.get(image_id)
    spans = trace.named("glance.images.get attempt")
    assert [f"{span.context.span_id:016x}" for span in spans] == [
        entry.traceparent.split("-")[2] for entry in server.access_log[:2]
    ]


def test_the_wait_is_no_part_of_the_attempt(instrumentor, connect, server, image_id, counts):
    instrumentor.instrument()
    server.break_with(ONCE)
    connect(server, status_code_retry_delay=0.2).images.get(image_id)
    (wait,) = counts.of("glance_client_retry_delay_seconds_sum", "operation").values()
    sums = counts.of("glance_client_attempt_duration_seconds_sum", "error_type")
    assert wait >= 0.2 > sums["503",]


def test_a_session_that_gives_up_is_exhausted(client, server, image_id, counts):
    server.break_with(faults.refuse())
    with pytest.raises(Exception, match="Error finding address"):
        client.images.get(image_id)
    port = str(server.port)
    assert {("images.get", "exhausted", "connection_refused"): 1.0} == calls(counts)
    assert {(port, "failed", "connection_refused"): 3.0} == attempts(counts)
    assert {(port, "connection_refused"): 2.0} == retries(counts)


def test_a_status_in_the_end_is_exhausted(client, server, image_id, counts):
    server.break_with(faults.status(503))
    with pytest.raises(Exception, match="503"):
        client.images.get(image_id)
    port = str(server.port)
    assert {("images.get", "exhausted", "503"): 1.0} == calls(counts)
    assert {(port, "failed", "503"): 3.0} == attempts(counts)


def test_a_time_out_is_a_reason(instrumentor, library, servers, image_id, counts):
    instrumentor.instrument()
    servers[0].break_with(faults.never_answer())
    limited = session.Session(auth=NoAuth(endpoint=servers[0].url), timeout=0.05)
    client = library("glanceclient").Client("2", session=limited, connect_retries=1, **AT_ONCE)
    with pytest.raises(Exception, match="timed out"):
        client.images.get(image_id)
    assert {(str(servers[0].port), "failed", "read_timeout"): 2.0} == attempts(counts)


def test_without_retries_there_is_one_attempt(instrumentor, connect, server, image_id, trace):
    instrumentor.instrument()
    server.break_with(faults.status(503))
    with pytest.raises(Exception, match="503"):
        connect(server, status_code_retries=0).images.get(image_id)
    assert tree("images.get", 1) == trace.tree()


def test_a_status_that_is_not_repeated_ends_no_attempt(client, server, image_id, trace):
    server.break_with(faults.status(500))
    with pytest.raises(Exception, match="500"):
        client.images.get(image_id)
    assert tree("images.get", 1) == trace.tree()


def test_a_later_request_that_is_repeated_is_the_second_attempts(client, server, images, trace):
    image = images.add(name="old")
    server.break_with(faults.flapping(None, None, faults.status(503), None))
    client.images.update(image, name="new")
    first, second = trace.named("glance.images.update attempt")
    assert ["PATCH"] * 2 == [span.attributes["http.request.method"] for span in (first, second)]


def test_hooks_see_each_request(instrumentor, connect, server, image_id):
    seen = []
    instrumentor.instrument(
        request_hook=lambda span, request: seen.append((span.context.span_id, request.method)),
        response_hook=lambda span, _, got: seen.append((span.context.span_id, got.status_code)),
    )
    server.break_with(TWICE)
    connect(server).images.get(image_id)
    first, second, third = dict.fromkeys(span for span, _ in seen)
    assert [
        (first, "GET"),
        (first, 503),
        (second, "GET"),
        (third, "GET"),
        (third, 200),
    ] == seen[:5]


def test_the_hooks_of_the_session_below_stay(instrumentor, library, server, image_id):
    instrumentor.instrument()
    below, seen = requests.Session(), []
    below.hooks["response"] = lambda response, **_: seen.append(response.status_code)
    shared = session.Session(auth=NoAuth(endpoint=server.url), session=below)
    library("glanceclient").Client("2", session=shared).images.get(image_id)
    assert [200, 200] == seen


def test_a_session_below_that_takes_no_hooks_gets_none(instrumentor, library, server, image_id):
    class Below:
        def request(self, method, url, headers, allow_redirects, verify, stream, data):
            return requests.request(method, url, headers=headers, timeout=5)

    instrumentor.instrument()
    shared = session.Session(auth=NoAuth(endpoint=server.url), session=Below())
    got = library("glanceclient").Client("2", session=shared).images.get(image_id)
    assert image_id == got["id"]


# --- data that is sent again -------------------------------------------------------------------


def test_data_that_is_not_sent_again_is_a_hazard(client, server, counts):
    image = client.images.create(**NEW)["id"]
    server.break_with(faults.flapping(faults.status(503), None))
    client.images.upload(image, io.BytesIO(b"0123456789"))
    assert {"upload_truncated"} == hazards(counts)


def test_data_of_which_nothing_was_read_is_no_hazard(client, server, counts):
    image = client.images.create(**NEW)["id"]
    server.break_with(faults.refuse())
    with pytest.raises(Exception, match="Error finding address"):
        client.images.upload(image, io.BytesIO(b"0123456789"))
    assert set() == hazards(counts)


def test_a_creation_that_is_sent_again_is_a_hazard(client, server, counts):
    client.schemas.get("image")
    server.break_with(faults.flapping(None, faults.lost_reply(), None))
    client.images.create(**NEW)
    assert {"create_repeated"} == hazards(counts)


# --- the token ---------------------------------------------------------------------------------


class Tokens(NoAuth):
    """A plugin that gets a token again after the server has rejected one."""

    def __init__(self, url, asked=lambda: None):
        super().__init__(endpoint=url)
        self._asked = asked
        self._valid = True

    def get_headers(self, _session, **_):
        if not self._valid:
            self._asked()
        return {"X-Auth-Token": "t"}

    def invalidate(self):
        self._valid = False
        return True


def test_a_token_that_is_rejected_once_ends_no_attempt(
    instrumentor, library, server, image_id, trace
):
    instrumentor.instrument()
    server.break_with(faults.flapping(faults.status(401), None, None))
    auth = session.Session(auth=Tokens(server.url))
    library("glanceclient").Client("2", session=auth).images.get(image_id)
    assert tree("images.get", 1) == trace.tree()


def test_a_redirect_ends_no_attempt(client, server, image_id, trace):
    server.break_with(
        faults.flapping(faults.redirect(302, f"{server.url}/v2/images/{image_id}"), None, None)
    )
    client.images.get(image_id)
    assert tree("images.get", 1) == trace.tree()


# --- the caller ends it ------------------------------------------------------------------------


def interrupt_sleep(monkeypatch, error):
    """Raise an error from a signal handler while the session waits."""

    def handler(*_):
        raise error

    def sleep(_):
        old = signal.signal(signal.SIGUSR1, handler)
        try:
            signal.raise_signal(signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, old)

    monkeypatch.setattr("keystoneauth1.session.time.sleep", sleep)


@pytest.mark.parametrize("fault", [faults.refuse(), faults.status(503)], ids=["connect", "status"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), TimeoutError("time is up")], ids=str)
def test_a_wait_that_the_caller_ends_is_cancelled(
    client, server, image_id, counts, trace, monkeypatch, fault, error
):
    server.break_with(fault)
    interrupt_sleep(monkeypatch, error)
    with pytest.raises(type(error)):
        client.images.get(image_id)
    assert {("images.get", "cancelled", "_OTHER"): 1.0} == calls(counts)
    assert 1 == len(attempts(counts))
    assert (INVALID_SPAN, set()) == (get_current_span(), trace.open)


# --- without a call ----------------------------------------------------------------------------


def test_what_a_session_sends_for_no_call_is_not_recorded(
    instrumentor, server, image_id, counts, trace
):
    instrumentor.instrument()
    session.Session().get(f"{server.url}/v2/images/{image_id}")
    assert ([], {}) == (trace.spans, calls(counts))
