"""Children that are forked, and what they tell of their calls."""

from __future__ import annotations

import random
import threading

import pytest
from chaos.callers import Caller, Journal
from chaos.observing import Observer
from chaos.records import KILLED
from chaos.workers import Forker

import traced_image
from traced_image import lab

FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def server():
    with lab.GlanceServer() as made:
        yield made


@pytest.fixture
def forker(server):
    image = server.images.add(name="x", data=b"x", visibility="public")
    observer = Observer("secret")
    service = traced_image.connect(servers=[server.url], telemetry=observer.telemetry)
    journal = Journal({image: ""})

    def make_caller(journal, rng):
        return Caller(service, None, journal, rng)

    yield Forker(make_caller, journal, observer, lambda: None)
    service.close()


@FORKS
def test_the_call_of_a_child_has_an_end_and_spans(forker):
    forker.call_once(seed=1)
    (made,) = forker.journal.made.values()
    kinds = {span.kind for span in forker.observer.spans if span.trace == made.trace}
    assert ("", {"call", "attempt", "request"}) == (made.error, kinds)


@FORKS
def test_the_spans_of_a_child_are_not_counted_in_this_process(forker):
    forker.call_once(seed=1)
    assert {False} == {span.is_counted for span in forker.observer.spans}


@FORKS
def test_the_call_in_which_a_child_was_killed_says_so(forker, server):
    server.break_with(lab.faults.never_answer())
    forker.call_and_die(seed=1, seconds=0)
    assert [KILLED] == [made.error for made in forker.journal.made.values()]


@FORKS
def test_a_child_can_be_forked_in_the_middle_of_calls(forker):
    over = threading.Event()
    caller = forker.make_caller(Journal(forker.journal.seeded), random.Random(2))
    busy = threading.Thread(target=lambda: [caller.call("show") for _ in iter(over.is_set, True)])
    busy.start()
    for seed in range(5):
        forker.call_once(seed)
    over.set()
    busy.join()
    assert [""] * 5 == [made.error for made in forker.journal.made.values()]


@FORKS
def test_a_child_that_fails_is_told(forker):
    with pytest.raises(ChildProcessError, match="status"):
        Forker(None, forker.journal, forker.observer, forker.release).call_once(seed=1)
