"""The rules, each with observations that it applies to, and some that it just doesn't."""

from __future__ import annotations

from dataclasses import replace

import pytest

from traced_image.cli.diagnose import find_status
from traced_image.diagnosis import findings
from traced_image.diagnosis.findings import KEYSTONE_RULE
from traced_image.diagnosis.observations import (
    KEYSTONE,
    AlertSeen,
    Callers,
    KeystoneSeen,
    Latency,
    Observations,
    ServerSeen,
    Tally,
)
from traced_image.diagnosis.rules import RULES

SINCE, END = 1000.0, 1600.0


def tallies(failed, fine=0, reason="503", operation="images.get", job="api"):
    found = (Tally(job, operation, reason, failed), Tally(job, operation, "", fine))
    return tuple(each for each in found if each.count)


def failing(server="a:1", *, by=None, **told):
    usual = {"since": SINCE, "calls_failed": 0.0, "calls_saved": 9.0, "cost_seconds": 4.5}
    return ServerSeen(server, tallies=tallies(9) if by is None else by, **{**usual, **told})


HEALTHY = ServerSeen("z:1", tallies=tallies(0, 100))


def conclude(*servers, **told):
    return findings.find(Observations("a test", 0.0, END, servers=servers, **told))


def name(*servers, **told):
    return [(each.rule.name, each.servers) for each in conclude(*servers, **told)]


REACHED = Callers("api", 2, 0, 2, 0)
CUT_OFF = Callers("api", asking=2, failing=1, succeeding=1, never=1, names=("node-1",))
REFUSED = "connection_refused"
DATA, GET = "images.data", "images.get"
SOME_500 = tallies(1, 9, "500")
PARTLY = (*tallies(9, operation=DATA), *tallies(0, 9))

APPLIES = {
    "one_caller": [failing(by=tallies(9, 20, REFUSED), callers=(CUT_OFF,)), HEALTHY],
    "one_image": [failing(by=SOME_500), failing("b:1", by=SOME_500), HEALTHY],
    "all_servers": [failing(), failing("b:1")],
    "all_servers_one_operation": [failing(by=PARTLY), failing("b:1", by=PARTLY)],
    "down": [failing(), HEALTHY],
    "one_operation": [failing(by=PARTLY), HEALTHY],
    "flapping": [failing(by=tallies(9, 9), recoveries=2), HEALTHY],
    "sometimes": [failing(by=tallies(1, 9)), HEALTHY],
    "refuses": [replace(HEALTHY, refusals=tallies(9, 1, "401")), ServerSeen("b:1")],
    "slow": [replace(HEALTHY, latencies=(Latency(GET, 1.0, 0.01),))],
    "probes": [replace(HEALTHY, probe_reason="read_timeout", probe_since=SINCE)],
}


@pytest.mark.parametrize("rule", [each.name for each in RULES])
def test_each_rule_applies_to_what_it_is_for(rule):
    assert [rule] == [found for found, _ in name(*APPLIES[rule])]


@pytest.mark.parametrize(
    ("otherwise", "servers"),
    [
        # Some process both reaches it and does not.
        (
            "sometimes",
            [failing(by=tallies(9, 20, REFUSED), callers=(replace(CUT_OFF, failing=2),))],
        ),
        # No other process reaches it.
        ("down", [failing(by=tallies(9, 0, REFUSED), callers=(replace(CUT_OFF, succeeding=0),))]),
        # It has answered, so that the way is there.
        ("sometimes", [failing(by=tallies(9, 20), callers=(CUT_OFF,))]),
        # Nobody succeeds with what it times out for.
        (
            "one_operation",
            [
                failing(
                    by=(*tallies(9, 0, "read_timeout", DATA), *tallies(0, 20)), callers=(CUT_OFF,)
                )
            ],
        ),
        # All that a single server sends is wrong: it is not the image.
        ("sometimes", [failing(by=SOME_500), HEALTHY]),
        ("down", [failing(by=tallies(9, 0, "500")), HEALTHY]),
        ("sometimes", [failing(by=SOME_500, recoveries=9), HEALTHY]),
        # One after the other, as in a rolling upgrade.
        ("down", [failing(until=1100.0), failing("b:1", since=1200.0, until=1300.0)]),
        ("sometimes", [failing(by=tallies(9, 30)), failing("b:1", by=tallies(9, 30))]),
        # Of one server, all may fail.
        ("down", [failing()]),
        # Another operation fails now and then, too.
        (
            "sometimes",
            [failing(by=(*tallies(9, operation=DATA), *tallies(5, 9))), HEALTHY],
        ),
        ("sometimes", [failing(by=tallies(9, 9), recoveries=1), HEALTHY]),
        ("sometimes", [failing(by=tallies(9, 9, operation="")), HEALTHY]),
    ],
)
def test_a_rule_does_not_apply_to_what_resembles_it(otherwise, servers):
    assert {otherwise} == {found for found, _ in name(*servers)}


def test_a_caller_that_times_out_where_others_do_not_is_cut_off():
    by = tallies(9, 90, "read_timeout")
    assert ["one_caller"] == [found for found, _ in name(failing(by=by, callers=(CUT_OFF,)))]


def test_a_caller_that_is_cut_off_from_several_servers_makes_one_finding():
    by = tallies(9, 20, REFUSED)
    servers = [failing(each, by=by, callers=(CUT_OFF,)) for each in ("a:1", "b:1")]
    assert [("one_caller", ("a:1", "b:1"))] == name(*servers)


def test_servers_without_failures_conclude_nothing():
    assert [] == name(HEALTHY, ServerSeen("b:1"))


def test_what_has_ended_is_not_together_with_what_has_not():
    assert [("down", ("a:1",)), ("down", ("b:1",))] == name(failing(), failing("b:1", until=1100.0))


def test_servers_that_all_failed_at_the_same_time_are_one_finding():
    servers = [failing(until=1300.0), failing("b:1", since=1200.0, until=1400.0)]
    assert [("all_servers", ("a:1", "b:1"))] == name(*servers)


def test_of_all_servers_the_last_began_the_outage():
    (found,) = conclude(failing(), failing("b:1", since=1200.0))
    assert 1200.0 == found.since


def test_of_servers_that_fail_in_the_same_way_the_first_began_it():
    (found,) = conclude(failing(by=SOME_500), failing("b:1", by=SOME_500, since=1200.0), HEALTHY)
    assert SINCE == found.since


# --- findings ----------------------------------------------------------------------------------


def test_what_fails_calls_comes_first_and_what_has_ended_last():
    worst = failing("d:1", calls_failed=2.0, cost_seconds=0.0)
    costly = failing("c:1", cost_seconds=99.0)
    found = conclude(
        failing(), failing("b:1", until=1100.0, calls_failed=9.0), costly, worst, HEALTHY
    )
    assert ["d:1", "c:1", "a:1", "b:1"] == [each.servers[0] for each in found]


def test_refusals_of_one_server_fail_calls():
    refusing = replace(HEALTHY, refusals=tallies(9, 1, "401"), refused_since=SINCE)
    (found,) = conclude(refusing, ServerSeen("b:1"))
    assert (SINCE, {"401": 9}, 9.0, False, 0.9) == (
        found.since,
        found.reasons,
        found.calls_failed,
        found.hidden_by_retries,
        found.share,
    )


def test_keystones_failures_are_its_own():
    keystone = KeystoneSeen(SINCE, tallies=tallies(9, reason="502", operation=""))
    calls = (Tally("api", GET, "token_unavailable", 9), Tally("api", DATA, "503", 1))
    alerts = (AlertSeen("GlanceKeystoneFailing", "firing"), AlertSeen("Other", "firing"))
    (found,) = conclude(HEALTHY, keystone=keystone, failed_calls=calls, alerts=alerts)
    assert ((KEYSTONE,), {"502": 9.0}, 9.0, {"api": (GET,)}, 1, "high") == (
        found.servers,
        found.reasons,
        found.calls_failed,
        found.operations,
        len(found.alerts),
        found.confidence,
    )


def test_keystones_rule_is_of_keystone():
    assert (True, False) == tuple(
        KEYSTONE_RULE.applies(ServerSeen(each)) for each in (KEYSTONE, "a:1")
    )


def test_one_call_without_a_token_proves_little():
    (found,) = conclude(keystone=KeystoneSeen(SINCE, tallies=tallies(1)))
    assert "low" == found.confidence


@pytest.mark.parametrize(
    ("told", "confidence"), [({}, "low"), ({"row": 3}, "high"), ({"row": 1}, "low")]
)
def test_few_failures_prove_little(told, confidence):
    (found,) = conclude(failing(by=tallies(2), **told), HEALTHY)
    assert confidence == found.confidence


def test_calls_that_name_no_server_count_for_the_only_one_with_their_reason():
    calls = (Tally("api", GET, "503", 4), Tally("api", GET, "500", 7))
    (found,) = conclude(failing(calls_failed=1.0), HEALTHY, failed_calls=calls)
    assert 4.0 == found.calls_failed


def test_calls_that_name_no_server_count_for_none_of_two():
    calls = (Tally("api", GET, "503", 4),)
    found = conclude(failing(), failing("b:1", by=tallies(1, 9)), HEALTHY, failed_calls=calls)
    assert [0.0, 0.0] == [each.calls_failed for each in found]


@pytest.mark.parametrize(
    ("told", "hidden"),
    [
        ({}, True),
        ({"calls_failed": 1.0}, False),
        ({"calls_saved": 0.0}, False),
        ({"calls_failed": None}, None),
    ],
)
def test_retries_hide_what_fails_no_call(told, hidden):
    (found,) = conclude(failing(**told), HEALTHY)
    assert hidden is found.hidden_by_retries


def test_alerts_belong_to_the_server_that_they_name():
    alerts = (AlertSeen("A", "firing", server="a:1"), AlertSeen("B", "firing", server="z:1"))
    (found,) = conclude(failing(), HEALTHY, alerts=alerts)
    assert ["A"] == [each.name for each in found.alerts]


def test_the_callers_of_several_servers_are_counted_once():
    one, two = (
        failing(each, callers=(Callers("api", 3, number, 0, number, names),))
        for each, number, names in (("a:1", 1, ()), ("b:1", 2, ("node-2",)))
    )
    (found,) = conclude(one, two)
    assert (Callers("api", 3, 2, 0, 2, ("node-2",)),) == found.callers


def test_what_has_ended_has_ended_for_the_last_server():
    one, two = (failing(each, until=until) for each, until in (("a:1", 1100.0), ("b:1", 1200.0)))
    (found,) = conclude(one, two)
    assert 1200.0 == found.until


# --- the exit status ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "servers"),
    [
        (0, [HEALTHY]),
        (0, [failing(until=1100.0, calls_failed=9.0), HEALTHY]),
        (1, [failing(), HEALTHY]),
        (1, [replace(HEALTHY, latencies=(Latency(GET, 6.0),))]),
        (2, [failing(calls_failed=1.0), HEALTHY]),
        (2, [failing(), failing("b:1", calls_failed=1.0, by=tallies(1, 9))]),
    ],
)
def test_the_status_is_that_of_a_check_plugin(status, servers):
    found, seen = conclude(*servers), Observations("a test", 0.0, END, servers=servers)
    assert status == find_status(found, seen)
