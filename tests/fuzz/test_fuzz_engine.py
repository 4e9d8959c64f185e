"""What finds odd input: a planted fault is found, made small, and found again by its command."""

from __future__ import annotations

import itertools
import time

import pytest
from fuzz.engine import OverdueError, Target, limit_time, run_round
from fuzz.run import run
from hypothesis import strategies as st


def break_on_x(text):
    assert "x" not in text, "an x"


BROKEN = Target("broken", st.text("abx"), break_on_x)
SOUND = Target("sound", st.text("ab"), break_on_x, 30)


def test_an_example_that_fails_is_found_and_made_small():
    assert "'x'" == run_round(BROKEN, 1, 1).finding.example


def test_a_reader_without_faults_has_tried_all_examples():
    outcome = run_round(SOUND, 1, 1)
    assert (30, None) == (outcome.examples, outcome.finding)


def test_what_a_finding_shows_has_the_place_of_the_error():
    assert "AssertionError: an x" in str(run_round(BROKEN, 1, 1).finding)


def test_a_finding_names_the_command_that_finds_it_again():
    finding = run_round(BROKEN, 5, 3).finding
    assert str(finding).endswith("again: make fuzz SEED=5 ONLY=broken ROUND=3")


def note_examples(seed, number, name="noting"):
    noted = []
    run_round(Target(name, st.text(), noted.append, 20), seed, number)
    return noted


def test_seed_and_round_decide_on_all_examples():
    assert note_examples(5, 3) == note_examples(5, 3)


@pytest.mark.parametrize("other", [(6, 3), (5, 4), (5, 3, "another")])
def test_another_seed_round_or_reader_has_other_examples(other):
    assert note_examples(5, 3) != note_examples(*other)


def run_for(seconds):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass
    return "not interrupted"


def test_an_example_that_takes_too_long_is_interrupted():
    with pytest.raises(OverdueError), limit_time(0.05):
        run_for(5)


def ticking():
    """A clock that is a second later each time."""
    return map(float, itertools.count()).__next__


def test_rounds_go_on_until_the_time_is_up():
    rows = run([SOUND], 1, 9, clock=ticking()).rows
    assert 5 == rows["sound"].rounds


def test_each_reader_has_a_turn_even_without_time():
    rows = run([SOUND, BROKEN], 1, 0, clock=ticking()).rows
    assert [1, 1] == [row.rounds for row in rows.values()]


def test_a_reader_that_failed_has_no_further_turn():
    rows = run([BROKEN, SOUND], 1, 20, clock=ticking()).rows
    assert rows["broken"].rounds == 1 < rows["sound"].rounds


def test_an_example_that_failed_is_tried_first_the_next_time(tmp_path):
    run([BROKEN], 1, 0, database=tmp_path)
    tried = []
    run([Target("broken", BROKEN.examples, tried.append)], 2, 0, database=tmp_path)
    assert "x" == tried[0]


def test_the_table_says_which_reader_failed():
    _, _, *lines = run([BROKEN, SOUND], 1, 0).list_lines()
    assert ["yes", "no"] == [line.split(" | ")[-1].removesuffix(" |") for line in lines]
