"""The samples of a soak in its file, and which run goes on with them."""

from __future__ import annotations

import pytest
from conditions import describe_run
from soak.run import choose_state
from soak.slope import Slope
from soak.state import Segment, State, load


def make_segment(seconds, level=0.0, slope=1.0):
    segment = Segment(counts={"calls": 5})
    for second in range(seconds):
        segment.add("service", float(second), {"memory": level + slope * second})
    return segment


@pytest.fixture
def path(tmp_path):
    return tmp_path / "build" / "soak.json"


@pytest.fixture
def state():
    return State(
        {**describe_run(7), "rate": 40.0}, [make_segment(121), make_segment(181, level=1e6)]
    )


def test_a_state_comes_back_as_it_was_saved(state, path):
    state.save(path)
    assert state == load(path)


def test_a_state_is_as_long_as_its_segments_together(state):
    assert 300 == state.seconds


def test_the_slope_is_that_within_the_segments(state):
    assert Slope(1.0, 1.0, 1.0) == state.find_slope("service", "memory")


def test_the_rate_is_that_of_the_calls_within_the_segments():
    segment = Segment()
    for second in range(121):
        segment.add("service", float(second), {"calls": 7.0 * second})
    assert 7.0 == State({}, [segment, segment]).find_rate("service")


def test_what_happened_in_all_segments_is_added_up(state):
    assert {"calls": 10} == state.add_counts()


def test_a_soak_that_was_interrupted_goes_on(state, path):
    state.save(path)
    assert state == choose_state(path, None, 400, 40.0)


@pytest.mark.parametrize("asked", [(None, 300, 40.0), (8, 400, 40.0), (None, 400, 9.0)])
def test_a_soak_that_is_complete_or_of_another_seed_or_rate_begins_anew(state, path, asked):
    state.save(path)
    assert [] == choose_state(path, *asked).segments


def test_a_soak_whose_latest_sample_was_late_is_complete(state, path):
    state.complete = 310.0
    state.save(path)
    assert [] == choose_state(path, None, 310, 40.0).segments


def test_without_a_file_a_soak_begins_with_the_seed_that_is_asked_for(path):
    assert 8 == choose_state(path, 8, 120, 40.0).run["seed"]


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"run": {}, "segments": [{"other": 1}]}'])
def test_a_file_of_another_form_is_not_gone_on_with(path, text):
    path.parent.mkdir()
    path.write_text(text)
    assert (8, []) == (
        (found := choose_state(path, 8, 120, 40.0)).run["seed"],
        found.segments,
    )


def test_a_soak_of_other_versions_does_not_go_on(state, path):
    state.run["versions"]["python"] = "2.7"
    state.save(path)
    with pytest.raises(SystemExit, match="is of other versions: remove it"):
        choose_state(path, None, 400, 40.0)
