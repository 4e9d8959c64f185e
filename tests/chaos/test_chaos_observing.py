"""What an observer keeps of spans, metrics, log lines and the process."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path

import pytest
from chaos.callers import Caller, Journal
from chaos.observing import Observer, settle
from chaos.records import Resources
from prometheus_client import Counter

import traced_image
from traced_image import lab

SECRET = "gAAAA-secret"


@pytest.fixture
def observer():
    return Observer(SECRET)


@pytest.fixture
def seen(observer):
    """What is seen of a call that fails, and of one that succeeds."""
    with lab.GlanceServer() as server:
        image = server.images.add(name="x", data=b"x", visibility="public")
        journal, before = Journal({image: ""}), observer.measure()
        with traced_image.connect(
            servers=[server.url], num_retries=0, telemetry=observer.telemetry
        ) as service:
            caller = Caller(service, None, journal, random.Random(1))
            server.break_with(lab.faults.status(503))
            caller.call("show")
            server.heal()
            caller.call("show")
        yield observer.sum_up(journal.made.values(), before, observer.measure())


def test_spans_and_metrics_tell_of_the_same_attempts(seen):
    attempts = {(s.outcome, s.reason) for s in seen.of_kind("attempt")}
    counted = {(verdict, reason) for _, _, verdict, reason in seen.attempts}
    assert {("failed", "503"), ("success", "")} == attempts == counted


def test_spans_and_metrics_tell_of_the_same_calls(seen):
    calls = {(s.operation, s.outcome) for s in seen.of_kind("call")}
    expected = {("images.get", "exhausted"), ("images.get", "success_first_try")}
    assert expected == calls == set(seen.counted)


def test_requests_have_their_status(seen):
    assert [503, 200] == [s.status for s in seen.of_kind("request")]


def test_a_secret_in_a_span_is_found(observer):
    with observer.provider.get_tracer("x").start_as_current_span("y", attributes={"z": SECRET}):
        pass
    assert {"a span y"} == observer.leaks


def test_a_secret_in_the_log_is_found(observer):
    observer.log.emit(logging.makeLogRecord({"name": "x", "msg": f"token {SECRET}"}))
    assert {"the log of x"} == observer.leaks


def test_a_secret_in_the_metrics_is_found(observer):
    Counter("x", "y", ["z"], registry=observer.registry).labels(SECRET).inc()
    held = observer.measure()
    assert ("the metrics",) == observer.sum_up([], held, held).leaks


def test_a_span_that_has_not_ended_is_counted(observer):
    span = observer.provider.get_tracer("x").start_span("y")
    assert 1 == observer.measure().spans
    span.end()
    assert 0 == observer.measure().spans


def test_a_descriptor_that_is_left_open_is_measured(observer, monkeypatch):
    monkeypatch.setattr("chaos.observing._SETTLED", 0.0)
    before = observer.measure()
    with Path(os.devnull).open():
        after = settle(observer, before)
    assert before.descriptors + 1 == after.descriptors


def test_what_may_be_left_is_not_waited_for(observer):
    before = observer.measure()
    fewer = Resources(before.threads, before.descriptors - 1, 0, 0)
    assert before.descriptors == settle(observer, fewer, allowed=1).descriptors
