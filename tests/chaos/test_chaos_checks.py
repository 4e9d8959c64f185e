"""Each check of a run finds the contradiction that it is for, and nothing in a run without one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chaos.blame import FAULT, STATUS, explain, find_slow
from chaos.checks import CHECKS, find_all
from chaos.records import (
    KEYSTONE,
    KILLED,
    Evidence,
    Limits,
    Made,
    Outage,
    Resources,
    Served,
    Spanned,
    Stored,
)

A, B = 9291, 9292
"""The ports of two servers."""

HELD = Resources(("MainThread",), 10, 0, 10**8)

MADE = (
    Made("t1", "show", 1.0, 1.1, image="i0", digest="i0", expected="i0"),
    Made("t2", "create", 2.0, 2.9, image="i1", digest="d1", expected="d1"),
    Made("t3", "detail", 3.0, 3.5, error="CommunicationError"),
)
"""One call that failed over, one that made an image, and one that failed."""

SPANS = (
    Spanned("request", "t1", "s1", "", A, 1.0, 1.0, reason="connection_refused"),
    Spanned("attempt", "t1", "s2", "images.get", A, 1.0, 1.0, "failed", "connection_refused"),
    Spanned("request", "t1", "s3", "", B, 1.0, 1.1, status=200),
    Spanned("attempt", "t1", "s4", "images.get", B, 1.0, 1.1, "success"),
    Spanned("call", "t1", "s5", "images.get", 0, 1.0, 1.1, "success_after_retry", attempts=2),
    Spanned("request", "t2", "s6", "", B, 2.0, 2.4, status=201),
    Spanned("attempt", "t2", "s7", "images.create", B, 2.0, 2.4, "success"),
    Spanned("call", "t2", "s8", "images.create", 0, 2.0, 2.4, "success_first_try", attempts=1),
    Spanned("request", "t3", "s9", "", B, 3.0, 3.5, status=500, reason="500"),
    Spanned("attempt", "t3", "s10", "images.list", B, 3.0, 3.5, "failed", "500"),
    Spanned("call", "t3", "s11", "images.list", 0, 3.0, 3.5, "failed", "500", attempts=1),
)

SERVED = (
    Served("t1", "s3", B, "GET", "/v2/images/i0", 1.05, 200, 900),
    Served("t2", "s6", B, "POST", "/v2/images", 2.1, 201, 900),
    Served("t3", "s9", B, "GET", "/v2/images", 3.1, 500, 0),
)

GOOD = Evidence(
    limits=Limits(attempt=5.0, attempts=4, grace=1.0, memory=10**6),
    made=MADE,
    spans=SPANS,
    served=SERVED,
    outages=(Outage(A, "kill", 0.5, 4.0),),
    stored=(Stored("i1", "d1", "d1"),),
    counted={
        ("images.get", "success_after_retry"): 1,
        ("images.create", "success_first_try"): 1,
        ("images.list", "failed"): 1,
    },
    attempts={
        ("images.get", A, "failed", "connection_refused"): 1,
        ("images.get", B, "success", ""): 1,
        ("images.create", B, "success", ""): 1,
        ("images.list", B, "failed", "500"): 1,
    },
    before=HELD,
    after=HELD,
)


def altered(name, number, **changes):
    """A run of which one record is different."""
    records = list(getattr(GOOD, name))
    records[number] = replace(records[number], **changes)
    return replace(GOOD, **{name: tuple(records)})


def without(name, number):
    """A run of which one record is absent."""
    records = list(getattr(GOOD, name))
    del records[number]
    return replace(GOOD, **{name: tuple(records)})


def added(name, *records):
    """A run with more records."""
    return replace(GOOD, **{name: (*getattr(GOOD, name), *records)})


LOST, OUTCOMES, COUNTS = "no call lost", "outcomes are true", "spans equal metrics"
LOGS, TWICE, BYTES = "requests equal access logs", "no image made twice", "no wrong byte"
TOKENS = "no healthy Keystone blamed"
BLAMED, KEPT, LEAK = "no healthy server blamed", "limits kept", "no leak"

PLANTED = {
    "a call that never ends": (LOST, altered("made", 0, ended=None), "has not ended"),
    "a call without a span": (LOST, without("spans", 4), "has no span"),
    "two spans of one call": (LOST, added("spans", replace(SPANS[4], span="x")), "2 spans"),
    "a span of no call": (LOST, added("spans", replace(SPANS[4], trace="x")), "of no call"),
    "a failure that was a success": (OUTCOMES, altered("made", 2, error=""), "its span says 500"),
    "a success that was a failure": (
        OUTCOMES,
        altered("made", 0, error="NotFound"),
        "its span says success",
    ),
    "an error that is not documented": (
        OUTCOMES,
        altered("made", 2, error="unexpected KeyError('x')"),
        "an error that is unexpected KeyError('x')",
    ),
    "a call that the metrics lack": (COUNTS, without("spans", 10), "0 spans, 1 in metrics"),
    "a call that they count twice": (
        COUNTS,
        replace(GOOD, counted={**GOOD.counted, ("images.get", "success_after_retry"): 2}),
        "1 spans, 2 in metrics",
    ),
    "an attempt that they lack": (COUNTS, replace(GOOD, attempts={}), "1 spans, 0 in metrics"),
    "an attempt on another server": (COUNTS, altered("spans", 3, server=A), "attempts of"),
    "an answer that nobody logged": (LOGS, without("served", 0), "which no server logged"),
    "a request that nobody sent": (
        LOGS,
        added("served", replace(SERVED[0], span="x")),
        "which no span has sent",
    ),
    "a request that was sent twice": (LOGS, added("served", SERVED[0]), "served 2 times"),
    "another status": (LOGS, altered("served", 0, status=404), "the server logged 404"),
    "an answer before the end": (LOGS, altered("served", 0, status=0), "logged no answer"),
    "another server": (LOGS, altered("served", 0, server=A), f"served by {A}"),
    "another answer of nginx": (
        LOGS,
        added("served", replace(SERVED[0], status=502, is_gateway=True)),
        "the server logged 502",
    ),
    "an image that was made twice": (TWICE, added("served", SERVED[1]), "made 2 images"),
    "a wrong record": (BYTES, altered("made", 0, digest="i9"), "received i9 instead of i0"),
    "a record without data in the store": (
        BYTES,
        altered("stored", 0, digest=""),
        "i1, which is not there",
    ),
    "data on a full disk": (
        BYTES,
        altered("made", 0, operation="fill", expected=""),
        "to a disk that is full",
    ),
    "wrong data in the store": (BYTES, altered("stored", 0, digest="d9"), "the store has d9"),
    "data that is not stored": (BYTES, without("stored", 0), "i1, which is not there"),
    "a server that was healthy": (BLAMED, replace(GOOD, outages=()), f"blames server {A}"),
    "a server that was broken later": (
        BLAMED,
        altered("outages", 0, started=1.5),
        f"blames server {A}",
    ),
    "a server that was broken before": (
        BLAMED,
        altered("outages", 0, started=-2.0, ended=-1.0),
        f"blames server {A}",
    ),
    "another server that was broken": (
        BLAMED,
        altered("outages", 0, server=B),
        f"blames server {A}",
    ),
    "an error that no server gave": (
        BLAMED,
        altered("served", 2, status=200),
        f"blames server {B}",
    ),
    "a server that was slow, but refused": (
        BLAMED,
        replace(GOOD, outages=(), slow=(Outage(A, "slow", 0.5, 4.0),)),
        f"blames server {A}",
    ),
    "a timeout while another server was slow": (
        BLAMED,
        replace(
            altered("spans", 1, reason="read_timeout"),
            outages=(),
            slow=(Outage(B, "slow", 0.5, 4.0),),
        ),
        f"blames server {A}",
    ),
    "a Keystone that was healthy": (
        TOKENS,
        altered("made", 2, error="TokenUnavailable"),
        "of a Keystone that was healthy",
    ),
    "an attempt without an end": (KEPT, altered("spans", 3, ended=6.6), "took 5.60 s"),
    "an attempt of a burst without an end": (
        KEPT,
        replace(
            altered("spans", 3, ended=16.6),
            outages=(*GOOD.outages, Outage(B, "burst", 0.5, 4.0)),
        ),
        "took 15.60 s",
    ),
    "one attempt too many": (
        KEPT,
        added("spans", *[replace(SPANS[1], started=0.1 * n) for n in range(4)]),
        "attempt 5 of images.get in a row",
    ),
    "a thread": (
        LEAK,
        replace(GOOD, after=replace(HELD, threads=("MainThread", "more"))),
        "threads are left: more",
    ),
    "a descriptor": (LEAK, replace(GOOD, after=replace(HELD, descriptors=11)), "1 descriptors"),
    "a span": (LEAK, replace(GOOD, after=replace(HELD, spans=1)), "1 spans have not ended"),
    "memory": (LEAK, replace(GOOD, after=replace(HELD, memory=10**8 + 2 * 10**6)), "2.0 MB"),
    "a secret": (LEAK, replace(GOOD, leaks=("the metrics",)), "a secret is in the metrics"),
}
"""Runs with one contradiction: the check that must find it, and words of what it says."""


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_finds_nothing_in_a_good_run(name):
    assert [] == list(CHECKS[name](GOOD))


@pytest.mark.parametrize("planted", PLANTED)
def test_a_check_finds_what_it_is_for(planted):
    name, evidence, words = PLANTED[planted]
    assert words in "\n".join(find_all(evidence)[name])


def test_each_check_is_shown_to_find_something():
    assert set(CHECKS) == {name for name, _, _ in PLANTED.values()}


def test_an_image_that_was_deleted_need_not_be_there():
    deleted = replace(MADE[0], trace="t4", operation="delete", image="i1", expected="", digest="")
    evidence = replace(added("made", deleted), stored=())
    assert [] == find_all(evidence)[BYTES]


def test_an_outage_may_show_for_a_short_time_after_its_end():
    assert [] == find_all(altered("outages", 0, ended=0.6))[BLAMED]


TRUNCATED = replace(
    added("spans", *[replace(SPANS[6], span=span, operation="images.upload") for span in "ab"]),
    served=(*SERVED, Served("t2", "sb", B, "PUT", "/v2/images/i1/file", 2.5)),
    stored=(Stored("i1", "d9", "d1"),),
)
"""A run in which an image was uploaded by the second attempt, and has wrong data."""


def test_a_client_whose_retries_upload_the_rest_of_a_file_may_have_stored_that():
    limits = replace(GOOD.limits, repeats=True)
    assert [] == find_all(replace(TRUNCATED, limits=limits))[BYTES]


def test_no_other_client_may_have_stored_the_rest_of_a_file():
    assert "the store has d9" in find_all(TRUNCATED)[BYTES][0]


def test_such_a_client_may_not_have_stored_wrong_data_by_one_upload():
    once = replace(TRUNCATED, spans=TRUNCATED.spans[:-1])
    found = find_all(replace(once, limits=replace(GOOD.limits, repeats=True)))
    assert "the store has d9" in found[BYTES][0]


SLOW = {
    "the server was slow by its log": {"slow": (Outage(A, "slow", 0.5, 4.0),)},
    "the proxies were kept waiting": {"held_up": ((0.5, 3.0),)},
    "the server began with it late by its log": {
        "served": (*SERVED, Served("t1", "s1", A, "GET", "/v2/images/i0", 2.5)),
    },
}
"""What explains that a server ran out of time although nothing broke it."""


@pytest.mark.parametrize("why", SLOW)
def test_a_timeout_of_a_healthy_server_is_right_if(why):
    run = altered("spans", 1, reason="read_timeout", ended=3.0)
    assert [] == find_all(replace(run, outages=(), **SLOW[why]))[BLAMED]


def test_each_attempt_that_failed_is_explained_by_a_fault_or_by_its_servers_answer():
    assert [FAULT, STATUS] == [why for _, why in explain(GOOD)]


def test_an_attempt_may_take_longer_by_what_its_process_was_kept_waiting():
    run = altered("spans", 3, ended=6.6)
    assert [] == find_all(replace(run, stalls=((2.0, 3.0),)))[KEPT]


def test_attempts_are_counted_anew_after_one_that_succeeded():
    record = [replace(SPANS[1], started=0.1 * n) for n in range(2)]
    data = [replace(SPANS[1], started=2.0 + 0.1 * n) for n in range(4)]
    assert [] == find_all(added("spans", *record, *data))[KEPT]


def test_a_request_that_takes_long_by_a_log_makes_its_server_slow():
    quick = replace(SERVED[0], began=1.0, answered=1.5)
    slow = replace(SERVED[1], began=2.0, answered=3.5)
    found = find_slow([quick, slow, SERVED[2]], (), 1.0)
    assert [Outage(B, "slow", 2.0, 3.5)] == list(found)


def test_a_request_that_was_never_answered_took_until_its_server_was_killed():
    outages = [Outage(B, "kill", 0.5, 0.9), Outage(A, "kill", 2.5, 3.0), Outage(B, "kill", 5.0, 9)]
    pending = replace(SERVED[1], began=2.0)
    assert [Outage(B, "slow", 2.0, 5.0)] == list(find_slow([pending], outages, 1.0))


def test_a_call_may_get_no_token_while_keystone_is_slow_by_its_log():
    run = altered("made", 2, error="TokenUnavailable")
    slow = (Outage(KEYSTONE, "slow", 2.5, 3.1),)
    assert [] == find_all(replace(run, slow=slow))[TOKENS]


def test_what_nginx_answered_counts_where_a_request_passed_it():
    served = (*SERVED, replace(SERVED[0], status=502, is_gateway=True))
    spans = tuple(replace(s, status=502) if s.span == "s3" else s for s in SPANS)
    assert [] == find_all(replace(GOOD, served=served, spans=spans))[LOGS]


def test_a_creation_that_passed_nginx_is_one():
    assert [] == find_all(added("served", replace(SERVED[1], is_gateway=True)))[TWICE]


def test_a_creation_may_follow_one_that_was_refused():
    refused = replace(SERVED[1], span="x", status=401)
    assert [] == find_all(added("served", refused))[TWICE]


@pytest.mark.parametrize("status", [0, 500])
def test_a_creation_may_not_follow_one_that_may_have_made_an_image(status):
    unknown = replace(SERVED[1], span="x", status=status)
    assert "made 2 images" in find_all(added("served", unknown))[TWICE][0]


def test_a_child_that_was_killed_need_not_tell_of_its_last_call():
    made = Made("t9", "show", 1.0, error=KILLED)
    line = replace(SERVED[0], trace="t9", span="s99")
    spans = (replace(SPANS[2], trace="t9", span="s98", is_counted=False),)
    evidence = replace(GOOD, made=(*MADE, made), served=(*SERVED, line), spans=(*SPANS, *spans))
    assert {} == {name: found for name, found in find_all(evidence).items() if found}


def test_the_spans_of_children_are_in_no_metrics_of_this_process():
    spans = tuple(replace(s, is_counted=False) for s in SPANS)
    evidence = replace(GOOD, spans=spans, counted={}, attempts={})
    assert [] == find_all(evidence)[COUNTS]


def test_a_call_may_get_no_token_while_keystone_is_broken():
    run = altered("made", 2, error="TokenUnavailable")
    outages = (*GOOD.outages, Outage(KEYSTONE, "keystone_kill", 2.5, 3.1))
    assert [] == find_all(replace(run, outages=outages))[TOKENS]


def test_the_threads_of_a_burst_wait_for_each_other():
    run = altered("spans", 3, ended=6.6)
    bursts = (*GOOD.outages, Outage(B, "burst", 0.5, 4.0))
    assert [] == find_all(replace(run, outages=bursts))[KEPT]
