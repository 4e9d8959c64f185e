"""What retries cost the calls that they saved, and since when a server fails."""

import pytest

from traced_image import GlanceConnectionFailed, ImageNotFound, RetryPolicy, Telemetry
from traced_image.config import Server
from traced_image.lab import faults
from traced_image.pipeline.attempts.host_state import HostState
from traced_image.telemetry.shared_metrics import share_metrics

COST = "glance_client_retry_cost_seconds_total"
SAVED = "glance_client_saved_calls_total"
SINCE = "glance_client_server_failing_since_timestamp_seconds"
AT_ONCE = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)
SERVER = Server.parse("http://glance-1:9292")


def saved(counts):
    return counts.of(SAVED, "server_port", "error_type")


def test_a_call_that_a_retry_saved_counts_for_the_server_that_failed(
    service, servers, image_id, counts
):
    servers[0].break_with(faults.status(503))
    service(retry=AT_ONCE).show(None, image_id)
    assert {(str(servers[0].port), "503"): 1.0} == saved(counts)


def test_it_counts_once_for_each_server_that_failed(service, servers, image_id, counts):
    for server in servers[:2]:
        server.break_with(faults.status(503))
    service(retry=AT_ONCE, num_retries=4).show(None, image_id)
    assert {(str(server.port), "503"): 1.0 for server in servers[:2]} == saved(counts)


def test_it_counts_once_for_a_server_that_failed_twice(service, servers, image_id, counts):
    fails = faults.status(503)
    servers[0].break_with(faults.flapping(fails, fails, None))
    service(servers=[servers[0].url], retry=AT_ONCE, num_retries=2).show(None, image_id)
    assert {(str(servers[0].port), "503"): 1.0} == saved(counts)


def test_the_cost_is_that_of_the_call_s_span(service, servers, image_id, trace, counts):
    servers[0].break_with(faults.status(503))
    service(retry=AT_ONCE).show(None, image_id)
    (cost,) = counts.of(COST, "server_port").values()
    assert trace.one("glance.images.get").attributes["glance.retry.cost_total"] == cost


def test_a_call_that_a_healthy_server_refused_after_a_retry_is_saved_too(service, servers, counts):
    servers[0].break_with(faults.status(503))
    with pytest.raises(ImageNotFound):
        service(retry=AT_ONCE).show(None, "absent")
    assert {(str(servers[0].port), "503"): 1.0} == saved(counts)


def test_a_call_that_failed_in_the_end_is_not_saved(service, servers, image_id, counts):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        service(retry=AT_ONCE).show(None, image_id)
    assert ({}, {}) == (saved(counts), counts.of(COST, "server_port"))


@pytest.fixture
def since(registry, counts):
    """Show a server's state, and return since when it fails."""
    metrics = share_metrics(Telemetry(registry=registry, meter_provider=False))
    metrics.known((SERVER,))
    host = HostState(SERVER)

    def show(failures, last_failure):
        host.consecutive_failures, host.last_failure = failures, last_failure
        metrics.host(host)
        return counts.of(SINCE, "server_address", zeros=True)[("glance-1",)]

    show.metrics = metrics
    return show


def test_a_server_that_has_not_failed_has_no_time(since):
    assert 0.0 == since(0, None)


def test_a_server_fails_since_its_first_failure_in_a_row(since):
    since(1, 5.0)
    assert 5.0 == since(2, 9.0)


def test_a_server_that_succeeds_again_fails_since_never(since):
    since(1, 5.0)
    assert 0.0 == since(0, 5.0)


def test_the_next_failures_in_a_row_have_a_time_of_their_own(since):
    since(1, 5.0)
    since(0, 5.0)
    assert 20.0 == since(1, 20.0)


def test_a_child_of_a_fork_keeps_the_time(since):
    since(1, 5.0)
    since.metrics.after_fork()
    assert 5.0 == since(2, 9.0)
