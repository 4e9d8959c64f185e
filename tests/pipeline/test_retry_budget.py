"""How much a process may retry."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import LIMIT, ManualClock, in_child, together

from traced_image.pipeline.attempts.retry_budget import WINDOW, RetryBudget


@pytest.fixture
def time():
    return ManualClock()


@pytest.fixture
def budget(time):
    def build(share=0.2, floor=0.0):
        return RetryBudget(share, floor, time.clock())

    return build


def calls(budget, count):
    for _ in range(count):
        budget.call()


def granted(budget, wanted):
    """How many of so many retries are allowed."""
    return sum(budget.retry() for _ in range(wanted))


def test_a_share_of_the_calls_may_be_retried(budget):
    fifth = budget(share=0.2)
    calls(fifth, 50)

    assert 10 == granted(fifth, 50)


def test_without_calls_there_is_no_share(budget):
    assert 0 == granted(budget(share=0.2), 5)


def test_a_part_of_a_retry_is_none(budget):
    fifth = budget(share=0.2)
    calls(fifth, 4)

    assert 0 == granted(fifth, 5)


def test_the_floor_is_there_without_calls(budget):
    assert 10 * WINDOW == granted(budget(share=0.0, floor=10.0), 500)


def test_the_floor_may_be_less_than_one_a_second(budget):
    assert 5 == granted(budget(share=0.0, floor=0.5), 500)


def test_share_and_floor_add_up(budget):
    both = budget(share=0.5, floor=1.0)
    calls(both, 10)

    assert 5 + 10 == granted(both, 50)


def test_a_budget_of_nothing_allows_nothing(budget):
    nothing = budget(share=0.0, floor=0.0)
    calls(nothing, 50)

    assert 0 == granted(nothing, 5)


def test_without_a_budget_all_is_allowed(budget):
    assert 5000 == granted(budget(share=None), 5000)


def test_what_was_refused_is_not_counted_as_a_retry(budget):
    fifth = budget(share=0.2)
    calls(fifth, 5)
    granted(fifth, 50)
    calls(fifth, 5)

    assert 1 == granted(fifth, 50)


def test_a_call_earns_its_share_until_the_tenth_second_after_it(budget, time):
    all_of_them = budget(share=1.0)
    time.now = 1000.9
    calls(all_of_them, 3)
    time.now = 1009.999

    assert 3 == granted(all_of_them, 50)


def test_after_ten_seconds_a_call_earns_nothing_any_more(budget, time):
    all_of_them = budget(share=1.0)
    calls(all_of_them, 3)
    time.now = 1010.0

    assert 0 == granted(all_of_them, 50)


def test_after_ten_seconds_a_retry_is_forgotten(budget, time):
    floor = budget(share=0.0, floor=1.0)
    granted(floor, 50)
    time.now = 1010.0

    assert 10 == granted(floor, 50)


def test_until_then_a_retry_is_remembered(budget, time):
    floor = budget(share=0.0, floor=1.0)
    granted(floor, 50)
    time.now = 1009.999

    assert 0 == granted(floor, 50)


def test_what_came_in_between_is_forgotten_second_by_second(budget, time):
    floor = budget(share=0.0, floor=1.0)
    for _ in range(10):
        granted(floor, 1)
        time.now += 1.0

    assert [1, 1, 1] == [_second(floor, time) for _ in range(3)]


def _second(budget, time):
    found = granted(budget, 50)
    time.now += 1.0
    return found


@pytest.mark.parametrize("jump", [11.0, 60.0, 365 * 86400.0])
def test_a_clock_that_jumps_forward_forgets_all(budget, time, jump):
    all_of_them = budget(share=1.0)
    for _ in range(10):
        calls(all_of_them, 1)
        time.now += 1.0
    time.now += jump

    assert 0 == granted(all_of_them, 50)


@given(
    steps=st.lists(
        st.tuples(st.floats(0.0, 15.0), st.integers(0, 8), st.integers(0, 8)), max_size=30
    ),
    share=st.floats(0.0, 2.0),
    floor=st.floats(0.0, 3.0),
)
def test_it_allows_what_the_seconds_of_its_window_allow(steps, share, floor):
    time = ManualClock()
    budget = RetryBudget(share, floor, time.clock())
    seen: list[tuple[int, int, int]] = []
    for wait, made, wanted in steps:
        time.now += wait
        calls(budget, made)
        window = [step for step in seen if step[0] > int(time.now) - WINDOW]
        earned = share * (sum(step[1] for step in window) + made) + floor * WINDOW
        left = max(0, int(earned) - sum(step[2] for step in window))

        found = granted(budget, wanted)

        assert min(left, wanted) == found
        seen.append((int(time.now), made, found))


def test_threads_do_not_get_more_than_there_is(budget):
    shared = budget(share=0.5)

    def work(_number):
        found = 0
        for _ in range(200):
            shared.call()
            found += shared.retry()
        return found

    assert 400 == sum(together(4, work)) + granted(shared, 400)


def test_a_child_starts_with_an_account_of_its_own(budget):
    fifth = budget(share=0.2)
    calls(fifth, 50)

    assert 0 == in_child(lambda: granted(fifth, 50))


def test_a_child_does_not_pay_for_its_parents_retries(budget):
    floor = budget(share=0.0, floor=1.0)
    granted(floor, 50)

    assert 10 == in_child(lambda: granted(floor, 50))


def test_a_child_is_not_held_up_by_a_lock_that_was_held_at_the_fork(budget):
    shared = budget(share=1.0)
    held, done = threading.Event(), threading.Event()

    def hold():
        with shared._lock:
            held.set()
            done.wait(LIMIT)

    holding = threading.Thread(target=hold, daemon=True)
    holding.start()
    held.wait(LIMIT)
    try:
        assert None is in_child(shared.call)
    finally:
        done.set()
        holding.join(LIMIT)


def test_after_a_fork_nothing_is_left_of_before(budget):
    all_of_them = budget(share=1.0)
    calls(all_of_them, 3)

    all_of_them.after_fork()

    assert 0 == granted(all_of_them, 5)


def test_it_tells_time_by_itself():
    budget = RetryBudget(1.0, 0.0)
    budget.call()

    assert budget.retry()
