"""The last hour as JSON: shares, quantiles, strips, and the links to traces."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter, deque
from dataclasses import replace
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource

from traced_image.errors import InvalidOption
from traced_image.exporter.hour import (
    MINUTE,
    MINUTES,
    Account,
    CallFailure,
    Cell,
    Hour,
    KeptCall,
    KeystoneAccount,
    OperationAccount,
)
from traced_image.exporter.quantiles import find_quantile
from traced_image.exporter.report import check_trace_url, make_report
from traced_image.exporter.server_report import Probed
from traced_image.telemetry import catalogue

BOUNDS = catalogue.ATTEMPT_DURATION.buckets
NOW = 1_800_000_030.0
MINUTE_OF_NOW = int(NOW // MINUTE)
PLACE = "10.0.0.1", "9292"


def hour(servers=None, outcomes=None, latest=(), keystone=None):
    return Hour(NOW, servers or {}, outcomes or {}, keystone or KeystoneAccount(), tuple(latest))


def account(*cells, **known):
    return Account(cells={cell.minute: cell for cell in cells}, **known)


def told(*cells, **known):
    """What is told of the only server."""
    return make_report(hour({PLACE: account(*cells, **known)}))["servers"][0]


def cell(ago=0, succeeded=0, failed=None, seconds=None, refused=None, **more):
    counts = Counter(failed or {}), Counter(refused or {}), Counter(seconds or {})
    return Cell(MINUTE_OF_NOW - ago, succeeded, *counts, **more)


# --- the whole ---------------------------------------------------------------------------------


def test_it_says_when_and_by_what_it_was_made():
    made = make_report(hour(), "https://traces.example/{trace_id}")
    assert (NOW, metadata.version("traced-image"), "https://traces.example/{trace_id}") == (
        made["generated"],
        made["version"],
        made["trace_url"],
    )


@pytest.mark.parametrize("notice", [None, "This is one worker."])
def test_it_says_what_a_reader_must_know(notice):
    assert notice == make_report(hour(), notice=notice)["notice"]


def test_it_says_what_the_reasons_mean():
    assert catalogue.REASONS == make_report(hour())["meanings"]


def test_it_says_what_the_states_mean():
    assert catalogue.STATES == make_report(hour())["states"]


@pytest.mark.parametrize(("probed", "expected"), [(None, False), (Probed(), True)])
def test_it_says_whether_its_attempts_are_probes(probed, expected):
    assert expected is make_report(hour(), probed=probed)["probes"]


def test_a_server_has_what_is_wrong_with_its_probes():
    servers = {PLACE: account(), ("10.0.0.2", "9292"): account()}
    made = make_report(hour(servers), probed=Probed({PLACE: "no such image"}))
    assert ["no such image", None] == [each["misconfigured"] for each in made["servers"]]


def test_it_is_json():
    servers = {PLACE: account(cell(failed={"503": 1}), cell(1, 2, seconds={0: 2}))}
    failed = KeptCall(NOW, "images.get", "exhausted", "503", 1.0, None)
    made = make_report(hour(servers, {"exhausted": 1}, [failed]))
    assert made == json.loads(json.dumps(made, allow_nan=False))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({}, None),
        ({"success_first_try": 2, "success_after_retry": 1, "exhausted": 1}, 0.75),
        ({"non_retryable": 1}, 0.0),
        ({"success_after_retry": 1}, 1.0),
    ],
)
def test_the_effective_success_is_that_of_calls(outcomes, expected):
    assert expected == make_report(hour(outcomes=outcomes))["effective_success"]


def test_a_call_that_was_refused_is_an_effective_success():
    outcomes = {"success_first_try": 1, "refused": 1, "cancelled": 1, "non_retryable": 1}
    assert 0.75 == make_report(hour(outcomes=outcomes))["effective_success"]


def test_the_actual_success_is_that_of_attempts_on_all_servers():
    servers = {
        PLACE: account(cell(succeeded=3)),
        ("10.0.0.2", "9292"): account(cell(succeeded=2, failed={"503": 2}, refused={"404": 1})),
    }
    assert 6 / 8 == make_report(hour(servers))["actual_success"]


def test_without_attempts_there_is_no_actual_success():
    assert None is make_report(hour({PLACE: account()}))["actual_success"]


def test_the_servers_are_in_order():
    places = [("10.0.0.2", "9292"), ("10.0.0.1", "9293"), ("10.0.0.1", "9292")]
    made = make_report(hour({place: account() for place in places}))
    assert sorted(places) == [(each["address"], each["port"]) for each in made["servers"]]


def test_the_latest_failing_call_is_first():
    calls = [KeptCall(when, "images.get", "exhausted", "503", 1.0, "ab") for when in (1.0, 2.0)]
    made = make_report(hour(latest=calls))["failing_calls"]
    assert [2.0, 1.0] == [each["when"] for each in made]


def test_a_failing_call_has_all_that_is_known_of_it():
    failures = CallFailure(*PLACE, "503", 1.0), CallFailure("10.0.0.2", "9292", "502", 0.25)
    failed = KeptCall(5.0, "images.get", "exhausted", "503", 1.5, "ab", 2, failures)
    (made,) = make_report(hour(latest=[failed]))["failing_calls"]
    assert {
        "when": 5.0,
        "operation": "images.get",
        "outcome": "exhausted",
        "reason": "503",
        "seconds": 1.5,
        "trace_id": "ab",
        "attempts": 2,
        "added_seconds": 1.25,
        "failures": [
            {"address": "10.0.0.1", "port": "9292", "reason": "503", "seconds": 1.0},
            {"address": "10.0.0.2", "port": "9292", "reason": "502", "seconds": 0.25},
        ],
    } == made


def test_calls_that_retries_saved_stand_among_those_that_failed():
    failed, saved = (
        [KeptCall(when, "images.get", outcome, "", 1.0, None) for when in times]
        for outcome, times in (("exhausted", (1.0, 3.0)), ("success_after_retry", (2.0, 4.0)))
    )
    made = make_report(replace(hour(latest=failed), saved=tuple(saved)))
    assert ([4.0, 3.0, 2.0, 1.0], [3.0, 1.0]) == tuple(
        [each["when"] for each in made[name]] for name in ("latest_calls", "failing_calls")
    )


def test_the_cost_of_retries_is_that_of_all_servers():
    servers = {
        PLACE: account(cell(cost=1.0, saved=2)),
        ("10.0.0.2", "9292"): account(cell(cost=0.5, saved=1)),
    }
    made = make_report(replace(hour(servers), saved_calls=2))
    assert (1.5, 2) == (made["cost_seconds"], made["saved_calls"])


# --- the process -------------------------------------------------------------------------------


@pytest.fixture
def without_names(monkeypatch):
    """An environment that names no service."""
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def service():
    return make_report(hour())["process"]["service"]


def test_the_process_has_its_host_its_id_and_how_many_there_are():
    process = make_report(replace(hour(), processes=3))["process"]
    assert (socket.gethostname(), os.getpid(), 3) == (
        process["host"],
        process["pid"],
        process["processes"],
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OTEL_SERVICE_NAME", "nova-api", "nova-api"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=nova%20api", "nova api"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=", None),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=nova", None),
    ],
)
def test_the_service_is_that_of_the_environment(without_names, name, value, expected):
    without_names.setenv(name, value)
    assert expected == service()


@pytest.mark.parametrize(
    ("name", "expected"), [("nova-api", "nova-api"), ("unknown_service:python", "cinder")]
)
def test_the_service_is_first_that_of_the_sdk(without_names, name, expected):
    without_names.setenv("OTEL_SERVICE_NAME", "cinder")
    # Not the SDK's provider, whose hook for forks outlives it, and may block a forked child.
    provider = trace.NoOpTracerProvider()
    provider.resource = Resource({"service.name": name})
    without_names.setattr(trace, "_TRACER_PROVIDER", provider)
    assert expected == service()


# --- Keystone ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ago", "failing"), [(0, True), (120, True), (121, False)])
def test_keystone_fails_for_two_minutes_after_a_failure(ago, failing):
    account = KeystoneAccount(NOW - 300, NOW - ago, "401", {MINUTE_OF_NOW - 2: 4})
    assert {
        "failing": failing,
        "failures": 4,
        "since": NOW - 300,
        "last_failure": NOW - ago,
        "last_error": "401",
    } == make_report(hour(keystone=account))["keystone"]


def test_of_keystone_nothing_is_invented():
    assert {
        "failing": False,
        "failures": 0,
        "since": None,
        "last_failure": None,
        "last_error": None,
    } == make_report(hour())["keystone"]


# --- one server --------------------------------------------------------------------------------


def test_a_server_that_nothing_is_known_of_has_nothing_invented():
    made = told()
    assert ("healthy", 0, 0, 0, {}) == (
        made["state"],
        made["consecutive_failures"],
        made["attempts"],
        made["failed"],
        made["reasons"],
    )
    unknown = "since", "last_success", "last_error", "next_trial", "p50", "p95", "phases"
    assert {None} == {made[name] for name in unknown}


def test_a_server_has_what_the_journal_knows():
    known = {
        "state": "cooling",
        "consecutive_failures": 3.0,
        "last_success": 5.0,
        "last_failure": 6.0,
        "last_error": "503",
        "since": 4.0,
        "next_trial": 7.0,
    }
    made = told(**known)
    assert known == {name: made[name] for name in known}


def test_attempts_are_added_up_over_the_hour():
    made = told(cell(0, 1, {"503": 1}), cell(9, 2, {"503": 1}, refused={"404": 3}))
    assert (8, 2) == (made["attempts"], made["failed"])


def test_the_reasons_are_most_often_first():
    made = told(cell(0, 1, {"503": 1, "502": 3}), cell(9, failed={"503": 1}))
    assert [("502", 3), ("503", 2)] == list(made["reasons"].items())


def test_refusals_are_apart_from_the_reasons_of_failures():
    made = told(cell(failed={"503": 1}, refused={"404": 2}))
    assert ({"503": 1}, {"404": 2}) == (made["reasons"], made["refusals"])


def test_the_strip_has_all_minutes_oldest_first():
    starts = [each["start"] for each in told(cell())["strip"]]
    last = MINUTE_OF_NOW * MINUTE
    assert [last - MINUTE * ago for ago in reversed(range(MINUTES))] == starts


def test_a_minute_has_its_attempts_and_why_most_of_them_failed():
    made = told(cell(2, 4, {"503": 2}, refused={"404": 3}))["strip"][-3]
    assert (9, 2, "503") == (made["attempts"], made["failed"], made["reason"])


@pytest.mark.parametrize("ago", [1, 2])
def test_a_minute_without_failures_has_no_reason(ago):
    assert None is told(cell(1, 1))["strip"][-1 - ago]["reason"]


def test_what_is_older_than_an_hour_does_not_count():
    assert 1 == told(cell(0, 1), cell(MINUTES, 5))["attempts"]


def test_a_server_has_what_its_failures_cost():
    made = told(cell(0, cost=1.0, saved=2), cell(9, cost=0.5, saved=1))
    assert (1.5, 3) == (made["cost_seconds"], made["saved_calls"])


def test_a_server_has_its_last_attempts():
    ends = deque([(1.0, True), (2.0, False), (3.0, True)])
    assert {"attempts": 3, "failed": 2} == told(last=ends)["last"]


def test_a_server_has_the_phases_of_its_latest_probe_in_their_order():
    phases = {"dns": 0.1, "connect": 0.2}
    made = make_report(hour({PLACE: account()}), probed=Probed(phases={PLACE: phases}))
    assert list(phases.items()) == list(made["servers"][0]["phases"].items())


def test_a_server_has_its_operations():
    one = Counter({"images.get": 1})
    counts = {"operations": one + one, "failed_operations": one}
    known = OperationAccount(since=5.0, last_success=4.0, last_failure=6.0, last_error="503")
    made = told(cell(**counts), cell(1, **counts), operations={"images.get": known})
    assert [
        {
            "operation": "images.get",
            "attempts": 4,
            "failed": 2,
            "since": 5.0,
            "last_success": 4.0,
            "last_failure": 6.0,
            "last_error": "503",
        }
    ] == made["operations"]


def test_of_an_operation_nothing_is_invented():
    made = told(operations={"images.get": OperationAccount()})["operations"][0]
    unknown = "since", "last_success", "last_failure", "last_error"
    assert {None} == {made[name] for name in unknown}


# --- the last five minutes ---------------------------------------------------------------------


def test_recent_latencies_are_of_the_last_five_minutes():
    before = cell(5, 9, seconds={0: 9}, longest=0.004)
    made = told(before, cell(4, 1, seconds={1: 1}, longest=0.008))["recent"]
    assert (0.0075, 0.008) == (made["p50"], made["max"])


def test_a_recent_quantile_is_at_most_the_longest():
    made = told(cell(0, 2, seconds={1: 2}, longest=0.006))["recent"]
    assert (0.006, 0.006, 0.006) == (made["p50"], made["p95"], made["max"])


def test_a_server_that_has_not_answered_for_five_minutes_has_no_recent_latencies():
    made = told(cell(5, 9, seconds={0: 9}, longest=0.004), cell(0, failed={"503": 2}))["recent"]
    assert (2, 2, None, None, None) == (
        made["attempts"],
        made["failed"],
        made["p50"],
        made["p95"],
        made["max"],
    )


@pytest.mark.parametrize(
    ("failures", "since", "expected"), [(3, 5.0, None), (2, 5.0, 0.004), (3, 0.0, 0.004)]
)
def test_of_a_server_that_has_just_died_the_latencies_before_do_not_count(
    failures, since, expected
):
    operations = {"images.get": OperationAccount(since=since)}
    before = cell(0, 9, seconds={0: 9}, longest=0.004)
    made = told(before, operations=operations, consecutive_failures=failures)["recent"]
    assert (9, expected) == (made["attempts"], made["max"])


def shares(one, other):
    made = make_report(hour({PLACE: one, ("10.0.0.2", "9292"): other}))["servers"]
    return [(each["recent"]["share_before"], each["recent"]["share"]) for each in made]


def test_the_load_is_that_before_the_server_failed_and_now():
    since = NOW - 20 * MINUTE
    failing = account(cell(21, 5), cell(20, failed={"503": 9}), cell(1), since=since)
    left = account(cell(21, 5), cell(20, 50), cell(1, 3))
    assert [(0.5, 0.0), (0.5, 1.0)] == shares(failing, left)


def test_the_load_before_is_that_of_the_rest_of_the_hour_if_no_server_fails():
    assert [(0.25, 0.5), (0.75, 0.5)] == shares(
        account(cell(5, 1), cell(4, 1)), account(cell(5, 3), cell(4, 1))
    )


def test_the_load_before_is_unknown_if_a_server_has_failed_for_an_hour():
    failing = account(cell(1, failed={"503": 1}), since=NOW - 7200)
    assert [(None, 1.0), (None, 0.0)] == shares(failing, account())


def test_the_load_is_unknown_without_attempts():
    assert [(None, None), (None, None)] == shares(account(), account())


# --- quantiles ---------------------------------------------------------------------------------


def test_without_durations_there_is_no_quantile():
    assert None is find_quantile({}, 0.5)


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({0: 10}, 0.5, 0.0025),
        ({0: 10}, 1.0, 0.005),
        ({1: 10}, 0.5, 0.0075),
        ({0: 5, 1: 5}, 0.5, 0.005),
        ({0: 5, 1: 5}, 0.75, 0.0075),
        ({0: 1, 18: 3}, 0.5, 300.0 + 300.0 / 3),
        ({19: 4}, 0.5, 600.0),
        ({0: 1, 19: 3}, 0.95, 600.0),
    ],
)
def test_a_quantile_is_linear_within_its_bucket(buckets, share, expected):
    assert pytest.approx(expected) == find_quantile(buckets, share)


durations = st.dictionaries(st.integers(0, len(BOUNDS)), st.integers(1, 1000), min_size=1)


@given(durations, st.floats(0.01, 1.0))
def test_a_quantile_is_that_of_prometheus(buckets, share):
    """By its own algorithm, over cumulative buckets up to +Inf (``promql/quantile.go``)."""
    bounds, below, cumulative = [*BOUNDS, float("inf")], 0, []
    for number in range(len(bounds)):
        below += buckets.get(number, 0)
        cumulative.append(below)
    rank = share * below
    place = next(number for number in range(len(bounds)) if cumulative[number] >= rank)
    if place == len(bounds) - 1:
        expected = bounds[-2]
    else:
        start = bounds[place - 1] if place else 0.0
        before = cumulative[place - 1] if place else 0
        count = cumulative[place] - before
        expected = start + (bounds[place] - start) * (rank - before) / count
    assert pytest.approx(expected) == find_quantile(buckets, share)


@given(durations, st.floats(0.01, 0.99))
def test_a_quantile_of_more_is_not_less(buckets, share):
    assert find_quantile(buckets, share) <= find_quantile(buckets, 1.0)


# --- links -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        None,
        "https://jaeger.example/trace/{trace_id}",
        "http://10.0.0.1:16686/trace/{trace_id}?x=1",
        "https://grafana.example/explore?left={trace_id}",
    ],
)
def test_an_address_of_traces_is_taken(url):
    assert None is check_trace_url(url)


@pytest.mark.parametrize(
    "url", ["", "https://jaeger.example/trace/", "javascript:alert('{trace_id}')", "{trace_id}"]
)
def test_what_no_link_can_be_made_of_is_refused(url):
    with pytest.raises(InvalidOption, match=r"trace_url \(from --trace-url\): .* is not an http"):
        check_trace_url(url, "--trace-url")
