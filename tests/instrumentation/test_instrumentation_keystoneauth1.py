"""What sessions of keystoneauth1 send again, and what they ask of Keystone, within a call."""

import contextlib
import io
import re
import signal
import threading
import time

import identity
import pytest
import requests
from keystoneauth1 import discover, session
from keystoneauth1.adapter import Adapter
from keystoneauth1.noauth import NoAuth
from opentelemetry.trace import INVALID_SPAN, get_current_span
from stock_client import over_catalogue, over_session

from traced_image.instrumentation import observed_call
from traced_image.lab import faults

ERRORS = "traced_image_telemetry_errors_total"
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
    server.break_with(faults.status(503).only(method="PATCH").times(1))
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


@pytest.mark.parametrize("fault", [faults.status(200), faults.lost_reply()])
def test_no_hook_stays_in_a_request(instrumentor, connect, server, image_id, monkeypatch, fault):
    sent, send = [], requests.Session.send

    def keep(below, request, **options):
        sent.append(request)
        return send(below, request, **options)

    instrumentor.instrument()
    monkeypatch.setattr(requests.Session, "send", keep)
    server.break_with(fault)
    with contextlib.suppress(Exception):
        connect(server).images.get(image_id)
    assert {0} == {len(request.hooks["response"]) for request in sent}


def test_a_session_below_that_takes_no_hooks_gets_none(instrumentor, library, server, image_id):
    class Below:
        def request(self, method, url, headers, allow_redirects, verify, stream, data):
            return requests.request(method, url, headers=headers, timeout=5)

    instrumentor.instrument()
    shared = session.Session(auth=NoAuth(endpoint=server.url), session=Below())
    got = library("glanceclient").Client("2", session=shared).images.get(image_id)
    assert image_id == got["id"]


class OtherSession:
    """A session of another library, such as keystoneclient, that a client may be given."""

    def __init__(self, url):
        self._url = url

    def request(self, url, method, headers, data, **_):
        return requests.request(method, self._url + url, headers=headers, data=data, timeout=5)


@pytest.mark.filterwarnings("ignore:Using keystoneclient sessions:UserWarning")
@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        (None, "success_first_try", ""),
        (faults.status(503), "exhausted", "503"),
        (faults.refuse(), "non_retryable", "connection_refused"),
    ],
)
def test_a_session_of_another_library_has_an_attempt_with_its_server(
    instrumentor, library, server, image_id, counts, fault, outcome, reason
):
    instrumentor.instrument()
    if fault is not None:
        server.break_with(fault)
    client = library("glanceclient").Client("2", server.url, session=OtherSession(server.url))
    with contextlib.suppress(Exception):
        client.images.get(image_id)
    assert {("images.get", outcome, reason): 1.0} == calls(counts)
    state = "failing" if reason else "healthy"
    assert {(str(server.port), state)} == set(
        counts.of("glance_client_server_state", "server_port", "state")
    )


@pytest.mark.filterwarnings("ignore:Using keystoneclient sessions:UserWarning")
def test_a_session_of_keystoneclient_without_a_token_accuses_no_server(
    instrumentor, library, server, image_id, counts
):
    names = {"__name__": "keystoneclient.session"}
    exec("def get_auth_headers(): raise ConnectionRefusedError('Keystone is not there')", names)

    class WithoutToken(OtherSession):
        def request(self, *_, **__):
            return names["get_auth_headers"]()

    instrumentor.instrument()
    client = library("glanceclient").Client("2", server.url, session=WithoutToken(server.url))
    with pytest.raises(ConnectionRefusedError, match="Keystone is not there"):
        client.images.get(image_id)
    assert {("images.get", "non_retryable", "token_unavailable"): 1.0} == calls(counts)
    assert {} == attempts(counts)


class Stand:
    """Stands for a session."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)


@pytest.mark.filterwarnings("ignore:Using keystoneclient sessions:UserWarning")
@pytest.mark.parametrize("wrap", [Stand, Adapter], ids=lambda kind: kind.__name__)
def test_a_session_in_another_object_sends_each_attempt_again(
    instrumentor, library, server, image_id, counts, wrap
):
    instrumentor.instrument()
    server.break_with(faults.lost_reply().times(1))
    shared = wrap(session.Session(auth=NoAuth(endpoint=server.url)))
    given = {"session": shared, "connect_retries": 1, "connect_retry_delay": 0.001}
    library("glanceclient").Client("2", server.url, **given).images.get(image_id)
    assert {("images.get", "success_after_retry", ""): 1.0} == calls(counts)


# --- beside other instrumentation --------------------------------------------------------------


def test_each_attempt_is_above_the_spans_of_its_requests(
    instrumentor, connect, server, image_id, trace
):
    instrumentor.instrument(wire_spans=True)
    server.break_with(faults.flapping(faults.status(503), None))
    connect(server).images.delete(image_id)
    name = "glance.images.delete"
    assert [(name, [(f"{name} attempt", [("DELETE", [])])] * 2)] == trace.tree()


def test_a_span_of_the_sessions_work_is_beside_the_attempts(
    client, server, images, trace, monkeypatch
):
    image = images.add(name="old")
    original = session.Session.request
    tracer = trace.provider.get_tracer("another")

    def request(self, url, method, **kwargs):
        with tracer.start_as_current_span(method):
            return original(self, url, method, **kwargs)

    monkeypatch.setattr(session.Session, "request", request)
    server.break_with(faults.status(503).only(method="PATCH").times(1))
    client.images.update(image, name="new")
    call = trace.one("glance.images.update")
    names = [span.name for span in trace.below(call)]
    assert ["glance.images.update attempt"] * 2 == [name for name in names if " " in name]
    assert {"GET", "PATCH"} == {name for name in names if " " not in name}
    assert (INVALID_SPAN, set()) == (get_current_span(), trace.open)


# --- data that is sent again -------------------------------------------------------------------


def test_data_that_is_not_sent_again_is_a_hazard(client, server, counts):
    image = client.images.create(**NEW)["id"]
    server.break_with(faults.flapping(faults.status(503), None))
    client.images.upload(image, io.BytesIO(b"0123456789"))
    assert {"upload_truncated"} == hazards(counts)


class Chunks(io.BytesIO):
    """Data that is read in small pieces."""

    def read(self, _):
        return super().read(5)


class Pipe(Chunks):
    """Data whose position nobody can tell."""

    def tell(self):
        raise io.UnsupportedOperation


@pytest.mark.parametrize("kind_of_data", [Chunks, Pipe])
def test_data_that_is_sent_again_without_its_begin_is_a_hazard(
    client, server, counts, kind_of_data
):
    image = client.images.create(**NEW)["id"]
    server.break_with(faults.early_answer(503).times(1))
    client.images.upload(image, kind_of_data(b"0123456789" * 100_000))
    assert {"upload_truncated"} == hazards(counts)


class Again:
    """The chunks of a body, from its begin each time that they are asked for."""

    def __init__(self, body):
        self._body = body

    def __iter__(self):
        self._body.seek(0)
        return iter(lambda: self._body.read(10), b"")


def test_data_that_is_sent_again_as_a_whole_is_no_hazard(
    client, server, counts, monkeypatch, library
):
    image = client.images.create(**NEW)["id"]
    http = library("glanceclient.common.http")
    monkeypatch.setattr(http._BaseHTTPClient, "_chunk_body", staticmethod(Again))
    server.break_with(faults.status(503).times(1))
    client.images.upload(image, io.BytesIO(b"0123456789"))
    assert (set(), b"0123456789") == (hazards(counts), server.images.get(image).data)


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


def test_a_creation_that_only_asked_for_the_schema_again_is_no_hazard(client, server, counts):
    server.break_with(faults.status(503).only(method="GET").times(1))
    client.images.create(**NEW)
    assert set() == hazards(counts)


# --- the token ---------------------------------------------------------------------------------


@pytest.fixture
def keystone(server):
    with identity.running(server.url) as running:
        yield running


@pytest.fixture
def log_in(instrumentor, library, keystone):
    """Build a client that gets its tokens from Keystone, and its server from the catalogue."""
    instrumentor.instrument()
    make = library("glanceclient").Client
    return lambda **options: make("2", session=keystone.session(), **options)


def failed_tokens(counts):
    return counts.of("glance_client_token_failures_total", "error_type")


def test_a_token_that_is_rejected_once_ends_no_attempt(log_in, keystone, server, image_id, trace):
    server.break_with(faults.flapping(faults.status(401), None, None))
    log_in().images.get(image_id)
    assert (2, tree("images.get", 1)) == (keystone.issued, trace.tree())


def test_the_time_for_a_token_is_no_part_of_an_attempt(
    instrumentor, library, keystone, server, image_id, counts
):
    instrumentor.instrument()
    given = session.Session(auth=Slow(endpoint=server.url))
    library("glanceclient").Client("2", session=given).images.delete(image_id)
    call, attempt = (
        counts.of(f"glance_client_{what}_duration_seconds_sum", "operation")[("images.delete",)]
        for what in ("call", "attempt")
    )
    assert call - attempt >= 0.2


class Slow(NoAuth):
    """A plugin that takes its time."""

    def get_token(self, _session, **_):
        time.sleep(0.2)
        return "t"


def test_no_token_is_no_failure_of_a_server(log_in, keystone, image_id, counts):
    keystone.status = 503
    with pytest.raises(Exception, match="503"):
        log_in().images.get(image_id)
    assert {("images.get", "non_retryable", "token_unavailable"): 1.0} == calls(counts)
    assert ({}, {("503",): 1.0}) == (attempts(counts), failed_tokens(counts))


def test_keystones_own_retries_are_no_attempts(log_in, keystone, image_id, counts):
    keystone.shutdown()
    keystone.server_close()
    client = log_in(**RETRIES)
    with pytest.raises(Exception, match="Unable to establish connection"):
        client.images.get(image_id)
    assert ({}, {}) == (attempts(counts), retries(counts))
    assert {("connection_refused",): 1.0} == failed_tokens(counts)


def test_a_token_that_cant_be_renewed_is_keystones_failure(
    log_in, keystone, server, image_id, counts
):
    client = log_in()
    client.schemas.get("image")
    server.break_with(faults.status(401))
    keystone.status = 503
    with pytest.raises(Exception, match="503"):
        client.images.get(image_id)
    assert 1.0 == calls(counts)["images.get", "non_retryable", "token_unavailable"]
    assert 1.0 == attempts(counts)[str(server.port), "refused", "401"]
    assert {("503",): 1.0} == failed_tokens(counts)


def test_a_token_that_is_missing_between_requests_is_keystones_failure(
    log_in, keystone, server, images, counts, monkeypatch
):
    client = log_in()
    client.schemas.get("image")
    image = images.add(name="old")
    monkeypatch.setattr(client.http_client, "patch", patch_without_token(client, keystone))
    with pytest.raises(Exception, match="503"):
        client.images.update(image, name="new")
    assert 1.0 == calls(counts)["images.update", "non_retryable", "token_unavailable"]
    assert {(str(server.port), "success", "")} == set(attempts(counts))


def patch_without_token(client, keystone):
    """Return the client's method, whose token is no longer valid."""
    original = client.http_client.patch

    def patch(*args, **kwargs):
        client.http_client.session.auth.invalidate()
        keystone.status = 503
        return original(*args, **kwargs)

    return patch


def test_a_catalogue_that_names_no_server_accuses_none(log_in, keystone, image_id, counts):
    keystone.endpoint = None
    with pytest.raises(Exception, match="image"):
        log_in().images.get(image_id)
    assert {("images.get", "non_retryable", "invalid_endpoint"): 1.0} == calls(counts)
    assert ({}, {}) == (attempts(counts), failed_tokens(counts))


# --- the versions of the API -------------------------------------------------------------------


VERSIONS = {"min_version": "2.0", "max_version": "2.latest"}


def test_versions_are_asked_for_in_the_attempt(log_in, server, image_id, trace):
    with pytest.raises(Exception, match="404"):  # the client has the version in its paths as well
        log_in(**VERSIONS).images.get(image_id)
    assert tree("images.get", 1) == trace.tree()
    span = trace.one("glance.images.get attempt")
    assert f"{server.url}/v2/v2/images/{image_id}" == span.attributes["url.full"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(faults.refuse(), "connection_refused"), (faults.status(503), "503")],
    ids=["refused", "503"],
)
def test_versions_that_cant_be_asked_for_are_the_servers_failure(
    log_in, server, image_id, counts, fault, reason
):
    server.break_with(fault)
    with pytest.raises(Exception):  # noqa: B017, PT011 any of the library's
        log_in(**VERSIONS).images.get(image_id)
    ((_, outcome, why),) = calls(counts)
    assert {(str(server.port), "failed", reason)} == set(attempts(counts))
    assert ({}, reason) == (failed_tokens(counts), why)
    assert outcome in ("non_retryable", "exhausted")


class OfKeystone(NoAuth):
    """A plugin that asks for the versions of Keystone's API."""

    def get_token(self, given, **_):
        data = discover.EndpointData(catalog_url=self.endpoint, service_type="identity")
        data.get_versioned_data(given)
        return "t"


def test_keystones_versions_are_not_asked_for_in_an_attempt(
    instrumentor, library, server, image_id, trace
):
    instrumentor.instrument()
    given = session.Session(auth=OfKeystone(endpoint=server.url))
    library("glanceclient").Client("2", session=given).images.delete(image_id)
    assert [None, trace.one("glance.images.delete attempt").context.span_id] == [
        each.traceparent and int(each.traceparent.split("-")[2], 16) for each in server.access_log
    ]


def test_a_server_without_the_version_is_not_accused(log_in, server, image_id, counts):
    with pytest.raises(Exception, match="endpoint"):
        log_in(min_version="9.0", max_version="9.latest").images.get(image_id)
    assert {("images.get", "non_retryable", "invalid_endpoint"): 1.0} == calls(counts)
    assert {(str(server.port), "success", ""): 1.0} == attempts(counts)


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


def test_a_time_limit_that_the_session_takes_for_the_servers_accuses_no_server(
    client, server, image_id, counts, monkeypatch
):
    original, limits = requests.Session.request, [TimeoutError("time is up")]

    def handler(*_):
        raise limits.pop()

    def request(*args, **kwargs):
        if limits:
            try:
                signal.raise_signal(signal.SIGUSR1)
            except TimeoutError as error:
                raise requests.ReadTimeout from error
        return original(*args, **kwargs)

    monkeypatch.setattr(requests.Session, "request", request)
    old = signal.signal(signal.SIGUSR1, handler)
    try:
        client.images.delete(image_id)
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert {(str(server.port), "success", ""): 1.0} == attempts(counts)
    assert {} == retries(counts)


def test_an_interrupt_before_a_request_leaves_the_sessions_semaphore(
    instrumentor, library, server, image_id, trace
):
    def interrupt(*_):
        raise KeyboardInterrupt

    instrumentor.instrument(request_hook=interrupt)
    semaphore = threading.BoundedSemaphore(1)
    given = session.Session(auth=NoAuth(endpoint=server.url), rate_semaphore=semaphore)
    with pytest.raises(KeyboardInterrupt):
        library("glanceclient").Client("2", session=given).images.get(image_id)
    assert semaphore.acquire(blocking=False)
    assert (INVALID_SPAN, set()) == (get_current_span(), trace.open)


# --- what fails here ---------------------------------------------------------------------------


def test_an_attempt_that_cant_be_recorded_harms_nobody(
    instrumentor, connect, server, image_id, counts, monkeypatch
):
    instrumentor.instrument()
    monkeypatch.setattr(observed_call, "ObservedAttempt", None)
    assert image_id == connect(server).images.get(image_id)["id"]
    assert {("instrumentation",): 2.0} == counts.of(ERRORS, "kind")
    assert {("images.get", "success_first_try", ""): 1.0} == calls(counts)


def test_data_for_an_attempt_that_cant_be_recorded_is_sent(
    client, server, images, counts, monkeypatch
):
    image = images.add(name="new", disk_format="raw", container_format="bare")
    monkeypatch.setattr(observed_call, "ObservedAttempt", None)
    client.images.upload(image, io.BytesIO(b"0123456789"))
    assert b"0123456789" == images.get(image).data


def test_a_broken_tracer_harms_nobody(instrumentor, connect, server, image_id, counts):
    class Provider:
        def get_tracer(self, *_, **__):
            return self

        def start_span(self, *_, **__):
            raise ValueError("a bug of the tracer")

    instrumentor.instrument(tracer_provider=Provider(), request_hook=print, response_hook=print)
    server.break_with(ONCE)
    assert image_id == connect(server).images.get(image_id)["id"]
    assert {(str(server.port), "503"): 1.0} == retries(counts)


def test_an_address_that_is_none_names_no_server(instrumentor, library, trace):
    instrumentor.instrument()
    given = session.Session(auth=NoAuth(endpoint="http://glance\u00a0:99"))
    with pytest.raises(Exception):  # noqa: B017, PT011 any of the library's
        library("glanceclient").Client("2", session=given).images.update("image", name="new")
    assert "server.address" not in trace.one("glance.images.update attempt").attributes


# --- a library that has changed ----------------------------------------------------------------


def doctor_method(change):
    change.delattr(session.Session, "_send_request")


def doctor_parameters(change):
    change.setattr(session.Session, "_send_request", lambda self, method, url: None)


def doctor_class(change):
    change.setattr(session, "Session", None)


@pytest.mark.parametrize("doctor", [doctor_method, doctor_parameters, doctor_class])
def test_a_session_that_has_changed_is_left_alone_with_one_warning(
    instrumentor, caplog, monkeypatch, doctor
):
    owner = session.Session
    with monkeypatch.context() as change:
        doctor(change)
        before = dict(vars(owner))
        instrumentor.instrument()
        assert before == dict(vars(owner))
    (record,) = caplog.records
    assert re.fullmatch(
        r"keystoneauth1 [\w.]+ is not fully observed: keystoneauth1\.session\S* has .+\.",
        record.getMessage(),
    )


def test_a_second_change_is_not_told(instrumentor, caplog, monkeypatch):
    with monkeypatch.context() as change:
        doctor_method(change)
        change.delattr(discover.EndpointData, "get_versioned_data")
        instrumentor.instrument()
    told = [each for each in caplog.records if each.getMessage().startswith("keystoneauth1 ")]
    assert 1 == len(told)


def test_without_its_sessions_a_server_that_is_known_has_attempts(
    instrumentor, library, server, image_id, trace, monkeypatch
):
    with monkeypatch.context() as change:
        doctor_method(change)
        instrumentor.instrument()
    over_session(library("glanceclient").Client, server.url).images.get(image_id)
    assert tree("images.get", 1) == trace.tree()
    assert server.access_log[0].traceparent is not None


# --- without a call ----------------------------------------------------------------------------


def test_what_a_session_sends_for_no_call_is_not_recorded(
    instrumentor, server, image_id, counts, trace
):
    instrumentor.instrument()
    session.Session().get(f"{server.url}/v2/images/{image_id}")
    assert ([], {}) == (trace.spans, calls(counts))
