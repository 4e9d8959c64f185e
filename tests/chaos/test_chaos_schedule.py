"""Schedules of faults: made from a seed, written and read back, and shrunk."""

from __future__ import annotations

from itertools import pairwise

import pytest
from chaos.breaking import ACTIONS
from chaos.schedule import (
    ALL,
    BURST_GAP,
    BURST_TIME,
    FAULTS,
    KEYSTONE,
    LEAD,
    OF_LAST,
    OWN,
    PACKETS,
    TAIL,
    Event,
    Schedule,
    generate,
)
from chaos.shrink import shrink
from hypothesis import given
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**64)
SECONDS = st.floats(0, 600)
RUN = '{"seed": 1, "seconds": 1, "servers": 1, "events": [%s]}'
FEW = st.sets(st.sampled_from(sorted(ALL)))


@given(SEEDS, SECONDS, FEW)
def test_the_same_seed_makes_the_same_schedule(seed, seconds, faults):
    assert generate(seed, seconds, 3, faults) == generate(seed, seconds, 3, set(faults))


def test_another_seed_makes_another_schedule():
    assert generate(1, 120).events != generate(2, 120).events


def test_in_some_runs_of_two_minutes_each_server_breaks_by_each_fault_that_it_can_have():
    met = {(e.server, e.fault) for seed in range(20) for e in generate(seed, 120).events}
    possible = {(server, fault) for server in range(3) for fault in set(FAULTS) - OF_LAST}
    possible |= {(2, fault) for fault in OF_LAST} | {(3, fault) for fault in OWN}
    possible |= {(4, fault) for fault in KEYSTONE}
    assert possible == met


@given(SEEDS, SECONDS, FEW)
def test_faults_begin_and_end_within_the_run(seed, seconds, faults):
    events = generate(seed, seconds, 3, faults).events
    assert all(LEAD <= e.start and e.end <= seconds - TAIL + 0.01 for e in events)


@given(SEEDS, SECONDS)
def test_there_is_a_while_between_bursts_and_before_the_end(seed, seconds):
    bursts = [e for e in generate(seed, seconds).events if e.fault == "burst"]
    assert all(BURST_GAP <= other.start - one.start + 0.01 for one, other in pairwise(bursts))
    assert all(e.start <= seconds - BURST_TIME + 0.01 for e in bursts)


def test_there_may_be_bursts_alone():
    assert {"burst"} == {e.fault for e in generate(1, 200, faults=["burst"]).events}


def test_what_can_not_happen_is_left_out():
    left = generate(1, 120).without(PACKETS)
    assert set() == {e.fault for e in left.events} & set(PACKETS)


@given(SEEDS, SECONDS)
def test_faults_of_one_server_do_not_overlap(seed, seconds):
    events = generate(seed, seconds).events
    for server in range(5):
        of_server = [e for e in events if e.server == server]
        assert all(one.end < other.start for one, other in pairwise(of_server))


@given(SEEDS, FEW)
def test_only_the_faults_that_were_asked_for_are_chosen(seed, faults):
    assert {e.fault for e in generate(seed, 60, 3, faults).events} <= faults


@given(SEEDS, SECONDS, FEW)
def test_a_schedule_is_read_as_it_was_written(seed, seconds, faults):
    schedule = generate(seed, seconds, 3, faults)
    assert schedule == Schedule.from_json(schedule.to_json())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a schedule"),
        ("[]", "not a schedule"),
        ("{}", "not a schedule"),
        (RUN % '{"start": 1}', "not a schedule"),
        (
            RUN % '{"start": 1, "seconds": 1, "fault": "rain", "server": 0}',
            "no such faults: rain",
        ),
    ],
)
def test_what_is_no_schedule_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        Schedule.from_json(text)


def test_each_fault_has_a_way_to_begin_and_end():
    assert set(FAULTS) == set(ACTIONS)


# --- shrinking ---------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 60), max_size=6), st.integers(0, 60))
def test_what_is_needed_is_what_is_left(needed, more):
    items = range(61)
    shrunk = shrink(items, lambda tried: needed <= set(tried), runs=10_000)
    assert (tuple(sorted(needed)), True) == (shrunk.items, shrunk.is_minimal)


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(0, 20))
def test_what_is_left_still_fails_if_the_runs_do_not_suffice(needed, runs):
    made = []

    def fails(tried):
        made.append(tried)
        return needed <= set(tried)

    shrunk = shrink(range(31), fails, runs)
    assert needed <= set(shrunk.items)
    assert len(made) == shrunk.runs <= runs


def test_any_one_of_two_faults_is_left_if_either_suffices():
    shrunk = shrink("abcdef", lambda tried: "b" in tried or "e" in tried, runs=100)
    assert (1, True) == (len(shrunk.items), shrunk.is_minimal)


def test_nothing_to_leave_out_takes_no_run():
    shrunk = shrink((), lambda _: True, runs=10)
    assert ((), 0, True) == (shrunk.items, shrunk.runs, shrunk.is_minimal)


def test_a_shrunk_schedule_is_the_same_but_for_its_faults():
    schedule = generate(5, 60)
    one = schedule.with_events(schedule.events[:1])
    assert Schedule(5, 60, 3, schedule.events[:1]) == one


def test_the_end_of_a_fault_is_its_start_and_its_duration():
    assert Event(2.0, 1.5, "stop", 0).end == 3.5
