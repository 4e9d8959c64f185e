"""The rounds of a run: their seeds, the file that a run goes on with, and what a page says."""

from __future__ import annotations

import json

import pytest
from chaos.checks import CHECKS
from chaos.run import Result
from chaos.schedule import generate
from chaos.state import ROUND, Order, Round, State, go_on, load

ORDER = Order(7, 3 * ROUND, ("nova",), ("kill", "stop"))
CONDITIONS = {"seed": 7, "versions": {"python": "3.11.7"}}
FOUND = {"pipeline": {"no leak": []}, "nova": {"no leak": ["one", "two"]}}
DONE = Round(
    7, ROUND, 9.5, FOUND, {"pipeline": {"calls": 5}, "nova": {"calls": 2}}, {"kill": 3, "stop": 1}
)
STATE = State(ORDER, CONDITIONS, {"netem": "no delay"}, [DONE, DONE])
NEW = State(ORDER, CONDITIONS, {})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "build" / "chaos.json"


@pytest.mark.parametrize(
    ("seconds", "rounds"), [(0, 1), (30, 1), (ROUND, 1), (ROUND + 1, 2), (1800, 15)]
)
def test_no_round_is_longer_than_its_limit(seconds, rounds):
    assert rounds == Order(1, seconds, (), ()).rounds


def test_the_first_round_has_the_seed_of_the_run_so_that_it_can_be_replayed():
    assert 7 == ORDER.find_seed(0)


def test_each_round_has_a_seed_of_its_own_which_another_run_derives_too():
    seeds = [ORDER.find_seed(number) for number in range(15)]
    assert 15 == len(set(seeds))
    assert seeds == [ORDER.find_seed(number) for number in range(15)]


def test_a_state_is_read_as_it_was_written(path):
    STATE.save(path)
    assert STATE == load(path)


def test_a_run_goes_on_where_it_was(path):
    STATE.save(path)
    assert [DONE, DONE] == go_on(path, NEW).rounds


OTHERS = {
    "another seed": State(Order(8, 3 * ROUND, ("nova",), ("kill", "stop")), CONDITIONS, {}),
    "another length": State(Order(7, 4 * ROUND, ("nova",), ("kill", "stop")), CONDITIONS, {}),
    "other clients": State(Order(7, 3 * ROUND, (), ("kill", "stop")), CONDITIONS, {}),
    "other faults": State(Order(7, 3 * ROUND, ("nova",), ("kill",)), CONDITIONS, {}),
    "other versions": State(ORDER, {"versions": {"python": "3.12.0"}}, {}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_begins_anew_with(other, path):
    STATE.save(path)
    assert [] == go_on(path, OTHERS[other]).rounds


def test_a_run_that_is_done_is_replayed(path):
    State(ORDER, CONDITIONS, {}, [DONE] * 3).save(path)
    assert [] == go_on(path, NEW).rounds


def test_without_a_file_a_run_begins_anew(path):
    assert NEW == go_on(path, NEW)


def test_a_file_of_another_program_is_refused(path):
    path.parent.mkdir()
    path.write_text('{"schedule": {}}')
    with pytest.raises(ValueError, match="fix: remove it"):
        load(path)


def test_a_run_is_done_after_its_last_round():
    rounds = [State(ORDER, {}, {}, [DONE] * number).is_done for number in (2, 3)]
    assert [False, True] == rounds


def test_a_round_keeps_what_a_result_has():
    result = Result(generate(7, ROUND), FOUND, DONE.figures, DONE.faults, 9.54)
    assert DONE == Round.of(result)


def test_a_summary_adds_up_all_rounds():
    told = STATE.summarize()
    expected = {
        "conditions": CONDITIONS,
        "seed": 7,
        "seconds": 2 * ROUND,
        "rounds": 2,
        "calls": {"pipeline": 10, "nova": 4},
        "faults": {"kill": 6, "stop": 2},
        "checks": {name: {"pipeline": 0, "nova": 4 if name == "no leak" else 0} for name in CHECKS},
        "lacking": {"netem": "no delay"},
    }
    assert expected == told


def test_a_summary_is_json():
    told = STATE.summarize()
    assert told == json.loads(json.dumps(told))
