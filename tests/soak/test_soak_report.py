"""What the table of a soak says, and what makes it fail."""

from __future__ import annotations

import pytest
from soak.report import ALONE, CALLER, PLANTED, Answer, make_rows
from soak.state import Segment, State

RATE = 40.0


def answer(*, memory=0.0, planted=RATE, threads=0.0, seconds=120, **counts):
    """What comes of a soak whose figures grow by so much a second."""
    segment = Segment()
    for second in range(seconds):
        slopes = {CALLER: memory, PLANTED: planted, ALONE: 0.0}
        for process, slope in slopes.items():
            figures = {"memory": 6e4 + slope * second, "threads": 9 + threads * second}
            segment.add(process, float(second), figures)
    return Answer(list(make_rows(State({}, [segment]), RATE)), {"calls": 5, **counts})


def test_a_soak_without_growth_has_no_problem():
    assert [] == answer().find_problems()


@pytest.mark.parametrize(
    ("grown", "problem"),
    [
        ({"memory": RATE}, "memory of the service grows"),
        ({"planted": 0.0}, "the planted leak was not found: a longer run finds it"),
        ({"scrapes": 0}, "no scrapes"),
    ],
)
def test_what_makes_a_soak_fail_is_named(grown, problem):
    assert [problem] == answer(**grown).find_problems()


def test_threads_that_grow_are_named_for_each_process_but_the_planted_one():
    assert [f"threads of the {each} grows" for each in (CALLER, ALONE)] == (
        answer(threads=1.0).find_problems()
    )


def test_the_planted_leak_has_a_line():
    assert "the planted leak of 1,024 bytes a call was found" in answer().list_lines()


def test_a_run_that_is_too_short_says_so():
    assert "unsure: the interval has the limit within; a longer run tells" in (
        answer(seconds=5).list_lines()
    )


def test_a_row_has_the_figures_of_an_hour():
    row = answer(memory=1.0).rows[0]
    assert (
        "| service | memory, KiB | 60,006 | 60,114 | +3,600 | +3,600 to +3,600 | 36,000 | flat |"
    ) == str(row)


def test_series_are_not_judged_in_a_short_run():
    segment = Segment()
    for second in range(120):
        segment.add(CALLER, float(second), {"series": 20.0 * second})
    (row,) = make_rows(State({}, [segment]), RATE)
    assert ("unsure", True) == (row.verdict, str(row).endswith("| not yet | unsure |"))
