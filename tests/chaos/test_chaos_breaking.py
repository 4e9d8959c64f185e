"""How each fault begins and ends, by what servers, proxies, names and packets are told."""

from __future__ import annotations

import pytest
from chaos.breaking import ACTIONS, Site
from chaos.names import DEAD, HERE
from chaos.proxy import WHOLE, Link
from chaos.schedule import PACKETS


class Told:
    """Notes what it is told to do."""

    port = 9292

    def __init__(self, who, notes):
        self._who, self._notes = who, notes

    def __getattr__(self, name):
        return lambda *arguments: self._notes.append((self._who, name, *arguments))


class Contexts:
    valid, expired = "valid", "expired"


@pytest.fixture
def notes():
    return []


@pytest.fixture
def site(notes):
    told = [Told(who, notes) for who in ("server", "proxy", "names", "packets")]
    server, proxy, names, packets = told
    return Site(server, proxy, "glance-1.test", names, 8080, Contexts(), "/faketime.so", packets)


def play(site, fault, amount=0.5):
    begin, end = ACTIONS[fault](site, amount)
    begin()
    end()


KILLED = [("server", "kill"), ("proxy", "refuse"), ("server", "restart"), ("proxy", "listen")]
ROUTED = [("proxy", "route", 8080), ("proxy", "reset")]
RIGHT = [("proxy", "route", 9292), ("proxy", "reset")]
NAMED = ("names", "repair", "glance-1.test")
REPAIRED = [("packets", "repair", 9292), ("proxy", "reset")]

EXPECTED = {
    "kill": KILLED,
    "restart": KILLED,
    "stop": [("server", "stop"), ("server", "cont")],
    "clock_jump": [*KILLED, *KILLED],
    "delay": [("proxy", "put", Link(delay=0.5)), ("proxy", "put", WHOLE)],
    "reset": [("proxy", "put", Link(reset=0.5)), ("proxy", "put", WHOLE)],
    "rate": [("proxy", "put", Link(rate=0.5)), ("proxy", "put", WHOLE)],
    "half_open": [("proxy", "put", Link(is_half_open=True)), ("proxy", "put", WHOLE)],
    "partition": [("proxy", "put", Link(is_cut=True)), ("proxy", "put", WHOLE)],
    "packets_lost": [("packets", "lose", 9292, 0.5), *REPAIRED],
    "packets_dropped": [("packets", "lose", 9292, 1.0), *REPAIRED],
    "packets_rejected": [("packets", "reject", 9292), *REPAIRED],
    "host_unreachable": [("packets", "hide", 9292), *REPAIRED],
    "packets_slow": [("packets", "slow", 9292, 0.5), *REPAIRED],
    "packets_delayed": [("packets", "delay", 9292, 0.5), *REPAIRED],
    "name_gone": [("names", "put", "glance-1.test", ""), ("proxy", "reset"), NAMED],
    "name_dead": [("names", "put", "glance-1.test", DEAD), ("proxy", "reset"), NAMED],
    "name_flaps": [
        ("names", "put", "glance-1.test", HERE, DEAD, ""),
        ("proxy", "reset"),
        NAMED,
    ],
    "expired_certificate": [
        ("proxy", "present", "expired"),
        ("proxy", "reset"),
        ("proxy", "present", "valid"),
    ],
    "buffering": [*ROUTED, *RIGHT],
    "bad_gateway": [*ROUTED, ("server", "kill"), ("server", "restart"), *RIGHT],
    "gateway_timeout": [*ROUTED, ("server", "stop"), ("server", "cont"), *RIGHT],
}


@pytest.mark.parametrize("fault", ACTIONS)
def test_a_fault_begins_and_ends(fault, site, notes):
    play(site, fault)
    assert EXPECTED[fault] == notes


def test_a_clock_is_right_after_a_jump(site):
    play(site, "clock_jump", -90.0)
    assert {} == site.server.extra


def test_a_clock_jumps_by_its_amount(site):
    begin, _ = ACTIONS["clock_jump"](site, -90.0)
    begin()
    assert ("/faketime.so", "-90s") == (
        site.server.extra["LD_PRELOAD"],
        site.server.extra["FAKETIME"],
    )


@pytest.mark.parametrize("fault", PACKETS)
def test_packets_can_not_be_broken_without_a_namespace(fault, site):
    bare = Site(site.server, site.proxy, site.name, site.names)
    with pytest.raises(ValueError, match="fix: leave out"):
        ACTIONS[fault](bare, 0.5)


def test_a_server_without_tls_has_no_certificate_that_expires(site):
    bare = Site(site.server, site.proxy, site.name, site.names)
    with pytest.raises(ValueError, match="fix: let the last server"):
        ACTIONS["expired_certificate"](bare, 0.0)


@pytest.mark.parametrize(("certificates", "scheme"), [(None, "http"), (Contexts(), "https")])
def test_clients_are_given_the_name_and_the_port_of_the_proxy(certificates, scheme, site):
    made = Site(site.server, site.proxy, site.name, site.names, 0, certificates)
    assert f"{scheme}://glance-1.test:9292" == made.url
