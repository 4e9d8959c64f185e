"""Each outlet answers the six questions in each scene, or says nothing that it can't know.

`outlet_truth` says what is true, and `outlets_page` what an outlet can't know.
"""

import pytest
from diagnosed import Diagnosed
from outlet_truth import FAULTS, NONE, QUESTIONS, Cost, Spent, Told, find_wrong
from outlets_page import BY_CHANCE, CANT_KNOW, OUTLETS, PAGE, page

MOST_READS = 3

each = pytest.mark.parametrize(
    ("outlet", "scene"), [(outlet, scene) for outlet in OUTLETS for scene in FAULTS]
)


@each
def test_what_an_outlet_says_is_true(diagnosed: Diagnosed, outlet: str, scene: str) -> None:
    assert {} == diagnosed.outlets[outlet, scene].wrong


@each
def test_an_outlet_answers_what_it_can_know_and_nothing_else(
    diagnosed: Diagnosed, outlet: str, scene: str
) -> None:
    unknown = CANT_KNOW.get((outlet, scene), {})
    chance = {question for question, why in unknown.items() if why == BY_CHANCE}
    fails = FAULTS[scene].servers != NONE
    expected = {each for each in QUESTIONS if fails and each not in unknown}
    assert expected == diagnosed.outlets[outlet, scene].told.answers.keys() - chance


@each
def test_it_takes_three_reads_at_most(diagnosed: Diagnosed, outlet: str, scene: str) -> None:
    reads = diagnosed.outlets[outlet, scene].told.reads.values()
    assert max(reads, default=1) <= MOST_READS


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("server", frozenset({"127.0.0.1:1"})),
        ("reason", "503"),
        ("since", 0.0),
        ("jobs", frozenset({"down/nova-api"})),
        ("operations", frozenset({"images.get"})),
        ("hidden", False),
        ("cost", ("seconds", 99.0)),
        ("cost", ("failed calls", 1.0)),
    ],
)
def test_an_answer_that_is_not_true_is_found(
    diagnosed: Diagnosed, question: str, answer: object
) -> None:
    told = Told({question: answer})
    cost = Cost(failed=1.0, seconds=1.0)
    assert told.answers == find_wrong(told, diagnosed.scenes["down"], Spent(cost, cost, 60.0))


def test_the_page_is_what_the_run_shows(diagnosed: Diagnosed) -> None:
    """If it fails: run `python tests/real/outlets_page.py`, look at what changed, commit it."""
    assert page(diagnosed) == PAGE.read_text("utf-8")
