"""How many series there are: some from the start, a known number at most, whatever is told."""

import itertools
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import NotFound, RetryPolicy, Server, Telemetry
from traced_image.lab import faults
from traced_image.pipeline.api.operation import Operation
from traced_image.pipeline.attempts.fleet import Fleet
from traced_image.pipeline.attempts.retry_loop import AttemptLoop
from traced_image.pipeline.attempts.seams import Call, layered
from traced_image.pipeline.clock import Clock
from traced_image.pipeline.context import SERVICE
from traced_image.telemetry import catalogue
from traced_image.telemetry.layers import make_layers
from traced_image.telemetry.metrics import FIRST_REASONS, FIRST_TOKEN_REASONS, MOST_SERVERS
from traced_image.telemetry.recorder import Recorder
from traced_image.telemetry.shared_metrics import share_metrics
from traced_image.telemetry.spans import Spans
from traced_image.telemetry.verdicts import decide_verdict

CALLS = "glance_client_call_duration_seconds_count"
ATTEMPTS = "glance_client_attempt_duration_seconds_count"
SERVER = ("server_address", "server_port")
DETAILS = ("full", "reason", "operation", "host")
NO_MEMORY = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)


def servers_of(count):
    return tuple(Server.parse(f"glance-{number}") for number in range(1, count + 1))


def recorder_for(telemetry, servers):
    """A recorder whose spans go nowhere."""
    metrics = share_metrics(telemetry)
    metrics.known(servers)
    return Recorder(Spans(None, wire_spans=False), metrics)


def counted(registry, detail="full"):
    return Telemetry(registry=registry, meter_provider=False, detail=detail)


# --- from the start ----------------------------------------------------------------------------


@pytest.fixture
def unused(registry):
    """A service that was made, and nothing else."""
    service = traced_image.connect(servers=["glance-1", "glance-2"], telemetry=counted(registry))
    yield service
    service.close()


PLACES = [("glance-1", "9292"), ("glance-2", "9292")]


@pytest.mark.parametrize(
    "name", ["glance_client_retries_total", "glance_client_connection_failed_total"]
)
def test_a_servers_failures_are_at_zero_from_the_start(unused, counts, name):
    assert {
        ("images.get", *place, reason): 0.0 for place in PLACES for reason in FIRST_REASONS
    } == (counts.of(name, "operation", *SERVER, "error_type", zeros=True))


@pytest.mark.parametrize(
    "name", ["glance_client_stream_bytes_total", "glance_client_stream_errors_total"]
)
def test_a_servers_streams_are_at_zero_from_the_start(unused, counts, name):
    directions = ("download", "upload")
    assert {(*place, direction): 0.0 for place in PLACES for direction in directions} == counts.of(
        name, *SERVER, "direction", zeros=True
    )


def test_a_servers_attempts_under_way_are_at_zero_from_the_start(unused, counts):
    assert dict.fromkeys(PLACES, 0.0) == counts.of(
        "glance_client_active_attempts", *SERVER, zeros=True
    )


def test_failures_of_telemetry_are_at_zero_from_the_start(unused, counts):
    assert {(kind,): 0.0 for kind in catalogue.TELEMETRY_ERROR_KINDS} == counts.of(
        "traced_image_telemetry_errors_total", "kind", zeros=True
    )


def test_a_server_is_healthy_from_the_start(unused, counts):
    assert {
        (*place, state): float(state == "healthy") for place in PLACES for state in catalogue.STATES
    } == counts.of("glance_client_server_state", *SERVER, "state", zeros=True)


def test_the_version_is_told(unused, counts):
    assert {(traced_image.__version__,): 1.0} == counts.of("traced_image_build_info", "version")


def test_a_servers_counters_start_once(registry, counts):
    recorder = recorder_for(counted(registry), servers_of(2))
    recorder.call("images.get").end()
    recorder.metrics.known(servers_of(2))
    assert {("images.get",): 1.0} == counts.of(CALLS, "operation")


# --- how many ----------------------------------------------------------------------------------

HISTOGRAM = len(catalogue.CALL_DURATION.buckets) + 3
"""A histogram's series: its buckets, that of infinity, the sum and the count."""

RETRY_HISTOGRAM = len(catalogue.CALL_RETRIES.buckets) + 3
PROCESS = 1 + sum(
    map(len, (catalogue.TELEMETRY_ERROR_KINDS, catalogue.RECORD_KINDS, catalogue.HAZARD_KINDS))
)
"""The version, and a counter for each kind of failure of telemetry, skipped record and hazard."""

STATE = len(catalogue.STATES) + 4
"""A server's states, failures in a row, when they began, last success and last failure."""

STREAMS = 2 * len(catalogue.DIRECTIONS)
"""Bytes and errors in each direction."""


def tokens(detail):
    """The counters of Keystone's failures."""
    return len(FIRST_TOKEN_REASONS) if detail in ("full", "reason") else 1


def at_first(servers, detail):
    """The series of a process that has made no call: 21 + 33 n, or 17 + 17 n without reasons."""
    reasons = len(FIRST_REASONS) if detail in ("full", "reason") else 1
    return PROCESS + tokens(detail) + servers * (4 * reasons + STREAMS + 1 + STATE)


def at_most(servers, operations, reasons, detail):
    """The series of a process after any calls.

    `operations` and `reasons` are how many of them it has met, failures only. What belongs to no
    configured server has the labels of one more.
    """
    own = min(servers, MOST_SERVERS)
    places = own + 1
    dropped = detail not in ("full", "reason")
    outcomes = len(catalogue.OUTCOMES) if dropped else 4 + 2 * reasons
    verdicts = len(catalogue.VERDICTS) - 1 if dropped else 1 + reasons
    calls = operations * outcomes * HISTOGRAM
    retries = operations * (RETRY_HISTOGRAM + HISTOGRAM)
    attempts = places * operations * verdicts * HISTOGRAM
    failures = places * (operations * 2 + 2) * reasons
    return (
        PROCESS
        + tokens(detail)
        + calls
        + retries
        + attempts
        + failures
        + places * (1 + STREAMS)
        + own * STATE
    )


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_series_of_a_process_that_made_no_call_are_as_many_as_stated(
    registry, counts, detail, count
):
    service = traced_image.connect(servers=servers_of(count), telemetry=counted(registry, detail))
    service.close()
    assert at_first(count, detail) == len(counts.series())


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "telemetry.md"


def test_the_page_has_the_figures():
    once, more = (at_most(3, 8, reasons, "full") for reasons in (0, 1))
    first = at_first(3, "full"), at_first(3, "host")
    stated = (
        "{} and {} for\nthree servers".format(*first),
        f"at most {once:,} series while nothing fails",
        f"every server adds at most {more - once:,}.",
        f"three servers make at most {at_most(3, 1, 1, 'host')}.",
    )
    text = PAGE.read_text("utf-8")
    assert [] == [words for words in stated if words not in text]


OTHERS = ("tasks.list", "because")
"""An operation and a reason that the catalogue has not."""

SOME = ({"images.get", "images.list", OTHERS[0]}, {*FIRST_REASONS, "404", OTHERS[1]})
# This has 450,000 series, which takes ten seconds.
EVERYTHING = (
    catalogue.OPERATIONS | {OTHERS[0]},
    catalogue.KNOWN_REASONS - {catalogue.OTHER} | {OTHERS[1]},
)


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("met", [SOME, pytest.param(EVERYTHING, marks=pytest.mark.slow)])
def test_the_series_of_a_process_are_as_many_as_stated_of_what_it_has_met(
    registry, counts, detail, met
):
    count = 1 if detail == "full" else 3
    telemetry = counted(registry, detail)
    service = traced_image.connect(servers=servers_of(count), telemetry=telemetry)
    meet(*met, recorder_for(telemetry, servers_of(count)), count)
    service.close()
    operations = len(met[0]) if detail in ("full", "operation") else 1
    reasons = len(met[1]) if detail in ("full", "reason") else 1
    assert at_most(count, operations, reasons, detail) == len(counts.series())


def meet(operations, reasons, recorder, count):
    """All that can happen, on each server and on one that nobody has configured."""
    places = [*servers_of(count), Server.parse("elsewhere")]
    for operation, server in itertools.product(operations, places):
        recovered = recorder.call(operation)
        for reason in reasons:
            recovered.attempt(server).end(reason)
            recovered.retry(reason, 0.0)
        recovered.attempt(server).end()
        recovered.end()
        for reason in reasons:
            verdict = decide_verdict(catalogue.close_reason(reason))
            for outcome in ("exhausted", "refused" if verdict == "refused" else "non_retryable"):
                failed = recorder.call(operation)
                failed.servers.append(server)
                failed.failed = server
                failed.end(outcome, reason)
        recorder.call(operation).end("cancelled", catalogue.OTHER)
        recorder.call(operation).end("refused", catalogue.OTHER)
        recorder.call(operation).end()
    for server, direction in itertools.product(places, catalogue.DIRECTIONS):
        stream = recorder.stream("images.data", server, direction)
        stream.add(1)
        stream.end("read_timeout", complete=False)


# --- whatever is told --------------------------------------------------------------------------

MANY = pytest.mark.parametrize("many", [300, pytest.param(10_000, marks=pytest.mark.slow)])


def tell(recorder, operation="images.get", server="glance-1", reason="503", request_id=None):
    place = Server.parse(server)
    call = recorder.call(operation)
    call.attempt(place).end(reason, 503, request_id)
    call.retry(reason, 0.0)
    call.end("exhausted", reason)
    stream = recorder.stream(operation, place, "download")
    stream.add(1)
    stream.end(reason, complete=False)


@pytest.mark.parametrize(
    ("item", "form"),
    [
        ("operation", "images.get-{}"),
        ("server", "evil-{}.example"),
        ("reason", "refused by {}"),
        ("request_id", "req-{}"),
    ],
)
@MANY
def test_however_many_there_are_they_are_one(registry, counts, item, form, many):
    recorder = recorder_for(counted(registry), servers_of(2))
    tell(recorder, **{item: form.format("first")})
    before = counts.series()
    for number in range(many):
        tell(recorder, **{item: form.format(number)})
    assert before == counts.series()


@MANY
def test_however_many_images_there_are_they_are_one(registry, counts, many):
    telemetry, servers, clock = counted(registry), servers_of(3), Clock(sleep=lambda _: None)
    layers = make_layers(telemetry, servers)
    fleet = Fleet.of(servers, NO_MEMORY, clock)
    loop = AttemptLoop(
        layered(missing, layers.attempt),
        layered(lambda _failure: None, layers.failure),
        fleet,
        num_retries=1,
        policy=NO_MEMORY,
        deadline=None,
        clock=clock,
        rng=None,
    )
    perform = layered(loop, layers.call)
    for server in servers:
        show(perform, f"of-{server.host}")
    before = counts.series()
    for number in range(many):
        show(perform, f"image-{number}")
    assert before == counts.series()


def missing(attempt):
    """No server has any image, and each says so with an id of its own."""
    path = attempt.call.operation.path
    raise NotFound(f"{path} is not here", request_id=f"req{path}")


def show(perform, image_id):
    operation = Operation("images.get", "GET", f"/v2/images/{image_id}", lambda wire: None)
    with pytest.raises(NotFound):
        perform(Call(operation, SERVICE))


NAMES = st.text(max_size=20)


@given(st.lists(st.tuples(NAMES, NAMES, NAMES), max_size=20))
def test_labels_have_values_of_closed_sets_whatever_is_told(told):
    registry = CollectorRegistry()
    recorder = recorder_for(counted(registry), servers_of(2))
    for operation, reason, request_id in told:
        tell(recorder, operation, "elsewhere", reason, request_id)
    allowed = {
        "operation": catalogue.OPERATIONS | {"_OTHER"},
        "outcome": set(catalogue.OUTCOMES),
        "error_type": catalogue.KNOWN_REASONS | {""},
        "verdict": set(catalogue.VERDICTS) - {"cancelled"},
        "server_address": {"glance-1", "glance-2", "_OTHER"},
        "server_port": {"9292", "_OTHER"},
        "state": set(catalogue.STATES),
        "direction": set(catalogue.DIRECTIONS),
        "version": {traced_image.__version__},
        "kind": {
            *catalogue.TELEMETRY_ERROR_KINDS,
            *catalogue.RECORD_KINDS,
            *catalogue.HAZARD_KINDS,
        },
    }
    assert [] == [
        (name, value)
        for metric in registry.collect()
        for sample in metric.samples
        for name, value in sample.labels.items()
        if name != "le" and value not in allowed[name]
    ]


@pytest.fixture
def crowd(registry):
    """A recorder that was told of more servers than have series of their own."""
    return recorder_for(counted(registry), servers_of(MOST_SERVERS + 100))


def test_more_servers_than_a_limit_share_their_series(crowd, counts):
    tell(crowd, server=f"glance-{MOST_SERVERS}")
    tell(crowd, server=f"glance-{MOST_SERVERS + 1}")
    tell(crowd, server=f"glance-{MOST_SERVERS + 100}")
    assert {(f"glance-{MOST_SERVERS}", "9292"): 1.0, ("_OTHER", "_OTHER"): 2.0} == counts.of(
        ATTEMPTS, *SERVER
    )


def test_more_servers_than_a_limit_have_no_series_from_the_start(crowd, counts):
    assert MOST_SERVERS == len(
        counts.of("glance_client_active_attempts", "server_address", zeros=True)
    )


def test_more_servers_than_a_limit_are_logged_once(registry, caplog):
    recorder_for(counted(registry), servers_of(MOST_SERVERS + 100))
    line = (
        f"More than {MOST_SERVERS} servers: the metrics of glance-{MOST_SERVERS + 1}:9292 and"
        " later ones are under _OTHER."
    )
    assert [(logging.WARNING, line)] == [
        (record.levelno, record.getMessage()) for record in caplog.records
    ]


def test_as_many_servers_as_the_limit_may_come_again(registry, caplog):
    for _ in range(2):
        recorder_for(counted(registry), servers_of(MOST_SERVERS))
    assert [] == caplog.messages


# --- detail ------------------------------------------------------------------------------------


@pytest.fixture
def traffic(service, servers, image_id, trace, registry):
    """Calls of two operations, of which some fail in two ways."""

    def make(detail):
        telemetry = Telemetry(tracer_provider=trace.provider, registry=registry, detail=detail)
        shown = service(telemetry=telemetry, retry=NO_MEMORY)
        servers[0].break_with(faults.status(503).times(1))
        shown.show(None, image_id)
        servers[0].break_with(faults.refuse())
        for _ in range(3):
            shown.detail(None)

    return make


@pytest.mark.parametrize(
    ("detail", "labels"),
    [
        (
            "full",
            {
                ("images.get", "503"),
                ("images.get", ""),
                ("images.list", "connection_refused"),
                ("images.list", ""),
            },
        ),
        ("reason", {("", "503"), ("", "connection_refused"), ("", "")}),
        (
            "operation",
            {
                ("images.get", "_OTHER"),
                ("images.get", ""),
                ("images.list", "_OTHER"),
                ("images.list", ""),
            },
        ),
        ("host", {("", "_OTHER"), ("", "")}),
    ],
)
def test_detail_says_which_labels_there_are(traffic, counts, detail, labels):
    traffic(detail)
    assert labels == set(counts.of(ATTEMPTS, "operation", "error_type"))


@pytest.mark.parametrize("detail", DETAILS)
def test_whatever_the_detail_every_attempt_is_counted_for_its_server(
    traffic, servers, registry, detail
):
    traffic(detail)
    totals = dict.fromkeys((str(server.port) for server in servers), 0.0)
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name == ATTEMPTS:
                totals[sample.labels["server_port"]] += sample.value
    arrived = [float(len(server.access_log)) for server in servers]
    assert [arrived[0] + 1.0, *arrived[1:]] == list(totals.values())


@pytest.mark.parametrize("detail", DETAILS)
def test_whatever_the_detail_success_is_told_from_failure(traffic, registry, detail):
    traffic(detail)
    totals = {False: 0.0, True: 0.0}
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name == ATTEMPTS:
                totals[bool(sample.labels["error_type"])] += sample.value
    assert {False: 4.0, True: 2.0} == totals
