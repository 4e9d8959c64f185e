"""A server that hangs does not gather all callers while it is not yet known to have failed."""

import threading
from collections import Counter
from time import monotonic

import pytest
from support import LIMIT, InOrder, ManualClock, operation_of, rig, servers, together

from traced_image import RetryPolicy
from traced_image.errors import CommunicationError, DeadlineExceeded, Reason
from traced_image.pipeline.attempts.host_state import SPARE, STUCK_AFTER
from traced_image.pipeline.attempts.seams import Answer, Call
from traced_image.pipeline.attempts.server_cycle import ServerCycle
from traced_image.pipeline.context import SERVICE

THREADS, CALLS = 24, 200


@pytest.fixture
def time():
    return ManualClock()


@pytest.fixture
def cycle(time):
    def build(count=3, **policy):
        return ServerCycle(servers(count), RetryPolicy(**policy), time.clock(), InOrder(1))

    return build


def names(cycle, count, **kwargs):
    """The servers that so many calls go to, all of which succeed."""
    found = []
    for _ in range(count):
        pick = cycle.pick(**kwargs)
        cycle.record_success(pick)
        found.append(pick.server.host.removeprefix("glance-"))
    return found


def test_of_many_threads_only_a_few_wait_for_a_server_that_hangs():
    hanging, released, served = servers(3)[0], threading.Event(), Counter()

    def send(attempt):
        if attempt.server == hanging:
            released.wait(LIMIT)
        served[attempt.server] += 1
        return Answer("answer", 200, None)

    three = rig(send)
    waiting = []

    def work(number):
        if number == THREADS:
            # Those that do not wait are through with all of their calls.
            ends = monotonic() + LIMIT
            while sum(served.values()) < THREADS * CALLS // 2 and monotonic() < ends:
                released.wait(0.001)
            waiting.append(three.active[0])
            released.set()
            return
        for _ in range(CALLS):
            three.loop(Call(operation_of(), SERVICE))

    together(THREADS + 1, work)

    assert 1 <= waiting[0] <= THREADS // 2


def test_a_server_that_owes_an_answer_for_long_is_is_skipped(cycle, time):
    three = cycle()
    three.pick()
    time.now += STUCK_AFTER * 1.5

    assert ["2", "3", "2", "3"] == names(three, 4)


def test_a_server_that_answers_others_is_not(cycle, time):
    three = cycle()
    three.pick()
    time.now += STUCK_AFTER * 0.75
    names(three, 3)
    time.now += STUCK_AFTER * 0.75

    assert ["2", "3", "1"] == names(three, 3)


def test_a_server_that_image_data_is_sent_to_owes_no_answer_yet(cycle, time):
    three = cycle()
    three.pick(transfer=True)
    time.now += 3600.0

    assert ["2", "3", "1"] == names(three, 3)


def test_it_has_its_turn_again_once_it_answered(cycle, time):
    three = cycle()
    slow = three.pick()
    time.now += STUCK_AFTER * 2
    three.record_success(slow)

    assert ["2", "3", "1"] == names(three, 3)


def test_when_all_owe_an_answer_they_are_tried_all_the_same(cycle, time):
    two = cycle(2)
    two.pick(), two.pick()
    time.now += STUCK_AFTER * 2

    assert {"1", "2"} >= set(names(two, 2))


def test_one_server_is_tried_whatever_it_owes(cycle, time):
    one = cycle(1)
    for _ in range(SPARE + 2):
        one.pick()
    time.now += STUCK_AFTER * 2

    assert ["1"] == names(one, 1)


def test_a_server_with_many_more_attempts_than_another_is_is_skipped(cycle):
    three = cycle()
    for _ in range(SPARE + 1):
        three.pick()
        names(three, 2)

    assert ["2", "3", "2"] == names(three, 3)


def test_servers_that_are_equally_busy_have_their_turns(cycle):
    three = cycle()
    for _ in range(3 * (SPARE + 3)):
        three.pick()

    assert ["1", "2", "3"] == names(three, 3)


def test_a_busy_server_goes_on_where_no_other_is_well(cycle):
    two = cycle(2)
    two.record_failure(two.pick(), Reason("connection_refused"))
    for _ in range(SPARE + 2):
        two.pick()

    assert ["2"] == names(two, 1)


def test_the_seeds_policy_passes_nobody_over(cycle, time):
    three = cycle(cooldown_base=0.0)
    for _ in range(SPARE + 2):
        three.pick()
        names(three, 2)
    time.now += STUCK_AFTER * 2

    assert ["1", "2", "3"] == names(three, 3)


# --- the call's own deadline ---------------------------------------------------------------------


def late(reached=True):
    """What an attempt meets whose call has no time left."""
    reason = Reason("deadline_exceeded")
    return CommunicationError("glance: too late", reason=reason, reached=reached)


class Slow:
    """Takes so many seconds for each attempt, and raises what comes next."""

    def __init__(self, time, *steps):
        self.time = time
        self.steps = iter(steps)

    def __call__(self, _attempt):
        seconds, error = next(self.steps)
        self.time.now += seconds
        raise error


def slow(*steps, **kwargs):
    time = ManualClock()
    return rig(Slow(time, *steps), time=time, deadline=10.0, **kwargs)


REFUSED = CommunicationError("glance: no", reason=Reason("connection_refused"), reached=False)


def states(three):
    return [health.state for health in three.cycle.health()]


def test_a_server_that_took_all_of_the_time_is_to_blame():
    three = slow((10.0, late()))
    with pytest.raises(DeadlineExceeded):
        three.call()

    assert ["cooling", "healthy", "healthy"] == states(three)


def test_a_server_that_was_left_no_time_is_not_to_blame():
    three = slow((9.5, REFUSED), (0.5, late()))
    with pytest.raises(DeadlineExceeded):
        three.call()

    assert ["cooling", "healthy", "healthy"] == states(three)
    assert 0 == three.cycle.health()[1].consecutive_failures


def test_nor_does_the_log_name_it(caplog):
    three = slow((9.5, REFUSED), (0.5, late()))
    with pytest.raises(DeadlineExceeded):
        three.call()

    assert ["glance-1"] == [
        record.args["host"] for record in caplog.records if "host" in record.args
    ]


def test_the_call_gave_up_all_the_same(caplog):
    three = slow((9.5, REFUSED), (0.5, late()))
    with pytest.raises(DeadlineExceeded):
        three.call()

    assert "deadline_exceeded" == caplog.records[-1].error_type


def test_its_attempt_is_over():
    three = slow((9.5, REFUSED), (0.5, late(reached=False)))
    with pytest.raises(DeadlineExceeded):
        three.call()

    assert [0, 0, 0] == three.active
