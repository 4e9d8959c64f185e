"""How long a trial may take, and what it means that its time ran out."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ManualClock, Script, operation_of, refused, rig

from traced_image import Config, GlanceClientWrapper, RetryPolicy
from traced_image.errors import (
    CommunicationError,
    GlanceConnectionFailed,
    Reason,
)
from traced_image.pipeline.attempts.host_state import HostState
from traced_image.pipeline.attempts.retry_budget import RetryBudget
from traced_image.pipeline.attempts.seams import Answer

POLICY = RetryPolicy(cooldown_base=1.0, cooldown_cap=60.0, budget_share=None)


def timed_out(reason="read_timeout"):
    return CommunicationError("glance-1: no answer in time", reason=Reason(reason))


class Servers:
    """Servers that take their seconds for each answer; None for one that refuses at once."""

    def __init__(self, time, *seconds, limit=30.0):
        self.attempts = []
        self.seconds = list(seconds)
        self._time = time
        self._limit = limit

    def __call__(self, attempt):
        self.attempts.append(attempt)
        takes = self.seconds[int(attempt.server.host[-1]) - 1]
        if takes is None:
            raise refused()
        most = min(self._limit, attempt.timeout or self._limit)
        self._time.now += min(takes, most)
        if takes > most:
            raise timed_out()
        return Answer("it", 200, None)

    @property
    def limits(self):
        return [attempt.timeout for attempt in self.attempts if attempt.trial]


def failing_first(*seconds, before=0.01, calls=3, **options):
    """A rig whose first server has failed after some answers, and is due for its trial."""
    time = ManualClock()
    servers = Servers(time, *[before] * len(seconds))
    loop = rig(servers, len(seconds), policy=POLICY, time=time, **options)
    for _ in range(calls):
        loop.call()
    servers.seconds[0] = None
    for _ in seconds:
        with contextlib.suppress(GlanceConnectionFailed):
            loop.call()
    servers.seconds = list(seconds)
    servers.attempts.clear()
    time.now += 1.0
    return loop, servers


def first(loop):
    return next(host for host in loop.cycle._hosts if host.server.host == "glance-1")


def until_trial(loop, servers, operation=None):
    """Make calls until one of them has made a trial; return how long that one took."""
    for _ in range(len(servers.seconds)):
        before = loop.time.now
        loop.call(operation)
        if servers.limits:
            return loop.time.now - before
    raise AssertionError("no trial")


def test_a_trial_has_its_own_time_while_another_server_is_healthy():
    loop, servers = failing_first(99.0, 0.01, 0.01)
    until_trial(loop, servers)
    assert [1.0] == servers.limits


def test_a_trial_that_hangs_costs_its_call_the_trials_time():
    loop, servers = failing_first(99.0, 0.01, 0.01)
    assert until_trial(loop, servers) == pytest.approx(1.01)


def test_other_attempts_have_no_time_of_their_own():
    loop, servers = failing_first(0.01, 0.01, 0.01)
    until_trial(loop, servers)
    assert {None} == {each.timeout for each in servers.attempts if not each.trial}


def test_a_trial_has_the_full_time_if_no_other_server_is_healthy():
    loop, servers = failing_first(2.0, num_retries=0)
    loop.call()
    assert ([None], "healthy") == (servers.limits, first(loop).state)


def test_a_trial_has_the_full_time_if_no_attempt_may_follow():
    loop, servers = failing_first(0.01, 0.01, num_retries=1)
    loop.loop._maximum = 1
    until_trial(loop, servers)
    assert [None] == servers.limits


def test_a_trial_has_the_full_time_if_the_retry_budget_is_empty():
    loop, servers = failing_first(0.01, 0.01)
    loop.loop._budget = RetryBudget(0.0, 0.0, loop.time.clock())
    until_trial(loop, servers)
    assert [None] == servers.limits


@pytest.mark.parametrize("fields", [{"transfer": True}, {"repeatable": False}])
def test_what_can_not_go_to_the_next_server_has_the_full_time(fields):
    loop, servers = failing_first(2.0, 0.01)
    loop.time.now += 60.0
    until_trial(loop, servers, operation_of(**fields))
    assert [None] == servers.limits


def test_without_a_limit_a_trial_has_the_full_time():
    loop, servers = failing_first(0.01, 0.01, trial_timeout=None)
    until_trial(loop, servers)
    assert [None] == servers.limits


def test_a_server_that_hangs_is_no_spare():
    loop, servers = failing_first(0.01, 0.01)
    loop.cycle.pick([first(loop).server])
    loop.time.now += 2.0
    until_trial(loop, servers)
    assert [None] == servers.limits


@pytest.mark.parametrize("reason", ["read_timeout", "connect_timeout"])
def test_a_trial_whose_time_ran_out_does_not_lengthen_the_cool_down(reason):
    time = ManualClock()
    loop = rig(Script(timed_out(reason), time=time, takes=1.0), 1, policy=POLICY, time=time)
    pick = loop.cycle.pick()
    loop.cycle.record_failure(pick, Reason("503"))
    time.now += 1.0
    pick = loop.cycle.pick()
    loop.cycle.record_failure(pick, Reason(reason), cut_short=True)
    host = first(loop)
    assert ("cooling", 1, 2, reason) == (
        host.state,
        host.cooldowns,
        host.consecutive_failures,
        host.last_reason,
    )


def test_a_server_that_hangs_gets_its_trials_no_more_rarely():
    loop, servers = failing_first(99.0, 0.01, 0.01)
    for _ in range(20):
        until_trial(loop, servers)
        servers.attempts.clear()
        loop.time.now += 1.0
    assert 1 == first(loop).cooldowns


def test_a_trial_that_fails_otherwise_lengthens_the_cool_down():
    loop, servers = failing_first(None, 0.01, 0.01)
    until_trial(loop, servers)
    assert 2 == first(loop).cooldowns


def test_a_shorter_timeout_of_the_configuration_lengthens_the_cool_down():
    loop, servers = failing_first(99.0, 0.01, 0.01)
    servers._limit = 0.5
    until_trial(loop, servers)
    assert 2 == first(loop).cooldowns


def test_a_trial_whose_time_ran_out_is_a_failed_attempt():
    loop, servers = failing_first(99.0, 0.01, 0.01)
    loop.told.clear()
    until_trial(loop, servers)
    assert [("read_timeout", "failed")] == [(f.error.reason, f.error.verdict) for f in loop.told]


def test_a_server_that_was_always_slow_comes_back():
    loop, servers = failing_first(1.5, 0.01, 0.01, before=1.5)
    until_trial(loop, servers)
    assert "healthy" == first(loop).state


def test_in_a_slow_cloud_a_server_comes_back():
    loop, servers = failing_first(2.0, 2.0, 2.0, before=2.0, calls=6)
    until_trial(loop, servers)
    assert ([4.0], "healthy") == (servers.limits, first(loop).state)


def test_a_server_that_has_become_slow_comes_back_if_it_is_needed():
    loop, servers = failing_first(2.0, 0.01)
    until_trial(loop, servers)
    servers.seconds[1] = None
    loop.time.now += 1.0
    loop.call()
    assert "healthy" == first(loop).state


def test_what_is_usual_is_what_quick_answers_take():
    host = HostState(None)
    for seconds in (0.4, 0.1, 20.0):
        host.note_duration(seconds)
    assert host.usual == pytest.approx(0.125)


@given(st.lists(st.floats(0.001, 100.0), min_size=1))
def test_what_is_usual_is_no_more_than_the_slowest_answer(durations):
    host = HostState(None)
    for seconds in durations:
        host.note_duration(seconds)
    assert min(durations) <= host.usual <= max(durations)


@given(st.lists(st.sampled_from([None, 0.01, 0.9, 99.0]), min_size=2, max_size=4))
def test_no_call_fails_while_a_server_is_well(seconds):
    """And none that begins with a trial is slower by more than the trial's time."""
    loop, servers = failing_first(*seconds, 0.01, num_retries=5, deadline=None)
    for _ in range(5):
        loop.call()
    assert {1.0} >= set(servers.limits) - {None}


def test_a_budget_that_has_room_counts_nothing():
    budget = RetryBudget(0.0, 0.1, ManualClock().clock())
    assert [True, True, True, False] == [
        budget.has_room(),
        budget.has_room(),
        budget.retry(),
        budget.has_room(),
    ]


def test_a_client_takes_the_time_of_its_configuration():
    with GlanceClientWrapper(Config(servers=["glance-1"], trial_timeout=0.25)) as client:
        assert 0.25 == client._perform._trial_timeout
