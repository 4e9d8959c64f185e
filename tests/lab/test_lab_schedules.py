"""Schedules of faults: on and off by a clock that the test sets."""

import contextlib
import math
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab import faults
from traced_image.lab.schedule import Schedule, make_schedule

LIMIT = 10.0


class FakeClock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def timed(images, clock):
    with lab.GlanceServer(images, clock=clock) as server:
        yield server


def statuses(session, server, clock, *times):
    found = []
    for each in times:
        clock.now = 100.0 + each
        found.append(session.get(f"{server.url}/v2/images").status_code)
    return found


def test_a_fault_is_on_from_one_second_to_another(timed, session, clock):
    timed.break_with(faults.status(503).during(2, 5))
    assert [200, 503, 503, 200] == statuses(session, timed, clock, 1.9, 2, 4.9, 5)


def test_a_fault_may_never_end(timed, session, clock):
    timed.break_with(faults.status(503).during(2))
    assert [200, 503] == statuses(session, timed, clock, 1, 9999)


def test_a_fault_may_come_again(timed, session, clock):
    timed.break_with(faults.status(503).during(2, 5, every=10))
    assert [200, 503, 200, 503, 200] == statuses(session, timed, clock, 0, 3, 10, 12, 15)


def test_schedules_follow_each_other(timed, session, clock):
    timed.break_with(faults.status(503).during(0, 2) | faults.status(500).during(2, 4))
    assert [503, 500, 200] == statuses(session, timed, clock, 1, 3, 5)


def test_a_rate_begins_and_ends_in_the_middle_of_a_download(timed, clock, dial, images, until):
    size = 64 << 20
    image_id = images.add(data=bytes(size))
    timed.break_with((faults.limit_rate(send=20) | faults.delay(0)).during(2, 5))
    sock = dial(timed)
    sock.sendall(f"GET /v2/images/{image_id}/file HTTP/1.1\r\n\r\n".encode())
    received = len(sock.recv(100))
    clock.now = 102.0
    sock.settimeout(0.03)
    with contextlib.suppress(TimeoutError):
        while True:
            received += len(sock.recv(1 << 20))
    clock.now = 105.0
    sock.settimeout(LIMIT)
    slow = received
    while received < size:
        received += len(sock.recv(1 << 20))
    assert slow < size - (1 << 20)


@pytest.mark.parametrize(
    "fault",
    [faults.limit_rate(send=1).times(1), faults.limit_rate(send=1).with_probability(0.01, seed=1)],
    ids=["counted", "by chance"],
)
def test_a_rate_that_is_counted_affects_no_transfer_under_way(server, dial, images, fault):
    size = 8 << 20
    image_id = images.add(data=bytes(size))
    sock = dial(server)
    sock.sendall(f"GET /v2/images/{image_id}/file HTTP/1.1\r\n\r\n".encode())
    received = len(sock.recv(100))
    server.break_with(fault)
    while received < size:
        received += len(sock.recv(1 << 20))
    assert received >= size


def test_a_combination_of_connections_follows_a_schedule(timed, clock, dial):
    timed.break_with(
        faults.reset().during(2, 5) | (faults.delay(0) | faults.status(503)).during(0, 9)
    )
    sock = dial(timed)
    sock.sendall(b"GET /healthcheck HTTP/1.1\r\n\r\n")
    assert sock.recv(1 << 16).startswith(b"HTTP/1.1 503")
    clock.now = 102.0
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


@pytest.mark.parametrize("fault", [faults.delay(1), faults.delay(1) | faults.status(503)])
def test_a_second_schedule_is_refused(fault):
    with pytest.raises(InvalidArgument, match="it has a schedule already"):
        fault.during(0, 2).during(1, 5)


def connects(server):
    try:
        socket.create_connection((server.host, server.port), timeout=LIMIT).close()
    except OSError as error:
        return type(error).__name__
    return "connected"


def test_refusal_begins_and_ends_by_the_clock(timed, clock, until):
    timed.break_with(faults.refuse().during(2, 5))
    assert connects(timed) == "connected"
    clock.now = 103.0
    until(lambda: connects(timed) == "ConnectionRefusedError")
    clock.now = 105.0
    until(lambda: connects(timed) == "connected")


def test_a_scheduled_reset_ends_open_connections_when_it_begins(timed, clock, dial):
    timed.break_with(faults.reset().during(2, 5))
    sock = dial(timed)
    sock.sendall(b"GET /healthcheck HTTP/1.1\r\n\r\n")
    assert sock.recv(1 << 16).startswith(b"HTTP/1.1 200")
    clock.now = 102.0
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_a_schedule_that_comes_too_late_changes_nothing(timed, clock):
    timed.break_with(faults.refuse().during(2))
    late = timed.episode
    timed.heal()
    clock.now = 103.0
    timed._follow(late, late.striking)
    assert connects(timed) == "connected"


def test_heal_ends_a_schedule(timed, clock):
    timed.break_with(faults.refuse().during(2))
    timed.heal()
    clock.now = 103.0
    assert connects(timed) == "connected"


def test_a_schedule_that_is_over_needs_no_thread(timed, clock, until):
    timed.break_with(faults.refuse().during(2, 5))
    clock.now = 106.0
    until(lambda: not [t for t in threading.enumerate() if t.name == "glance-clock"])
    assert connects(timed) == "connected"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1,), "give a start"),
        (("2",), "give a start"),
        ((2, 2), "give an end after the start, 2"),
        ((2, "5"), "give an end in seconds"),
        ((2, 5, 4), "give a period that is not shorter"),
        ((2, None, 4), "give a period that is not shorter"),
        ((2, 5, "10"), "give a period in seconds"),
    ],
)
def test_a_schedule_without_a_meaning_is_refused(arguments, said):
    start, end, every = (*arguments, None, None)[:3]
    with pytest.raises(InvalidArgument, match=said):
        faults.status(503).during(start, end, every=every)


@given(
    st.floats(0, 1000), st.floats(0.001, 1000), st.none() | st.floats(0, 1000), st.floats(0, 1e4)
)
def test_nothing_changes_before_the_next_change(start, length, rest, elapsed):
    end = start + length
    schedule = make_schedule(start, end, None if rest is None else end + rest)
    left = schedule.next_change(elapsed)
    assert left > 0
    if left != math.inf:
        assert schedule.is_on(elapsed) == schedule.is_on(elapsed + left * 0.5)


def test_a_schedule_without_an_end_changes_once():
    assert (1.0, math.inf) == (Schedule(2).next_change(1), Schedule(2).next_change(2))
