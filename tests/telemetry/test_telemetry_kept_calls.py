"""What a backend may keep beside numbers: calls that failed or were saved, and trials to come."""

import time

import pytest

from traced_image import GlanceConnectionFailed, ImageNotFound, RetryPolicy, Telemetry
from traced_image.config import Server
from traced_image.lab import faults
from traced_image.telemetry.shared_metrics import attach, make_recorder

AT_ONCE = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)
ONE, OTHER = Server.parse("http://glance-1:9292"), Server.parse("http://glance-2:9292")


class Keeper:
    """A backend that keeps calls, and no numbers."""

    def __init__(self):
        self.kept, self.trials = [], {}

    def bind(self, _metric, _labels):
        return None

    def forget(self, _address, _port):
        pass

    def keep_call(self, call):
        self.kept.append(call)

    def keep_trial(self, place, when):
        self.trials[place] = when


@pytest.fixture
def kept(registry):
    keeper = Keeper()
    attach(registry, keeper)
    return keeper.kept


@pytest.fixture
def trials(registry):
    keeper = Keeper()
    attach(registry, keeper)
    return keeper.trials


def failures(call):
    return [(port, reason) for (_, port), reason, _ in call.failures]


def test_a_call_that_succeeds_at_once_is_not_kept(service, image_id, kept):
    service().show(None, image_id)
    assert [] == kept


def test_a_call_that_a_healthy_server_refuses_is_not_kept(service, servers, kept):
    with pytest.raises(ImageNotFound):
        service().show(None, "absent")
    assert [] == kept


def test_a_call_that_a_retry_saved_is_kept_with_the_server_that_failed(
    service, servers, image_id, kept
):
    servers[0].break_with(faults.status(503))
    service(retry=AT_ONCE).show(None, image_id)
    (call,) = kept
    assert ("images.get", "success_after_retry", "", 2, [(str(servers[0].port), "503")]) == (
        call.operation,
        call.outcome,
        call.reason,
        call.attempts,
        failures(call),
    )


def test_what_a_saved_call_lost_is_part_of_its_time(service, servers, image_id, kept):
    servers[0].break_with(faults.status(503))
    service(retry=AT_ONCE).show(None, image_id)
    (((_, _, lost),), seconds) = kept[0].failures, kept[0].seconds
    assert 0.0 < lost < seconds


def test_a_kept_call_has_its_trace(service, servers, image_id, trace, kept):
    servers[0].break_with(faults.status(503))
    service(retry=AT_ONCE).show(None, image_id)
    span = trace.one("glance.images.get").get_span_context()
    assert span.trace_id == kept[0].exemplar.trace_id


def test_a_call_that_gave_up_is_kept_with_all_servers_that_failed(service, servers, image_id, kept):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed):
        service(retry=AT_ONCE, num_retries=len(servers) - 1).show(None, image_id)
    (call,) = kept
    assert ("exhausted", "503", [(str(server.port), "503") for server in servers]) == (
        call.outcome,
        call.reason,
        failures(call),
    )


@pytest.fixture
def recorder(registry, kept):
    return make_recorder(Telemetry(registry=registry, meter_provider=False), [ONE, OTHER])


def test_a_server_that_failed_a_call_twice_is_there_once(recorder, kept):
    call = recorder.call("images.get")
    call.attempt(ONE).end("503")
    call.retry("503", 1.0)
    call.attempt(ONE).end("503")
    call.end("exhausted", "503")
    assert [("9292", "503")] == failures(kept[0])


def test_a_call_that_fails_after_an_answer_names_no_server_that_answered(recorder, kept):
    call = recorder.call("images.get")
    call.attempt(ONE).end("503")
    call.retry("503", 1.0)
    call.attempt(OTHER).end()
    call.end("non_retryable", "_OTHER")
    assert [(("glance-1", "9292"), "503")] == [each[:2] for each in kept[0].failures]


def test_a_call_that_fails_before_its_first_attempt_names_no_server(recorder, kept):
    recorder.call("images.get").end("non_retryable", "token_unavailable")
    assert (0, ()) == (kept[0].attempts, kept[0].failures)


def test_an_operation_that_is_not_of_the_catalogue_is_another(recorder, kept):
    recorder.call("my.own").end("non_retryable", "503")
    assert "_OTHER" == kept[0].operation


def test_a_backend_is_told_when_a_cool_down_ends(service, servers, image_id, trials):
    servers[0].break_with(faults.status(503))
    retry = RetryPolicy(backoff_base=0.0, cooldown_base=10.0, cooldown_cap=10.0)
    service(retry=retry).show(None, image_id)
    ends = [trials[server.host, str(server.port)] for server in servers[:2]]
    assert [True, None] == [4.0 <= ends[0] - time.time() <= 10.0, ends[1]]
