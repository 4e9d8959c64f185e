"""The calls of a service whose attempts are the calls of a client below it."""

import io
import logging

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

from traced_image.instrumentation import instrumentor as module
from traced_image.lab import faults

HAZARDS = "glance_client_hazards_total"


class GaveUpError(Exception):
    """What the service raises in the end."""


@pytest.fixture
def serve(instrumentor, monkeypatch):
    """Make a call as a service, after the instrumentor was told how."""
    made = []

    class Seen(module.Instrumentation):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(module, "Instrumentation", Seen)
    instrumentor.instrument()
    return lambda operation, function: made[0].serve(operation, (GaveUpError,), function, (), {})


@pytest.fixture
def glance_errors(library):
    """The library's own exceptions."""
    errors = library("glanceclient.exc")
    return errors.BaseException, errors.HTTPException


@pytest.fixture
def retry(build, servers, glance_errors):
    """Return a service's function that asks one server after the other until one answers."""

    def make(use, gave_up="glance gave up"):
        def service():
            for server in servers:
                try:
                    return use(build(server))
                except glance_errors as error:
                    last = error
            raise GaveUpError(gave_up) from last

        return service

    return make


def calls(counts):
    return counts.of("glance_client_call_duration_seconds_count", "operation", "outcome")


def hazards(counts):
    return {kind for ((kind,), _) in counts.of(HAZARDS, "kind").items()}


def test_a_service_s_attempts_are_below_one_call(serve, retry, servers, image_id, trace):
    servers[0].break_with(faults.status(503))
    serve("images.get", retry(lambda client: client.images.get(image_id)))
    below = [span.name for span in trace.below(trace.one("glance.images.get"))]
    assert ["glance.images.get attempt"] * 2 == below


def test_a_call_that_a_retry_saved_is_counted_once(serve, retry, servers, image_id, counts):
    servers[0].break_with(faults.refuse())
    serve("images.get", retry(lambda client: client.images.get(image_id)))
    assert {("images.get", "success_after_retry"): 1.0} == calls(counts)


def test_a_retry_names_the_server_that_failed(serve, retry, servers, image_id, counts):
    servers[0].break_with(faults.refuse())
    serve("images.get", retry(lambda client: client.images.get(image_id)))
    retries = counts.of("glance_client_retries_total", "server_port", "error_type")
    assert {(str(servers[0].port), "connection_refused"): 1.0} == retries


def test_a_service_that_gives_up_is_counted_by_the_last_server(
    serve, retry, servers, image_id, counts
):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GaveUpError):
        serve("images.get", retry(lambda client: client.images.get(image_id)))
    failed = counts.of("glance_client_connection_failed_total", "server_port", "error_type")
    assert {(str(servers[2].port), "503"): 1.0} == failed


def test_an_interrupt_between_attempts_is_cancelled(
    serve, build, server, image_id, counts, glance_errors
):
    server.break_with(faults.status(503))

    def interrupted():
        try:
            build(server).images.get(image_id)
        except glance_errors:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        serve("images.get", interrupted)
    assert {("images.get", "cancelled"): 1.0} == calls(counts)


def test_an_exception_that_names_no_server_is_a_hazard(serve, retry, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GaveUpError):
        serve("images.get", retry(lambda client: client.images.get(image_id)))
    assert {"server_unnamed"} == hazards(counts)


def test_an_exception_that_names_the_server_is_no_hazard(serve, retry, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.status(503))
    service = retry(lambda client: client.images.get(image_id), "127.0.0.1 failed")
    with pytest.raises(GaveUpError):
        serve("images.get", service)
    assert set() == hazards(counts)


def upload(serve, retry, image_id):
    """Upload the same file until a server takes it, as nova does."""
    data = io.BytesIO(b"0123456789")
    serve("images.upload", retry(lambda client: client.images.upload(image_id, data)))


@pytest.fixture
def queued(images):
    return images.add(name="queued", disk_format="raw", container_format="bare")


def test_an_upload_whose_retry_sends_nothing_is_a_hazard(serve, retry, servers, queued, counts):
    servers[0].break_with(faults.status(503))
    upload(serve, retry, queued)
    assert {"upload_truncated"} == hazards(counts)


def test_a_hazard_is_an_event_of_the_call_with_the_last_server(
    serve, retry, servers, queued, trace
):
    servers[0].break_with(faults.status(503))
    upload(serve, retry, queued)
    (event,) = [
        each for each in trace.one("glance.images.upload").events if each.name == "glance.hazard"
    ]
    assert {
        "glance.hazard.kind": "upload_truncated",
        "server.address": "127.0.0.1",
        "server.port": servers[1].port,
    } == dict(event.attributes)


def test_a_hazard_is_a_warning_that_names_the_last_server(serve, retry, servers, queued, caplog):
    servers[0].break_with(faults.status(503))
    upload(serve, retry, queued)
    (record,) = [each for each in caplog.records if each.name.endswith(".hazards")]
    assert (logging.WARNING, f"127.0.0.1:{servers[1].port}.") == (
        record.levelno,
        record.getMessage().rpartition(" ")[2],
    )


def test_an_error_that_the_service_swallows_is_a_hazard_and_a_failed_call(
    serve, build, server, image_id, counts, glance_errors
):
    server.break_with(faults.status(500))

    def swallow():
        try:
            build(server).images.get(image_id)
        except glance_errors:
            return

    serve("images.get", swallow)
    assert ({"error_swallowed"}, {("images.get", "non_retryable"): 1.0}) == (
        hazards(counts),
        calls(counts),
    )


def test_a_refusal_that_the_service_swallows_is_refused(
    serve, build, server, counts, glance_errors
):
    def swallow():
        try:
            build(server).images.get("none")
        except glance_errors:
            return

    serve("images.get", swallow)
    assert {("images.get", "refused"): 1.0} == calls(counts)


def test_a_service_that_asks_nobody_is_cancelled(serve, counts):
    def fail():
        raise TypeError

    with pytest.raises(TypeError):
        serve("images.get", fail)
    assert {("images.get", "cancelled"): 1.0} == calls(counts)


def test_a_service_within_a_call_makes_no_second_one(serve, build, server, image_id, counts):
    def get():
        return build(server).images.get(image_id)

    serve("images.get", lambda: serve("images.list", get))
    assert {("images.get", "success_first_try"): 1.0} == calls(counts)


def test_a_service_is_not_recorded_where_the_application_says_so(serve, counts):
    with suppress_instrumentation():
        assert 1 == serve("images.get", lambda: 1)
    assert {} == calls(counts)


def test_a_download_that_breaks_after_its_call_is_a_hazard(client, server, image_id, counts):
    server.break_with(faults.flapping(None, faults.cut_body()))
    chunks = client.images.data(image_id)
    with pytest.raises(OSError):  # noqa: PT011 urllib3's for the cut, or the library's for the checksum
        b"".join(chunks)
    assert {"download_broken"} == hazards(counts)
