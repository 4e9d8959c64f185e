"""The instrumentor: what it takes, what it leaves alone, and what it leaves behind."""

import copy
import pickle
import re
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest
import requests
import wrapt
from keystoneauth1.session import Session
from opentelemetry import baggage, context
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind
from stock_client import over_catalogue, over_requests

from traced_image import errors
from traced_image.instrumentation import GlanceInstrumentor, hosts, nova
from traced_image.instrumentation import instrumentor as module
from traced_image.instrumentation.hooks import EXCLUDED, ClientRequest
from traced_image.lab import faults
from traced_image.telemetry import Telemetry, make_recorder

ERRORS = "traced_image_telemetry_errors_total"
HTTP = "glanceclient.common.http"


@pytest.fixture
def kind():
    """One kind of client is enough here."""
    return over_requests


def methods(library):
    """Every attribute of the classes that are patched."""
    names = ("images", "image_members", "image_tags", "schemas")
    owners = [library(f"glanceclient.v2.{name}").Controller for name in names]
    http = library(HTTP)
    owners += [http.HTTPClient, http.SessionClient, Session]
    return {(owner, name): value for owner in owners for name, value in vars(owner).items()}


def differing(one, other):
    return {name for (_, name), value in one.items() if value is not other[_, name]}


# --- before and after --------------------------------------------------------------------------


def test_what_was_there_is_put_back(instrumentor, library):
    library("glanceclient.v2.client")
    before = methods(library)
    instrumentor.instrument()
    assert {"get", "list", "data", "_request", "_send_request"} <= differing(
        before, methods(library)
    )
    instrumentor.uninstrument()
    assert set() == differing(before, methods(library))


def test_what_another_wrapped_since_stays_and_is_observed_no_more(
    instrumentor, library, build, server, image_id, trace
):
    instrumentor.instrument()
    client = build(server)
    controller, seen = library("glanceclient.v2.images").Controller, []

    def wrapper(wrapped, _, args, kwargs):
        seen.append(args)
        return wrapped(*args, **kwargs)

    other = wrapt.FunctionWrapper(vars(controller)["get"], wrapper)
    controller.get = other
    instrumentor.uninstrument()
    client.images.get(image_id)
    assert other is vars(controller)["get"]
    assert ([(image_id,)], []) == (seen, trace.spans)


def test_a_library_that_is_imported_before_is_observed(
    instrumentor, build, server, image_id, trace
):
    client = build(server)
    instrumentor.instrument()
    client.images.get(image_id)
    assert [] != trace.named("glance.images.get")


def test_a_library_that_is_imported_after_the_end_is_left_alone(
    instrumentor, library, build, server, image_id, trace
):
    instrumentor.instrument()
    instrumentor.uninstrument()
    build(server).images.get(image_id)
    assert [] == trace.spans


def test_it_can_be_instrumented_again(instrumentor, build, server, image_id, trace):
    for _ in range(2):
        instrumentor.instrument()
        build(server).images.get(image_id)
        instrumentor.uninstrument()
    assert 2 == len(trace.named("glance.images.get"))


def test_to_uninstrument_what_was_never_instrumented_does_nothing():
    assert GlanceInstrumentor()._uninstrument() is None


# --- the same results --------------------------------------------------------------------------

RESULTS = (
    lambda client, image: client.images.get(image),
    lambda client, image: client.images.list(),
    lambda client, image: list(client.images.list()),
    lambda client, image: client.images.data(image),
    lambda client, image: client.images.data(image).wrapped,
    lambda client, image: b"".join(client.images.data(image)),
    lambda client, image: len(client.images.data(image)),
    lambda client, image: client.images.get("none"),
    lambda client, image: client.images.get(),
    lambda client, image: list(client.images.list(sort="shoes")),
    lambda client, image: client.images.upload(image, b"no file"),
)


def describe(call, client, image):
    """What a call gives or raises, and where that was raised, without our own code."""
    try:
        result = call(client, image)
    except Exception as error:  # noqa: BLE001
        error.__traceback__ = error.__traceback__.tb_next
        frames, trace = [], error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if "traced_image/instrumentation" not in code.co_filename:
                frames.append((code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        return type(error), str(error), frames
    value = result if isinstance(result, (bytes, int)) else sorted(vars(type(result)))
    return type(result), result.__class__, value


@pytest.mark.parametrize("call", RESULTS)
@pytest.mark.parametrize(
    "fault", [None, faults.refuse(), faults.status(503)], ids=["well", "refuse", "503"]
)
def test_results_and_errors_are_the_same(instrumentor, build, server, image_id, call, fault):
    client = build(server)
    if fault is not None:
        server.break_with(fault)
    stock = describe(call, client, image_id)
    instrumentor.instrument()
    observed = describe(call, client, image_id)
    if fault is not None and len(observed) == len(stock):
        drop = re.compile("0x[0-9a-f]+")
        stock, observed = (
            (kind, drop.sub("", str(text)), *rest) for kind, text, *rest in (stock, observed)
        )
    assert stock == observed


# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda method: pickle.loads(pickle.dumps(method))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_method_of_a_client_can_be_copied(
    instrumentor, build, server, image_id, trace, duplicate
):
    instrumentor.instrument()
    get = duplicate(build(server).images.get)
    assert image_id == get(image_id)["id"]
    assert [("glance.images.get", [("glance.images.get attempt", [])])] == trace.tree()


def test_suppression_is_honoured(instrumentor, build, server, image_id, trace, counts):
    instrumentor.instrument()
    client = build(server)
    with suppress_instrumentation():
        client.images.get(image_id)
        list(client.images.list())
        b"".join(client.images.data(image_id))
        client.images.delete(image_id)
    assert [] == trace.spans
    assert {} == counts.of("glance_client_call_duration_seconds_count", "operation")


@pytest.mark.parametrize("name", [None, *EXCLUDED])
def test_excluded_urls_are_not_recorded(
    instrumentor, build, servers, image_id, trace, monkeypatch, name
):
    pattern = f":{servers[0].port}$, :1$"
    if name is not None:
        monkeypatch.setenv(name, pattern)
    instrumentor.instrument(**({} if name else {"excluded_urls": pattern}))
    for server in servers[:2]:
        build(server).images.get(image_id)
    ports = [span.attributes["server.port"] for span in trace.named("glance.images.get attempt")]
    assert [servers[1].port] == ports


def test_excluded_urls_that_are_no_patterns_are_told(instrumentor):
    with pytest.raises(errors.InvalidOption, match=r"^excluded_urls \(from argument\): no regular"):
        instrumentor.instrument(excluded_urls="(")


def test_hooks_get_each_request(instrumentor, build, server, image_id):
    seen = []
    instrumentor.instrument(
        request_hook=lambda span, request: seen.append((span.name, request)),
        response_hook=lambda _, request, response: seen.append((request, response.status_code)),
    )
    client = build(server)
    client.images.data(image_id)
    attempt = "glance.images.data attempt"
    record = ClientRequest("GET", f"/v2/images/{image_id}")
    data = ClientRequest("GET", f"/v2/images/{image_id}/file")
    assert [(attempt, record), (record, 200), (attempt, data), (data, 200)] == seen


def test_hooks_that_fail_harm_nobody(instrumentor, build, server, image_id, counts, caplog):
    def fail(*_):
        raise ValueError("a bug of the hook")

    instrumentor.instrument(request_hook=fail, response_hook=fail)
    assert image_id == build(server).images.get(image_id)["id"]
    assert {("hooks",): 2.0 * len(server.access_log)} == counts.of(ERRORS, "kind")
    assert 1 == len(caplog.records)


def test_a_broken_tracer_harms_nobody(instrumentor, build, server, image_id, counts, caplog):
    class Provider:
        def get_tracer(self, *_, **__):
            return self

        def start_span(self, *_, **__):
            raise ValueError("a bug of the tracer")

    instrumentor.instrument(tracer_provider=Provider(), request_hook=print, response_hook=print)
    client = build(server)
    assert image_id == client.images.get(image_id)["id"]
    assert b"0123456789" == b"".join(client.images.data(image_id))
    server.break_with(faults.status(503))
    with pytest.raises(Exception, match="503"):
        client.images.get(image_id)
    assert 0 < counts.of(ERRORS, "kind")["spans",]


def test_baggage_that_the_library_would_spoil_is_not_sent(
    instrumentor, build, server, image_id, monkeypatch
):
    sent = []
    instrumentor.instrument()
    client = build(server)
    real = requests.Session.request

    def request(session, *args, **kwargs):
        sent.append({str(name, "ascii") for name in map(_as_bytes, kwargs["headers"])})
        return real(session, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "request", request)
    token = context.attach(baggage.set_baggage("key", "value"))
    try:
        client.images.get(image_id)
    finally:
        context.detach(token)
    assert (True, False) == ("traceparent" in sent[0], "baggage" in sent[0])


def _as_bytes(name):
    return name if isinstance(name, bytes) else name.encode()


# --- wire spans --------------------------------------------------------------------------------


def test_wire_spans_are_below_the_attempt(instrumentor, build, server, image_id, trace):
    instrumentor.instrument(wire_spans=True)
    build(server).images.data(image_id)
    (call,) = trace.tree()
    assert ("glance.images.data", [("glance.images.data attempt", [("GET", [])] * 2)]) == call
    kinds = {span.name.rpartition(" ")[2]: span.kind for span in trace.spans}
    assert (SpanKind.INTERNAL, SpanKind.CLIENT) == (kinds["attempt"], kinds["GET"])


def test_to_uninstrument_takes_wire_spans_back(instrumentor):
    instrumentor.instrument(wire_spans=True)
    assert RequestsInstrumentor().is_instrumented_by_opentelemetry
    instrumentor.uninstrument()
    assert not RequestsInstrumentor().is_instrumented_by_opentelemetry


@pytest.fixture
def instrumented_requests(trace):
    RequestsInstrumentor().instrument(tracer_provider=trace.provider)
    yield RequestsInstrumentor()
    RequestsInstrumentor().uninstrument()


@pytest.mark.parametrize("wire_spans", [False, True])
def test_where_the_application_instruments_requests_its_spans_are_the_wire_spans(
    instrumentor, build, server, image_id, trace, instrumented_requests, wire_spans
):
    instrumentor.instrument(wire_spans=wire_spans)
    build(server).images.delete(image_id)
    assert [("glance.images.delete", [("glance.images.delete attempt", [("DELETE", [])])])] == (
        trace.tree()
    )
    instrumentor.uninstrument()
    assert instrumented_requests.is_instrumented_by_opentelemetry


def test_with_wire_spans_the_attempt_has_no_url(
    instrumentor, build, server, image_id, trace, instrumented_requests
):
    instrumentor.instrument()
    client = build(server)
    server.break_with(faults.flapping(None, None, faults.status(503)))
    with pytest.raises(Exception, match="503"):
        client.images.update(image_id, name="other")
    assert "url.full" not in trace.one("glance.images.update attempt").attributes


# --- libraries that have changed ---------------------------------------------------------------


def doctor_method(library):
    del library("glanceclient.v2.images").Controller.data


def doctor_class(library):
    library(HTTP).HTTPClient = None


def doctor_parameters(library):
    library(HTTP).SessionClient.request = lambda self, method, url, **kwargs: None


def doctor_module(library):
    client = library("glanceclient.v2.client")
    client.http = None


def doctor_errors(library):
    del library(HTTP).exc


@pytest.mark.parametrize(
    "doctor", [doctor_method, doctor_class, doctor_parameters, doctor_module, doctor_errors]
)
def test_a_library_that_has_changed_is_left_alone_with_one_warning(
    instrumentor, library, caplog, doctor
):
    library("glanceclient.v2.client")
    doctor(library)
    http = library(HTTP)
    controller = library("glanceclient.v2.images").Controller
    before = [dict(vars(owner)) for owner in (controller, http.SessionClient)]
    instrumentor.instrument()
    assert before == [dict(vars(owner)) for owner in (controller, http.SessionClient)]
    (record,) = caplog.records
    assert re.fullmatch(
        r"python-glanceclient [\w. ]+ is not fully observed: glanceclient\.\S+ has .+\.",
        record.getMessage(),
    )


@pytest.mark.parametrize("use", ["get", "list"])
def test_where_no_endpoint_is_told_there_is_a_call_without_an_attempt(
    instrumentor, library, server, image_id, counts, caplog, monkeypatch, use
):
    with monkeypatch.context() as before:
        before.delattr(Session, "_send_request")
        instrumentor.instrument()
    client = over_catalogue(library("glanceclient").Client, server.url)
    {"get": lambda: client.images.get(image_id), "list": lambda: list(client.images.list())}[use]()
    assert {(f"images.{use}", "success_first_try"): 1.0} == counts.of(
        "glance_client_call_duration_seconds_count", "operation", "outcome"
    )
    assert (1, {}) == (len(caplog.records), counts.of(ERRORS, "kind"))


def test_a_method_that_a_release_lacks_is_no_change(
    instrumentor, library, build, server, image_id, caplog, trace
):
    library("glanceclient.v2.client")
    del library("glanceclient.v2.images").Controller.stage
    instrumentor.instrument()
    build(server).images.get(image_id)
    assert ([], 2) == (caplog.records, len(trace.spans))


def test_results_of_another_shape_are_passed_on(
    instrumentor, library, build, server, image_id, counts, caplog
):
    controller = library("glanceclient.v2.images").Controller
    library("glanceclient.v2.client")
    controller.list = lambda self: ["not a generator"]
    controller.data = lambda self, image: b"not an iterator"
    instrumentor.instrument()
    client = build(server)
    assert (["not a generator"], b"not an iterator") == (
        client.images.list(),
        client.images.data(image_id),
    )
    assert {("instrumentation",): 2.0} == counts.of(ERRORS, "kind")


def test_a_list_that_is_a_list_in_its_proxy_is_passed_on(
    instrumentor, library, build, server, caplog
):
    class Proxy(list):
        wrapped = None

    library("glanceclient.v2.client")
    library("glanceclient.v2.images").Controller.list = lambda self: Proxy("ab")
    instrumentor.instrument()
    assert ["a", "b"] == build(server).images.list()


def test_a_reply_of_another_shape_is_passed_on(
    instrumentor, library, build, server, image_id, counts, caplog
):
    http = library(HTTP)
    library("glanceclient.v2.client")
    real = http.HTTPClient._request

    def request(self, method, url, **kwargs):
        return (None, real(self, method, url, **kwargs)[1])

    http.HTTPClient._request = request
    library("glanceclient.v2.schemas").Controller.get  # noqa: B018
    instrumentor.instrument()
    assert "image" == build(server).schemas.get("image").name
    assert {("instrumentation",): 1.0} == counts.of(ERRORS, "kind")


def test_requests_with_other_arguments_are_passed_on(instrumentor, library, build, server):
    library("glanceclient.v2.client")
    http = library(HTTP)
    http.HTTPClient.get = lambda self, url, **kwargs: self._request(method="GET", url=url, **kwargs)
    instrumentor.instrument()
    assert "image" == build(server).schemas.get("image").name


def test_requests_outside_any_call_are_passed_on(instrumentor, build, server, trace):
    instrumentor.instrument()
    assert 200 == build(server).http_client.get("/v2/schemas/image")[0].status_code
    assert [] == trace.spans


def test_a_client_without_an_endpoint_is_passed_on(instrumentor, build, server, counts, caplog):
    instrumentor.instrument()
    client = build(server)
    del client.images.http_client
    with pytest.raises(AttributeError):
        client.images.get("image")
    assert {("instrumentation",): 1.0} == counts.of(ERRORS, "kind")


def test_a_catalogue_without_an_endpoint_names_no_server(instrumentor, library, trace):
    from keystoneauth1.noauth import NoAuth

    instrumentor.instrument()
    client = library("glanceclient").Client("2", session=Session(auth=NoAuth(endpoint=None)))
    with pytest.raises(Exception, match="endpoint"):
        client.images.get("image")
    assert ["glance.images.get"] == [span.name for span in trace.spans]


def test_an_address_that_is_none_names_no_server(instrumentor, library, trace):
    instrumentor.instrument()
    client = library("glanceclient").Client(endpoint="http://glance\u00a0:99/v2", token="t")
    with pytest.raises(Exception):  # noqa: B017, PT011 any of the library's
        client.images.get("image")
    assert "server.address" not in trace.one("glance.images.get attempt").attributes


# --- what it asks for --------------------------------------------------------------------------


def test_it_depends_on_the_libraries_that_are_installed(monkeypatch):
    monkeypatch.setattr(module, "find_version", {"nova": "31.0.0"}.get)
    assert [nova.REQUIREMENT] == GlanceInstrumentor().instrumentation_dependencies()


def test_without_any_library_it_says_what_it_would_observe(monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    requirements = [library.REQUIREMENT for library in module.LIBRARIES]
    assert requirements == GlanceInstrumentor().instrumentation_dependencies()


def test_opentelemetry_instrument_finds_it():
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    (line,) = re.findall(
        r"^\[project.entry-points.opentelemetry_instrumentor\]\n(.*)$", project, re.MULTILINE
    )
    assert 'glance = "traced_image.instrumentation:GlanceInstrumentor"' == line


@pytest.mark.parametrize("package", ["wrapt", "opentelemetry.instrumentation"])
def test_without_its_extra_the_error_names_it(package):
    program = f"""
import sys
sys.modules[{package!r}] = None
try:
    import traced_image.instrumentation
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert re.fullmatch(
        r"MissingExtra traced_image\.instrumentation \(from argument\): \S+ is not installed;"
        r" pip install 'traced-image\[instrument\]'\.\n",
        done.stdout,
    )


def test_another_missing_module_is_told_as_it_is():
    program = """
import sys
sys.modules["traced_image.instrumentation.hosts"] = None
import traced_image.instrumentation
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert "ModuleNotFoundError: import of traced_image.instrumentation.hosts" in done.stderr


# --- many servers and threads ------------------------------------------------------------------


def test_the_states_of_so_many_servers_are_kept(registry, monkeypatch):
    monkeypatch.setattr(hosts, "MOST_SERVERS", 1)
    recorder = make_recorder(Telemetry(registry=registry, meter_provider=False))
    kept = hosts.Hosts(recorder.metrics)
    for port in (1, 2):
        kept.note(recorder.find_server(f"glance:{port}"), "success")
    kept.note(None, "failed")
    kept.note(recorder.find_server("glance:3"), "cancelled")
    assert ["glance:1"] == list(kept._hosts)


def test_threads_have_their_own_calls(instrumentor, build, servers, image_id, trace):
    instrumentor.instrument()
    clients = [build(server) for server in servers]
    threads = [threading.Thread(target=client.images.get, args=(image_id,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [("glance.images.get", [("glance.images.get attempt", [])])] * 3 == trace.tree()
    ports = {span.attributes["server.port"] for span in trace.named("glance.images.get attempt")}
    assert {server.port for server in servers} == ports
