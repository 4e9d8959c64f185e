"""A schedule is played: each fault begins, ends, and is an outage of those that it may hurt."""

from __future__ import annotations

import threading

import pytest
from chaos.breaking import Site
from chaos.records import KEYSTONE
from chaos.schedule import Event, Schedule
from chaos.world import AFTER_BURST, World


class Told:
    """Notes what it is told to do."""

    def __init__(self, port, notes):
        self.port, self._notes = port, notes

    def __getattr__(self, name):
        return lambda *_: self._notes.append((self.port, name))


class Cloud:
    def __init__(self, notes):
        self.keystone = Told(KEYSTONE, notes)


@pytest.fixture
def notes():
    return []


@pytest.fixture
def servers(notes, tmp_path):
    sites = [
        Site(Told(port, notes), Told(port, notes), f"{port}.test", Told(port, notes))
        for port in (1, 2, 3)
    ]
    return World(sites, tmp_path, None, Cloud(notes), tmp_path / "authority.pem")


def play(servers, *events, suffer=lambda _: None, seconds=0.2):
    servers.play(Schedule(1, seconds, 3, events), suffer)


def test_a_fault_begins_and_ends_and_is_an_outage_of_its_server(servers, notes):
    play(servers, Event(0.0, 0.05, "stop", 1))
    (outage,) = servers.outages
    assert [(2, "stop"), (2, "cont")] == notes
    assert (2, "stop") == (outage.server, outage.fault)
    assert outage.ended - outage.started >= 0.05


def test_faults_of_one_server_come_one_after_the_other(servers, notes):
    play(servers, Event(0.0, 0.0, "stop", 0), Event(0.0, 0.0, "stop", 0))
    assert [(1, "stop"), (1, "cont")] * 2 == notes


def test_a_fault_that_is_too_late_is_left_out(servers, notes):
    play(servers, Event(0.0, 0.15, "stop", 0), Event(0.0, 0.15, "stop", 0))
    assert [(1, "stop"), (1, "cont")] == notes


def test_keystone_hurts_all_servers_because_they_ask_it(servers, notes):
    play(servers, Event(0.0, 0.0, "keystone_stop", 4))
    assert [(KEYSTONE, "stop"), (KEYSTONE, "cont")] == notes
    assert {1, 2, 3, KEYSTONE} == {outage.server for outage in servers.outages}


def test_what_the_caller_suffers_is_no_servers_fault(servers):
    suffered = []
    event = Event(0.0, 0.0, "fork", 3)
    play(servers, event, suffer=suffered.append)
    assert ([event], []) == (suffered, servers.outages)


def test_a_burst_hurts_all_servers_and_keystone_for_a_while_after_its_end(servers):
    play(servers, Event(0.0, 0.0, "burst", 3, 100.0))
    lasted = {outage.server: outage.ended - outage.started for outage in servers.outages}
    assert {1, 2, 3, KEYSTONE} == set(lasted)
    assert min(lasted.values()) >= AFTER_BURST


def test_what_goes_wrong_with_a_fault_is_raised(servers):
    with pytest.raises(ValueError, match="fix: let the last server"):
        play(servers, Event(0.0, 0.0, "expired_certificate", 0))


def test_an_interrupt_does_not_wait_for_faults_that_last(servers, notes, monkeypatch):
    def interrupt(self, timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupt)
    with pytest.raises(KeyboardInterrupt):
        play(servers, Event(0.0, 600.0, "stop", 0), seconds=900.0)
    monkeypatch.undo()
    for thread in threading.enumerate():
        if thread.name == "faults":
            thread.join(10)
    assert not [each for each in threading.enumerate() if each.name == "faults"]
