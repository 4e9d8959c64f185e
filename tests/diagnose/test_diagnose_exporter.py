"""Exporters as a source: real reports, and reports that tell more or less."""

from __future__ import annotations

import pytest
from replayed import read, serving

from traced_image.diagnosis import exporter, findings
from traced_image.diagnosis.exporter_report import ProcessSaw
from traced_image.diagnosis.requests_of_sources import SourceAccess, SourceReader

CONCLUSIONS = {
    "down": ("down", "connection_refused"),
    "hanging": ("down", "read_timeout"),
    "tls": ("down", "tls_error"),
    "slow": ("slow", None),
    "operation": ("one_operation", "503"),
    "network": ("one_caller", "network_unreachable"),
    "keystone": ("keystone", "connection_refused"),
    "all": ("all_servers", "connection_refused"),
    "image": ("one_image", "500"),
}
NEWER = ("process", "latest_calls", "saved_calls", "cost_seconds", "states")
NEWER_OF_A_SERVER = (*NEWER, "since", "recent", "last", "operations", "phases")
"""What older exporters do not report."""


def age(report):
    """Return a report as an older exporter makes it."""
    old = {name: value for name, value in report.items() if name not in NEWER}
    old["servers"] = [
        {name: value for name, value in each.items() if name not in NEWER_OF_A_SERVER}
        for each in report["servers"]
    ]
    return old


def observe(reports):
    return exporter.combine([ProcessSaw(f"http://{n}", each) for n, each in enumerate(reports)])


def diagnose(*reports):
    return findings.find(observe(reports))


@pytest.mark.parametrize("scene", CONCLUSIONS)
def test_it_concludes_what_fails_and_why(scene):
    found = diagnose(*read(scene).exporters)
    told = [(each.rule.name, next(iter(each.reasons), None)) for each in found]
    assert [CONCLUSIONS[scene]] == told


@pytest.mark.parametrize("scene", [each for each in CONCLUSIONS if each != "slow"])
def test_it_knows_since_when_to_half_a_minute(scene):
    recorded = read(scene)
    (found,) = diagnose(*recorded.exporters)
    assert recorded.began == pytest.approx(found.since, abs=31)


@pytest.mark.parametrize("scene", ["down", "hanging", "network", "keystone", "all", "image"])
def test_older_exporters_tell_it_as_well(scene):
    found = diagnose(*map(age, read(scene).exporters))
    told = [(each.rule.name, next(iter(each.reasons), None)) for each in found]
    assert [CONCLUSIONS[scene]] == told


def test_of_an_older_exporter_some_attempts_of_a_server_fail():
    recorded = read("operation")
    (found,) = diagnose(*map(age, recorded.exporters))
    assert ("sometimes", (recorded.broken,), {"": ()}) == (
        found.rule.name,
        found.servers,
        dict.fromkeys([""], next(iter(found.operations.values()))),
    )


@pytest.mark.parametrize("scene", ["down", "hanging", "operation", "network"])
def test_it_knows_that_retries_hid_it_and_what_they_cost(scene):
    (found,) = diagnose(*read(scene).exporters)
    assert (0, True, True) == (found.calls_failed, found.calls_saved > 3, found.cost_seconds > 0)


@pytest.mark.parametrize("scene", ["nothing", "stream"])
def test_where_nothing_fails_that_it_is_told_it_finds_nothing(scene):
    assert [] == diagnose(*read(scene).exporters)


def test_it_reads_each_exporter_and_keeps_those_of_the_jobs():
    def answer(path, _):
        return 200, report(service="api" if path.startswith("/one") else "other")

    with (
        serving(answer) as url,
        SourceReader(f"{url}/one/", SourceAccess(), "exporter") as one,
        SourceReader(f"{url}/two", SourceAccess(), "exporter") as two,
    ):
        seen = exporter.observe([one, two], jobs=["api"])
    assert (f"exporter {url}/one", {"api": 1}) == (seen.source, dict(seen.jobs))


# --- reports by hand ---------------------------------------------------------------------------

NOW, BEGAN = 6000.0, 5790.0


def minute(number, attempts, failed=0, reason=None):
    return {"start": number * 60.0, "attempts": attempts, "failed": failed, "reason": reason}


def server(port="1", **told):
    """A server that has answered twenty attempts in the last two minutes, unless told otherwise."""
    usual = {
        "state": "healthy",
        "since": None,
        "consecutive_failures": 0,
        "last_success": NOW - 1,
        "last_failure": None,
        "last_error": None,
        "reasons": {},
        "operations": [],
        "strip": [minute(98, 10), minute(99, 10)],
    }
    return {"address": "10.0.0.1", "port": port, **usual, **told}


FAILING = {
    "state": "cooling",
    "since": BEGAN,
    "consecutive_failures": 9,
    "last_success": BEGAN - 1,
    "last_failure": NOW - 2,
    "last_error": "read_timeout",
    "reasons": {"read_timeout": 9},
    "strip": [minute(95, 10), minute(96, 5, 3, "read_timeout"), minute(97, 6, 6, "read_timeout")],
}


def report(*servers, service="api", pid=7, calls=(), **told):
    usual = {
        "generated": NOW,
        "process": {"service": service, "host": "node", "pid": pid, "processes": 1},
        "probes": False,
        "keystone": {"failing": False, "failures": 0, "since": None},
        "failing_calls": [each for each in calls if each["outcome"] != "success_after_retry"],
        "latest_calls": list(calls),
    }
    return {**usual, "servers": list(servers), **told}


def operation(name, attempts, failed, since=None, last_failure=None):
    return {
        "operation": name,
        "attempts": attempts,
        "failed": failed,
        "since": since,
        "last_failure": last_failure,
        "last_error": "503" if failed else None,
    }


def call(outcome="exhausted", when=NOW - 5, ports=("1",), trace=None, reason="read_timeout"):
    failures = [{"address": "10.0.0.1", "port": each, "reason": reason} for each in ports]
    return {
        "when": when,
        "operation": "images.get",
        "outcome": outcome,
        "reason": reason,
        "trace_id": trace,
        "failures": failures,
    }


def test_a_server_that_fails_in_a_row_fails_since_the_second_that_is_told():
    (found,) = diagnose(report(server(**FAILING), server("2")))
    assert ("down", BEGAN, True, None, 9) == (
        found.rule.name,
        found.since,
        found.exact,
        found.until,
        found.row,
    )


def test_one_operation_fails_since_its_own_first_failure():
    operations = [operation("images.data", 30, 9, 5800.0, NOW - 2), operation("images.get", 40, 0)]
    strip = [minute(96, 20, 2, "503"), minute(99, 20, 7, "503")]
    told = {**FAILING, "since": NOW - 3, "operations": operations, "strip": strip}
    (found,) = diagnose(report(server(**told)))
    assert ("one_operation", 5800.0, {"503": 9.0}, ("images.get",)) == (
        found.rule.name,
        found.since,
        found.reasons,
        found.fine,
    )


@pytest.mark.parametrize(
    ("last", "rule", "fine"),
    [(BEGAN - 1, "down", ()), (NOW - 1, "one_operation", ("images.list",))],
)
def test_an_operation_is_fine_only_if_it_has_succeeded_since_the_server_fails(last, rule, fine):
    operations = [
        operation("images.get", 20, 9, BEGAN, NOW - 2),
        {**operation("images.list", 20, 0), "last_success": last},
    ]
    (found,) = diagnose(report(server(**{**FAILING, "operations": operations}), server("2")))
    assert (rule, fine) == (found.rule.name, found.fine)


def test_all_servers_fail_though_an_operation_was_not_asked_for_since():
    operations = [
        operation("images.get", 20, 9, BEGAN, NOW - 2),
        {**operation("images.data", 20, 0), "last_success": BEGAN - 1},
    ]
    told = {**FAILING, "operations": operations}
    (found,) = diagnose(report(server(**told), server("2", **told)))
    assert "all_servers" == found.rule.name


def test_an_operation_that_failed_once_long_before_does_not_count():
    operations = [operation("images.list", 1, 1, 3000.0, 3000.0), operation("images.get", 40, 0)]
    strip = [minute(50, 1, 1, "503"), minute(99, 20)]
    (found,) = diagnose(
        report(server(last_failure=3000.0, last_error="503", operations=operations, strip=strip))
    )
    # Nobody has asked for it since, so that it fails for all that is known.
    assert (3000.0, None) == (found.since, found.until)


@pytest.mark.parametrize(("last", "earlier"), [(None, True), (BEGAN - 1, False)])
def test_what_never_succeeded_may_have_failed_before_it_was_asked(last, earlier):
    operations = [{**operation("images.get", 20, 9, BEGAN, NOW - 2), "last_success": last}]
    told = {**FAILING, "last_success": last, "operations": operations}
    (found,) = diagnose(report(server(**told), server("2")))
    assert (BEGAN, True, earlier) == (found.since, found.exact, found.earlier)


def test_an_operation_that_never_succeeded_fails_since_the_server_does():
    operations = [{**operation("images.create", 9, 9, BEGAN, NOW - 2), "last_success": None}]
    (found,) = diagnose(report(server(**FAILING, operations=operations), server("2")))
    assert (BEGAN, False) == (found.since, found.earlier)


def test_without_a_row_the_minute_is_known():
    told = {"last_failure": NOW - 2, "last_error": "503", "reasons": {"503": 2}}
    strip = [minute(97, 9, 1, "503"), minute(98, 9), minute(99, 9, 1, "503")]
    (found,) = diagnose(report(server(**told, strip=strip)))
    assert (97 * 60.0 + 30, False) == (found.since, found.exact)


@pytest.mark.parametrize(("number", "earlier"), [(40, True), (41, False)])
def test_what_fails_from_the_first_minute_on_may_have_begun_earlier(number, earlier):
    strip = [minute(each, 9, 1, "503") for each in range(number, 100, 4)]
    told = {"last_failure": NOW - 2, "last_error": "503", "reasons": {"503": 2}}
    (found,) = diagnose(report(server(**told, strip=strip)))
    assert earlier == found.earlier


def test_what_began_a_moment_ago_did_not_begin_later():
    told = {"last_failure": NOW - 55, "last_error": "503", "reasons": {"503": 2}}
    (found,) = diagnose(report(server(**told, strip=[minute(99, 9, 1, "503")])))
    assert NOW - 55 == found.since


def test_failures_of_an_hour_that_are_over_have_ended():
    told = {"last_failure": NOW - 600, "last_error": "503", "reasons": {"503": 2}}
    strip = [minute(90, 9, 2, "503"), *(minute(each, 9) for each in range(91, 100))]
    (found,) = diagnose(report(server(**told, strip=strip)))
    assert (NOW - 600, False) == (found.until, found.is_ongoing)


def test_failures_without_a_time_have_not_ended():
    (found,) = diagnose(report(server(reasons={"503": 2}, strip=[minute(99, 9, 2, "503")])))
    assert (None, "503") == (found.until, next(iter(found.reasons)))


def test_a_process_that_recovered_says_nothing_of_one_that_has_not():
    told = {"last_failure": NOW - 600, "last_error": "503", "reasons": {"503": 2}}
    strip = [minute(90, 9, 2, "503"), minute(99, 9)]
    seen = observe([report(server(**told, strip=strip)), report(server(**FAILING), pid=8)])
    assert (BEGAN, None) == (seen.servers[0].since, seen.servers[0].until)


def test_calls_that_failed_count_for_the_server_that_failed_them_last():
    calls = [call(trace="aa"), call(ports=("2", "1"), trace="bb"), call(ports=("1", "2"))]
    one, two = observe([report(server(**FAILING), server("2", **FAILING), calls=calls)]).servers
    assert (2.0, ("aa", "bb"), 1.0) == (one.calls_failed, one.traces, two.calls_failed)


def test_calls_of_before_do_not_count():
    (found,) = diagnose(report(server(**FAILING), calls=[call(when=BEGAN - 9, trace="aa")]))
    assert () == found.traces


def test_saved_calls_have_a_cost_and_a_trace():
    told = {**FAILING, "saved_calls": 4, "cost_seconds": 2.5}
    calls = [call("success_after_retry", trace="cc")]
    (found,) = diagnose(report(server(**told), server("2"), calls=calls))
    assert (4, 2.5, 0.0, True, ("cc",)) == (
        found.calls_saved,
        found.cost_seconds,
        found.calls_failed,
        found.hidden_by_retries,
        found.traces,
    )


@pytest.mark.parametrize(
    ("earlier", "saved", "kept"),
    [(0, 20, 20), (4, 10, 9), (20, 20, 9), (20, 8, 8), (4, 20, 16), (0, 0, 0)],
)
def test_calls_that_were_saved_from_earlier_failures_do_not_count(earlier, saved, kept):
    told = {**FAILING, "saved_calls": saved, "cost_seconds": saved / 2}
    told["strip"] = [minute(45, 30, earlier, "503"), *FAILING["strip"]]
    (found,) = diagnose(report(server(**told), server("2")))
    assert (kept, kept / 2) == (found.calls_saved, found.cost_seconds)


def test_what_saved_calls_cost_may_be_unknown():
    (found,) = diagnose(report(server(**FAILING, saved_calls=4), server("2")))
    assert (4, None) == (found.calls_saved, found.cost_seconds)


def test_calls_that_are_no_longer_kept_count_by_the_outcomes_of_the_hour():
    told = report(server(**FAILING), calls=[call(), call()])
    told["outcomes"] = {"success_first_try": 9, "exhausted": 7, "non_retryable": 3}
    (found,) = diagnose(told)
    assert 10.0 == found.calls_failed


@pytest.mark.parametrize(
    ("lost", "before", "failed"),
    [
        (3, False, 2.0),
        (12, False, 8.0),
        (99, False, 9.0),  # it has no more failures
        (99, True, 2.0),  # all calls of this time are kept
    ],
)
def test_of_several_servers_calls_that_are_no_longer_kept_count_as_well(lost, before, failed):
    calls = [call(), call(), call(ports=("2",)), *[call(when=BEGAN - 9)] * before]
    told = report(server("1", **FAILING), server("2", **FAILING), calls=calls)
    told["outcomes"] = {"exhausted": lost}
    assert failed == observe([told]).servers[0].calls_failed


def test_of_an_older_exporter_a_call_belongs_to_the_servers_with_its_reason():
    old = report(server(**FAILING), server("2"))
    del old["latest_calls"]
    old["failing_calls"] = [{"when": NOW, "outcome": "exhausted", "reason": "read_timeout"}]
    (found,) = diagnose(old)
    # No server is told, but only one fails for that reason.
    assert 1.0 == found.calls_failed


def test_a_slow_server_is_known_by_its_last_five_minutes():
    recent = [{"p95": 1.5, "share": 0.4, "share_before": 0.5}, {"p95": 0.01, "share": 0.6}]
    seen = observe([report(server("1", recent=recent[0]), server("2", recent=recent[1]))])
    (found,) = findings.find(seen)
    assert ("slow", ("10.0.0.1:1",), None, (0.4, 0.5), (0.6, None)) == (
        found.rule.name,
        found.servers,
        found.since,
        *(each.share for each in seen.servers),
    )


def test_a_slow_server_hits_those_who_ask_it():
    (found,) = diagnose(*read("slow").exporters)
    assert ({"slow/image-cache": (), "slow/nova-api": ()}, 0.0, False) == (
        found.operations,
        found.calls_failed,
        found.hidden_by_retries,
    )


def test_a_server_that_is_slow_for_one_process_hits_its_job_alone():
    slow, fine = {"p95": 1.5}, {"p95": 0.01}
    asked = {"operations": [operation("images.get", 20, 0)]}
    of_slow = [server(port, recent=it, **asked) for port, it in (("1", slow), ("2", fine))]
    of_fine = [server(port, recent=fine, **asked) for port in ("1", "2")]
    (found,) = diagnose(report(*of_slow, service="cache"), report(*of_fine, pid=8))
    assert (("10.0.0.1:1",), {"cache": ()}, 1.5) == (
        found.servers,
        found.operations,
        found.latencies[0].seconds,
    )


def test_the_share_that_failed_is_that_of_the_minutes_in_which_it_did():
    told = {"last_failure": NOW - 600, "last_error": "503", "reasons": {"503": 2}}
    strip = [*(minute(each, 9) for each in range(45, 89)), minute(89, 4, 2, "503"), minute(99, 9)]
    operations = [operation("images.get", 409, 2, None, NOW - 600)]
    (found,) = diagnose(report(server(**told, strip=strip, operations=operations)))
    assert (NOW - 600, 0.5) == (found.until, found.share)


def test_an_operation_that_failed_before_the_latest_failures_is_none_of_theirs():
    operations = [
        operation("images.list", 9, 2, None, 2000.0),
        operation("images.get", 40, 2, NOW - 40, NOW - 2),
    ]
    strip = [minute(33, 9, 2, "500"), minute(99, 20, 2, "503")]
    told = {"last_failure": NOW - 2, "last_error": "503"}
    (found,) = diagnose(report(server(**told, operations=operations, strip=strip)))
    assert {"api": ("images.get",)} == found.operations


def test_a_server_that_refuses_alone_is_told():
    asked = {"attempts": 30, "failed": 0}
    (found,) = diagnose(report(server(**asked, refusals={"401": 12}), server("2", **asked)))
    assert ("refuses", ("10.0.0.1:1",), {"401": 12.0}, 0.4, None) == (
        found.rule.name,
        found.servers,
        found.reasons,
        found.share,
        found.since,
    )


def test_what_an_exporter_says_of_itself_is_told():
    seen = observe([report(notice="No worker has shared its calls.")])
    assert "http://0: No worker has shared its calls" == seen.unknown[-1]


def test_probes_are_no_callers():
    seen = observe([report(server(**FAILING), probes=True)])
    (found,) = findings.find(seen)
    assert ("probes", {"read_timeout": 1.0}, BEGAN, {}) == (
        found.rule.name,
        found.reasons,
        found.since,
        dict(seen.jobs),
    )


def test_keystone_fails_since_the_first_process_noticed():
    def keystone(since, *, failing):
        told = {"failing": failing, "failures": 3, "since": since, "last_failure": since + 100}
        return {**told, "last_error": "connection_refused"}

    (found,) = diagnose(
        report(keystone=keystone(5000.0, failing=True)),
        report(keystone=keystone(5060.0, failing=False), pid=8),
    )
    assert (5000.0, None, 6.0) == (found.since, found.until, found.calls_failed)


def test_keystones_failures_end():
    told = {"failing": False, "failures": 3, "since": 5000.0, "last_failure": 5100.0}
    (found,) = diagnose(report(keystone=told))
    assert 5100.0 == found.until


def test_a_process_is_named_by_its_host_and_number_or_its_url():
    old = report()
    old["process"] = {}
    new, nameless = ProcessSaw("http://a", report()), ProcessSaw("http://a", old)
    assert (("api", "node:7"), ("http://a", "http://a")) == (
        (new.job, new.name),
        (nameless.job, nameless.name),
    )


def test_recoveries_are_minutes_without_failures_after_some_with():
    strip = [minute(95, 9, 1), minute(96, 9), minute(97, 9, 1), minute(98, 9), minute(99, 9, 1)]
    told = {"last_failure": NOW, "last_error": "503", "reasons": {"503": 3}}
    (found,) = diagnose(report(server(**told, strip=strip)))
    assert ("flapping", 2) == (found.rule.name, found.recoveries)


@pytest.mark.parametrize(("strip", "asked"), [([minute(98, 0)], False), ([minute(98, 1)], True)])
def test_a_server_without_an_attempt_in_the_hour_is_not_asked(strip, asked):
    assert asked is observe([report(server(strip=strip))]).servers[0].asked


def test_the_state_is_that_of_a_process_for_which_it_fails():
    cooling = {"state": "cooling", "consecutive_failures": 1}
    seen = observe([report(server()), report(server(**cooling), pid=8)])
    assert "cooling" == seen.servers[0].state


def test_nothing_at_all_is_known_of_no_report():
    assert (0.0, ()) == (exporter.combine([]).end, exporter.combine([]).servers)
