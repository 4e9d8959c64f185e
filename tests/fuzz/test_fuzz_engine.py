"""What finds odd input: a planted fault is found, made small, and found again by its command."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest
from conditions import describe_run
from fuzz.engine import OverdueError, Target, limit_time, run_round
from fuzz.fuzzed import Fuzzed, load
from fuzz.run import choose_run, replay, run
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


def test_a_failure_is_kept_though_there_is_no_time_to_make_it_smaller():
    outcome = run_round(BROKEN, 1, 1, clock=ticking(20.0))
    assert "x" in outcome.finding.example


def test_a_failure_that_does_not_come_again_is_a_finding():
    failures = iter([AssertionError("once")])

    def fail_once(_):
        for failure in failures:
            raise failure

    assert "once" in run_round(Target("once", st.text(), fail_once), 1, 1).finding.trace


def test_no_example_is_tried_after_the_end():
    outcome = run_round(SOUND, 1, 1, ends=9.0, clock=ticking())
    assert (9, None) == (outcome.examples, outcome.finding)


def ticking(step=1.0):
    """A clock that is so many seconds later each time."""
    return itertools.count(0.0, step).__next__


def fuzz(targets, seconds, seed=1, **options):
    """A run that is new."""
    fuzzed = Fuzzed(describe_run(seed))
    run(targets, fuzzed, seconds, **options)
    return fuzzed


def test_rounds_go_on_until_the_time_is_up():
    fuzzed = fuzz([SOUND], 100, clock=ticking())
    assert (True, True) == (fuzzed.number > 1, fuzzed.seconds >= 100)


def test_what_there_was_no_time_for_is_told():
    fuzzed = fuzz([SOUND, replace(SOUND, name="other")], 3, clock=ticking())
    (left,) = [name for name, row in fuzzed.rows.items() if row.verdict == "not tried"]
    assert f"not tried in so short a time: {left}" in list(fuzzed.list_lines())


def test_the_seed_decides_which_reader_is_first():
    firsts = set()
    for seed in range(9):
        tried = []
        targets = [Target(str(n), st.just(str(n)), tried.append, 1) for n in range(9)]
        fuzz(targets, 9, seed, clock=ticking(0.1))
        firsts.add(tried[0])
    assert len(firsts) > 3


def test_a_slow_reader_leaves_time_for_the_others():
    slow = Target("slow", st.text(), lambda _: None, 10**6)
    rows = fuzz([slow, replace(slow, name="other")], 40, clock=ticking()).rows
    assert 9 < min(rows["slow"].examples, rows["other"].examples)


def test_a_reader_that_failed_has_no_further_turn():
    rows = fuzz([BROKEN, SOUND], 300, clock=ticking()).rows
    assert rows["broken"].rounds == 1 < rows["sound"].rounds


def test_a_run_without_a_sound_reader_ends():
    assert 1 == fuzz([BROKEN], 1000, clock=ticking()).number


def test_an_example_that_failed_is_tried_first_the_next_time(tmp_path):
    fuzz([BROKEN], 60, database=tmp_path)
    tried = []
    fuzz(
        [Target("broken", BROKEN.examples, tried.append)], 9, 2, database=tmp_path, clock=ticking()
    )
    assert "x" == tried[0]


def test_an_example_that_was_kept_is_found_again_by_the_command(tmp_path):
    kept = 12_347

    def break_above(number):
        assert number < kept

    def break_on_one(number):
        assert number != kept

    rare = Target("rare", st.integers(0, 10**12), break_on_one, 20)
    fuzz([replace(rare, check=break_above)], 60, database=tmp_path)
    (found,) = fuzz([rare], 60, 2, database=tmp_path).findings
    alone, again = Fuzzed(describe_run(found.seed)), Fuzzed(describe_run(found.seed))
    replay(rare, alone, found.round)
    replay(rare, again, found.round, database=tmp_path)
    assert ([], [str(kept)]) == (alone.findings, [each.example for each in again.findings])


def test_the_table_has_the_verdict_of_each_reader():
    _, _, *lines = fuzz([BROKEN, SOUND], 300, clock=ticking()).list_lines()
    assert ["failed", "passed"] == [line.split(" | ")[-1].removesuffix(" |") for line in lines[:2]]


def test_the_record_has_what_the_page_shows():
    record = fuzz([BROKEN, SOUND], 300, clock=ticking()).make_record()
    assert (1, {"broken": "failed", "sound": "passed"}) == (
        record["conditions"]["seed"],
        {name: each["verdict"] for name, each in record["checks"].items()},
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "build" / "fuzz.json"


def test_a_run_comes_back_as_it_was_saved(path):
    fuzzed = fuzz([BROKEN, SOUND], 300, clock=ticking())
    fuzzed.save(path)
    assert fuzzed == load(path)


def test_a_run_that_was_interrupted_goes_on_with_the_next_round(path):
    fuzzed = fuzz([SOUND], 100, 7, clock=ticking(), save=lambda: None)
    fuzzed.save(path)
    found = choose_run(path, None, 200)
    run([SOUND], found, 1, clock=ticking(0.1))
    assert (7, fuzzed.number + 1) == (found.seed, found.number)


@pytest.mark.parametrize(("seed", "seconds"), [(None, 100), (8, 200)])
def test_a_run_that_is_complete_or_of_another_seed_begins_anew(path, seed, seconds):
    fuzz([SOUND], 100, 7, clock=ticking()).save(path)
    assert 0 == choose_run(path, seed, seconds).number


def test_a_run_that_found_something_begins_anew(path):
    fuzz([BROKEN], 100, 7, clock=ticking()).save(path)
    assert 0 == choose_run(path, None, 200).number


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"rows": []}', '{"rows": {"x": {"finding": null, "other": 1}}}'],
)
def test_a_file_of_another_form_is_not_gone_on_with(path, text):
    path.parent.mkdir()
    path.write_text(text)
    assert 8 == choose_run(path, 8, 200).seed
