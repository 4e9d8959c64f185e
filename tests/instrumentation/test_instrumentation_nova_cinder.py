"""Services that retry, nova and cinder: one call, its attempts, and what the retries hide."""

import io
import re
import threading
from types import SimpleNamespace
from urllib.parse import urlparse

import pytest
from keystoneauth1 import exceptions, noauth
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind
from stock_services import SERVICES, Cinder, Nova

from traced_image.lab import faults

CALLS = "glance_client_call_duration_seconds_count"
ATTEMPTS = "glance_client_attempt_duration_seconds_count"
NEW = {"name": "new", "disk_format": "raw", "container_format": "bare"}


@pytest.fixture
def kind():
    """How a service builds its clients is the service's own."""
    return


@pytest.fixture(params=SERVICES, ids=[service.name for service in SERVICES])
def make(request, instrumentor, library):
    """Make an observed service."""

    def make(urls, **options):
        instrumentor.instrument()
        return request.param(library, urls, **options)

    return make


@pytest.fixture
def service(make, servers):
    """An observed service that asks three servers in turn."""
    return make([server.url for server in servers])


@pytest.fixture
def queued(images):
    return images.add(**NEW)


def calls(counts):
    return counts.of(CALLS, "operation", "outcome", "error_type")


def attempts(counts):
    return counts.of(ATTEMPTS, "server_port", "error_type")


def hazards(counts):
    return {kind for (kind,) in counts.of("glance_client_hazards_total", "kind")}


def tree(operation, number=1):
    return [(f"glance.{operation}", [(f"glance.{operation} attempt", [])] * number)]


# --- calls and attempts ------------------------------------------------------------------------


def test_the_attempts_are_below_one_call(service, servers, image_id, trace):
    servers[0].break_with(faults.refuse())
    servers[1].break_with(faults.status(503))
    service.call("get", image_id)
    assert tree("images.get", 3) == trace.tree()


def test_a_call_that_retries_saved_is_counted_once(service, servers, image_id, counts):
    servers[0].break_with(faults.refuse())
    service.call("get", image_id)
    assert {("images.get", "success_after_retry", ""): 1.0} == calls(counts)


def test_each_attempt_is_counted_by_its_server(service, servers, image_id, counts):
    servers[0].break_with(faults.refuse())
    servers[1].break_with(faults.status(503))
    service.call("get", image_id)
    ports = [str(server.port) for server in servers]
    reasons = ["connection_refused", "503", ""]
    assert dict.fromkeys(zip(ports, reasons, strict=True), 1.0) == attempts(counts)


def test_a_call_that_gives_up_names_the_last_server(service, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(service.gave_up):
        service.call("get", image_id)
    failed = counts.of("glance_client_connection_failed_total", "server_port", "error_type")
    assert {("images.get", "exhausted", "503"): 1.0} == calls(counts)
    assert {(str(servers[2].port), "503"): 1.0} == failed


@pytest.mark.parametrize(
    ("status", "outcome"), [(500, "non_retryable"), (404, "refused"), (413, "refused")]
)
def test_what_is_not_retried_ends_the_call(service, servers, image_id, counts, status, outcome):
    servers[0].break_with(faults.status(status))
    with pytest.raises(Exception):  # noqa: B017, PT011 any of the library's
        service.call("get", image_id)
    assert {("images.get", outcome, str(status)): 1.0} == calls(counts)
    assert {(str(servers[0].port), str(status)): 1.0} == attempts(counts)


def test_the_controller_is_in_the_operation(service, counts):
    service.call("get", controller="schemas", schema_name="image")
    assert {("schemas.get", "success_first_try", ""): 1.0} == calls(counts)


def test_a_method_that_there_is_not_accuses_no_server(service, counts):
    with pytest.raises(AttributeError):
        service.call("paint", "red")
    assert {("_OTHER", "cancelled", "_OTHER"): 1.0} == calls(counts)
    assert {} == attempts(counts)


def test_a_call_without_a_method_is_the_callers(service, counts):
    with pytest.raises(TypeError):
        service.client.call(service.context)
    assert {("_OTHER", "cancelled", "_OTHER"): 1.0} == calls(counts)


def test_arguments_may_have_names(service, image_id, counts):
    if service.reads_lists:
        service.client.call(service.context, version=2, method="get", args=(image_id,))
    else:
        service.client.call(service.context, method="get", image_id=image_id)
    assert {("images.get", "success_first_try", ""): 1.0} == calls(counts)


def test_a_client_for_one_server_makes_the_attempts(service, servers, image_id, counts):
    service.use_static_client(servers[2].url)
    servers[2].break_with(faults.flapping(faults.status(503), None, None))
    service.call("get", image_id)
    port = str(servers[2].port)
    assert {(port, "503"): 1.0, (port, ""): 1.0} == attempts(counts)


def test_threads_that_share_a_service_name_their_own_servers(make, servers, image_id, counts):
    service = make([server.url for server in servers], retries=8)
    servers[0].break_with(faults.status(503))
    servers[1].break_with(faults.refuse())
    threads = [threading.Thread(target=service.call, args=("get", image_id)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ports = [str(server.port) for server in servers]
    reasons = ["503", "connection_refused", ""]
    assert set(attempts(counts)) <= set(zip(ports, reasons, strict=True))
    assert 6.0 == sum(calls(counts).values())


def test_nothing_is_recorded_where_the_application_says_so(service, servers, image_id, counts):
    with suppress_instrumentation():
        service.call("get", image_id)
        list(service.call("list"))
    assert {} == calls(counts)


def test_each_request_has_one_wire_span(instrumentor, make, servers, image_id, trace):
    instrumentor.instrument(wire_spans=True)
    service = make([server.url for server in servers])
    servers[0].break_with(faults.refuse())
    service.call("delete", image_id)
    attempt = ("glance.images.delete attempt", [("DELETE", [])])
    assert [("glance.images.delete", [attempt] * 2)] == trace.tree()
    clients = [span.name for span in trace.spans if span.kind == SpanKind.CLIENT]
    assert ["DELETE"] * 2 == clients


# --- what no server is accused of --------------------------------------------------------------


class NoKeystone(noauth.NoAuth):
    """A plugin that gets neither a token nor a catalogue: nothing listens where Keystone should."""

    def get_headers(self, _session, **_):
        raise exceptions.ConnectFailure("Keystone is not there") from ConnectionRefusedError()

    def get_endpoint(self, session, **_):
        return self.get_headers(session)


def test_keystones_failure_accuses_no_server(make, servers, image_id, counts):
    service = make([servers[0].url], user_auth_plugin=NoKeystone())
    with pytest.raises(service.gave_up, match="Keystone is not there"):
        service.call("get", image_id)
    assert {("images.get", "non_retryable", "token_unavailable"): 1.0} == calls(counts)
    assert {} == attempts(counts)
    tokens = counts.of("glance_client_token_failures_total", "error_type")
    assert {("connection_refused",): 1.0} == tokens


@pytest.mark.parametrize("method", ["get", "list"])
def test_a_catalogue_without_glance_accuses_no_server(make, counts, method):
    service = make(None)
    with pytest.raises((StopIteration, exceptions.CatalogException, RuntimeError)):
        service.call(method)
    assert {(f"images.{method}", "non_retryable", "invalid_endpoint"): 1.0} == calls(counts)
    assert {} == attempts(counts)


def test_an_upload_that_cant_be_read_accuses_no_server(service, queued, counts):
    with pytest.raises(AttributeError):
        service.call("upload", queued, iter([b"0123456789"]))
    assert {("images.upload", "cancelled", "_OTHER"): 1.0} == calls(counts)
    assert {} == attempts(counts)


class Broken(io.BytesIO):
    """Data that can't be read."""

    def read(self, *_):
        raise OSError("the disk is broken")


def test_an_upload_whose_reading_fails_accuses_no_server(service, queued, counts):
    with pytest.raises(service.gave_up):
        service.call("upload", queued, Broken(b"0"))
    assert {("images.upload", "cancelled", "_OTHER"): 1.0} == calls(counts)
    assert {} == attempts(counts)


def test_an_interrupt_while_a_server_is_found_is_cancelled(make, servers, image_id, counts):
    class Slow(NoKeystone):
        def get_headers(self, _session, **_):
            raise KeyboardInterrupt

    service = make([servers[0].url], user_auth_plugin=Slow())
    with pytest.raises(KeyboardInterrupt):
        service.call("get", image_id)
    assert {("images.get", "cancelled", "_OTHER"): 1.0} == calls(counts)


# --- hazards -----------------------------------------------------------------------------------


def test_an_upload_whose_retry_sends_nothing_is_reported(service, servers, queued, counts):
    servers[0].break_with(faults.status(503))
    service.call("upload", queued, io.BytesIO(b"0123456789"))
    assert b"" == servers[1].images.get(queued).data
    assert {"upload_truncated"} == hazards(counts)
    assert {("images.upload", "success_after_retry", ""): 1.0} == calls(counts)


class Halting(io.BytesIO):
    """Data that can't be read for a moment, after its first half."""

    broken = False

    def read(self, *_):
        if self.tell() and not self.broken:
            self.broken = True
            raise OSError("the disk is slow")
        return super().read(5)


def test_an_upload_whose_reading_is_tried_again_is_reported(service, servers, queued, counts):
    service.call("upload", queued, Halting(b"0123456789"))
    assert b"56789" == servers[1].images.get(queued).data
    assert {"upload_truncated"} == hazards(counts)
    assert {(str(servers[1].port), ""): 1.0} == attempts(counts)


def test_an_upload_that_was_never_begun_is_repeated_in_full(service, servers, queued, counts):
    servers[0].break_with(faults.refuse())
    service.call("upload", queued, io.BytesIO(b"0123456789"))
    assert b"0123456789" == servers[1].images.get(queued).data
    assert set() == hazards(counts)


def test_a_creation_that_is_repeated_is_reported(service, servers, counts):
    servers[0].break_with(faults.flapping(None, faults.lost_reply()))
    service.call("create", **NEW)
    assert {"create_repeated"} == hazards(counts)


def test_a_deletion_that_reports_no_image_is_reported(service, servers, image_id, counts):
    servers[0].break_with(faults.lost_reply())
    with pytest.raises(Exception, match="404"):
        service.call("delete", image_id)
    assert {"delete_not_found"} == hazards(counts)
    assert {("images.delete", "refused", "404"): 1.0} == calls(counts)


def test_a_download_that_breaks_is_not_retried(service, servers, image_id, counts):
    servers[0].break_with(faults.flapping(None, faults.cut_body()))
    with pytest.raises(OSError, match=r"."):
        list(service.call("data", image_id))
    assert {"download_broken"} == hazards(counts)
    assert {("images.data", "success_first_try", ""): 1.0} == calls(counts)
    errors = counts.of("glance_client_stream_errors_total", "server_port", "direction")
    assert {(str(servers[0].port), "download"): 1.0} == errors


# --- nova --------------------------------------------------------------------------------------


@pytest.fixture
def nova(instrumentor, library, servers):
    instrumentor.instrument()
    return Nova(library, [server.url for server in servers])


def test_nova_reads_a_list_in_its_call(nova, servers, image_id, trace):
    servers[0].break_with(faults.refuse())
    assert [image_id] == [image["id"] for image in nova.call("list")]
    assert tree("images.list", 2) == trace.tree()


def test_a_list_that_nova_restarts_is_reported(nova, servers, images, counts):
    for _ in range(3):
        images.add(**NEW)
    servers[0].break_with(faults.flapping(None, None, faults.status(503)))
    assert 3 == len(nova.call("list", page_size=2))
    assert {"list_restarted"} == hazards(counts)


def test_nova_names_the_server_when_it_gives_up(nova, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(nova.gave_up, match=str(servers[2].port)):
        nova.call("get", image_id)
    assert set() == hazards(counts)


def test_keystones_failure_in_the_discovery_of_glance_accuses_no_server(
    instrumentor, library, counts
):
    instrumentor.instrument()
    nova = Nova(library, None, user_auth_plugin=NoKeystone())
    with pytest.raises(exceptions.ConnectFailure):
        nova.call("get", "image")
    assert {("images.get", "non_retryable", "token_unavailable"): 1.0} == calls(counts)
    tokens = counts.of("glance_client_token_failures_total", "error_type")
    assert {("connection_refused",): 1.0} == tokens


def test_the_server_that_the_catalogue_names_is_accused(
    instrumentor, library, server, image_id, counts
):
    instrumentor.instrument()
    catalogue = [{"type": "image", "endpoints": [{"publicURL": server.url}]}]
    nova = Nova(library, None, retries=0, service_catalog=catalogue)
    server.break_with(faults.status(503))
    with pytest.raises(nova.gave_up):
        nova.call("get", image_id)
    assert {(str(server.port), "503"): 1.0} == attempts(counts)


def test_an_address_without_a_scheme_accuses_no_server(
    instrumentor, library, server, image_id, counts
):
    instrumentor.instrument()
    nova = Nova(library, [f"127.0.0.1:{server.port}"])
    with pytest.raises(Exception):  # noqa: B017, PT011 of keystoneauth1
        nova.call("get", image_id)
    assert {("images.get", "non_retryable", "invalid_endpoint"): 1.0} == calls(counts)
    assert {("_OTHER", "invalid_endpoint"): 1.0} == attempts(counts)


@pytest.fixture
def copy_from_ceph(nova, library, tmp_path, monkeypatch):
    """Download an image from a Ceph that does what a function does."""

    def copy(export, url="rbd://cluster/pool/image/snap"):
        driver = SimpleNamespace(export_image=lambda *_: export())
        monkeypatch.setattr(library("nova.storage.rbd_utils"), "RBDDriver", lambda **_: driver)
        service = nova.glance.GlanceImageServiceV2()
        return service.rbd_download(nova.context, urlparse(url), tmp_path / "image")

    return copy


def test_a_copy_from_ceph_is_a_call_without_a_server(copy_from_ceph, trace, counts):
    copy_from_ceph(lambda: None)
    assert [("glance.images.rbd_download", [])] == trace.tree()
    assert {("images.rbd_download", "success_first_try", ""): 1.0} == calls(counts)


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (TimeoutError, "non_retryable", "read_timeout"),
        (ValueError, "non_retryable", "_OTHER"),
        (KeyboardInterrupt, "cancelled", "_OTHER"),
    ],
)
def test_a_copy_from_ceph_that_fails_accuses_no_server(
    copy_from_ceph, counts, error, outcome, reason
):
    def fail():
        raise error

    with pytest.raises((Exception, KeyboardInterrupt)):
        copy_from_ceph(fail)
    assert {("images.rbd_download", outcome, reason): 1.0} == calls(counts)
    assert {} == attempts(counts)


def test_a_place_in_ceph_that_is_none_accuses_no_server(copy_from_ceph, counts):
    with pytest.raises(Exception):  # noqa: B017, PT011 one of nova's
        copy_from_ceph(lambda: None, "rbd://pool")
    assert {("images.rbd_download", "non_retryable", "_OTHER"): 1.0} == calls(counts)


def test_a_copy_from_ceph_is_not_recorded_where_the_application_says_so(copy_from_ceph, counts):
    with suppress_instrumentation():
        copy_from_ceph(lambda: None)
    assert {} == calls(counts)


# --- cinder ------------------------------------------------------------------------------------


@pytest.fixture
def cinder(instrumentor, library, servers):
    instrumentor.instrument()
    return Cinder(library, [server.url for server in servers])


def test_cinders_list_is_one_call_from_its_first_item_to_its_last(cinder, image_id, trace):
    images = cinder.call("list")
    assert [] == trace.spans
    assert [image_id] == [image["id"] for image in images]
    assert tree("images.list") == trace.tree()


def test_a_list_of_cinder_that_fails_is_not_retried(cinder, servers, counts):
    servers[0].break_with(faults.status(503))
    with pytest.raises(Exception, match="503"):
        list(cinder.call("list"))
    assert {("images.list", "exhausted", "503"): 1.0} == calls(counts)


def test_a_list_without_a_server_is_not_recorded_where_the_application_says_so(
    instrumentor, library, counts
):
    instrumentor.instrument()
    cinder = Cinder(library, None)
    with suppress_instrumentation(), pytest.raises((StopIteration, RuntimeError)):
        cinder.call("list")
    assert {} == calls(counts)


def test_cinder_names_no_server_when_it_gives_up(cinder, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(cinder.gave_up) as caught:
        cinder.call("get", image_id)
    assert "127.0.0.1" not in str(caught.value)
    assert {"server_unnamed"} == hazards(counts)
    failed = counts.of("glance_client_connection_failed_total", "server_port", "error_type")
    assert {(str(servers[2].port), "503"): 1.0} == failed


def test_cinder_names_a_server_that_it_cant_reach(cinder, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.refuse())
    with pytest.raises(cinder.gave_up, match=r"127\.0\.0\.1"):
        cinder.call("get", image_id)
    assert set() == hazards(counts)


# --- services that have changed ----------------------------------------------------------------


def doctor_class(glance):
    del glance.GlanceClientWrapper


def doctor_parameters(glance):
    glance.GlanceClientWrapper.call = lambda self, method, **_: None


def doctor_error(glance):
    glance.exception = None


@pytest.mark.parametrize("service", SERVICES, ids=[service.name for service in SERVICES])
@pytest.mark.parametrize("doctor", [doctor_class, doctor_parameters, doctor_error])
def test_a_service_that_has_changed_is_left_alone_with_one_warning(
    instrumentor, library, caplog, service, doctor
):
    glance = service.load(library)
    doctor(glance)
    before = dict(vars(getattr(glance, "GlanceClientWrapper", object)))
    instrumentor.instrument()
    assert before == dict(vars(getattr(glance, "GlanceClientWrapper", object)))
    (record,) = [each for each in caplog.records if each.name.startswith("traced_image")]
    assert re.fullmatch(
        rf"{service.name} [\w. ]+ is not fully observed: {service.name}\.image\.glance\S* has .+\.",
        record.getMessage(),
    )


def test_a_nova_that_copies_nothing_from_ceph_is_no_change(
    instrumentor, library, servers, image_id, caplog, trace
):
    del Nova.load(library).GlanceImageServiceV2.rbd_download
    instrumentor.instrument()
    nova = Nova(library, [server.url for server in servers])
    nova.call("get", image_id)
    assert ([], tree("images.get")) == (caplog.records, trace.tree())


@pytest.mark.parametrize("service", SERVICES, ids=[service.name for service in SERVICES])
def test_what_was_there_is_put_back(instrumentor, library, service):
    owner = service.load(library).GlanceClientWrapper
    before = vars(owner)["call"]
    instrumentor.instrument()
    assert before is not vars(owner)["call"]
    instrumentor.uninstrument()
    assert before is vars(owner)["call"]
