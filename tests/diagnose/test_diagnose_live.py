"""The servers as the callers of several exporters see them now."""

from __future__ import annotations

import pytest
from test_diagnose_exporter import NOW, minute, operation, report, server

from traced_image.diagnosis.exporter_report import ProcessSaw
from traced_image.diagnosis.live_servers import list_servers


def look_at(*servers):
    """Return the first of the servers, as one process reports them."""
    return list_servers([ProcessSaw("http://a", report(*servers))])[0]


OPERATIONS = [operation("images.get", 60, 20, None, NOW - 2), operation("images.list", 9, 0)]
BY_TURNS = {"last_failure": NOW - 2, "last_error": "503", "operations": OPERATIONS}


def test_a_server_that_fails_by_turns_fails_between_its_failures_too():
    strip = [minute(97, 9), *(minute(each, 9, 3, "503") for each in (98, 99))]
    seen = look_at(server(strip=strip, **BY_TURNS))
    assert ("fails at times", ("503",), ("images.get",), False) == (
        seen.state,
        seen.reasons,
        seen.operations,
        seen.exact,
    )


@pytest.mark.parametrize(
    "told",
    [
        # Its last failure is over a minute ago.
        {"last_failure": NOW - 70, "strip": [minute(98, 9, 3, "503"), minute(99, 9)]},
        # Fewer failures than three.
        {"strip": [minute(99, 9, 2, "503")]},
        # It has recovered from an outage.
        {"strip": [minute(98, 9, 9, "503"), minute(99, 9, 3, "503")]},
        # Its failures are from six minutes ago.
        {"strip": [minute(93, 9, 3, "503"), minute(99, 9)]},
    ],
)
def test_a_server_that_has_recovered_is_healthy(told):
    assert "healthy" == look_at(server(**{**BY_TURNS, **told})).state


@pytest.mark.parametrize(("seconds", "state"), [(1.5, "slow"), (0.01, "healthy")])
def test_a_server_that_is_slow_is_told_as_slow_and_does_not_fail(seconds, state):
    fine = server("2", recent={"p95": 0.01})
    seen = look_at(server(recent={"p95": seconds}), fine)
    assert (state, False) == (seen.state, seen.fails)


def test_a_server_that_refuses_alone_is_told_with_its_reasons():
    asked = {"attempts": 30, "failed": 0}
    seen = look_at(server(**asked, refusals={"401": 12}), server("2", **asked))
    assert ("refuses", ("401",), False) == (seen.state, seen.reasons, seen.fails)


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"state": "healthy"}, ""),
        ({"state": "cooling", "consecutive_failures": 2, "last_failure": NOW - 7200}, "cooling"),
    ],
)
def test_a_server_that_nobody_asks_is_not_healthy_and_may_fail(told, state):
    assert state == look_at(server(**told, strip=[minute(99, 0)])).state


def test_the_cost_of_retries_is_that_of_the_hour():
    strip = [minute(45, 30, 20, "503"), minute(99, 9, 3, "503")]
    seen = look_at(server(**BY_TURNS, strip=strip, saved_calls=23, cost_seconds=2.5))
    assert (23, 2.5) == (seen.calls_saved, seen.cost_seconds)
