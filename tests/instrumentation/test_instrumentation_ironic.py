"""Calls of ironic's image service, over openstacksdk: their spans, samples and hazards."""

import importlib
import importlib.util
import re
import sys

import pytest
import urllib3
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sdk_client import find_images, over_override
from stock_client import REAL as REAL_CLIENTS
from stock_client import SHAPES

from traced_image.lab import faults

REAL = REAL_CLIENTS and importlib.util.find_spec("ironic")
NAME = "ironic.common.glance_service.image_service"
OVERLOADED = faults.status(503)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


@pytest.fixture
def module(monkeypatch):
    """Ironic's module, imported as ironic does: the one that uses it comes first."""
    if not REAL:
        monkeypatch.syspath_prepend(SHAPES)
    for name in [each for each in sys.modules if each.partition(".")[0] == "ironic" and not REAL]:
        del sys.modules[name]
    importlib.import_module("ironic.common.image_service")
    return sys.modules[NAME]


@pytest.fixture
def retries(module):
    """Set how often ironic calls the SDK again; it waits no time."""

    def allow(count):
        if REAL:
            conf = importlib.import_module("ironic.conf").CONF
            conf([], project="ironic", default_config_files=[])
            conf.set_override("num_retries", count, "glance")
        else:
            retry.num_retries = count

    retry = module.GlanceImageService.call.retry
    sleep, retry.sleep = retry.sleep, lambda _: None
    allow(0)
    yield allow
    retry.sleep = sleep


@pytest.fixture
def call(instrumentor, module, retries, server, trace):
    """Make a call of an observed service; what the search for its server records is forgotten."""
    instrumentor.instrument()
    service = module.GlanceImageService(client=find_images(over_override(server.url)))
    service.endpoint = server.url
    trace.exporter.clear()
    return service.call


def calls(counts):
    found = counts.of(
        "glance_client_call_duration_seconds_count", "operation", "outcome", "error_type"
    )
    return {key: value for key, value in found.items() if key[0] != "versions.list"}


def hazards(counts):
    return {kind for (kind,) in counts.of("glance_client_hazards_total", "kind")}


def tree(operation, count=1):
    return [(f"glance.{operation}", [(f"glance.{operation} attempt", [])] * count)]


def test_a_call_is_one_call_with_one_attempt(call, image_id, trace, counts):
    assert image_id == call("get_image", image_id).id
    assert tree("images.get") == trace.tree()
    assert {("images.get", "success_first_try", ""): 1.0} == calls(counts)


def test_a_method_by_its_name_is_the_same(call, image_id, counts):
    call(method="get_image", image=image_id)
    assert {("images.get", "success_first_try", ""): 1.0} == calls(counts)


def test_its_own_retries_are_attempts_of_one_call(call, retries, server, image_id, trace, counts):
    retries(2)
    server.break_with(faults.refuse())
    with pytest.raises(Exception, match="Connection to glance endpoint"):
        call("get_image", image_id)
    (root,) = trace.below(None)
    assert len(trace.below(root)) >= 3
    assert {("images.get", "exhausted", "connection_refused"): 1.0} == calls(counts)


def test_an_exception_that_names_the_endpoint_is_no_hazard(call, server, image_id, counts):
    server.break_with(faults.refuse())
    with pytest.raises(Exception, match="Connection to glance endpoint"):
        call("get_image", image_id)
    assert set() == hazards(counts)


def test_the_retries_below_are_attempts_too(call, server, image_id, trace, counts):
    server.break_with(faults.flapping(OVERLOADED, None))
    call("get_image", image_id)
    assert tree("images.get", 2) == trace.tree()
    assert {("images.get", "success_after_retry", ""): 1.0} == calls(counts)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, "refused"),
        (409, "refused"),
        (413, "refused"),
        (500, "non_retryable"),
        (502, "non_retryable"),
        (503, "non_retryable"),
        (504, "non_retryable"),
    ],
)
def test_an_error_that_it_swallows_fails_the_call(call, server, image_id, counts, status, outcome):
    server.break_with(faults.status(status))
    assert call("get_image", image_id) is None
    assert {("images.get", outcome, str(status)): 1.0} == calls(counts)
    assert {"error_swallowed"} == hazards(counts)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_an_error_that_it_translates_is_refused(call, module, server, image_id, counts, status):
    server.break_with(faults.status(status))
    with pytest.raises(module.exception.IronicException):
        call("get_image", image_id)
    assert {("images.get", "refused", str(status)): 1.0} == calls(counts)
    assert set() == hazards(counts)


def test_a_list_is_the_call_of_its_reader(call, images, trace):
    shared = images.add(visibility="shared")
    assert [] == list(call("members", shared))
    assert tree("image_members.list") == trace.tree()


def test_what_makes_no_request_is_no_call(call, counts):
    assert call("get_endpoint").startswith("http://")
    assert {} == calls(counts)


def test_a_download_is_a_stream_of_its_attempt(call, image_id, trace):
    response = call("download_image", image_id, stream=True)
    assert b"0123456789" == b"".join(response.iter_content(chunk_size=4))
    attempt = ("glance.images.data attempt", [("glance.images.data stream", [])])
    assert [("glance.images.data", [attempt])] == trace.tree()


@pytest.mark.skipif(urllib3.__version__ < "2", reason="urllib3 1 sees no cut")
def test_a_download_that_breaks_after_its_call_is_a_hazard(call, server, image_id, counts):
    server.break_with(faults.flapping(None, faults.cut_body(), None))
    response = call("download_image", image_id, stream=True)
    with pytest.raises(Exception, match="IncompleteRead"):
        list(response.iter_content(chunk_size=4))
    assert {"download_broken"} == hazards(counts)


def test_suppression_is_honoured(call, image_id, trace):
    with suppress_instrumentation():
        call("get_image", image_id)
    assert [] == trace.spans


def test_the_retries_stay_where_ironics_tests_change_them(instrumentor, module):
    before, function = module.GlanceImageService.call.retry, vars(module.GlanceImageService)["call"]
    instrumentor.instrument()
    service = module.GlanceImageService()
    assert [before, before] == [module.GlanceImageService.call.retry, service.call.retry]
    instrumentor.uninstrument()
    assert function is vars(module.GlanceImageService)["call"]


def lack_class(module, monkeypatch):
    monkeypatch.delattr(module, "GlanceImageService")


def lack_exception(module, monkeypatch):
    monkeypatch.delattr(module.exception, "GlanceConnectionFailed")


def change_exception(module, monkeypatch):
    monkeypatch.setattr(module.exception, "GlanceConnectionFailed", int)


def change_parameters(module, monkeypatch):
    monkeypatch.setattr(module.GlanceImageService, "call", lambda self, name: None)


@pytest.mark.parametrize(
    "doctor", [lack_class, lack_exception, change_exception, change_parameters]
)
def test_an_ironic_that_has_changed_is_left_alone_with_one_warning(
    instrumentor, module, monkeypatch, caplog, doctor
):
    service = module.GlanceImageService
    doctor(module, monkeypatch)
    before = vars(service)["call"]
    instrumentor.instrument()
    assert before is vars(service)["call"]
    (record,) = caplog.records
    assert re.fullmatch(
        rf"ironic [\w. ]+ is not fully observed: {NAME}\S+ has .+\.|"
        rf"ironic [\w. ]+ is not fully observed: {NAME} has .+\.",
        record.getMessage(),
    )
