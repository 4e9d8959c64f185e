"""Spans and metrics of a program, as they arrive by OTLP: decoded, over gRPC and over HTTP."""

from collections import Counter
from types import SimpleNamespace

import pytest
from otlp_receiver import Receiver
from traced_program import CALLS, Program
from waiting import until

from traced_image import lab
from traced_image.lab import faults
from traced_image.telemetry import catalogue

# Each starts programs and waits for what they export.
PROTOCOLS = ("grpc", pytest.param("http/protobuf", marks=pytest.mark.slow))
KINDS = {"counter": "sum", "updown": "sum", "gauge": "gauge", "histogram": "histogram"}
SETTINGS = {
    "OTEL_SERVICE_NAME": "nova-compute",
    "OTEL_RESOURCE_ATTRIBUTES": "service.name=overruled,deployment.environment.name=lab",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=blue,authorization=Basic%20abc",
    # Nothing is sent before the program ends.
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_METRIC_EXPORT_INTERVAL": "600000",
}


@pytest.fixture(scope="module", params=PROTOCOLS)
def exported(request):
    """What a program's end exported of four calls, one of which met a failing server."""
    images = lab.Images()
    image_id = images.add(name="cirros", data=b"0123456789")
    with lab.cluster(3, images=images) as servers, Receiver(request.param) as receiver:
        servers[0].break_with(faults.status(503))
        endpoint = receiver.start().endpoint
        settings = {**SETTINGS, **exporting(request.param, endpoint)}
        with Program(CALLS, image_id, *(server.url for server in servers), **settings) as program:
            status = program.end()
        yield SimpleNamespace(
            failing=servers[0],
            servers=servers,
            ended=(status, program.errors),
            received=receiver.received,
        )


def exporting(protocol, endpoint):
    return {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}


def test_a_program_that_just_ends_has_all_exported(exported):
    assert {"traces", "metrics"} == exported.received.signals


def test_exporting_is_nothing_to_complain_of(exported):
    assert (0, "") == exported.ended


REQUEST = ("GET", [])
ATTEMPT = ("glance.images.get attempt", [REQUEST])
RECOVERED = ("glance.images.get", [ATTEMPT, ATTEMPT])
AT_ONCE = ("glance.images.get", [ATTEMPT])


def test_attempts_are_below_their_calls_and_requests_below_their_attempts(exported):
    """The order of the servers is not known, but only one call can meet the failing one."""
    calls = [tree for tree in exported.received.tree() if tree[0] == "glance.images.get"]
    assert [AT_ONCE, AT_ONCE, RECOVERED] == sorted(calls, key=lambda call: len(call[1]))


def test_a_download_has_its_requests_below_its_attempt_and_its_stream_below_the_call(exported):
    below = [
        ("glance.images.data attempt", [REQUEST, REQUEST]),
        ("glance.images.data stream", []),
    ]
    assert ("glance.images.data", below) == exported.received.tree()[-1]


def test_a_call_and_all_below_it_are_one_trace(exported):
    spans = {span.span_id: span for span in exported.received.spans}
    assert [] == [
        span
        for span in spans.values()
        if span.parent_id and span.trace_id != spans[span.parent_id].trace_id
    ]


def test_each_call_is_a_trace_of_its_own(exported):
    assert 4 == len({span.trace_id for span in exported.received.spans})


def test_the_servers_were_told_the_requests_spans(exported):
    told = Counter(
        tuple(access.traceparent.split("-")[1:3])
        for server in exported.servers
        for access in server.access_log
    )
    assert told == Counter((span.trace_id, span.span_id) for span in exported.received.named("GET"))


def test_the_failed_attempt_names_its_server_and_its_reason(exported):
    (failed,) = [span for span in exported.received.named(ATTEMPT[0]) if span.failed]
    assert ("127.0.0.1", exported.failing.port, "503") == tuple(
        failed.attributes[name]
        for name in (catalogue.SERVER_ADDRESS, catalogue.SERVER_PORT, catalogue.ERROR_TYPE)
    )


def test_the_call_that_recovered_is_no_error_and_tells_of_its_retry(exported):
    (call,) = [span for span in exported.received.named("glance.images.get") if span.events]
    ((name, retry),) = call.events
    first, second = call.attributes[catalogue.SERVERS_TRIED]
    told = {
        catalogue.RETRY_DELAY: 0.0,
        catalogue.ERROR_TYPE: "503",
        catalogue.SERVER_ADDRESS: "127.0.0.1",
        catalogue.SERVER_PORT: int(first.rpartition(":")[2]),
        catalogue.RETRY_NEXT_SERVER: second,
    }
    assert (False, catalogue.RETRY_EVENT, told, "success_after_retry") == (
        call.failed,
        name,
        retry,
        call.attributes[catalogue.OUTCOME],
    )


def test_attributes_keep_their_types(exported):
    types = {"string": str, "int": int, "double": float, "boolean": bool, "string[]": tuple}
    known = {one.name: types[one.type] for one in catalogue.ATTRIBUTES}
    found = {
        name: type(value)
        for span in exported.received.spans
        for name, value in span.attributes.items()
        if name in known
    }
    assert {name: known[name] for name in found} == found


def test_only_requests_are_of_kind_client(exported):
    assert {("GET", "CLIENT")} == {
        (span.name, span.kind) for span in exported.received.spans if span.kind != "INTERNAL"
    }


def test_spans_are_of_this_packages_scope_and_of_the_conventions_version(exported):
    scopes = {span.scope for span in exported.received.spans}
    assert {(catalogue.SCOPE, catalogue.SCHEMA_URL)} == scopes


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_the_resource_is_what_the_environment_says(exported, signal):
    received = exported.received
    told = received.spans if signal == "traces" else received.metrics.values()
    assert {("nova-compute", "lab")} == {
        (one.resource["service.name"], one.resource["deployment.environment.name"]) for one in told
    }


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_the_headers_are_those_of_the_environment(exported, signal):
    assert {("blue", "Basic abc")} == {
        (request.headers["x-tenant"], request.headers["authorization"])
        for request in exported.received.of(signal)
    }


def test_the_metrics_are_those_of_the_catalogue(exported):
    assert {one.otel: (one.unit, KINDS[one.kind]) for one in catalogue.METRICS} == {
        name: (metric.unit, metric.kind) for name, metric in exported.received.metrics.items()
    }


def test_each_metric_has_the_attributes_of_the_catalogue(exported):
    """Those of no value, such as the reason of a success, are left out."""
    known = {
        one.otel: {catalogue.LABELS[label] for label in one.labels} for one in catalogue.METRICS
    }
    assert {} == {
        name: unknown
        for name, metric in exported.received.metrics.items()
        for point in metric.points
        if (unknown := set(dict(point)) - known[name])
    }


def test_metrics_are_of_this_packages_scope_and_of_the_conventions_version(exported):
    scopes = {metric.scope for metric in exported.received.metrics.values()}
    assert {(catalogue.SCOPE, catalogue.SCHEMA_URL)} == scopes


def test_a_reason_is_a_text_and_a_port_a_number_in_metrics_too(exported):
    """A status is a reason, and the same string on spans, metrics and logs."""
    types = {
        (name, type(value))
        for metric in exported.received.metrics.values()
        for point in metric.points
        for name, value in point
        if name in (catalogue.ERROR_TYPE, catalogue.SERVER_PORT)
    }
    assert {(catalogue.ERROR_TYPE, str), (catalogue.SERVER_PORT, int)} == types


def test_requests_by_the_servers_logs_are_the_attempts_of_the_metrics(exported):
    """But for the download, whose attempt asks for the record first and then for the data."""
    points = exported.received.metrics[catalogue.ATTEMPT_DURATION.otel].points
    logged = Counter(
        (server.port, str(access.status) if access.status >= 400 else None)
        for server in exported.servers
        for access in server.access_log
        if not access.path.endswith("/file")
    )
    counted = Counter()
    for point, count in points.items():
        labels = dict(point)
        counted[labels[catalogue.SERVER_PORT], labels.get(catalogue.ERROR_TYPE)] += count
    assert logged == counted


def test_the_state_of_each_server_is_a_number(exported):
    points = exported.received.metrics[catalogue.SERVER_STATE.otel].points
    assert {
        (server.port, state): int(state == ("cooling" if server is exported.failing else "healthy"))
        for server in exported.servers
        for state in catalogue.STATES
    } == {
        (dict(point)[catalogue.SERVER_PORT], dict(point)["state"]): value
        for point, value in points.items()
    }


@pytest.mark.parametrize(
    ("metric", "name"),
    [(catalogue.CALL_DURATION, "glance.images.get"), (catalogue.ATTEMPT_DURATION, ATTEMPT[0])],
    ids=["calls", "attempts"],
)
def test_the_exemplars_of_durations_are_their_own_spans(exported, metric, name):
    """The SDK keeps one for each bucket, and here all durations may be in one of them."""
    exemplars = exported.received.metrics[metric.otel].exemplars
    spans = exported.received.named(name) + exported.received.named(
        name.replace("images.get", "images.data")
    )
    ids = {(span.trace_id, span.span_id) for span in spans}
    assert exemplars
    assert exemplars <= ids


WAITING = f"{CALLS}\n    sys.stdin.read()\n"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_receiver_missed_while_it_was_down_arrives_when_it_is_up(
    protocol, servers, image_id
):
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "100"}
    urls = [server.url for server in servers]
    with Receiver(protocol) as receiver:
        settings |= exporting(protocol, receiver.endpoint)
        with Program(WAITING, image_id, *urls, **settings) as program:
            assert program.says("Transient error")
            receiver.start()
            arrived = until(lambda: complete(receiver.received))
            assert (True, True, 0) == (arrived, program.runs, program.end())


def complete(received):
    """Whether the program's three calls and its download are there, and metrics too."""
    return 4 == len(received.tree()) and "metrics" in received.signals
