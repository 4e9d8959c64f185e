"""How long the attempt loop waits, and when it does not wait any more."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ManualClock, Script, operation_of, rig, servers

from traced_image import RetryPolicy
from traced_image.errors import (
    CommunicationError,
    DeadlineExceeded,
    GlanceConnectionFailed,
    InvalidEndpoint,
    Reason,
    ServiceUnavailable,
    TooManyRequests,
    UnsafeToRepeat,
)

YEAR = 365 * 86400.0


def refused(reached=False):
    words = "glance: connection refused"
    return CommunicationError(words, reason=Reason("connection_refused"), reached=reached)


def unavailable(retry_after=None):
    return ServiceUnavailable("glance: HTTP 503", retry_after=retry_after)


class Longest(random.Random):
    """Draws the longest wait that there is."""

    def uniform(self, a, b):
        return b


def waits(script, *args, operation=None, **kwargs):
    """How long a call that fails has waited, each time."""
    loop = rig(script, *args, **kwargs)
    with pytest.raises(GlanceConnectionFailed):
        loop.call(operation)
    return loop.time.slept


# --- backoff -------------------------------------------------------------------------------------


def test_there_is_no_wait_before_another_server_that_is_healthy():
    assert [] == waits(Script(refused()), 4)


def test_there_is_a_wait_before_the_same_server():
    assert 1 == len(waits(Script(refused()), 1, num_retries=1))


def test_there_is_a_wait_before_another_server_that_is_cooling():
    two = rig(Script(refused(), "answer"), 2)
    two.cycle.pick()
    two.cycle.record_failure(two.cycle.pick(), Reason("connection_refused"))

    two.call()

    assert 1 == len(two.time.slept)


def test_there_is_no_wait_before_another_server_whose_cool_down_is_over():
    two = rig(Script(refused(), "answer"), 2)
    two.cycle.pick()
    two.cycle.record_failure(two.cycle.pick(), Reason("connection_refused"))
    two.time.now += 2.0

    two.call()

    assert [] == two.time.slept


def test_the_longest_wait_doubles_up_to_its_cap():
    script = Script(refused())

    assert [0.5, 1.0, 2.0, 4.0, 8.0, 8.0] == waits(script, 1, num_retries=6, rng=Longest())


@given(
    seed=st.integers(),
    base=st.floats(0.0, 10.0),
    cap=st.floats(0.0, 10.0),
    retries=st.integers(0, 12),
)
def test_a_wait_is_drawn_from_nothing_to_a_bound_that_doubles(seed, base, cap, retries):
    policy = RetryPolicy(backoff_base=base, backoff_cap=cap)
    rng = random.Random(seed)
    one = rig(Script(refused()), 1, policy=policy, num_retries=retries, deadline=None, rng=rng)
    with pytest.raises(GlanceConnectionFailed):
        one.call()

    waited = [failure.delay for failure in one.told[:-1]]
    bounds = [min(cap, base * 2**number) for number in range(retries)]
    assert all(0.0 <= wait <= bound for wait, bound in zip(waited, bounds, strict=True))


def test_the_jitter_is_full():
    policy = RetryPolicy(backoff_base=1.0)
    drawn = [
        waits(Script(refused()), 1, policy=policy, num_retries=1, rng=random.Random(seed))[0]
        for seed in range(200)
    ]

    assert [True, True, True] == [min(drawn) < 0.1, max(drawn) > 0.9, 0.4 < sum(drawn) / 200 < 0.6]


def test_without_backoff_there_is_no_wait():
    policy = RetryPolicy(backoff_base=0.0)

    assert [] == waits(Script(refused()), 1, policy=policy)


# --- the seed ------------------------------------------------------------------------------------


def test_the_seed_sleeps_a_second_after_every_failure_but_the_last():
    assert [1.0, 1.0, 1.0] == waits(Script(refused()), 1, policy=RetryPolicy.nova_2013())


@pytest.mark.parametrize("error", [refused(), unavailable(), InvalidEndpoint("no such name")])
def test_the_seed_sleeps_between_different_servers_too(error):
    assert [1.0, 1.0, 1.0] == waits(Script(error), 4, policy=RetryPolicy.nova_2013())


def test_the_seed_does_not_sleep_after_a_single_attempt():
    assert [] == waits(Script(refused()), 1, policy=RetryPolicy.nova_2013(), num_retries=0)


def test_the_seed_knows_no_retry_after():
    assert [1.0] == waits(
        Script(unavailable(9.0)), 1, policy=RetryPolicy.nova_2013(), num_retries=1
    )


def test_the_seed_forgets_who_failed():
    three = rig(Script(refused(), "answer", *["answer"] * 3), policy=RetryPolicy.nova_2013())
    three.call()

    for _ in range(3):
        three.call()

    assert [1, 2, 3, 1, 2] == [
        servers(3).index(attempt.server) + 1 for attempt in three.loop._innermost.attempts
    ]


def test_the_seed_has_no_budget():
    script = Script(refused())
    one = rig(script, 1, policy=RetryPolicy.nova_2013(), num_retries=500, deadline=None)
    with pytest.raises(GlanceConnectionFailed):
        one.call()

    assert 501 == len(script.attempts)


# --- Retry-After ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ServiceUnavailable, TooManyRequests])
def test_a_server_is_not_asked_again_before_it_wants_to_be(kind):
    error = kind("glance: busy", retry_after=9.0)

    assert [9.0] == waits(Script(error), 1, num_retries=1)


@pytest.mark.parametrize("asked", [31.0, 3600.0, YEAR, 1e300])
def test_no_server_can_ask_for_more_than_the_cap(asked):
    assert [30.0] == waits(Script(unavailable(asked)), 1, num_retries=1)


def test_a_cap_of_nothing_honours_no_wish():
    policy = RetryPolicy(retry_after_cap=0.0, backoff_base=0.0)

    assert [] == waits(Script(unavailable(9.0)), 1, policy=policy, num_retries=1)


@pytest.mark.parametrize("asked", [None, 0.0, -5.0])
def test_a_wish_for_nothing_is_none(asked):
    assert [0.5] == waits(Script(unavailable(asked)), 1, num_retries=1, rng=Longest())


def test_a_wish_does_not_shorten_the_backoff():
    assert [0.5] == waits(Script(unavailable(0.1)), 1, num_retries=1, rng=Longest())


def test_there_is_no_wait_before_another_server_whatever_this_one_wishes():
    assert [] == waits(Script(unavailable(9.0)), 2, num_retries=1)


def test_a_server_that_wishes_to_be_left_alone_comes_last():
    policy = RetryPolicy(cooldown_base=0.0)
    two = rig(Script(unavailable(9.0), refused(), refused()), 2, policy=policy, num_retries=2)

    with pytest.raises(GlanceConnectionFailed):
        two.call()

    first, second = servers(2)
    assert [first, second, second] == two.loop._innermost.servers


def test_what_one_call_was_told_another_heeds():
    two = rig(Script(unavailable(20.0), "answer", refused(), "answer"), 2, deadline=None)
    two.call()

    two.call()

    first, second = servers(2)
    assert [first, second, second, second] == two.loop._innermost.servers


# --- the deadline --------------------------------------------------------------------------------


def test_an_attempt_knows_when_the_call_must_be_over():
    script = Script(refused(), "answer")

    rig(script, deadline=5.0).call()

    assert [1005.0, 1005.0] == [attempt.deadline for attempt in script.attempts]


def test_no_attempt_begins_after_the_deadline():
    time = ManualClock()
    script = Script(refused(), time=time, takes=2.0)

    waits(script, time=time, deadline=5.0)

    assert 3 == len(script.attempts)


def test_a_call_whose_time_is_up_says_so():
    time = ManualClock()
    script = Script(refused(), time=time, takes=6.0)

    with pytest.raises(DeadlineExceeded) as raised:
        rig(script, time=time, deadline=5.0).call()

    assert "deadline_exceeded" == raised.value.reason


def test_a_call_whose_time_is_up_says_how_to_mend_it():
    time = ManualClock()
    script = Script(refused(), time=time, takes=6.0)

    with pytest.raises(DeadlineExceeded, match=r"raise Config\.deadline"):
        rig(script, time=time, deadline=5.0).call()


def test_a_wait_that_would_end_past_the_deadline_is_not_begun():
    one = rig(Script(unavailable(9.0)), 1, deadline=9.0)

    with pytest.raises(DeadlineExceeded):
        one.call()

    assert [] == one.time.slept


def test_a_wait_that_ends_before_the_deadline_is_begun():
    one = rig(Script(unavailable(8.75), "answer"), 1, deadline=9.0)

    one.call()

    assert [8.75] == one.time.slept


def test_the_seeds_second_does_not_go_past_the_deadline_either():
    one = rig(Script(refused()), policy=RetryPolicy.nova_2013(), deadline=2.5)

    with pytest.raises(DeadlineExceeded):
        one.call()

    assert [1.0, 1.0] == one.time.slept


@pytest.mark.parametrize("takes", [5.0, 6.0])
def test_the_last_attempt_can_come_too_late_too(takes):
    time = ManualClock()
    script = Script(refused(), time=time, takes=takes)

    with pytest.raises(DeadlineExceeded):
        rig(script, time=time, deadline=5.0, num_retries=0).call()


def test_what_may_have_been_done_is_told_rather_than_that_it_is_late():
    time = ManualClock()
    script = Script(refused(reached=True), time=time, takes=6.0)

    with pytest.raises(UnsafeToRepeat):
        rig(script, time=time, deadline=5.0).call(operation_of(repeatable=False))


def test_an_answer_is_welcome_however_late():
    time = ManualClock()

    assert "answer" == rig(Script("answer", time=time, takes=6.0), time=time, deadline=5.0).call()


def test_the_shortest_deadline_leaves_time_for_one_attempt():
    script = Script(refused(), "answer")

    rig(script, deadline=0.001).call()

    assert [1, 2] == [attempt.number for attempt in script.attempts]


def test_without_a_deadline_it_waits_as_long_as_it_takes():
    policy = RetryPolicy(retry_after_cap=1e6)

    assert [1e6] == waits(Script(unavailable(YEAR)), 1, policy=policy, deadline=None, num_retries=1)


def test_image_data_has_no_deadline():
    time = ManualClock()
    script = Script(refused(), "answer", time=time, takes=3600.0)

    rig(script, time=time, deadline=5.0).call(operation_of("images.data", transfer=True))

    assert [None, None] == [attempt.deadline for attempt in script.attempts]


def test_a_clock_that_jumps_ends_the_call():
    time = ManualClock()

    with pytest.raises(DeadlineExceeded):
        rig(Script(refused(), time=time, takes=YEAR), time=time).call()


def test_a_server_that_was_picked_for_an_attempt_that_is_not_made_is_given_back():
    one = rig(Script(unavailable(9.0)), 1, deadline=9.0)

    with pytest.raises(DeadlineExceeded):
        one.call()

    assert [0] == one.active
