"""Calls made at the same time, in threads, greenlets and greenthreads: whose spans are whose."""

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import concurrent_calls
import pytest

from traced_image import lab
from traced_image.lab import faults

CALL, ATTEMPT, REQUEST = "glance.images.get", "glance.images.get attempt", "GET"
QUICK = {"threads", "to_thread", "gevent_spawn", "eventlet_spawn"}
"""One way of each kind: the others differ in how many calls a thread or a greenlet makes."""

NAMES = [
    pytest.param(way.__name__, marks=() if way.__name__ in QUICK else pytest.mark.slow)
    for way in concurrent_calls.WAYS
]
MAIN = """
import sys

from concurrent_calls import main

main(*sys.argv[1:])
"""
GEVENT = """
from gevent import monkey

monkey.patch_all()
"""
EVENTLET = """
import warnings

warnings.filterwarnings("ignore", message="\\nEventlet is deprecated")
import eventlet

eventlet.monkey_patch()
"""
PATCHES = {"gevent": GEVENT, "eventlet": EVENTLET}
CARRYING = {"to_thread"}
ONE_AFTER_THE_OTHER = {"eventlet_tpool"}


@pytest.fixture(scope="module", params=NAMES)
def told(request):
    """What a program tells that makes calls in one way, while one of three servers fails."""
    images = lab.Images()
    image_id = images.add()
    program = PATCHES.get(request.param.partition("_")[0], "") + MAIN
    command = [sys.executable, "-W", "error", "-c", program, request.param, image_id]
    with lab.cluster(3, images=images) as servers:
        servers[0].break_with(faults.status(503))
        for server in servers[1:]:
            # So that all are under way at the same time.
            server.break_with(faults.slow_headers(0.0002))
        done = subprocess.run(
            [*command, *(server.url for server in servers)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )
        assert (0, "") == (done.returncode, done.stderr)
        traceparents = Counter(
            (server.port, *access.traceparent.split("-")[1:3])
            for server in servers
            for access in server.access_log
        )
    return SimpleNamespace(
        way=request.param,
        traceparents=traceparents,
        modes={mode: Told(**what) for mode, what in json.loads(done.stdout).items()},
    )


class Told:
    """The spans of one of the program's modes."""

    def __init__(self, left, spans):
        self.left = left
        self.spans = [SimpleNamespace(**span) for span in spans]
        self.by_id = {span.id: span for span in self.spans}

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def below(self, parent):
        return [span for span in self.spans if span.parent == parent.id]


def all_spans(told, name):
    """Pairs of a mode and a span of this name."""
    return [(mode, span) for mode in told.modes.values() for span in mode.named(name)]


def by_mode(told, what):
    """What is found in each of the program's modes."""
    return {name: what(mode) for name, mode in told.modes.items()}


def in_each(value):
    return dict.fromkeys(concurrent_calls.MODES, value)


# --- no tree has anything of another's -----------------------------------------------------------


def test_every_call_has_a_span(told):
    assert in_each(concurrent_calls.CALLS) == by_mode(told, lambda mode: len(mode.named(CALL)))


def test_a_call_has_its_own_attempts_in_order(told):
    calls = all_spans(told, CALL)
    assert [[*range(1, call.attempts + 1)] for _, call in calls] == [
        [attempt.number for attempt in mode.below(call)] for mode, call in calls
    ]


def test_an_attempt_has_its_own_request_to_its_own_server(told):
    attempts = all_spans(told, ATTEMPT)
    assert [[(REQUEST, attempt.port)] for _, attempt in attempts] == [
        [(below.name, below.port) for below in mode.below(attempt)] for mode, attempt in attempts
    ]


def test_what_is_below_a_call_is_of_its_trace_and_of_its_time(told):
    assert [] == [
        span
        for mode, span in all_spans(told, ATTEMPT) + all_spans(told, REQUEST)
        for parent in [mode.by_id[span.parent]]
        if span.trace != parent.trace
        or not parent.started <= span.started <= span.ended <= parent.ended
    ]


def test_servers_were_told_of_the_request_that_they_got(told):
    spans = [
        (span.port, format(span.trace, "032x"), format(span.id, "016x"))
        for _, span in all_spans(told, REQUEST)
    ]
    assert told.traceparents == Counter(spans)


def test_calls_were_under_way_at_the_same_time(told):
    def overlap(mode):
        return any(before.ended > after.started for before, after in pairwise(mode.named(CALL)))

    assert in_each(told.way not in ONE_AFTER_THE_OTHER) == by_mode(told, overlap)


def test_some_calls_had_retries_meanwhile(told):
    def retried(mode):
        return any(call.attempts > 1 for call in mode.named(CALL))

    assert in_each(True) == by_mode(told, retried)


# --- whose child a call is -----------------------------------------------------------------------


def parents(mode):
    """The names of the spans that calls are children of, each as often as it has one."""
    found = [call.parent and mode.by_id[call.parent].name for call in mode.named(CALL)]
    return Counter(found)


def test_calls_of_an_application_without_spans_are_roots(told):
    assert {None: concurrent_calls.CALLS} == parents(told.modes["bare"])


def test_calls_that_are_roots_are_traces_of_their_own(told):
    assert concurrent_calls.CALLS == len({call.trace for call in told.modes["bare"].named(CALL)})


def test_calls_are_roots_where_the_context_is_not_carried(told):
    parent = "application" if told.way in CARRYING else None
    assert {parent: concurrent_calls.CALLS} == parents(told.modes["inside"])


def test_calls_are_children_of_the_span_that_was_carried_to_them(told):
    assert {"application": concurrent_calls.CALLS} == parents(told.modes["carried"])


def test_each_call_is_the_child_of_its_own_jobs_span(told):
    jobs = {f"job {number}": 1 for number in range(concurrent_calls.CALLS)}
    assert jobs == parents(told.modes["own"])


# --- what is left --------------------------------------------------------------------------------


def test_after_a_call_is_current_what_was_before_it(told):
    before = by_mode(told, lambda mode: [before for before, _ in mode.left])
    assert before == by_mode(told, lambda mode: [after for _, after in mode.left])


def test_after_a_call_no_call_is_under_way(told):
    left = by_mode(told, lambda mode: {under_way for _, (_, under_way) in mode.left})
    assert in_each({False}) == left
