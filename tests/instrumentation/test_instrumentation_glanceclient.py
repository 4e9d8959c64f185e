"""Calls of python-glanceclient: their spans, their samples and the state of their servers."""

import contextlib
import contextvars
import gc
import io
import signal
import weakref

import pytest
import urllib3
from keystoneauth1 import exceptions, noauth, session
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from stock_client import over_requests

from traced_image import Telemetry, telemetry
from traced_image.instrumentation import streams
from traced_image.instrumentation.observed_call import ObservedCall
from traced_image.lab import faults
from traced_image.telemetry.recorder import CURRENT, current_call

CALLS = "glance_client_call_duration_seconds_count"
ATTEMPTS = "glance_client_attempt_duration_seconds_count"
# urllib3 1 does not compare a body with its length, so that only the library notices.
CUT = "protocol_error" if int(urllib3.__version__[0]) > 1 else "checksum_mismatch"
NEW = {"name": "new", "disk_format": "raw", "container_format": "bare"}


def calls(counts):
    return counts.of(CALLS, "operation", "outcome", "error_type")


def attempts(counts):
    return counts.of(ATTEMPTS, "operation", "verdict", "error_type")


def states(counts):
    return set(counts.of("glance_client_server_state", "server_port", "state"))


def stream_bytes(counts):
    return counts.of("glance_client_stream_bytes_total", "server_port", "direction")


def stream_errors(counts):
    return counts.of("glance_client_stream_errors_total", "server_port", "direction")


def tree(operation):
    return [(f"glance.{operation}", [(f"glance.{operation} attempt", [])])]


# --- calls and attempts ------------------------------------------------------------------------


def test_a_call_has_one_attempt_however_many_requests_it_makes(client, image_id, trace):
    client.images.update(image_id, name="other")
    assert tree("images.update") == trace.tree()


def test_the_attempt_is_the_client_span(client, server, image_id, trace):
    client.images.get(image_id)
    span = trace.one("glance.images.get attempt")
    assert SpanKind.CLIENT == span.kind
    assert {
        "glance.attempt.number": 1,
        "glance.attempt.trial": False,
        "glance.operation": "images.get",
        "glance.request_id": span.attributes["glance.request_id"],
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.full": f"{server.url}/v2/images/{image_id}",
    } == dict(span.attributes)


def test_the_attempt_has_the_request_id_that_the_server_gave(client, server, image_id, trace):
    client.images.delete(image_id)
    span = trace.one("glance.images.delete attempt")
    assert server.access_log[-1].request_id == span.attributes["glance.request_id"]


def test_the_attempt_names_the_request_after_that_of_the_schema(client, server, trace):
    client.images.create(**NEW)
    span = trace.one("glance.images.create attempt")
    assert ("POST", f"{server.url}/v2/images") == (
        span.attributes["http.request.method"],
        span.attributes["url.full"],
    )


def test_the_server_is_told_a_span_of_the_trace(client, server, image_id, trace):
    client.images.get(image_id)
    trace_id = f"{trace.one('glance.images.get').context.trace_id:032x}"
    assert trace_id == server.access_log[0].traceparent.split("-")[1]


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("images.get", lambda client, image: client.images.get(image)),
        ("images.delete", lambda client, image: client.images.delete(image)),
        ("images.create", lambda client, _: client.images.create(**NEW)),
        ("image_tags.update", lambda client, image: client.image_tags.update(image, "tag")),
        ("image_members.list", lambda client, image: list(client.image_members.list(image))),
        ("schemas.get", lambda client, _: client.schemas.get("image")),
    ],
)
def test_each_controllers_calls_are_counted(client, images, counts, operation, call):
    call(client, images.add(name="cirros", data=b"0", visibility="shared"))
    assert {(operation, "success_first_try", ""): 1.0} == calls(counts)
    assert {(operation, "success", ""): 1.0} == attempts(counts)


@pytest.mark.parametrize(
    ("fault", "reason", "outcome", "verdict"),
    [
        (faults.refuse(), "connection_refused", "exhausted", "failed"),
        (faults.status(503), "503", "exhausted", "failed"),
        (faults.status(500), "500", "non_retryable", "failed"),
        (faults.status(403), "403", "refused", "refused"),
        (faults.lost_reply(), "connection_reset", "exhausted", "failed"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_failure_has_its_reason(
    client, server, image_id, counts, fault, reason, outcome, verdict
):
    server.break_with(fault)
    with pytest.raises(Exception):  # noqa: B017, PT011 any of the library's
        client.images.get(image_id)
    assert {("images.get", outcome, reason): 1.0} == calls(counts)
    assert {("images.get", verdict, reason): 1.0} == attempts(counts)


def test_a_failed_attempt_names_the_request_that_failed(client, server, image_id, trace):
    server.break_with(faults.flapping(None, None, faults.status(500)))
    with pytest.raises(Exception, match="500"):
        client.images.update(image_id, name="other")
    span = trace.one("glance.images.update attempt")
    assert StatusCode.ERROR == span.status.status_code
    assert server.access_log[-1].method == span.attributes["http.request.method"]


def test_a_connection_that_fails_names_its_server(client, server, image_id, trace):
    server.break_with(faults.refuse())
    with pytest.raises(Exception, match="Error finding address"):
        client.images.get(image_id)
    span = trace.one("glance.images.get attempt")
    assert ("127.0.0.1", server.port) == (
        span.attributes["server.address"],
        span.attributes["server.port"],
    )


# --- what no server is accused of --------------------------------------------------------------


def test_an_argument_that_cant_be_used_reaches_no_server(client, counts):
    client.images.create(**NEW)
    with pytest.raises(TypeError):
        client.images.delete()
    assert 1.0 == calls(counts)["images.delete", "cancelled", "_OTHER"]
    assert {"images.create"} == {operation for operation, *_ in attempts(counts)}


def test_a_refusal_by_the_library_itself_reaches_no_server(client, server, counts):
    with pytest.raises(Exception, match="Invalid sort key"):
        list(client.images.list(sort="size_of_shoes"))
    assert {("images.list", "refused", "400"): 1.0} == calls(counts)
    assert ({}, []) == (attempts(counts), list(server.access_log))


def test_what_the_library_raises_after_a_good_reply_is_no_failure_of_it(client, images, counts):
    images.show_locations = True
    image = images.add(locations=[{"url": "http://elsewhere/1", "metadata": {}}])
    with pytest.raises(Exception, match="Unknown URL"):
        client.images.delete_locations(image, {"http://elsewhere/2"})
    assert {("images.delete_locations", "refused", "404"): 1.0} == calls(counts)
    assert {("images.delete_locations", "success", ""): 1.0} == attempts(counts)


class Broken(io.BytesIO):
    """Data that can't be read."""

    def read(self, *_):
        raise OSError("the disk is broken")


def test_data_that_cant_be_read_accuses_no_server(client, image_id, counts):
    client.schemas.get("image")
    with pytest.raises(Exception, match="the disk is broken"):
        client.images.upload(image_id, Broken())
    assert 1.0 == calls(counts)["images.upload", "cancelled", "_OTHER"]
    assert {"schemas.get"} == {operation for operation, *_ in attempts(counts)}


class Elsewhere:
    """Data that is an image of another server, which is asked when the data is read.

    Args:
        images: The images of a client.
        image_id: The image.
        error: The exception after which the data is empty.
    """

    def __init__(self, images, image_id, error=()):
        self._open, self._error = (lambda: iter(images.data(image_id))), error
        self._chunks = None

    def read(self, _size):
        if self._chunks is None:
            with contextlib.suppress(self._error):
                self._chunks = self._open()
        return next(self._chunks or iter(()), b"")


def test_what_the_data_asks_of_another_server_is_a_call_of_its_own(
    build, client, servers, image_id, counts, trace
):
    image = client.images.create(**NEW)["id"]
    client.images.upload(image, Elsewhere(build(servers[1]).images, image_id))
    assert b"0123456789" == servers[0].images.get(image).data
    assert [
        (
            "glance.images.data",
            [("glance.images.data attempt", [("glance.images.data stream", [])])],
        )
    ] == trace.tree(trace.one("glance.images.upload attempt"))
    assert 1.0 == calls(counts)["images.upload", "success_first_try", ""]
    ports = [str(server.port) for server in servers[:2]]
    assert {(port, "healthy") for port in ports} == states(counts)
    assert {(ports[0], "upload"): 10.0, (ports[1], "download"): 10.0} == stream_bytes(counts)


@pytest.mark.parametrize("fault", [faults.refuse(), faults.status(503)])
def test_a_failure_of_the_data_s_own_server_accuses_no_other_one(
    build, client, servers, image_id, counts, fault
):
    image = client.images.create(**NEW)["id"]
    servers[1].break_with(fault)
    with pytest.raises(Exception, match=r"503|finding address"):
        client.images.upload(image, Elsewhere(build(servers[1]).images, image_id))
    assert 1.0 == calls(counts)["images.upload", "cancelled", "_OTHER"]
    ports = [str(server.port) for server in servers[:2]]
    assert {(ports[0], "healthy"), (ports[1], "failing")} == states(counts)


def test_a_failure_that_the_data_copes_with_is_none_of_the_upload(
    build, client, servers, image_id, counts
):
    image = client.images.create(**NEW)["id"]
    servers[1].break_with(faults.refuse())
    client.images.upload(image, Elsewhere(build(servers[1]).images, image_id, Exception))
    assert b"" == servers[0].images.get(image).data
    assert 1.0 == calls(counts)["images.upload", "success_first_try", ""]
    assert (str(servers[0].port), "healthy") in states(counts)


class NoKeystone(noauth.NoAuth):
    """A plugin that gets no token, because nothing listens where Keystone should."""

    def __init__(self, url):
        super().__init__(endpoint=url)

    def get_headers(self, _session, **_):
        raise exceptions.ConnectFailure("Keystone is not there") from ConnectionRefusedError()


@pytest.mark.parametrize("override", [True, False])
def test_keystones_failure_accuses_no_server(
    instrumentor, library, server, image_id, counts, override
):
    instrumentor.instrument()
    given = {"endpoint": server.url} if override else {}
    auth = session.Session(auth=NoKeystone(server.url))
    client = library("glanceclient").Client("2", session=auth, **given)
    with pytest.raises(Exception, match="Keystone is not there"):
        client.images.get(image_id)
    assert {("images.get", "non_retryable", "token_unavailable"): 1.0} == calls(counts)
    assert {} == attempts(counts)
    assert {("connection_refused",): 1.0} == counts.of(
        "glance_client_token_failures_total", "error_type"
    )


def refuse():
    raise ConnectionRefusedError


def test_a_failure_that_the_caller_handles_already_is_not_the_calls(client, image_id, counts):
    try:
        refuse()
    except ConnectionRefusedError:
        with pytest.raises(Exception, match="404"):
            client.images.get("none")
    assert {("images.get", "refused", "404"): 1.0} == calls(counts)


@pytest.mark.parametrize("status", [404, 503])
def test_the_hook_of_responses_gets_those_of_a_failure_that_a_session_has(
    instrumentor, build, server, image_id, kind, status
):
    seen = []
    instrumentor.instrument(
        response_hook=lambda _span, request, response: seen.append(
            (request.path, response.status_code)
        )
    )
    server.break_with(faults.status(status))
    with pytest.raises(Exception, match=str(status)):
        build(server).images.get(image_id)
    # Without a session, the library keeps the response to itself.
    shown = [] if kind is over_requests else [(f"/v2/images/{image_id}", status)]
    assert shown == seen


def test_what_a_hook_asks_of_another_server_is_a_call_of_its_own(
    instrumentor, build, servers, image_id, counts
):
    def ask(_span, request):
        if request.path == f"/v2/images/{image_id}":
            with contextlib.suppress(Exception):
                build(servers[1]).images.get("other")

    instrumentor.instrument(request_hook=ask)
    servers[1].break_with(faults.refuse())
    build(servers[0]).images.get(image_id)
    ports = [str(server.port) for server in servers[:2]]
    assert {(ports[0], "healthy"), (ports[1], "failing")} == states(counts)
    assert 1.0 == calls(counts)["images.get", "success_first_try", ""]
    assert 1.0 == calls(counts)["images.get", "exhausted", "connection_refused"]


def test_an_interrupt_accuses_no_server(client, image_id, counts, monkeypatch):
    client.schemas.get("image")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("requests.Session.request", interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.images.get(image_id)
    assert 1.0 == calls(counts)["images.get", "cancelled", "_OTHER"]
    assert {"schemas.get"} == {operation for operation, *_ in attempts(counts)}


def test_a_time_limit_of_the_caller_accuses_no_server(client, image_id, counts, monkeypatch):
    client.schemas.get("image")

    def handler(*_):
        raise TimeoutError("the task took too long")

    def request(*_, **__):
        signal.raise_signal(signal.SIGUSR1)

    monkeypatch.setattr("requests.Session.request", request)
    old = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Exception, match="the task took too long"):
            client.images.get(image_id)
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert 1.0 == calls(counts)["images.get", "cancelled", "_OTHER"]
    assert {"schemas.get"} == {operation for operation, *_ in attempts(counts)}


class UnreadableError(Exception):
    @property
    def response(self):
        raise ValueError("no response")


class Unseen:
    """Data that raises an exception when one of its methods is looked at."""

    def __init__(self, on):
        self._on = on

    def __getattr__(self, name):
        if name == self._on:
            raise UnreadableError
        raise AttributeError(name)


class Chunks:
    """Data whose end is a chunk without a length."""

    def __init__(self, *chunks):
        self._chunks = list(chunks)

    def read(self, _size=-1):
        chunk = self._chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk


def test_an_exception_that_cannot_be_examined_leaves_no_call_current(client, counts):
    image = client.images.create(**NEW)["id"]
    with pytest.raises(UnreadableError):
        client.images.upload(image, Chunks(UnreadableError()))
    assert (None, 1.0) == (current_call(), calls(counts)["images.upload", "cancelled", "_OTHER"])


def make_call(trace):
    return telemetry.make_recorder(
        Telemetry(tracer_provider=trace.provider, registry=False, meter_provider=False)
    ).call("images.get")


@pytest.mark.parametrize("times", [1, 2])
def test_a_call_whose_end_was_interrupted_leaves_nothing_current(trace, times):
    call = make_call(trace)
    call.ended = True
    for _ in range(times):
        call.abandon()
    assert (None, False) == (CURRENT.get(None), get_current_span().is_recording())
    assert ["glance.images.get"] == [span.name for span in trace.named("glance.images.get")]


def test_a_call_without_a_span_can_be_abandoned(trace):
    with suppress_instrumentation():
        call = make_call(trace)
    call.end()
    call.abandon()
    assert current_call() is None


def test_data_that_cannot_be_looked_at_leaves_no_call_current(client):
    image = client.images.create(**NEW)["id"]
    with pytest.raises(UnreadableError):
        client.images.upload(image, Unseen("read"))
    assert current_call() is None


class Variable:
    """A variable of a caller."""


def upload(client, server, image_id):
    server.break_with(faults.status(503))
    with contextlib.suppress(Exception):
        client.images.upload(image_id, io.BytesIO(b"0123456789"))


def ask_for_none(client, *_):
    with contextlib.suppress(Exception):
        client.images.get("none")


def read_a_list(client, *_):
    list(client.images.list())


def read_an_image(client, _server, image_id):
    list(client.images.data(image_id))


@pytest.mark.parametrize("use", [upload, ask_for_none, read_a_list, read_an_image])
def test_a_call_that_has_ended_needs_no_garbage_collection(client, server, image_id, use):
    def call():
        variable = Variable()
        use(client, server, image_id)
        return weakref.ref(variable)

    gc.collect()
    gc.disable()
    try:
        assert call()() is None
        assert [] == [each for each in gc.get_objects() if type(each) is ObservedCall]
    finally:
        gc.enable()


def test_data_may_end_with_none(client, counts, server):
    image = client.images.create(**NEW)["id"]
    client.images.upload(image, Chunks(b"0123456789", None))
    assert {(str(server.port), "upload"): 10.0} == stream_bytes(counts)


def test_a_call_in_a_context_copied_during_another_one_is_recorded(client, image_id, counts):
    contexts = []

    class Copying(Chunks):
        def read(self, _size=-1):
            contexts.append(contextvars.copy_context())
            return super().read()

    client.images.upload(client.images.create(**NEW)["id"], Copying(b"0", b""))
    contexts[0].run(client.images.get, image_id)
    assert 1.0 == calls(counts)["images.get", "success_first_try", ""]


def test_a_list_ends_when_its_reader_throws_an_exception_in(client, images, counts):
    images.add(name="one")
    items = client.images.list()
    next(items)
    with pytest.raises(KeyError):
        items.throw(KeyError("mine"))
    assert 1.0 == calls(counts)["images.list", "success_first_try", ""]


# --- lists -------------------------------------------------------------------------------------


def test_a_list_that_nobody_reads_is_no_call(client, counts):
    client.images.list()
    assert {} == calls(counts)


def test_a_list_is_one_call_and_one_attempt(client, images, trace):
    for _ in range(5):
        images.add(data=b"0")
    assert 5 == len(list(client.images.list(page_size=2)))
    assert tree("images.list") == trace.tree()


def test_no_span_is_current_while_the_reader_works(client, image_id):
    assert [False] == [get_current_span().is_recording() for _ in client.images.list()]


def test_the_readers_time_is_not_the_lists(client, image_id, counts, monkeypatch):
    times = iter(range(0, 10_000, 1_000))
    monkeypatch.setattr(streams, "perf_counter", lambda: next(times))
    list(client.images.list())
    for what in ("call", "attempt"):
        (seconds,) = counts.of(f"glance_client_{what}_duration_seconds_sum", "operation").values()
        assert seconds < -900


def test_a_reader_that_has_enough_ends_the_list(client, image_id, counts, trace):
    items = client.images.list()
    next(items)
    assert {"glance.images.list", "glance.images.list attempt"} == trace.open
    del items
    gc.collect()
    assert {("images.list", "success_first_try", ""): 1.0} == calls(counts)
    assert set() == trace.open


def test_a_later_page_that_fails_fails_the_list(client, server, images, counts):
    for _ in range(3):
        images.add(data=b"0")
    items = client.images.list(page_size=2)
    next(items)
    server.break_with(faults.status(503))
    with pytest.raises(Exception, match="503"):
        list(items)
    assert {("images.list", "exhausted", "503"): 1.0} == calls(counts)
    assert {("images.list", "failed", "503"): 1.0} == attempts(counts)


def test_a_list_tells_its_request_id_as_ever(client, server, image_id):
    items = client.images.list()
    list(items)
    assert [server.access_log[0].request_id] == items.request_ids


# --- data --------------------------------------------------------------------------------------


def test_a_download_is_a_stream_below_its_attempt(client, server, image_id, trace, counts):
    assert b"0123456789" == b"".join(client.images.data(image_id))
    call, (attempt, below) = "glance.images.data", trace.tree()[0][1][0]
    assert (f"{call} attempt", [(f"{call} stream", [])]) == (attempt, below)
    assert {(str(server.port), "download"): 10.0} == stream_bytes(counts)
    stream = trace.one(f"{call} stream")
    assert (10, True) == (
        stream.attributes["glance.stream.size"],
        stream.attributes["glance.stream.complete"],
    )


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.corrupt_data(), "checksum_mismatch"),
        (faults.cut_body(), CUT),
    ],
    ids=["corrupt", "cut"],
)
def test_a_broken_download_has_its_reason(client, server, images, trace, counts, fault, reason):
    image = images.add(data=b"0123456789" * 1000)
    record = client.images.get(image)
    assert "active" == record["status"]
    server.break_with(faults.flapping(None, fault))
    with pytest.raises(Exception):  # noqa: B017, PT011 any of the library's
        list(client.images.data(image))
    assert reason == trace.one("glance.images.data stream").attributes["error.type"]
    assert {(str(server.port), "download"): 1.0} == stream_errors(counts)


def test_a_reader_that_stops_early_breaks_no_stream(client, image_id, trace, counts):
    chunks = client.images.data(image_id)
    next(chunks)
    del chunks
    gc.collect()
    assert {} == stream_errors(counts)
    assert not trace.one("glance.images.data stream").attributes["glance.stream.complete"]


def test_an_interrupt_of_the_reader_breaks_no_stream(client, image_id, counts):
    def interrupted():
        yield b"0"
        raise KeyboardInterrupt

    body = client.images.data(image_id)
    stream = streams.observe_data(interrupted(), body.wrapped.iterable.gi_frame.f_locals["call"])
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    assert {} == stream_errors(counts)


def test_an_image_without_data_has_no_stream(client, images, trace):
    assert client.images.data(images.add(name="empty")).wrapped is None
    assert [] == trace.named("glance.images.data stream")


@pytest.mark.parametrize("by_name", [False, True])
def test_an_upload_is_counted(client, server, counts, by_name):
    image = client.images.create(**NEW)["id"]
    data = io.BytesIO(b"0123456789")
    args, kwargs = ((), {"image_data": data}) if by_name else ((data,), {})
    client.images.upload(image, *args, **kwargs)
    assert {(str(server.port), "upload"): 10.0} == stream_bytes(counts)
    assert b"0123456789" == server.images.get(image).data


def test_an_upload_to_the_staging_area_is_one_call(client, server, trace, counts):
    image = client.images.create(**NEW)["id"]
    client.images.stage(image, io.BytesIO(b"0123456789"))
    assert "glance.images.stage" == trace.tree()[-1][0]
    assert [] == trace.named("glance.images.upload")
    assert {(str(server.port), "upload"): 10.0} == stream_bytes(counts)


def test_an_upload_that_fails_is_a_broken_stream(client, server, counts):
    image = client.images.create(**NEW)["id"]
    server.break_with(faults.status(503))
    with pytest.raises(Exception, match="503"):
        client.images.upload(image, io.BytesIO(b"0123456789"))
    assert {(str(server.port), "upload"): 1.0} == stream_errors(counts)


def test_data_without_a_read_is_left_to_the_library(client, image_id, counts):
    with pytest.raises(AttributeError):
        client.images.upload(image_id, b"0123456789")
    assert {} == stream_bytes(counts)


def test_the_callers_data_is_otherwise_its_own_object():
    data = io.BytesIO(b"")
    counted = streams.CountedData(data, None)
    assert (True, 0) == (bool(counted), counted.tell())


# --- layers above ------------------------------------------------------------------------------


@pytest.fixture
def recorder(trace, registry):
    return telemetry.make_recorder(
        Telemetry(tracer_provider=trace.provider, registry=registry, meter_provider=False)
    )


def test_below_a_call_it_is_an_attempt(client, image_id, recorder, trace, counts):
    with recorder.call("images.get"):
        client.images.get(image_id)
        client.images.get(image_id)
    assert [("glance.images.get", [("glance.images.get attempt", [])] * 2)] == trace.tree()
    assert {("images.get", "success_after_retry", ""): 1.0} == calls(counts)


def test_a_list_below_a_call_is_an_attempt(client, image_id, recorder, trace):
    with recorder.call("images.list"):
        list(client.images.list())
    assert tree("images.list") == trace.tree()


def test_below_an_attempt_it_is_nothing(client, server, image_id, recorder, trace):
    with recorder.call("images.get") as call:
        with call.attempt(server.url):
            client.images.get(image_id)
        assert not call.attempting
    assert tree("images.get") == trace.tree()


@pytest.mark.parametrize("method", ["data", "list", "upload"])
def test_streams_below_an_attempt_are_nothing(
    client, server, image_id, recorder, counts, trace, method
):
    use = {
        "data": lambda: list(client.images.data(image_id)),
        "list": lambda: list(client.images.list()),
        "upload": lambda: client.images.upload(client.images.create(**NEW)["id"], io.BytesIO(b"0")),
    }
    with recorder.call("images.get") as call, call.attempt(server.url):
        use[method]()
    assert tree("images.get") == trace.tree()
    assert {} == stream_bytes(counts)


# --- servers -----------------------------------------------------------------------------------


def test_a_server_is_failing_until_it_answers_again(client, server, image_id, counts):
    port = str(server.port)
    server.break_with(faults.status(503))
    for _ in range(2):
        with pytest.raises(Exception, match="503"):
            client.images.get(image_id)
    assert {(port, "failing")} == states(counts)
    assert {(port,): 2.0} == counts.of("glance_client_server_consecutive_failures", "server_port")
    server.heal()
    client.images.get(image_id)
    assert {(port, "healthy")} == states(counts)


def test_of_three_servers_the_two_that_fail_are_shown(
    instrumentor, build, servers, image_id, counts
):
    instrumentor.instrument()
    servers[1].break_with(faults.refuse())
    servers[2].break_with(faults.status(503))
    for server in servers:
        with contextlib.suppress(Exception):
            build(server).images.get(image_id)
    shown = zip(servers, ("healthy", "failing", "failing"), strict=True)
    assert {(str(server.port), state) for server, state in shown} == states(counts)
