"""Callers make calls, and note what became of them."""

from __future__ import annotations

import hashlib
import random
import threading
import time

import pytest
from chaos.callers import WEIGHTS, Caller, Journal, Traffic
from chaos.observing import Observer
from chaos.own_faults import OwnFaults
from chaos.schedule import Event
from chaos.workers import Forker

import traced_image
from traced_image import lab

DATA = b"data of an image"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server():
    with lab.GlanceServer() as made:
        yield made


@pytest.fixture
def journal(server):
    image = server.images.add(name="x", data=DATA, visibility="public")
    return Journal({image: DIGEST})


@pytest.fixture
def service(server):
    with traced_image.connect(servers=[server.url], num_retries=0) as made:
        yield made


@pytest.fixture
def caller(service, journal):
    return Caller(service, None, journal, random.Random(1))


def last(journal):
    return list(journal.made.values())[-1]


@pytest.mark.parametrize("name", sorted(set(WEIGHTS) - {"fill", "delete"}))
def test_a_call_is_noted_with_its_end_and_what_it_received(name, caller, journal):
    caller.call(name)
    made = last(journal)
    assert (name, "", made.expected) == (made.operation, made.error, made.digest)
    assert made.ended >= made.started


def test_the_data_of_a_download_are_compared_with_what_was_seeded(caller, journal):
    caller.call("download")
    assert (DIGEST, DIGEST) == (last(journal).digest, last(journal).expected)


def test_a_file_of_a_full_disk_takes_no_data(caller, journal):
    caller.call("fill")
    assert "disk full" == last(journal).error


def test_an_image_that_was_made_can_be_deleted(caller, journal, server):
    caller.call("create")
    image = last(journal).image
    caller.call("delete")
    assert ("delete", image, "") == (
        last(journal).operation,
        last(journal).image,
        last(journal).error,
    )


def test_an_error_is_noted_by_its_name(caller, journal, server):
    server.break_with(lab.faults.status(503))
    caller.call("show")
    assert "GlanceConnectionFailed" == last(journal).error


def test_an_error_of_another_kind_is_unexpected(service, journal):
    class Broken:
        def show(self, context, image):
            raise KeyError("x")

    Caller(Broken(), None, journal, random.Random(1)).call("show")
    assert "unexpected KeyError('x')" == last(journal).error


def test_a_call_is_below_a_trace_of_its_own_which_begins_with_its_client(server, journal):
    observer = Observer("secret")
    with traced_image.connect(servers=[server.url], telemetry=observer.telemetry) as service:
        Caller(service, None, journal, random.Random(1), number=3).call("show")
    assert "3" == last(journal).trace[0]
    assert {last(journal).trace} == {span.trace for span in observer.spans}


def test_traffic_ends_when_it_is_told(caller, journal):
    traffic, end = Traffic([caller]), time.monotonic() + 30.0
    traffic.start()
    while len(journal.made) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    traffic.end()
    traffic.wait(30.0)
    ended = [made.ended is not None for made in journal.made.values()]
    assert len(ended) >= 3
    assert all(ended)


def test_a_burst_makes_a_call_in_each_of_its_threads(service, journal):
    threads = set()

    class Noted(Caller):
        def call(self, name):
            threads.add(threading.current_thread().name)
            super().call(name)

    def make(journal, rng):
        return Noted(service, None, journal, rng)

    own = OwnFaults(Forker(make, journal, None, None), random.Random(1), 30.0)
    own.suffer(Event(0.0, 0.0, "burst", 3, 20))
    assert (20, {"burst"}) == (len(journal.made), threads)
