"""The rotation, and the memory of which server failed."""

import random
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import LIMIT, InOrder, ManualClock, in_child, servers, together

from traced_image import RetryPolicy
from traced_image.errors import Reason
from traced_image.pipeline.attempts.server_cycle import ServerCycle
from traced_image.pipeline.clock import Clock

REFUSED = Reason("connection_refused")
SLOW = Reason("read_timeout")


@pytest.fixture
def time():
    return ManualClock()


@pytest.fixture
def cycle(time):
    """Build a cycle that takes the servers in the order in which they are listed."""

    def build(count=3, rng=None, **policy):
        return ServerCycle(servers(count), RetryPolicy(**policy), time.clock(), rng or InOrder(1))

    return build


def names(cycle, count):
    """The servers that so many calls go to, all of which succeed."""
    return [succeed(cycle).server.host.removeprefix("glance-") for _ in range(count)]


def succeed(cycle, *args, **kwargs):
    pick = cycle.pick(*args, **kwargs)
    cycle.record_success(pick)
    return pick


def fail(cycle, *args, reason=REFUSED, **kwargs):
    pick = cycle.pick(*args)
    cycle.record_failure(pick, reason, **kwargs)
    return pick


def fail_all(cycle, **kwargs):
    for _ in cycle.health():
        fail(cycle, **kwargs)


def of(cycle, number):
    """What is known of the server with this number."""
    (health,) = [each for each in cycle.health() if each.server.host == f"glance-{number}"]
    return health


def states(cycle):
    return [health.state for health in cycle.health()]


# --- the rotation --------------------------------------------------------------------------------


def test_the_servers_come_in_turn(cycle):
    assert list("1231231") == names(cycle(), 7)


def test_the_turn_is_that_of_a_shuffled_copy(time):
    given = list(servers(6))
    shuffled = list(given)
    random.Random(7).shuffle(shuffled)

    cycle = ServerCycle(given, RetryPolicy(), time.clock(), random.Random(7))

    assert shuffled == [succeed(cycle).server for _ in given]


def test_the_callers_list_is_left_as_it_is(time):
    given = list(servers(6))

    ServerCycle(given, RetryPolicy(), time.clock(), random.Random(7))

    assert list(servers(6)) == given


def test_by_default_each_process_has_an_order_of_its_own():
    orders = {
        tuple(health.server for health in ServerCycle(servers(6), RetryPolicy()).health())
        for _ in range(20)
    }

    assert len(orders) > 1


def test_one_server_is_always_the_next(cycle):
    assert list("111") == names(cycle(1), 3)


def test_each_of_many_servers_comes_once_a_turn(cycle):
    picked = names(cycle(200, random.Random(3)), 400)

    assert {2} == set(Counter(picked).values())


def test_threads_that_pick_at_once_spread_evenly(cycle):
    shared = cycle(4)

    def work(_number):
        return [succeed(shared).server for _ in range(100)]

    picked = Counter(server for result in together(8, work) for server in result)

    assert {200} == set(picked.values())


# --- cooling down --------------------------------------------------------------------------------


def test_a_server_that_failed_goes_last(cycle):
    three = cycle()

    fail(three)

    assert list("2323") == names(three, 4)


def test_among_many_dead_servers_only_the_healthy_one_is_picked(cycle):
    many = cycle(200)
    for _ in range(199):
        fail(many)

    assert ["200"] * 3 == names(many, 3)


@given(count=st.integers(2, 20), dead=st.sets(st.integers(0, 19)), picks=st.integers(0, 100))
def test_the_healthy_servers_share_the_calls_evenly(count, dead, picks):
    cycle = ServerCycle(servers(count), RetryPolicy(), ManualClock().clock(), InOrder(1))
    for number in range(count):
        pick = cycle.pick()
        if number in dead and len(dead) < count:
            cycle.record_failure(pick, REFUSED)

    picked = Counter(succeed(cycle).server for _ in range(picks))

    shares = [picked[each.server] for each in cycle.health() if each.state == "healthy"]
    assert picks == sum(shares)
    assert max(shares) - min(shares) <= 1


def test_a_failure_starts_the_cool_down(cycle):
    three = cycle()

    fail(three)

    assert ["cooling", "healthy", "healthy"] == states(three)


@given(
    seed=st.integers(),
    base=st.floats(0.001, 1e3),
    cap=st.floats(0.0, 1e4),
    failures=st.integers(1, 40),
)
def test_a_cool_down_doubles_with_jitter_up_to_its_cap(seed, base, cap, failures):
    time = ManualClock()
    policy = RetryPolicy(cooldown_base=base, cooldown_cap=cap)
    one = ServerCycle(servers(1), policy, time.clock(), random.Random(seed))

    for _ in range(failures):
        time.now += one.health()[0].ready_in + 0.001
        fail(one)

    longest = min(cap, base * 2 ** (failures - 1))
    assert longest / 2 - 1e-9 <= one.health()[0].ready_in <= longest + 1e-9


def test_cool_downs_differ_between_processes(cycle, time):
    waits = set()
    for seed in range(20):
        one = cycle(1, random.Random(seed))
        fail(one)
        waits.add(one.health()[0].ready_in)

    assert len(waits) > 1


def test_a_cool_down_that_has_doubled_for_years_is_still_capped(cycle, time):
    one = cycle(1)

    for _ in range(1200):
        time.now += 60.0
        fail(one)

    assert 30.0 <= of(one, 1).ready_in <= 60.0


def test_a_success_makes_the_server_healthy_again(cycle, time):
    three = cycle()
    fail(three)
    time.now += 1.0

    names(three, 3)

    assert ["healthy"] * 3 == states(three)


def test_after_a_success_the_cool_down_starts_anew(cycle, time):
    one = cycle(1)
    for _ in range(5):
        time.now += 60.0
        fail(one)
    succeed(one)

    fail(one)

    assert of(one, 1).ready_in <= 1.0


def test_without_a_base_there_is_no_memory(cycle):
    three = cycle(cooldown_base=0.0)

    fail_all(three)

    assert ["failing"] * 3 == states(three)


def test_what_was_not_the_servers_fault_does_not_cool_it(cycle):
    three = cycle()

    fail(three, cool=False)

    assert ["failing", "healthy", "healthy"] == sorted(states(three))


def test_many_failures_at_once_lengthen_the_cool_down_once(cycle):
    one = cycle(1)
    picks = [one.pick() for _ in range(50)]

    for pick in picks:
        one.record_failure(pick, REFUSED)

    assert of(one, 1).ready_in <= 1.0


def test_threads_that_fail_at_once_lengthen_the_cool_down_once(cycle):
    one = cycle(1)
    picks = [one.pick() for _ in range(16)]

    together(16, lambda number: one.record_failure(picks[number], REFUSED))

    assert of(one, 1).ready_in <= 1.0


def test_many_failures_at_once_are_all_counted(cycle):
    one = cycle(1)
    picks = [one.pick() for _ in range(50)]

    for pick in picks:
        one.record_failure(pick, REFUSED)

    assert 50 == of(one, 1).consecutive_failures


# --- what an earlier epoch tells -----------------------------------------------------------------


def test_a_failure_of_before_the_recovery_is_out_of_date(cycle, time):
    one = cycle(1)
    early = one.pick()
    fail(one)
    time.now += 1.0
    succeed(one)

    one.record_failure(early, REFUSED)

    assert ["failing"] == states(one)


def test_a_success_of_before_the_failure_is_out_of_date(cycle):
    one = cycle(1)
    early = one.pick()
    fail(one)

    one.record_success(early)

    assert ["cooling"] == states(one)


def test_a_success_of_before_the_trial_does_not_end_it(cycle, time):
    one = cycle(1)
    fail(one)
    early = one.pick()
    time.now += 1.0
    one.pick()

    one.record_success(early)

    assert ["trial"] == states(one)


# --- trials --------------------------------------------------------------------------------------


def test_after_the_cool_down_a_server_is_tried_in_its_turn(cycle, time):
    three = cycle()
    fail(three)
    time.now += 1.0

    assert list("231") == names(three, 3)


def test_the_attempt_that_tries_it_knows_so(cycle, time):
    three = cycle()
    fail(three)
    time.now += 1.0

    assert [False, False, True] == [succeed(three).trial for _ in range(3)]


def test_while_a_server_is_tried_the_others_go_first(cycle, time):
    three = cycle()
    fail(three)
    time.now += 1.0
    picked = [three.pick() for _ in range(6)]

    assert [1] == [1 for pick in picked if pick.trial]
    assert 1 == [pick.server.host for pick in picked].count("glance-1")


def test_of_threads_that_come_at_the_end_of_the_cool_down_one_tries(cycle, time):
    three = cycle()
    fail(three)
    time.now += 1.0

    picks = together(16, lambda _number: [three.pick() for _ in range(6)])

    assert 1 == sum(pick.trial for some in picks for pick in some)


def test_a_server_that_fails_its_trial_cools_for_twice_as_long(cycle, time):
    one = cycle(1)
    fail(one)
    time.now += 1.0

    fail(one)

    assert 1.0 <= of(one, 1).ready_in <= 2.0


def test_a_trial_that_proves_nothing_good_has_failed(cycle, time):
    one = cycle(1)
    fail(one)
    time.now += 1.0

    fail(one, cool=False)

    assert ["cooling"] == states(one)


def test_a_trial_that_was_given_up_is_another_ones(cycle, time):
    three = cycle()
    fail(three)
    time.now += 1.0
    names(three, 2)
    three.release(three.pick())

    names(three, 2)

    assert three.pick().trial


def test_a_trial_that_tells_nothing_for_long_is_repeated(cycle, time):
    one = cycle(1)
    fail(one)
    time.now += 1.0
    one.pick()
    time.now += 60.0

    assert one.pick().trial


def test_a_trial_that_was_repeated_tells_nothing_any_more(cycle, time):
    one = cycle(1)
    fail(one)
    time.now += 1.0
    lapsed = one.pick()
    time.now += 60.0
    one.pick()

    one.record_success(lapsed)
    one.release(lapsed)

    assert ["trial"] == states(one)


def test_after_an_abandoned_attempt_a_server_is_as_before(cycle):
    three = cycle()

    three.release(three.pick())

    assert ["healthy"] * 3 == states(three)


# --- all of them are cooling ---------------------------------------------------------------------


def test_where_all_are_cooling_the_one_that_is_ready_soonest_is_tried(cycle):
    three = cycle()
    fail_all(three)
    soonest = min(three.health(), key=lambda health: health.ready_in)

    assert soonest.server == three.pick().server


def test_where_all_are_cooling_one_on_trial_is_not_the_soonest(cycle, time):
    two = cycle(2)
    fail_all(two)
    time.now += min(health.ready_in for health in two.health())
    tried = two.pick()

    assert tried.server != two.pick().server


def test_an_attempt_for_want_of_a_better_server_is_no_trial(cycle):
    one = cycle(1)
    fail(one)

    pick = one.pick()

    assert (False, False) == (pick.healthy, pick.trial)


def test_an_attempt_for_want_of_a_better_server_may_find_it_well(cycle):
    one = cycle(1)
    fail(one)

    succeed(one)

    assert ["healthy"] == states(one)


def test_an_attempt_for_want_of_a_better_server_does_not_lengthen_its_cool_down(cycle):
    one = cycle(1)

    for _ in range(50):
        fail(one)

    assert of(one, 1).ready_in <= 1.0


def test_an_attempt_for_want_of_a_better_server_starts_its_cool_down_anew(cycle, time):
    one = cycle(1)
    fail(one)
    time.now += 0.4

    fail(one)

    assert 0.5 <= of(one, 1).ready_in


def test_dead_servers_take_turns_too(cycle, time):
    three = cycle()
    picked = Counter()
    for _ in range(300):
        picked[fail(three).server] += 1
        time.now += 0.1

    assert min(picked.values()) > 60


# --- the next attempt of a call ------------------------------------------------------------------


def test_a_call_goes_on_to_servers_that_it_has_not_tried(cycle):
    three = cycle(cooldown_base=0.0)
    first, second, third = servers(3)

    assert [second, third] == [
        three.pick([first], careful=True).server,
        three.pick([first, second], careful=True).server,
    ]


def test_other_calls_between_do_not_lead_it_back(cycle):
    three = cycle(cooldown_base=0.0)
    first = three.pick().server
    names(three, 2)

    assert first != three.pick([first], careful=True).server


def test_a_call_that_has_tried_them_all_goes_round(cycle):
    three = cycle(cooldown_base=0.0)

    assert list(servers(3)) == [three.pick(servers(3), careful=True).server for _ in range(3)]


def test_a_careful_call_leaves_the_trial_to_others(cycle, time):
    three = cycle()
    fail(three)
    time.now += 2.0

    picks = [succeed(three, careful=True) for _ in range(4)]

    assert [False] * 4 == [pick.trial for pick in picks]


def test_a_trial_that_nobody_else_made_for_long_is_made_by_a_careful_call(cycle, time):
    three = cycle(cooldown_cap=5.0)
    fail(three)
    time.now += 6.0

    picks = [succeed(three, careful=True) for _ in range(3)]

    assert [False, False, True] == [pick.trial for pick in picks]


def test_a_careful_call_makes_the_trial_where_no_server_is_healthy(cycle, time):
    two = cycle(2)
    fail_all(two)
    time.now += 1.0

    assert two.pick(careful=True).trial


# --- Retry-After ---------------------------------------------------------------------------------


def test_a_server_is_left_alone_for_as_long_as_it_asks(cycle):
    one = cycle(1)

    fail(one, retry_after=20.0)

    assert 20.0 == of(one, 1).ready_in


def test_what_it_asks_does_not_shorten_the_cool_down(cycle):
    one = cycle(1)

    fail(one, retry_after=0.1)

    assert 0.5 <= of(one, 1).ready_in


def test_a_failure_at_the_same_time_can_still_ask_for_more(cycle):
    one = cycle(1)
    first, second = one.pick(), one.pick()
    one.record_failure(first, REFUSED)

    one.record_failure(second, Reason("503"), retry_after=20.0)

    assert 20.0 == of(one, 1).ready_in


def test_who_picks_it_all_the_same_is_told_how_long_to_wait(cycle, time):
    one = cycle(1)
    fail(one, retry_after=20.0)
    time.now += 5.0

    assert 15.0 == one.pick().wait


def test_who_picks_it_later_need_not_wait(cycle, time):
    one = cycle(1)
    fail(one, retry_after=20.0)
    time.now += 25.0

    assert 0.0 == one.pick().wait


def test_without_memory_what_it_asks_is_still_told(cycle):
    one = cycle(1, cooldown_base=0.0)

    fail(one, retry_after=20.0)

    assert 20.0 == one.pick().wait


def test_a_success_makes_what_it_asked_void(cycle):
    one = cycle(1)
    fail(one, retry_after=20.0)

    succeed(one)

    assert 0.0 == one.pick().wait


def test_a_trial_that_was_given_up_does_not_make_it_void(cycle, time):
    one = cycle(1)
    early = one.pick()
    fail(one)
    time.now += 1.0
    trial = one.pick()
    one.record_failure(early, Reason("503"), retry_after=20.0)

    one.release(trial)

    assert 20.0 == of(one, 1).ready_in


# --- broken streams ------------------------------------------------------------------------------


def test_a_server_whose_stream_broke_cools_down(cycle):
    three = cycle()
    succeed(three)

    three.accuse(servers(3)[0], REFUSED)

    assert ["cooling", "healthy", "healthy"] == states(three)


def test_many_streams_that_break_at_once_lengthen_the_cool_down_once(cycle):
    one = cycle(1)

    for _ in range(50):
        one.accuse(servers(1)[0], REFUSED)

    assert 0.5 <= of(one, 1).ready_in <= 1.0


def test_a_broken_stream_is_counted_without_memory_too(cycle):
    one = cycle(1, cooldown_base=0.0)

    one.accuse(servers(1)[0], REFUSED)

    assert ("failing", 1) == (of(one, 1).state, of(one, 1).consecutive_failures)


# --- what is known -------------------------------------------------------------------------------


def test_of_a_new_server_nothing_is_known(cycle):
    health = cycle(1).health()[0]

    assert ("healthy", 0, None, None, None, 0, 0.0) == (
        health.state,
        health.consecutive_failures,
        health.last_success,
        health.last_failure,
        health.last_reason,
        health.active_attempts,
        health.ready_in,
    )


def test_the_last_failure_is_known_by_its_time_and_reason(cycle, time):
    one = cycle(1)
    fail(one)
    time.now += 5.0

    fail(one, reason=SLOW)

    health = of(one, 1)
    assert (time.epoch + time.now, SLOW) == (health.last_failure, health.last_reason)


def test_the_last_success_is_known_by_its_time(cycle, time):
    one = cycle(1)
    time.now += 5.0

    succeed(one)

    assert time.epoch + time.now == of(one, 1).last_success


def test_a_success_ends_a_row_of_failures(cycle):
    one = cycle(1)
    fail(one, cool=False)
    fail(one, cool=False)

    succeed(one)

    assert 0 == of(one, 1).consecutive_failures


def test_only_a_server_that_cools_has_a_time_when_it_is_ready(cycle, time):
    one = cycle(1)
    fail(one)
    time.now += 1.0
    one.pick()

    assert ("trial", 0.0) == (of(one, 1).state, of(one, 1).ready_in)


def test_a_pick_shows_its_server_and_not_the_books(cycle):
    assert (
        "Pick(server=Server(scheme='http', host='glance-1', port=9292, path=''), healthy=True,"
        " trial=False, wait=0.0)" == repr(cycle(1).pick())
    )


def test_attempts_under_way_are_counted(cycle):
    one = cycle(1)
    first, second, third, _ = (one.pick() for _ in range(4))

    one.record_success(first)
    one.record_failure(second, REFUSED)
    one.release(third)

    assert 1 == of(one, 1).active_attempts


@pytest.mark.parametrize("again", ["record_success", "release", "record_failure"])
def test_what_is_given_back_twice_counts_once(cycle, again):
    one = cycle(1)
    pick, _ = one.pick(), one.pick()
    one.release(pick)

    getattr(one, again)(pick, *([REFUSED] if again == "record_failure" else []))

    health = of(one, 1)
    assert (1, 0, None) == (
        health.active_attempts,
        health.consecutive_failures,
        health.last_success,
    )


def test_threads_leave_no_attempt_behind(cycle):
    three = cycle(3, cooldown_base=1e-9, cooldown_cap=1e-9)

    def work(number):
        rng = random.Random(number)
        for _ in range(300):
            pick = three.pick(careful=rng.random() < 0.5)
            rng.choice(
                (three.record_success, three.release, lambda p: three.record_failure(p, REFUSED))
            )(pick)

    together(8, work)

    assert [0, 0, 0] == [health.active_attempts for health in three.health()]


def test_a_signal_handler_may_ask_for_the_health():
    signals = iter([True])

    def interrupted():
        if next(signals, False):
            cycle.health()
        return 0.0

    cycle = ServerCycle(servers(1), RetryPolicy(), Clock(monotonic=interrupted))
    asking = threading.Thread(target=cycle.pick, daemon=True)
    asking.start()
    asking.join(LIMIT)

    assert not asking.is_alive()


# --- who watches ---------------------------------------------------------------------------------


class Watching:
    """Keeps what it is shown of each server, and how often it was shown any."""

    def __init__(self):
        self.shown = {}
        self.times = 0

    def __call__(self, host):
        self.times += 1
        self.shown[host.server] = (
            host.shown_state,
            host.consecutive_failures,
            host.last_success,
            host.last_failure,
        )


def known(cycle):
    return {
        health.server: (
            health.state,
            health.consecutive_failures,
            health.last_success,
            health.last_failure,
        )
        for health in cycle.health()
    }


@pytest.fixture
def watching():
    return Watching()


def test_who_watches_is_shown_each_server_at_once(cycle, watching):
    three = cycle()
    fail(three)

    three.watch(watching)

    assert (3, known(three)) == (watching.times, watching.shown)


@pytest.mark.parametrize(
    "change",
    [
        succeed,
        fail,
        lambda cycle: fail(cycle, cool=False),
        lambda cycle: cycle.accuse(servers(1)[0], REFUSED),
    ],
    ids=["success", "failure", "failure without a cool-down", "accusation"],
)
def test_who_watches_is_shown_a_server_of_which_something_is_learnt(cycle, watching, change):
    three = cycle()
    three.watch(watching)

    change(three)

    assert (4, known(three)) == (watching.times, watching.shown)


def test_who_watches_is_shown_a_trial_when_it_begins(cycle, time, watching):
    one = cycle(1)
    one.watch(watching)
    fail(one)
    time.now += 1.0

    one.pick()

    assert ["trial"] == [state for state, *_ in watching.shown.values()]


def test_who_watches_is_shown_a_trial_that_is_abandoned(cycle, time, watching):
    one = cycle(1)
    one.watch(watching)
    fail(one)
    time.now += 1.0

    one.release(one.pick())

    assert ["cooling"] == [state for state, *_ in watching.shown.values()]


def test_who_watches_is_shown_nothing_of_what_changes_nothing(cycle, watching):
    three = cycle()
    three.watch(watching)
    pick = three.pick()

    three.release(pick)
    three.record_failure(pick, REFUSED)
    three.record_success(pick)
    three.accuse(servers(9)[-1], REFUSED)

    assert 3 == watching.times


def test_who_asks_to_watch_twice_is_shown_a_change_once(cycle, watching):
    one = cycle(1)
    one.watch(watching)
    one.watch(watching)

    succeed(one)

    assert 3 == watching.times


def test_a_watch_that_has_left_is_shown_nothing_more(cycle, watching):
    one = cycle(1)
    one.watch(watching)

    one.unwatch(watching)
    succeed(one)

    assert 1 == watching.times


def test_a_watch_that_another_service_has_too_is_shown_changes_still(cycle, watching):
    one = cycle(1)
    one.watch(watching)
    one.watch(watching)

    one.unwatch(watching)
    succeed(one)

    assert 3 == watching.times


def test_a_watch_that_comes_back_is_shown_each_server_again(cycle, watching):
    one = cycle(1)
    one.watch(watching)
    one.unwatch(watching)

    one.watch(watching)
    succeed(one)

    assert 3 == watching.times


def test_watches_that_have_left_are_forgotten_though_nothing_changes(cycle):
    one = cycle(1)
    for _ in range(10):
        watching = Watching()
        one.watch(watching)
        one.unwatch(watching)

    assert 1 >= len(one._leaving)


def test_all_who_watch_are_shown_the_same(cycle):
    three = cycle()
    first, second = Watching(), Watching()
    three.watch(first)
    fail(three)
    three.watch(second)

    fail(three)

    assert first.shown == second.shown


def test_who_watches_is_shown_every_server_of_a_child(cycle, time, watching):
    three = cycle()
    three.watch(watching)
    fail(three)
    time.now += 1.0
    succeed(three)
    succeed(three)
    three.pick()

    def seen():
        return known(three) == watching.shown, watching.times

    before = watching.times
    assert (True, before + 3) == in_child(seen)


def test_a_fork_does_not_wait_for_a_watcher_whose_lock_is_held(cycle):
    three, lock = cycle(), threading.Lock()

    def watch(_host):
        with lock:
            pass

    three.watch(watch)
    with lock:
        assert in_child(lambda: True)


@given(
    st.lists(
        st.sampled_from(["record_success", "record_failure", "blamed", "release", "wait", "fork"])
    )
)
def test_who_watches_knows_what_the_health_tells_whatever_happens(changes):
    time = ManualClock()
    three = ServerCycle(servers(3), RetryPolicy(), time.clock(), random.Random(1))
    watching = Watching()
    three.watch(watching)
    for change in changes:
        if change == "wait":
            time.now += 3.0
        elif change == "fork":
            three.after_fork()
        elif change == "blamed":
            three.accuse(three.pick().server, REFUSED)
        else:
            arguments = [REFUSED] if change == "record_failure" else []
            getattr(three, change)(three.pick(), *arguments)
        assert known(three) == watching.shown


# --- after a fork --------------------------------------------------------------------------------


def test_a_child_is_not_held_up_by_a_lock_that_was_held_at_the_fork(cycle):
    one = cycle(1)
    held, done = threading.Event(), threading.Event()

    def hold():
        with one._lock:
            held.set()
            done.wait(LIMIT)

    holding = threading.Thread(target=hold, daemon=True)
    holding.start()
    held.wait(LIMIT)
    try:
        assert ["1"] == in_child(lambda: names(one, 1))
    finally:
        done.set()
        holding.join(LIMIT)


def test_each_child_takes_a_turn_of_its_own():
    six = ServerCycle(servers(6), RetryPolicy())

    orders = {tuple(in_child(lambda: names(six, 6))) for _ in range(3)}

    assert len(orders) > 1


def test_in_a_child_no_attempt_is_under_way(cycle):
    one = cycle(1)
    one.pick()

    assert 0 == in_child(lambda: of(one, 1).active_attempts)


def test_a_child_knows_which_servers_failed(cycle):
    three = cycle()
    fail(three)

    assert ["2", "2", "3", "3"] == in_child(lambda: sorted(names(three, 4)))


def test_a_child_may_make_the_trial_that_its_parent_began(cycle, time):
    one = cycle(1)
    fail(one)
    time.now += 1.0
    one.pick()

    assert in_child(lambda: one.pick().trial)


def test_an_attempt_that_a_fork_cut_in_two_ends_in_the_parent_alone(cycle):
    one = cycle(1)
    pick = one.pick()

    def give_back():
        one.record_failure(pick, REFUSED)
        return of(one, 1).active_attempts, of(one, 1).state

    assert (0, "healthy") == in_child(give_back)


def test_a_fork_in_the_middle_of_a_change_does_not_leave_its_half(cycle):
    three = cycle()
    fail(three)
    three._unhealthy = 0

    three.after_fork()

    assert 1 == three._unhealthy


def test_where_all_are_cooling_a_call_tries_each_before_one_again(cycle):
    three = cycle()
    fail_all(three)
    tried = []

    for _ in range(3):
        pick = three.pick(tried)
        tried.append(pick.server)
        three.record_failure(pick, REFUSED)

    assert 3 == len(set(tried))
