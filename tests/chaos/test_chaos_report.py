"""The tables of a run, and the command that replays it."""

from __future__ import annotations

import shlex

import pytest
from chaos.report import format_replay, format_summary, format_table
from chaos.run import Result
from chaos.schedule import ALL, Event, Schedule
from chaos.state import Order, Round, State
from chaos.stock import STOCK

SCHEDULE = Schedule(7, 30.0, 3, (Event(2.0, 1.0, "kill", 0),))
FOUND = {
    "pipeline": {"no leak": [f"thread {number}" for number in range(7)]},
    "nova": {"no leak": []},
}


@pytest.fixture(autouse=True)
def _one_check(monkeypatch):
    monkeypatch.setattr("chaos.report.CHECKS", {"no leak": None})
    monkeypatch.setattr("chaos.state.CHECKS", {"no leak": None})


@pytest.fixture
def result():
    figures = {"pipeline": {"calls": 1234}, "nova": {"calls": 5}}
    return Result(SCHEDULE, FOUND, figures, {"kill": 1}, 8.0)


def test_a_table_has_a_row_for_each_check_and_a_column_for_each_client(result):
    lines = format_table(result).splitlines()
    assert {"| check | pipeline | nova |", "| no leak | 7 | nothing |"} <= set(lines)


def test_a_table_says_how_much_happened(result):
    lines = format_table(result).splitlines()
    assert {"| calls | 1,234 | 5 |", "| kill | 1 |"} <= set(lines)


def test_a_table_shows_some_of_what_a_check_found_and_how_much_more_there_is(result):
    lines = format_table(result).splitlines()
    assert ["- thread 4", "- and 2 more, which are in the JSON"] == lines[-2:]


def test_the_command_of_a_replay_is_short_if_all_is_as_usual():
    assert "make chaos SEED=7 SECONDS=30" == format_replay(Order(7, 30.0, STOCK, tuple(ALL)))


def test_the_command_of_a_replay_has_the_clients_and_the_faults():
    words = shlex.split(format_replay(Order(7, 30.0, ("nova",), ("kill",))))
    assert "ARGS=--clients nova --faults kill" == words[-1]


def test_the_summary_adds_up_all_rounds():
    done = Round(7, 30.0, 8.0, FOUND, {"pipeline": {"calls": 600}}, {"kill": 1})
    state = State(Order(7, 60.0, (), ("kill",)), {}, {}, [done, done])
    lines = format_summary(state).splitlines()
    assert [
        "60 s in 2 rounds: 2 faults of 1 kinds; calls: 1,200 by pipeline, 0 by nova",
        "| no leak | 14 | nothing |",
    ] == [lines[0], lines[-1]]
