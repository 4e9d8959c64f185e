"""Calls of openstacksdk's image proxy: their spans, their samples and their servers' state."""

import contextlib
import gc
import io
import re
import types

import pytest
import urllib3
from dogpile.cache import make_region
from keystoneauth1 import discover, exceptions, noauth, session
from keystoneauth1.token_endpoint import Token
from openstack import proxy as sdk_proxy
from openstack import service_description
from openstack.connection import Connection
from openstack.image.v2 import _proxy as image_proxy
from opentelemetry import trace as otel
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind
from sdk_client import KINDS, find_images, over_override
from stock_client import REAL

from traced_image import Telemetry, telemetry
from traced_image.instrumentation import keystoneauth1, openstacksdk, streams
from traced_image.instrumentation.calls import UNDER_WAY
from traced_image.lab import faults
from traced_image.telemetry.recorder import CURRENT, current_call

NEW = {"disk_format": "raw", "container_format": "bare"}
OVERLOADED = faults.status(503)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


def when(kind):
    """Leave the other way than the SDK's usual one to a full run."""
    return () if REAL or kind is not over_override else pytest.mark.slow


@pytest.fixture(params=[pytest.param(kind, marks=when(kind), id=kind.__name__) for kind in KINDS])
def kind(request):
    return request.param


@pytest.fixture
def connect(instrumentor, kind):
    """Return the image proxy of a server."""
    instrumentor.instrument()
    return lambda server, **options: find_images(kind(server.url, **options))


@pytest.fixture
def sdk(connect, server, forget):
    proxy = connect(server)
    forget()  # it may have asked for the versions
    return proxy


@pytest.fixture
def forget(trace):
    """Forget the spans so far; the samples stay."""
    return trace.exporter.clear


def calls(counts):
    found = counts.of(
        "glance_client_call_duration_seconds_count", "operation", "outcome", "error_type"
    )
    return {key: value for key, value in found.items() if key[0] != "versions.list"}


def attempts(counts):
    found = counts.of(
        "glance_client_attempt_duration_seconds_count", "operation", "verdict", "error_type"
    )
    return {key: value for key, value in found.items() if key[0] != "versions.list"}


def discoveries(counts):
    return counts.of(
        "glance_client_attempt_duration_seconds_count", "operation", "server_port", "error_type"
    )


def states(counts):
    return set(counts.of("glance_client_server_state", "server_port", "state"))


def hazards(counts):
    return {kind for (kind,) in counts.of("glance_client_hazards_total", "kind")}


def stream_bytes(counts):
    return counts.of("glance_client_stream_bytes_total", "server_port", "direction")


def stream_errors(counts):
    return counts.of("glance_client_stream_errors_total", "server_port", "direction")


def errors(counts):
    return counts.of("traced_image_telemetry_errors_total", "kind")


def tree(operation, count=1):
    return [(f"glance.{operation}", [(f"glance.{operation} attempt", [])] * count)]


# --- calls and attempts ------------------------------------------------------------------------


def test_a_call_is_one_attempt_that_is_the_client_span(sdk, server, image_id, trace):
    sdk.get_image(image_id)
    assert tree("images.get") == trace.tree()
    span = trace.one("glance.images.get attempt")
    assert SpanKind.CLIENT == span.kind
    assert {
        "glance.attempt.number": 1,
        "glance.attempt.trial": False,
        "glance.operation": "images.get",
        "glance.request_id": server.access_log[-1].request_id,
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.full": f"{server.url}/v2/images/{image_id}",
    } == dict(span.attributes)


def test_the_server_is_told_a_span_of_the_trace(sdk, server, image_id, trace):
    sdk.get_image(image_id)
    attempt = trace.one("glance.images.get attempt")
    assert f"{attempt.context.span_id:016x}" == server.access_log[-1].traceparent.split("-")[2]


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("images.get", lambda sdk, image: sdk.get_image(image)),
        ("images.get", lambda sdk, _: sdk.find_image("cirros")),
        ("images.get", lambda sdk, _: sdk.find_image("nobody has it")),
        ("images.list", lambda sdk, _: list(sdk.images())),
        ("images.create", lambda sdk, _: sdk.create_image("new", data=b"0", **NEW)),
        ("images.update", lambda sdk, image: sdk.update_image(image, name="other")),
        ("images.delete", lambda sdk, image: sdk.delete_image(image)),
        ("images.delete", lambda sdk, _: sdk.delete_image("none")),
        ("images.data", lambda sdk, image: sdk.download_image(image)),
        ("images.deactivate", lambda sdk, image: sdk.deactivate_image(image)),
        ("image_tags.update", lambda sdk, image: sdk.add_tag(image, "tag")),
        ("image_members.list", lambda sdk, image: list(sdk.members(image))),
        ("schemas.get", lambda sdk, _: sdk.get_image_schema()),
    ],
)
def test_each_call_is_counted_once(sdk, images, counts, operation, call):
    call(sdk, images.add(name="cirros", data=b"0", visibility="shared"))
    assert {(operation, "success_first_try", ""): 1.0} == calls(counts)
    assert {(operation, "success", ""): 1.0} == attempts(counts)


@pytest.mark.parametrize(
    ("fault", "reason", "outcome", "verdict"),
    [
        (faults.refuse(), "connection_refused", "exhausted", "failed"),
        (OVERLOADED, "503", "exhausted", "failed"),
        (faults.status(500), "500", "non_retryable", "failed"),
        (faults.status(403), "403", "refused", "refused"),
        (faults.lost_reply(), "connection_reset", "exhausted", "failed"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_failure_has_its_reason(sdk, server, image_id, counts, fault, reason, outcome, verdict):
    server.break_with(fault)
    with pytest.raises(Exception):  # noqa: B017, PT011 any of the library's
        sdk.get_image(image_id)
    assert {("images.get", outcome, reason): 1.0} == calls(counts)
    assert {("images.get", verdict, reason)} == set(attempts(counts))
    state = "failing" if verdict == "failed" else "healthy"
    assert {(str(server.port), state)} == states(counts)


def test_a_hidden_retry_is_an_attempt(sdk, server, image_id, trace, counts):
    server.break_with(faults.flapping(OVERLOADED, None))
    sdk.get_image(image_id)
    assert tree("images.get", 2) == trace.tree()
    assert {("images.get", "success_after_retry", ""): 1.0} == calls(counts)


def test_all_hidden_retries_are_attempts(sdk, server, image_id, trace):
    server.break_with(OVERLOADED)
    with pytest.raises(Exception, match="503"):
        sdk.get_image(image_id)
    assert tree("images.get", 6) == trace.tree()


def test_a_failed_attempt_names_the_request_that_failed(sdk, server, image_id, trace):
    server.break_with(faults.flapping(None, faults.status(500)))
    with pytest.raises(Exception, match="500"):
        sdk.create_image("new", **NEW)
    span = trace.one("glance.images.create attempt")
    assert (server.access_log[-1].request_id, 500) == (
        span.attributes["glance.request_id"],
        span.attributes["http.response.status_code"],
    )
    assert span.attributes["url.full"].startswith(f"{server.url}/v2/images?") is False


def test_an_answer_that_the_caller_does_not_see_fails_the_call(sdk, server, image_id, counts):
    server.break_with(faults.status(403))
    assert sdk.deactivate_image(image_id) is None
    assert {("images.deactivate", "refused", "403"): 1.0} == calls(counts)
    assert {"error_swallowed"} == hazards(counts)


def test_a_missing_image_that_the_caller_wants_to_be_told_of_is_refused(sdk, counts):
    with pytest.raises(Exception, match="404"):
        sdk.delete_image("none", ignore_missing=False)
    assert {("images.delete", "refused", "404"): 1.0} == calls(counts)


def test_only_a_missing_image_is_ignored(sdk, server, image_id, counts, monkeypatch):
    monkeypatch.setattr(
        image_proxy._image.Image,
        "delete",
        lambda self, session, **_: session.delete(f"/images/{self.id}"),
    )
    server.break_with(faults.status(500))
    sdk.delete_image(image_id)
    assert {("images.delete", "non_retryable", "500"): 1.0} == calls(counts)


def test_what_the_library_raises_after_good_replies_is_no_failure_of_the_server(
    sdk, images, counts
):
    for _ in range(2):
        images.add(name="twice", data=b"0")
    with pytest.raises(Exception, match="More than one"):
        sdk.find_image("twice")
    assert {("images.get", "success", "")} == set(attempts(counts))


def test_an_argument_that_cant_be_used_reaches_no_server(sdk, counts):
    with pytest.raises(TypeError):
        sdk.get_image()
    assert {("images.get", "cancelled", "_OTHER"): 1.0} == calls(counts)
    assert {} == attempts(counts)


class NoKeystone(noauth.NoAuth):
    """A plugin that gets no token, because nothing listens where Keystone should."""

    def get_headers(self, _session, **_):
        raise exceptions.ConnectFailure("Keystone is not there") from ConnectionRefusedError()


def test_keystones_failure_accuses_no_server(connect, server, image_id, counts):
    sdk = connect(server, auth=NoKeystone(endpoint=f"{server.url}/v2"))
    with pytest.raises(Exception, match="Keystone is not there"):
        sdk.get_image(image_id)
    assert {("images.get", "non_retryable", "token_unavailable"): 1.0} == calls(counts)
    assert {} == attempts(counts)


# --- other layers ------------------------------------------------------------------------------


@pytest.fixture
def recorder(trace, registry):
    return telemetry.make_recorder(
        Telemetry(tracer_provider=trace.provider, registry=registry, meter_provider=False)
    )


def test_below_an_attempt_it_is_nothing(sdk, server, image_id, recorder, trace):
    with recorder.call("images.get") as call, call.attempt(server.url):
        sdk.get_image(image_id)
        list(sdk.images())
    assert tree("images.get") == trace.tree()


def test_requests_outside_any_call_are_passed_on(sdk, trace):
    assert 200 == sdk.get("/schemas/image").status_code
    assert [] == trace.spans


def test_suppression_is_honoured(sdk, image_id, trace):
    with suppress_instrumentation():
        sdk.get_image(image_id)
    assert [] == trace.spans


def test_requests_with_arguments_by_name_are_passed_on(sdk, image_id, monkeypatch, counts):
    monkeypatch.setattr(
        image_proxy._image.Image,
        "fetch",
        lambda self, session, **_: session.request(url=f"/images/{self.id}", method="GET"),
    )
    assert image_id == sdk.get_image(image_id).json()["id"]
    assert {("images.get", "success_first_try", ""): 1.0} == calls(counts)


@pytest.fixture
def compute(servers):
    """The proxy of another service, at the second server."""
    return Connection(
        session=session.Session(auth=noauth.NoAuth()),
        compute_endpoint_override=servers[1].url,
        compute_default_microversion=None,
    ).compute


def test_another_service_that_the_library_asks_is_no_part_of_the_call(
    sdk, servers, compute, image_id, counts, monkeypatch
):
    fetch = image_proxy._image.Image.fetch

    def fetch_after(self, *args, **options):
        compute.get("/v2/images")
        return fetch(self, *args, **options)

    monkeypatch.setattr(image_proxy._image.Image, "fetch", fetch_after)
    sdk.get_image(image_id)
    assert 1 <= len(servers[1].access_log)
    assert {("images.get", "success", ""): 1.0} == attempts(counts)


def test_another_service_within_a_call_is_no_part_of_it(sdk, servers, compute, counts):
    def data():
        compute.get("/v2/images")
        yield b"0123456789"

    sdk.create_image("new", data=data(), **NEW)
    assert 2 <= len(servers[1].access_log)
    assert {str(servers[0].port)} == {port for _, port, _ in discoveries(counts)}


@pytest.mark.parametrize("cache", ["memory", "memory_pickle"])
def test_a_reply_from_the_librarys_cache_is_no_attempt(
    instrumentor, server, image_id, counts, cache
):
    instrumentor.instrument()
    cached = over_override(server.url)
    cached._cache = make_region().configure(f"dogpile.cache.{cache}")
    cached.cache_enabled, cached._cache_expirations = True, {"image.image": 100}
    sdk = find_images(cached)
    for _ in range(2):
        sdk.get_image(image_id)
    assert 2.0 == calls(counts)["images.get", "success_first_try", ""]
    assert {("images.get", "success", ""): 1.0} == attempts(counts)


# --- lists -------------------------------------------------------------------------------------


def test_a_list_that_nobody_reads_is_no_call(sdk, counts):
    sdk.images()
    assert {} == calls(counts)


def test_a_list_is_one_call_and_one_attempt(sdk, images, trace):
    for _ in range(5):
        images.add(data=b"0")
    assert 5 == len(list(sdk.images(limit=2)))
    assert tree("images.list") == trace.tree()


def test_a_list_is_a_generator_of_the_same_name(sdk):
    assert ("list", "Resource.list") == (sdk.images().__name__, sdk.images().__qualname__)


def test_no_span_is_current_while_the_reader_works(sdk, image_id):
    assert [False] == [otel.get_current_span().is_recording() for _ in sdk.images()]


def test_a_reader_that_has_enough_ends_the_list(sdk, image_id, counts, trace):
    items = sdk.images()
    next(items)
    del items
    gc.collect()
    assert {("images.list", "success_first_try", ""): 1.0} == calls(counts)
    assert set() == trace.open


def test_a_page_that_is_asked_for_again_is_no_list_that_restarts(sdk, server, images, counts):
    for _ in range(3):
        images.add(data=b"0")
    server.break_with(faults.flapping(None, OVERLOADED, None))
    assert 3 == len(list(sdk.images(limit=2)))
    assert {("images.list", "success_after_retry", ""): 1.0} == calls(counts)
    assert set() == hazards(counts)


def test_what_is_no_generator_is_passed_on(sdk, image_id, counts, monkeypatch):
    monkeypatch.setattr(image_proxy._image.Image, "list", lambda *_, **__: [1, 2])
    assert [1, 2] == sdk.images()
    assert {} == calls(counts)


# --- data --------------------------------------------------------------------------------------


def test_a_download_in_one_piece_is_in_the_call(sdk, image_id, trace):
    assert b"0123456789" == sdk.download_image(image_id).content
    assert tree("images.data") == trace.tree()


READERS = {
    "content": lambda response: response.content,
    "iter_content": lambda response: b"".join(response.iter_content(3)),
    "iterate": b"".join,
}


@pytest.mark.parametrize("read", READERS)
def test_a_download_that_is_read_later_is_a_stream(sdk, server, image_id, trace, counts, read):
    response = sdk.download_image(image_id, stream=True)
    assert b"0123456789" == READERS[read](response)
    attempt = ("glance.images.data attempt", [("glance.images.data stream", [])])
    assert [("glance.images.data", [attempt])] == trace.tree()
    assert {(str(server.port), "download"): 10.0} == stream_bytes(counts)


def test_a_download_that_is_read_twice_is_counted_once(sdk, server, image_id, counts):
    response = sdk.download_image(image_id, stream=True)
    assert response.content == response.content
    assert {(str(server.port), "download"): 10.0} == stream_bytes(counts)


FIRST = image_proxy._image.Image.download.__code__.co_names[0] != "fetch"
"""Whether the data is asked for before the image's record, as in 4.4."""


def break_data(server, fault):
    server.break_with(faults.flapping(*([] if FIRST else [None]), fault, None))


# urllib3 1 does not compare a body with its length.
needs_length = pytest.mark.skipif(urllib3.__version__ < "2", reason="urllib3 1 sees no cut")


@needs_length
def test_a_stream_that_breaks_after_its_call_is_a_hazard(sdk, server, image_id, counts):
    break_data(server, faults.cut_body())
    response = sdk.download_image(image_id, stream=True)
    with pytest.raises(Exception, match="IncompleteRead"):
        response.content  # noqa: B018
    assert {"download_broken"} == hazards(counts)
    assert {(str(server.port), "download"): 1.0} == stream_errors(counts)


@needs_length
def test_a_stream_that_breaks_within_its_call_fails_it(sdk, server, image_id, counts):
    break_data(server, faults.cut_body())
    with pytest.raises(Exception, match="IncompleteRead"):
        sdk.download_image(image_id, stream=True, output=io.BytesIO())
    assert {("images.data", "failed", "protocol_error"): 1.0} == attempts(counts)
    assert (set(), {(str(server.port), "download"): 1.0}) == (
        hazards(counts),
        stream_errors(counts),
    )


def test_wrong_data_fails_the_call(sdk, server, image_id, counts):
    break_data(server, faults.corrupt_data())
    with pytest.raises(Exception, match="checksum mismatch"):
        sdk.download_image(image_id)
    assert {("images.data", "non_retryable", "checksum_mismatch"): 1.0} == calls(counts)
    assert {("images.data", "failed", "checksum_mismatch"): 1.0} == attempts(counts)


def test_an_answer_instead_of_data_is_no_stream(sdk, server, image_id, counts, trace):
    break_data(server, faults.status(500))
    assert 500 == sdk.download_image(image_id, stream=True).status_code
    assert [] == trace.named("glance.images.data stream")


class Sized(io.BytesIO):
    """Data that says how long it is."""

    def __len__(self):
        return len(self.getbuffer())


class Unsized:
    """Data that has neither a length nor lines."""

    def __init__(self, data):
        self.read = io.BytesIO(data).read


DATA = b"0123456789\n" * 3
UPLOADS = {
    "file": lambda: io.BytesIO(DATA),
    "bytes": lambda: DATA,
    "generator": lambda: (DATA[at : at + 11] for at in range(0, 33, 11)),
    "sized": lambda: Sized(DATA),
}


@pytest.mark.parametrize("kind_of_data", UPLOADS)
def test_an_upload_is_counted(sdk, server, counts, kind_of_data):
    image = sdk.create_image("new", data=UPLOADS[kind_of_data](), **NEW)
    assert {(str(server.port), "upload"): float(len(DATA))} == stream_bytes(counts)
    assert DATA == server.images.get(image.id).data


def test_data_that_cannot_be_sent_accuses_no_server(sdk, counts):
    with pytest.raises(Exception, match="unpack"):
        sdk.create_image("new", data=[b"0", b"1"], **NEW)
    assert {("images.create", "cancelled", "_OTHER"): 1.0} == calls(counts)
    assert "failed" not in {verdict for _, verdict, _ in attempts(counts)}


def test_a_file_by_its_name_is_counted(sdk, server, counts, tmp_path):
    (tmp_path / "data").write_bytes(DATA)
    sdk.create_image("new", filename=str(tmp_path / "data"), **NEW)
    assert {(str(server.port), "upload"): float(len(DATA))} == stream_bytes(counts)


def test_data_for_the_staging_area_is_counted(sdk, server, counts, forget, trace):
    image = sdk.create_image("new", **NEW)
    forget()
    sdk.stage_image(image, data=io.BytesIO(DATA))
    assert tree("images.stage") == trace.tree()
    assert {(str(server.port), "upload"): float(len(DATA))} == stream_bytes(counts)


def data_fault(fault, times=1):
    """A fault of the data, after the request that creates the image."""
    return faults.flapping(None, *[fault] * times, None)


@pytest.fixture
def create(sdk):
    return lambda data, **options: sdk.create_image(
        "new", data=data, allow_duplicates=True, **NEW, **options
    )


class Pipe(io.BytesIO):
    """Data whose size the library does not tell; Glance 33 refuses less than was told."""

    def seekable(self):
        return False


def test_a_hidden_retry_of_an_upload_that_sends_nothing_is_a_hazard(create, server, counts):
    server.break_with(data_fault(OVERLOADED))
    create(Pipe(DATA))
    assert {"upload_truncated"} == hazards(counts)


def test_a_hidden_retry_that_sends_all_data_is_no_hazard(create, server, counts):
    server.break_with(data_fault(OVERLOADED))
    assert DATA == server.images.get(create(DATA).id).data
    assert set() == hazards(counts)


def test_a_hidden_retry_of_the_creation_may_leave_an_image(create, server, counts):
    server.break_with(faults.flapping(OVERLOADED, None, None))
    create(DATA)
    assert {"create_repeated"} == hazards(counts)


def test_an_upload_that_fails_is_a_broken_stream(create, server, counts):
    server.break_with(data_fault(OVERLOADED, times=6))
    with pytest.raises(Exception, match="503"):
        create(io.BytesIO(DATA))
    assert {("images.create", "exhausted", "503"): 1.0} == calls(counts)
    assert {("images.create", "failed", "503"): 6.0} == attempts(counts)
    assert {(str(server.port), "upload")} == set(stream_errors(counts))


def test_what_cleans_up_after_a_broken_connection_is_an_attempt_of_its_own(create, server, counts):
    server.break_with(data_fault(faults.lost_reply()))
    with pytest.raises(Exception, match=r"Image creation failed|409"):
        create(io.BytesIO(DATA))
    assert 1.0 == attempts(counts)["images.create", "failed", "connection_reset"]
    assert set() == hazards(counts)


class Broken(io.BytesIO):
    """Data that can't be read, also by lines."""

    def read(self, *_):
        raise OSError("the disk is broken")

    __next__ = read


def test_data_that_cant_be_read_accuses_no_server(create, server, counts):
    with pytest.raises(Exception, match="the disk is broken"):
        create(Broken())
    assert {("images.create", "cancelled", "_OTHER"): 1.0} == calls(counts)
    assert {(str(server.port), "healthy")} == states(counts)


class Sent:
    """A call that counts what is sent."""

    guard = contextlib.nullcontext()

    def __init__(self):
        self.count, self.source_error, self.attempt = 0, None, None

    def sent(self, count):
        self.count += count


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (io.BytesIO(), {"__iter__"}),
        (Sized(), {"__iter__", "__len__"}),
        (Unsized(b""), set()),
    ],
)
def test_counted_data_has_the_special_methods_of_the_data(data, names):
    counted = streams.count_data(data, Sent())
    assert names == {name for name in ("__iter__", "__len__") if hasattr(type(counted), name)}
    assert (repr(data), 0) == (repr(counted), len(counted.read()))


@pytest.mark.parametrize("data", [io.StringIO("text"), ["a", "b"], None])
def test_other_data_stays_as_it_is(data):
    assert data is streams.count_data(data, None)


def test_data_without_a_length_is_counted_by_lines():
    sent = Sent()
    assert [b"a\n", b"bc"] == list(streams.count_data(io.BytesIO(b"a\nbc"), sent))
    assert 4 == sent.count


def fail():
    yield b"0"
    raise OSError("the disk is broken")


def test_a_generator_that_fails_is_told():
    sent = Sent()
    with pytest.raises(OSError, match="the disk is broken") as caught:
        list(streams.count_data(fail(), sent))
    assert caught.value is sent.source_error


def test_what_a_generator_asks_while_it_is_read_is_none_of_the_upload():
    seen = []

    def chunks():
        seen.append((UNDER_WAY.get(), current_call()))
        yield b"abc"

    tokens = UNDER_WAY.set("observed"), CURRENT.set(call := types.SimpleNamespace(ended=False))
    seen += [(UNDER_WAY.get(), current_call()) for _ in streams.count_data(chunks(), Sent())]
    CURRENT.reset(tokens[1])
    UNDER_WAY.reset(tokens[0])
    assert [(None, None), ("observed", call)] == seen


def test_the_length_is_that_of_the_data():
    assert 3 == len(streams.count_data(Sized(b"abc"), None))


# --- the search for the server -----------------------------------------------------------------


def over_root(url, auth=None):
    """The catalogue names the server without a version."""
    return Connection(session=session.Session(auth=auth or Token(url, "t")))


@pytest.fixture
def search(instrumentor, server):
    """Search for a server that is not known to work."""
    instrumentor.instrument()
    return lambda kind: find_images(kind(server.url))


FINDERS = pytest.mark.parametrize("finder", [over_override, over_root])


@FINDERS
def test_the_question_for_versions_is_a_call(search, trace, finder):
    search(finder)
    assert tree("versions.list") == trace.tree()


@FINDERS
@pytest.mark.parametrize(
    ("fault", "reason"), [(faults.refuse(), "connection_refused"), (OVERLOADED, "503")]
)
def test_a_server_that_does_not_tell_its_versions_fails(
    search, server, counts, fault, reason, finder
):
    server.break_with(fault)
    with pytest.raises(Exception, match="version discovery document"):
        search(finder)
    assert {("versions.list", str(server.port), reason)} == set(discoveries(counts))
    assert {(str(server.port), "failing")} == states(counts)


class Catalogue(noauth.NoAuth):
    """A plugin that finds the version of an endpoint as one with a catalogue does."""

    def get_endpoint(self, session, **kwargs):
        data = discover.EndpointData(catalog_url=self.endpoint)
        found = data.get_versioned_data(
            session, allow_version_hack=False, min_version=(2, 0), max_version=(2, 99)
        )
        return found.url


@pytest.fixture
def direct(instrumentor, server):
    """Make an image proxy that asks the server for its versions within its first call."""

    def make():
        made = image_proxy.Proxy(
            session.Session(auth=Catalogue(endpoint=server.url)), service_type="image"
        )
        made._connection = connection
        return made

    connection = over_override(server.url)
    instrumentor.instrument()
    return make


def test_versions_that_are_asked_for_within_a_call_are_part_of_it(direct, server, image_id, trace):
    direct().get_image(image_id)
    assert tree("images.get") == trace.tree()
    assert ["/", f"/v2/images/{image_id}"] == [each.path for each in server.access_log]


@pytest.mark.parametrize(
    ("fault", "reason"), [(faults.not_json(), "_OTHER"), (faults.status(500), "500")]
)
def test_versions_that_fail_within_a_call_fail_it(direct, server, image_id, counts, fault, reason):
    server.break_with(fault)
    with pytest.raises(Exception, match="version"):
        direct().get_image(image_id)
    assert {("images.get", "failed", reason)} == set(attempts(counts))


def test_a_discovery_outside_of_any_call_is_passed_on(instrumentor, server, trace):
    instrumentor.instrument()
    data = discover.EndpointData(catalog_url=server.url)
    plain = session.Session(auth=noauth.NoAuth())
    assert f"{server.url}/v2/" == data.get_versioned_data(plain, min_version=(2, 0)).url
    assert discover.Discover(plain, url=server.url)
    assert [] == trace.spans


# --- the library and keystoneauth1 as they are -------------------------------------------------


def methods():
    owners = (
        image_proxy.Proxy,
        sdk_proxy.Proxy,
        service_description.ServiceDescription,
        discover.Discover,
        discover.EndpointData,
    )
    return {(owner, name): value for owner in owners for name, value in vars(owner).items()}


def test_what_was_there_is_put_back(instrumentor):
    before = methods()
    instrumentor.instrument()
    patched = {
        name for (owner, name), value in methods().items() if value is not before[owner, name]
    }
    assert {"get_image", "images", "request", "_make_proxy", "__init__"} <= patched
    instrumentor.uninstrument()
    assert before == methods()


def lack_method(monkeypatch):
    monkeypatch.delattr(image_proxy.Proxy, "get_image")


def lack_required(monkeypatch):
    monkeypatch.delattr(image_proxy.Proxy, "create_image")


def lack_module(monkeypatch):
    monkeypatch.setattr(image_proxy, "proxy", None)


def change_parameters(monkeypatch):
    monkeypatch.setattr(sdk_proxy.Proxy, "request", lambda self, method, url: None)


@pytest.mark.parametrize("doctor", [lack_method, lack_required, lack_module, change_parameters])
def test_a_library_that_has_changed_is_left_alone_with_one_warning(
    instrumentor, monkeypatch, caplog, doctor
):
    doctor(monkeypatch)
    before = [dict(vars(owner)) for owner in (image_proxy.Proxy, sdk_proxy.Proxy)]
    instrumentor.instrument()
    assert before == [dict(vars(owner)) for owner in (image_proxy.Proxy, sdk_proxy.Proxy)]
    (record,) = caplog.records
    assert re.fullmatch(
        r"openstacksdk [\w. ]+ is not fully observed: openstack\.\S+ has .+\.",
        record.getMessage(),
    )


def test_a_method_that_a_release_lacks_is_no_change(instrumentor, monkeypatch, caplog):
    monkeypatch.delattr(image_proxy.Proxy, "upload_image")
    instrumentor.instrument()
    assert [] == caplog.records


def test_an_exception_that_keystoneauth1_lacks_is_no_change(monkeypatch):
    monkeypatch.delattr(exceptions, "DiscoveryFailure")
    assert (exceptions.ConnectionError,) == openstacksdk.find_gave_up()


@pytest.fixture
def unseen(monkeypatch):
    """A keystoneauth1 whose sessions can't be observed."""
    monkeypatch.setattr(keystoneauth1, "hooks", lambda *_: {})


def test_where_sessions_are_not_seen_the_configuration_names_the_server(
    unseen, instrumentor, server, image_id, counts, trace
):
    instrumentor.instrument()
    find_images(over_override(server.url)).get_image(image_id)
    assert {("images.get", "success", ""): 1.0} == attempts(counts)
    assert ("images.get", str(server.port), "") in discoveries(counts)


def test_a_proxy_without_an_endpoint_is_passed_on(sdk, image_id, counts, caplog):
    del sdk.endpoint_override
    with pytest.raises(AttributeError):
        sdk.get_image(image_id)
    assert ({}, {("instrumentation",): 1.0}) == (calls(counts), errors(counts))


def test_an_endpoint_of_another_shape_is_passed_on(sdk, image_id, counts, caplog, monkeypatch):
    monkeypatch.setattr(openstacksdk, "urlsplit", None)
    assert image_id == sdk.get_image(image_id).id
    assert {("instrumentation",)} == set(errors(counts))
