"""What the table of a soak says, and what makes it fail."""

from __future__ import annotations

import pytest
from conditions import describe_run
from soak.report import ALONE, CALLER, COUNTED, PLANTED, UNEXPECTED, Answer, Row, make_rows
from soak.slope import Slope
from soak.state import Segment, State

RATE = 40.0


def answer(*, memory=0.0, planted=RATE, threads=0.0, counted=0.2, seconds=120, **counts):
    """What comes of a soak whose figures grow by so much a second."""
    return Answer(
        list(make_rows(make_state(memory, planted, threads, counted, seconds))),
        {"calls": 5, **counts},
    )


def make_state(memory=0.0, planted=RATE, threads=0.0, counted=0.2, seconds=120):
    segment = Segment()
    for second in range(seconds):
        slopes = {
            CALLER: (memory, threads),
            ALONE: (0.0, threads),
            PLANTED: (planted, 0.0),
            COUNTED: (0.0, counted),
        }
        for process, (grown, started) in slopes.items():
            figures = {"memory": 6e4 + grown * second, "threads": 9 + started * second}
            calls = {} if process == ALONE else {"calls": second * RATES.get(process, RATE)}
            segment.add(process, float(second), {**figures, **calls})
    return State(describe_run(7), [segment])


RATES = {COUNTED: RATE / 4}


def test_a_soak_without_growth_has_no_problem():
    assert [] == answer().find_problems()


@pytest.mark.parametrize(
    ("grown", "problem"),
    [
        ({"memory": RATE}, "memory of the service grows"),
        ({"planted": 0.0}, "planted: memory: the leak of memory was not found"),
        ({"counted": 0.0}, "planted: counted: the leak of threads was not found"),
        ({"scrapes": 0}, "no scrapes"),
        ({UNEXPECTED: 2}, "2 unexpected errors: their traces are above"),
    ],
)
def test_what_makes_a_soak_fail_is_named(grown, problem):
    assert [problem] == answer(**grown).find_problems()


def test_a_soak_without_unexpected_errors_has_no_problem():
    assert [] == answer(**{UNEXPECTED: 0}).find_problems()


def test_threads_that_grow_are_named_for_each_process_but_the_planted_one():
    assert [f"threads of the {each} grows" for each in (CALLER, ALONE)] == (
        answer(threads=1.0).find_problems()
    )


def test_a_run_that_is_too_short_says_what_it_does_not_tell_and_does_not_fail():
    short = answer(seconds=5)
    assert (True, []) == (
        any(line.startswith("not told by so short a run") for line in short.list_lines()),
        short.find_problems(),
    )


def test_a_row_has_the_figures_of_1000_calls():
    row = answer(memory=1.0).rows[0]
    assert (
        "| service | memory, KiB | 60,006 | 60,114 | 25.0 | 25.0 to 25.0 | 324.1 | 299.1 | flat |"
    ) == str(row)


def test_what_would_have_been_found_is_what_takes_the_interval_beyond_the_limit():
    row = Row("service", "threads", 9, 9, Slope(0.0, -0.03, 0.05), 0.08, RATE)
    assert 0.11 == row.power


def test_series_are_not_judged_in_a_short_run():
    segment = Segment()
    for second in range(120):
        segment.add(CALLER, float(second), {"series": 20.0 * second, "calls": 40.0 * second})
    (row,) = make_rows(State({}, [segment]))
    assert ("not told", True) == (row.verdict, str(row).endswith("| ? | ? | not told |"))


def test_a_process_without_calls_has_no_growth_of_calls():
    segment = Segment()
    for second in range(120):
        segment.add(CALLER, float(second), {"threads": 9.0, "calls": 0.0})
    (row,) = make_rows(State({}, [segment]))
    assert row.per_calls(1.0) is None


@pytest.mark.parametrize(
    ("counts", "failed"),
    [
        ({UNEXPECTED: 0}, []),
        ({UNEXPECTED: 2}, ["2 unexpected errors"]),
        ({"scrapes": 0}, ["no scrapes"]),
    ],
)
def test_the_record_of_a_soak_that_failed_has_a_check_that_failed(counts, failed):
    checks = answer(**counts).make_record(make_state())["checks"]
    assert failed == [name for name, check in checks.items() if not check["passed"]]


def test_the_record_has_what_the_page_shows():
    record = answer().make_record(make_state())
    assert (7, 119, {"calls": 5}, {"flat", "grows"}) == (
        record["conditions"]["seed"],
        record["seconds"],
        record["counted"],
        {each["verdict"] for each in record["checks"].values()},
    )
