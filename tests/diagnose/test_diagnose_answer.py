"""The answer: its sentences, and its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from traced_image.diagnosis import answer, findings
from traced_image.diagnosis.observations import (
    AlertSeen,
    Callers,
    CallSeen,
    KeystoneSeen,
    Latency,
    Observations,
    ServerSeen,
    Tally,
)

NOON = datetime(2026, 11, 29, 12, tzinfo=timezone.utc).timestamp()
END = NOON + 720
GET, DATA = "images.get", "images.data"
HANGING = ServerSeen(
    "10.0.0.3:9292",
    since=NOON,
    row=19,
    tallies=(Tally("nova-api", GET, "read_timeout", 18), Tally("cinder", DATA, "read_timeout", 2)),
    callers=(Callers("nova-api", 2, 2, 0, 2), Callers("cinder", 1, 1, 0, 1)),
    calls_failed=0.0,
    calls_saved=76.0,
    cost_seconds=38.0,
    traces=("6fa83ebf",),
)
FINE = ServerSeen("10.0.0.1:9292", tallies=(Tally("", "", "", 9),), share=(0.37, 0.25))
UNASKED = ServerSeen("10.0.0.2:9292", state="healthy", asked=False)
ALERT = AlertSeen(
    "GlanceServerFailing", "firing", NOON + 60, HANGING.server, "https://wiki/runbook"
)


def seen(*servers, **told):
    usual = {"jobs": {"nova-api": 2, "cinder": 1}, "usual_seconds": 0.005}
    start = told.pop("start", END - 3600)
    return Observations("a test", start, END, servers=servers, **{**usual, **told})


def lines(*servers, **told):
    every = seen(*servers, **told)
    return list(answer.make_lines(findings.find(every), every))


def test_the_answer_says_all_six_things():
    other = replace(FINE, server="10.0.0.2:9292")
    assert [
        "a test, 2026-11-29 11:12:00 to 12:12:00 UTC: 3 servers, 3 processes of 2 jobs",
        "",
        "10.0.0.3:9292 never answers (read_timeout) since 12:00:00, 12 min. 19 failures in a row.",
        "  hit     cinder (1 of 1 process): images.data; nova-api (2 of 2 processes): images.get",
        (
            "  cost    76 calls took 505 ms in place of 5 ms, 38 s more in all; none failed:"
            " retries hid it"
        ),
        "  then    2 of 3 servers carry the load: up to 37 % of attempts each, 25 % before",
        (
            "  look    trace 6fa83ebf, GlanceServerFailing fires since 12:01:00, runbook"
            " https://wiki/runbook"
        ),
        "",
        "It can't know: a; b.",
    ] == lines(HANGING, FINE, other, alerts=(ALERT, ALERT), unknown=("a", "b"))


def line(name, *servers, **told):
    """The line of a part; empty if there is none."""
    found = (each for each in lines(*servers, **told) if each.startswith(f"  {name} "))
    return next(found, "").removeprefix(f"  {name}").strip()


def sentence(*servers, **told):
    return lines(*servers, **told)[2]


# --- the sentence ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"exact": False}, " since about 12:00:00, 12 min. "),
        ({"exact": False, "earlier": True}, " since about 12:00:00 or earlier. "),
        ({"since": NOON - 86400}, " since 2026-11-28 12:00:00, 24 h. "),
        ({"since": None}, " since an unknown time. "),
        ({"row": 1}, " since 12:00:00, 12 min."),
        ({"row": None}, " since 12:00:00, 12 min."),
    ],
)
def test_the_sentence_says_when(told, words):
    said = sentence(replace(HANGING, **told), FINE)
    assert f"10.0.0.3:9292 never answers (read_timeout){words}" in f"{said} "[: len(said)]


@pytest.mark.parametrize(("gone", "words"), [(False, ""), (True, " No caller asks it any more.")])
def test_what_has_ended_is_said_to_have_ended(gone, words):
    assert sentence(replace(HANGING, until=NOON + 300, gone=gone), FINE) == (
        "Ended: 10.0.0.3:9292 never answers (read_timeout) from 12:00:00 to 12:05:00, 5 min. 19"
        f" failures in a row.{words}"
    )


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("503", "what they share: the network, the database, a load balancer."),
        (
            "deadline_exceeded",
            (
                "a deadline that is too short, or what they share: the network, the database, a"
                " load balancer."
            ),
        ),
    ],
)
def test_of_all_servers_what_they_share_is_suspected(reason, words):
    failing = replace(HANGING, tallies=(Tally("a", GET, reason, 9),), row=None)
    said = sentence(failing, replace(failing, server="b:1"))
    assert words == said.partition("Suspect ")[2]


def test_a_server_that_fails_by_turns_has_a_share_that_fails():
    tallies = (Tally("a", GET, "503", 9), Tally("a", GET, "", 18))
    flapping = replace(HANGING, tallies=tallies, row=None, recoveries=2)
    assert sentence(flapping, FINE) == (
        "10.0.0.3:9292 fails and recovers by turns (HTTP 503) since 12:00:00, 12 min: 33 % of"
        " attempts fail, and it recovered 2 times or more."
    )


def test_one_operation_is_named_with_those_that_succeed():
    tallies = (Tally("a", DATA, "503", 9), Tally("a", GET, "", 9))
    assert sentence(replace(HANGING, tallies=tallies, row=None), FINE) == (
        "10.0.0.3:9292 answers HTTP 503 for images.data alone since 12:00:00, 12 min; not for"
        " images.get."
    )


def test_the_caller_that_is_cut_off_is_named():
    callers = (Callers("a", 2, 1, 1, 1, ("node-1",)), Callers("b", 3, 0, 2, 0))
    tallies = (Tally("a", GET, "connect_timeout", 9), Tally("b", GET, "", 9))
    assert sentence(replace(HANGING, tallies=tallies, callers=callers, row=None), FINE) == (
        "a (node-1) can't use 10.0.0.3:9292 (connect_timeout) since 12:00:00, 12 min. 3 other"
        " processes can: suspect the way between them, not the server."
    )


def test_a_slow_server_is_compared():
    latencies = (Latency(GET, 1.2, 0.005), Latency(DATA, 0.1, 0.1), Latency("", 6.0))
    slow = replace(FINE, latencies=latencies, slow_since=NOON)
    assert sentence(slow) == (
        "10.0.0.1:9292 is slow since 12:00:00, 12 min: images.get takes 1.2 s in place of 5 ms and"
        " an attempt takes 6 s."
    )


def test_a_slow_server_has_callers_who_wait():
    asked = (Tally("nova-api", GET, "", 9), Tally("cinder", DATA, "", 9))
    slow = replace(
        FINE, latencies=(Latency(GET, 1.2, 0.005), Latency(DATA, 0.1, 0.1)), tallies=asked
    )
    assert (
        "nova-api: images.get",
        "its callers wait; no attempt on it failed, so that none was retried",
    ) == (line("hit", slow), line("cost", slow))


def test_keystone_is_said_to_be_none_of_the_servers():
    keystone = KeystoneSeen(NOON, tallies=(Tally("a", "", "502", 9),))
    assert [
        (
            "Keystone gives no token (HTTP 502) since 12:00:00, 12 min. No Glance server was asked"
            " for those calls."
        ),
        "  hit     a: its operations are not told",
        "  cost    9 calls failed",
    ] == lines(FINE, keystone=keystone)[2:5]


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ((), "Nothing is known: no attempt on a server is told."),
        ((UNASKED,), "Nothing is known: no attempt on a server is told."),
        (
            (FINE, UNASKED),
            (
                "Nothing fails now, and no server is slow beside the others: 10.0.0.1:9292. A call"
                " takes 5 ms on average. No attempt on 10.0.0.2:9292 is told."
            ),
        ),
        (
            (replace(FINE, state="cooling"),),
            (
                "No attempt fails now, and no server is slow beside the others: 10.0.0.1:9292. A"
                " call takes 5 ms on average. 10.0.0.1:9292 is cooling, though no attempt failed:"
                " image data may have broken off after its call had ended."
            ),
        ),
        (
            (FINE,),
            (
                "Nothing fails now, and no server is slow beside the others: 10.0.0.1:9292. A call"
                " takes 5 ms on average."
            ),
        ),
    ],
)
def test_nothing_is_said_as_such(servers, said):
    assert said == sentence(*servers)


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (("503",), "1 call failed (HTTP 503), but no attempt on a server is told to have failed."),
        (
            ("", "503", "503"),
            (
                "3 calls failed (reason not told and HTTP 503), but no attempt on a server is told"
                " to have failed."
            ),
        ),
    ],
)
def test_calls_that_failed_without_a_failed_attempt_are_told(reasons, said):
    calls = tuple(CallSeen(GET, "exhausted", each, 1.0, 0.0, (), "aa") for each in reasons)
    assert said == sentence(FINE, calls=calls)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"jobs": {"a": 0}}, "1 server, 1 job"),
        ({"start": END - 86400}, "2026-11-28 12:12:00 to 2026-11-29 12:12:00 UTC: 1 server"),
    ],
)
def test_the_first_line_says_what_was_asked(told, words):
    every = replace(seen(FINE), **told)
    assert words in next(iter(answer.make_lines([], every)))


# --- the other lines ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"calls_failed": 12.0, "calls_saved": 0.0}, "12 calls failed"),
        ({"calls_saved": 0.0}, "no call failed"),
        (
            {"calls_saved": None, "cost_seconds": None},
            "no call failed; what retries cost is not told",
        ),
        ({"calls_failed": None, "calls_saved": None}, "what retries cost is not told"),
        (
            {"calls_failed": 1.0, "calls_saved": 2.0, "cost_seconds": None},
            "2 calls took 5 ms in place of 5 ms, 0 ms more in all; 1 call failed",
        ),
    ],
)
def test_the_cost_is_told_as_far_as_it_is_known(told, said):
    assert said == line("cost", replace(HANGING, **told), FINE)


def test_streams_that_fail_are_said_to_fail_no_call():
    broken = replace(HANGING, tallies=(Tally("a", DATA, "stream_error", 9),), calls_saved=0.0)
    said = "no call failed; the data of calls that had ended broke off or was wrong"
    assert said == line("cost", broken, FINE)


def test_without_a_usual_duration_nothing_is_said_of_calls():
    assert sentence(FINE, usual_seconds=None).endswith(": 10.0.0.1:9292.")


def test_without_a_usual_duration_what_was_added_is_told():
    assert line("cost", HANGING, FINE, usual_seconds=None) == (
        "76 calls took 500 ms longer, 38 s in all; none failed: retries hid it"
    )


@pytest.mark.parametrize(
    ("failing", "share", "said"),
    [
        (HANGING, (None, None), ""),
        (HANGING, (0.5, None), "1 of 2 servers carries the load: up to 50 % of attempts each"),
        (replace(HANGING, until=NOON + 60), (0.5, 0.5), ""),
    ],
)
def test_the_load_is_told_while_it_lasts(failing, share, said):
    assert said == line("then", failing, replace(FINE, share=share))


def test_an_only_server_may_be_a_load_balancer():
    said = "it is the only server; if it is a load balancer, one behind it may fail"
    assert said == line("then", HANGING)


def test_of_all_servers_no_load_moves():
    assert "" == line("then", HANGING, replace(HANGING, server="b:1", share=(0.5, 0.5)))


@pytest.mark.parametrize(
    "told",
    [
        {"latencies": (Latency(GET, 6.0),)},
        {"probe_reason": "503"},
    ],
)
def test_a_server_that_fails_no_attempt_keeps_its_load(told):
    assert "" == line("then", replace(FINE, **told), replace(FINE, server="b:1"))


def test_probes_that_agree_are_told():
    assert "fail, too (HTTP 503)" == line("probes", replace(HANGING, probe_reason="503"), FINE)


def test_probes_alone_have_no_line_of_their_own():
    assert "" == line("probes", replace(FINE, probe_reason="503", probe_since=NOON))


def test_a_pending_alert_without_a_time_is_told():
    alert = AlertSeen("A", "pending", server=HANGING.server)
    assert "trace 6fa83ebf, A is pending" == line("look", HANGING, FINE, alerts=(alert,))


def test_few_failures_are_told_as_such():
    few = replace(HANGING, tallies=(Tally("", "", "503", 1),), row=1, callers=())
    assert "no: there were few failures" == line("sure", few, FINE)
    assert "a caller: its operations are not told" == line("hit", few, FINE)


def test_single_calls_are_told_in_order():
    attempts = (("a:1", "read_timeout", 1.0), ("b:1", "", 0.005))
    calls = (
        CallSeen(GET, "success_after_retry", "", 1.01, 1.0, attempts, "6fa8"),
        CallSeen(GET, "exhausted", "503", 2.0, 0.0, (), "7fa8"),
    )
    assert [
        "images.get in 1.01 s: success_after_retry; retries cost 1 s; trace 6fa8",
        "  1. a:1 read_timeout, 1 s",
        "  2. b:1 answered, 5 ms",
        "",
        "images.get in 2 s: exhausted (503); retries cost 0 ms; trace 7fa8",
    ] == lines(FINE, calls=calls)[4:9]


def test_refusals_are_told_and_are_no_failures():
    assert (
        "Refused requests, which are no failures of servers: HTTP 401 (1,200)."
        == (lines(FINE, refusals={"401": 1200.0})[-1])
    )


@pytest.mark.parametrize(
    ("reason", "words"),
    [("404", "its database or its image store"), ("413", "its own settings")],
)
def test_what_is_suspected_of_a_server_that_refuses_depends_on_the_reason(reason, words):
    refusing = replace(FINE, refusals=(Tally("api", GET, reason, 9),), refused_since=NOON)
    assert sentence(refusing).endswith(f"suspect {words}.")


@pytest.mark.parametrize(
    "told", [{"slow_since": NOON, "latencies": (Latency(GET, 6.0),)}, {"refused_since": NOON}]
)
@pytest.mark.parametrize(("start", "earlier"), [(NOON - 10, True), (NOON - 60, False)])
def test_what_begins_with_the_window_may_have_begun_earlier(told, start, earlier):
    refusals = (Tally("api", GET, "401", 9),) if "refused_since" in told else ()
    said = sentence(replace(FINE, refusals=refusals, **told), start=start)
    assert earlier == (" or earlier" in said)


def test_a_server_that_refuses_alone_is_told_with_its_cost():
    refusals = (Tally("api", GET, "401", 9), Tally("api", GET, "", 1))
    refusing = replace(FINE, refusals=refusals, refused_since=NOON)
    assert (
        (
            "10.0.0.1:9292 refuses 90 % of images.get (HTTP 401) since about 12:00:00, 12 min, and"
            " others answer them: suspect how it checks tokens, or its policy."
        ),
        "9 calls refused; no other server is asked then",
        "",
    ) == (sentence(refusing), line("cost", refusing), line("then", refusing))


def test_what_stock_clients_hide_is_told():
    said = lines(FINE, hazards={"upload_truncated": 2.0})[-1]
    assert "Stock clients did what their callers do not see: upload_truncated (2)." == said


# --- JSON --------------------------------------------------------------------------------------


def to_json(*servers, **told):
    every = seen(*servers, **told)
    (found,) = answer.make_json(findings.find(every), every)
    return found


def test_the_json_has_all_that_was_found():
    found = to_json(HANGING, FINE, alerts=(ALERT,), unknown=("a",))
    since = datetime.fromtimestamp(NOON, timezone.utc)
    del found["says"]
    assert {
        "server": "10.0.0.3:9292",
        "servers": ("10.0.0.3:9292",),
        "rule": "down",
        "reason": "read_timeout",
        "reasons": {"read_timeout": 20},
        "since": since,
        "since_exact": True,
        "until": None,
        "operations": [DATA, GET],
        "jobs": {"cinder": (DATA,), "nova-api": (GET,)},
        "processes": {
            "nova-api": {"asking": 2, "failing": 2},
            "cinder": {"asking": 1, "failing": 1},
        },
        "failures_in_a_row": 19,
        "calls_failed": 0,
        "calls_saved": 76,
        "cost_seconds": 38.0,
        "hidden_by_retries": True,
        "alerts": [
            {
                "name": "GlanceServerFailing",
                "state": "firing",
                "since": datetime.fromtimestamp(NOON + 60, timezone.utc),
            }
        ],
        "traces": ("6fa83ebf",),
        "confidence": "high",
        "unknown": ("a",),
    } == found


def test_what_is_unknown_is_null():
    found = to_json(replace(HANGING, calls_failed=None, calls_saved=None), FINE)
    assert (None, None, None) == (
        found["calls_failed"],
        found["calls_saved"],
        found["hidden_by_retries"],
    )


def test_of_several_servers_the_server_is_null():
    found = to_json(HANGING, replace(HANGING, server="b:1"))
    assert (None, ("10.0.0.3:9292", "b:1")) == (found["server"], found["servers"])


def test_a_slow_server_has_no_reason():
    assert None is to_json(replace(FINE, latencies=(Latency(GET, 6.0),)))["reason"]


def test_the_json_says_the_same_sentence():
    found = to_json(HANGING, FINE)
    assert sentence(HANGING, FINE) == json.loads(json.dumps(found, default=str))["says"]
