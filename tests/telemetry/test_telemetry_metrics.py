"""The metrics: exact, equal to what the servers logged, shared by the services of a registry."""

import errno
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import keystoneauth1.exceptions as keystoneauth
import pytest

from traced_image import (
    GlanceConnectionFailed,
    ImageNotFound,
    RetryPolicy,
    TokenUnavailable,
    UnsafeToRepeat,
)
from traced_image.lab import faults
from traced_image.telemetry import catalogue

NO_WAIT = RetryPolicy(backoff_base=0.0)
NO_MEMORY = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)

CALLS = "glance_client_call_duration_seconds"
ATTEMPTS = "glance_client_attempt_duration_seconds"
CALL_RETRIES = "glance_client_call_retries"
RETRIES = "glance_client_retries_total"
DELAYS = "glance_client_retry_delay_seconds"
FAILED = "glance_client_connection_failed_total"
NO_TOKENS = "glance_client_token_failures_total"
SERVER = ("server_address", "server_port")


def place(server):
    return "127.0.0.1", str(server.port)


def attempts_by_logs(servers):
    """How many attempts had which end on which server, as the servers know it."""
    return Counter(
        (*place(server), str(access.status) if access.status >= 400 else "")
        for server in servers
        for access in server.access_log
    )


def test_a_call_is_counted_once_whatever_its_attempts(service, servers, image_id, counts):
    servers[0].break_with(faults.status(503))
    service().show(None, image_id)
    assert {("images.get", "success_after_retry", ""): 1.0} == counts.of(
        f"{CALLS}_count", "operation", "outcome", "error_type"
    )


def test_a_call_is_counted_by_its_outcome(service, servers, image_id, counts):
    shown = service(num_retries=1, retry=NO_MEMORY)
    shown.show(None, image_id)
    with pytest.raises(ImageNotFound):
        shown.show(None, "absent")
    servers[2].break_with(faults.status(503))
    shown.show(None, image_id)
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        shown.show(None, image_id)
    assert {
        ("success_first_try", ""): 1.0,
        ("refused", "404"): 1.0,
        ("success_after_retry", ""): 1.0,
        ("exhausted", "503"): 1.0,
    } == counts.of(f"{CALLS}_count", "outcome", "error_type")


class NoMoreTokens:
    """A Keystone that gives these tokens, and then fails."""

    def __init__(self, failure, *tokens):
        self._failure = failure
        self._tokens = list(tokens)

    def get_token(self):
        if not self._tokens:
            raise self._failure
        return self._tokens.pop(0)

    def invalidate(self):
        return True


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "connection_refused"),
        (TimeoutError("late"), "read_timeout"),
        (keystoneauth.Unauthorized("wrong"), "401"),
        (LookupError("away"), "_OTHER"),
    ],
    ids=["refused", "late", "unauthorized", "other"],
)
def test_a_call_without_a_token_is_counted_for_keystone(service, image_id, counts, failure, reason):
    with pytest.raises(TokenUnavailable):
        service(auth=NoMoreTokens(failure)).show(None, image_id)
    counted = {key: count for key, count in counts.of(NO_TOKENS, "error_type").items() if count}
    assert {(reason,): 1.0} == counted


def test_a_call_without_a_token_is_no_attempt(service, image_id, counts):
    with pytest.raises(TokenUnavailable):
        service(auth=NoMoreTokens(LookupError())).show(None, image_id)
    assert 0 == sum(counts.of(f"{ATTEMPTS}_count", "verdict").values())


def test_a_token_that_is_not_renewed_is_counted_for_keystone(service, servers, image_id, counts):
    servers[0].break_with(faults.status(401))
    with pytest.raises(TokenUnavailable):
        service(auth=NoMoreTokens(LookupError(), "expired")).show(None, image_id)
    attempts = counts.of(f"{ATTEMPTS}_count", "verdict")
    assert (1.0, {("refused",): 1.0}) == (sum(counts.of(NO_TOKENS).values()), attempts)


def test_attempts_are_counted_as_the_servers_logged_them(service, servers, image_id, counts):
    servers[0].break_with(faults.flapping(faults.status(503), None, faults.status(502)))
    servers[1].break_with(faults.flapping(None, faults.status(429)))
    shown = service(num_retries=9, retry=NO_MEMORY)
    for _ in range(30):
        shown.show(None, image_id)
    assert attempts_by_logs(servers) == counts.of(f"{ATTEMPTS}_count", *SERVER, "error_type")


def test_attempts_that_no_server_saw_are_counted(service, servers, image_id, counts):
    servers[0].break_with(faults.refuse())
    shown = service(retry=NO_MEMORY)
    for _ in range(6):
        shown.show(None, image_id)
    assert {(*place(servers[0]), "connection_refused"): 3.0} == {
        key: count
        for key, count in counts.of(f"{ATTEMPTS}_count", *SERVER, "error_type").items()
        if key[-1]
    }


def test_a_retry_is_counted_for_the_server_that_failed(service, servers, image_id, counts):
    servers[0].break_with(faults.status(503))
    servers[1].break_with(faults.refuse())
    service().show(None, image_id)
    assert {
        ("images.get", *place(servers[0]), "503"): 1.0,
        ("images.get", *place(servers[1]), "connection_refused"): 1.0,
    } == counts.of(RETRIES, "operation", *SERVER, "error_type")


def test_the_last_failure_of_a_call_is_no_retry(service, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        service(num_retries=2).show(None, image_id)
    assert 2.0 == sum(counts.of(RETRIES, *SERVER).values())


def test_the_retries_of_a_call_are_counted(service, servers, image_id, counts):
    servers[0].break_with(faults.status(503))
    servers[1].break_with(faults.status(503))
    service().show(None, image_id)
    assert (1.0, 2.0) == (
        counts.of(f"{CALL_RETRIES}_count")[()],
        counts.of(f"{CALL_RETRIES}_sum")[()],
    )


def test_a_call_without_retries_has_none_to_count(service, image_id, counts):
    service().show(None, image_id)
    assert {} == counts.of(f"{CALL_RETRIES}_count")


def test_the_waits_before_retries_are_summed_up(service, servers, image_id, counts, time):
    servers[0].break_with(faults.status(503))
    servers[1].break_with(faults.status(503))
    service(retry=RetryPolicy(fixed_delay=1.5)).show(None, image_id)
    assert (sum(time.slept), 2.0) == (
        counts.of(f"{DELAYS}_sum")[()],
        counts.of(f"{DELAYS}_count")[()],
    )


def test_a_call_that_gave_up_is_counted_for_its_last_server(service, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        service(num_retries=1, retry=NO_WAIT).show(None, image_id)
    assert {("images.get", *place(servers[1]), "503"): 1.0} == counts.of(
        FAILED, "operation", *SERVER, "error_type"
    )


def test_a_call_that_gave_up_early_is_counted_too(service, servers, counts):
    servers[0].break_with(faults.lost_reply())
    with pytest.raises(UnsafeToRepeat):
        service().create(None, {"name": "new"})
    assert {("images.create", "connection_reset"): 1.0} == counts.of(
        FAILED, "operation", "error_type"
    )


def test_a_call_that_was_refused_did_not_give_up(service, counts):
    with pytest.raises(ImageNotFound):
        service().show(None, "absent")
    assert {} == counts.of(FAILED, "operation")


class Interrupted:
    """Data whose reader is stopped."""

    def __iter__(self):
        raise KeyboardInterrupt


def test_an_interrupted_call_is_no_success(service, counts):
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    with pytest.raises(KeyboardInterrupt):
        service().create(None, fields, Interrupted())
    assert {
        ("images.create", "success_first_try", ""): 1.0,
        ("images.upload", "cancelled", "_OTHER"): 1.0,
    } == counts.of(f"{CALLS}_count", "operation", "outcome", "error_type")


def test_durations_are_in_seconds(service, servers, image_id, counts):
    servers[0].break_with(faults.slow_body(0.0005))
    service().show(None, image_id)
    size = len(servers[0].images.get(image_id).json)
    assert size * 0.0005 < counts.of(f"{ATTEMPTS}_sum")[()] <= counts.of(f"{CALLS}_sum")[()] < 60.0


def test_two_services_share_the_metrics_of_a_registry(service, servers, image_id, counts):
    service().show(None, image_id)
    service(wire_spans=False).show(None, image_id)
    assert {(): 2.0} == counts.of(f"{CALLS}_count")


@pytest.fixture
def collected(service, servers, image_id, registry):
    """All metrics, each with a sample at least."""
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        service(num_retries=2, retry=NO_WAIT).show(None, image_id)
    return list(registry.collect())


def test_the_metrics_are_those_of_the_catalogue(collected):
    types = {"updown": "gauge"}
    assert {
        one.name.removesuffix("_total"): (types.get(one.kind, one.kind), one.help)
        for one in catalogue.METRICS
    } == {metric.name: (metric.type, metric.documentation) for metric in collected}


def test_each_metric_has_the_labels_of_the_catalogue(collected):
    assert {one.name.removesuffix("_total"): set(one.labels) for one in catalogue.METRICS} == {
        metric.name: set(sample.labels) - {"le"}
        for metric in collected
        for sample in metric.samples
    }


def test_histograms_have_the_buckets_of_the_catalogue(collected):
    bounds = {
        metric.name: tuple(
            dict.fromkeys(float(one.labels["le"]) for one in metric.samples if "le" in one.labels)
        )
        for metric in collected
        if metric.type == "histogram"
    }
    assert {
        one.name: (*one.buckets, float("inf")) for one in catalogue.METRICS if one.buckets
    } == bounds


# --- threads -----------------------------------------------------------------------------------

THREADS, CALLS_EACH = 8, 10


@pytest.fixture
def stampede(service, servers, image_id):
    """Eight threads that make calls at the same time, while two of three servers fail."""
    servers[0].break_with(faults.flapping(faults.status(503), None))
    servers[1].break_with(faults.flapping(None, faults.status(502), faults.status(503)))
    shown = service(num_retries=30, retry=NO_MEMORY)
    together = threading.Barrier(THREADS)

    def work(_):
        together.wait(10)
        for _ in range(CALLS_EACH):
            shown.show(None, image_id)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def test_threads_count_every_call(stampede, counts):
    assert {("images.get", ""): float(THREADS * CALLS_EACH)} == summed(
        counts, f"{CALLS}_count", "operation", "error_type"
    )


def summed(counts, name, *labels):
    """The samples by some of their labels, summed over the others."""
    total = Counter()
    for (_, *values), count in counts.of(name, "outcome", *labels).items():
        total[tuple(values)] += count
    return dict(total)


def test_threads_count_every_attempt(stampede, servers, counts):
    assert attempts_by_logs(servers) == counts.of(f"{ATTEMPTS}_count", *SERVER, "error_type")


def test_threads_count_every_retry(stampede, servers, counts):
    failures = {key: count for key, count in attempts_by_logs(servers).items() if key[-1]}
    assert failures == counts.of(RETRIES, *SERVER, "error_type")


def test_every_attempt_of_a_thread_is_below_its_own_call(stampede, trace):
    calls = trace.named("glance.images.get")
    children = Counter(span.parent.span_id for span in trace.named("glance.images.get attempt"))
    assert {
        call.context.span_id: call.attributes["glance.call.attempts"] for call in calls
    } == children


def test_the_attempts_of_every_call_of_a_thread_are_in_order(stampede, trace):
    numbers = {}
    for span in trace.named("glance.images.get attempt"):
        numbers.setdefault(span.parent.span_id, []).append(span.attributes["glance.attempt.number"])
    assert [] == [found for found in numbers.values() if found != [*range(1, len(found) + 1)]]


def test_every_request_of_a_thread_is_below_its_own_attempt(stampede, trace):
    attempts = Counter(span.context.span_id for span in trace.named("glance.images.get attempt"))
    assert attempts == Counter(span.parent.span_id for span in trace.named("GET"))


def test_every_server_was_told_the_span_of_its_own_attempts_request(stampede, trace, servers):
    told = Counter(
        (server.port, access.traceparent.split("-")[2])
        for server in servers
        for access in server.access_log
    )
    assert told == Counter(
        (span.attributes["server.port"], f"{span.context.span_id:016x}")
        for span in trace.named("GET")
    )
