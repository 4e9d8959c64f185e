"""A Prometheus as a source: what a real one answered, and what it may lack."""

from __future__ import annotations

from functools import cache
from urllib.parse import unquote_plus

import pytest
from replayed import SCENES, WINDOW, read, replaying, serving

from traced_image.diagnosis import answer, findings, prometheus
from traced_image.diagnosis.episodes import PAUSE, choose_step
from traced_image.diagnosis.prometheus_api import PrometheusAPI
from traced_image.diagnosis.prometheus_times import Window, find_end
from traced_image.diagnosis.requests_of_sources import SourceAccess, SourceReader
from traced_image.errors import DiagnosisError

CONCLUSIONS = {
    "stream": ("one_operation", "stream_error"),
    "flapping": ("flapping", "503"),
    "down": ("down", "connection_refused"),
    "hanging": ("down", "read_timeout"),
    "tls": ("down", "tls_error"),
    "slow": ("slow", None),
    "operation": ("one_operation", "503"),
    "network": ("one_caller", "network_unreachable"),
    "keystone": ("keystone", "connection_refused"),
    "all": ("all_servers", "connection_refused"),
    "image": ("one_image", "500"),
    "refused": ("refuses", "401"),
}


def observe(recorded, answers=None, end=None, jobs=None):
    with (
        replaying(recorded.prometheus if answers is None else answers) as url,
        SourceReader(url, SourceAccess(), "Prometheus") as reader,
    ):
        api = PrometheusAPI(reader)
        return prometheus.observe(
            api, end=end or recorded.at, window=WINDOW, jobs=jobs or recorded.jobs
        )


@cache
def diagnose(scene):
    return findings.find(observe(read(scene)))


def test_each_recorded_scene_has_a_conclusion_or_nothing_to_conclude():
    assert {*CONCLUSIONS, "nothing"} == set(SCENES)


def test_where_nothing_fails_it_finds_nothing():
    assert [] == diagnose("nothing")


@pytest.mark.parametrize("scene", CONCLUSIONS)
def test_it_concludes_what_fails_and_why(scene):
    found = diagnose(scene)
    told = [(each.rule.name, next(iter(each.reasons), None)) for each in found]
    assert [CONCLUSIONS[scene]] == told


@pytest.mark.parametrize("scene", CONCLUSIONS)
def test_it_names_the_servers(scene):
    recorded = read(scene)
    expected = {"keystone": ["Keystone"], "all": recorded.servers, "image": recorded.servers}
    (found,) = diagnose(scene)
    assert expected.get(scene, [recorded.broken]) == list(found.servers)


@pytest.mark.parametrize("scene", CONCLUSIONS)
def test_it_knows_since_when_to_some_seconds(scene):
    (found,) = diagnose(scene)
    assert read(scene).began == pytest.approx(found.since, abs=15)


@pytest.mark.parametrize(
    ("scene", "operations"),
    [
        ("down", [("images.data",), ("images.get",)]),
        ("operation", [("images.data",)]),
        ("stream", [("images.data",)]),
        ("network", [("images.get",)]),
        ("keystone", [("images.data",), ("images.get",)]),
        ("slow", [("images.data",), ("images.get",)]),
    ],
)
def test_it_knows_the_operations_of_each_job(scene, operations):
    (found,) = diagnose(scene)
    assert operations == list(found.operations.values())


def test_it_counts_the_processes_that_are_hit():
    (found,) = diagnose("network")
    assert {"network/nova-api": (2, 1), "network/image-cache": (1, 0)} == {
        each.job: (each.asking, each.failing) for each in found.callers
    }


# --- callers that an agent adds up -------------------------------------------------------------

ADDED_UP = "fleet/down"
OTHERS = [f"nova-compute-{number}" for number in (1, 2, 3)]


def by_state(answers, failing, succeeding):
    """Answers in which other processes have failed and succeeded, by their host states."""

    def result(path):
        asked = unquote_plus(path)
        if "and on (job) traced_image_aggregated_processes" not in asked:
            return answers[path]
        names = [*(failing if "last_failure" in asked else ())]
        names += succeeding if "last_success" in asked else ()
        found = [
            {"metric": {"job": "nova-compute", "instance": name}, "value": [0, "1"]}
            for name in names
        ]
        return {"status": "success", "data": {"resultType": "vector", "result": found}}

    return {path: result(path) for path in answers}


def diagnose_by_state(failing, succeeding):
    recorded = read(ADDED_UP)
    seen = observe(recorded, by_state(recorded.prometheus, failing, succeeding))
    return list(answer.make_lines(findings.find(seen), seen))


def test_added_up_callers_have_what_fails_why_and_since_when():
    recorded = read(ADDED_UP)
    (found,) = diagnose(ADDED_UP)
    assert ("down", (recorded.broken,), ["connection_refused"], ("images.get", "images.list")) == (
        found.rule.name,
        found.servers,
        [*found.reasons],
        found.operations["nova-compute"],
    )
    assert recorded.began == pytest.approx(found.since, abs=3)


def test_added_up_callers_have_what_retries_cost():
    (found,) = diagnose(ADDED_UP)
    assert (0, True, True) == (found.calls_failed, found.calls_saved > 3, found.cost_seconds > 0)


def test_the_processes_of_added_up_callers_are_counted_by_their_host_states():
    (found,) = diagnose(ADDED_UP)
    assert [("nova-compute", 4, 4)] == [
        (each.job, each.asking, each.failing) for each in found.callers
    ]


def test_the_state_of_a_server_is_that_which_most_added_up_callers_see():
    recorded = read(ADDED_UP)
    states = {each.server: each.state for each in observe(recorded).servers}
    assert "cooling" == states.pop(recorded.broken)
    assert ["healthy", "healthy"] == list(states.values())


def test_what_added_up_processes_counted_is_not_kept():
    assert "processes: not kept" in observe(read(ADDED_UP)).unknown[-1]


def test_one_added_up_process_that_is_cut_off_is_named():
    told = "\n".join(diagnose_by_state(["nova-compute-0"], OTHERS))
    assert "nova-compute (nova-compute-0) can't use" in told
    assert "3 other processes can" in told


def test_without_host_states_the_processes_are_not_kept():
    told = diagnose_by_state([], [])
    assert "  hit     nova-compute (processes: not kept): images.get, images.list" in told


@pytest.mark.parametrize("scene", ["down", "hanging", "tls", "operation", "network"])
def test_it_knows_that_retries_hid_it_and_what_they_cost(scene):
    (found,) = diagnose(scene)
    assert (0, True, True) == (found.calls_failed, found.calls_saved > 3, found.cost_seconds > 0)


@pytest.mark.parametrize("scene", ["keystone", "all", "image"])
def test_it_knows_that_calls_failed(scene):
    (found,) = diagnose(scene)
    assert found.calls_failed > 3


def test_it_knows_how_the_load_moves():
    recorded = read("down")
    (server,) = [each for each in observe(recorded).servers if each.server == recorded.broken]
    assert (pytest.approx(1 / 3, abs=0.05), True) == (server.share[1], server.share[0] < 0.3)


def test_it_names_alerts_with_their_runbooks_and_traces():
    (found,) = diagnose("down")
    assert ("firing", True, 3) == (
        found.alerts[0].state,
        "runbooks.md#glanceserver" in found.alerts[0].runbook,
        len(found.traces),
    )


# --- what may be missing -----------------------------------------------------------------------


def test_without_alerts_and_exemplars_the_rest_is_found():
    recorded = read("down")
    left = {
        path: answer
        for path, answer in recorded.prometheus.items()
        if "exemplars" not in path and not path.endswith("alerts")
    }
    (found,) = findings.find(observe(recorded, left))
    assert ("down", (), "") == (found.rule.name, found.traces, found.alerts[0].runbook)


NOTHING = {"status": "success", "data": {"resultType": "vector", "result": []}}


@pytest.mark.parametrize(("jobs", "words"), [((), "metrics from"), (("a", "b"), "of a or b from")])
def test_a_prometheus_that_scrapes_no_caller_is_told(jobs, words):
    with (
        serving(lambda *_: (200, NOTHING)) as url,
        SourceReader(url, SourceAccess(), "Prometheus") as reader,
        pytest.raises(DiagnosisError, match=words),
    ):
        prometheus.observe(PrometheusAPI(reader), end=1e9, window=60, jobs=jobs)


@pytest.mark.parametrize(
    "answer", [[], {"status": "success"}, {"status": "error", "data": {"result": []}}]
)
def test_something_else_than_a_prometheus_is_told(answer):
    with (
        serving(lambda *_: (200, answer)) as url,
        SourceReader(url, SourceAccess(), "Prometheus") as reader,
        pytest.raises(DiagnosisError, match="does not answer as Prometheus does"),
    ):
        prometheus.observe(PrometheusAPI(reader), end=1e9, window=60)


PROBED = {
    "metric": {"server_address": "a", "server_port": "1", "error_type": "read_timeout"},
    "value": [1e9, "1"],
}


def test_probes_alone_are_told_as_probes():
    def answer(path, _):
        # Of probes there are the reasons, and since when.
        result = [PROBED] if "probe_failure_info" in path or "probe_success" in path else []
        return 200, {"status": "success", "data": {"result": result}}

    with serving(answer) as url, SourceReader(url, SourceAccess(), "Prometheus") as reader:
        seen = prometheus.observe(PrometheusAPI(reader), end=1e9, window=60)
    assert [("probes", ("a:1",), {"read_timeout": 1.0})] == [
        (each.rule.name, each.servers, each.reasons) for each in findings.find(seen)
    ]


# --- when it ended -----------------------------------------------------------------------------

PLACE = {"server_address": "a", "server_port": "1"}
END, WINDOW_OF_FAKE = 100_000.0, 3600.0


def observe_failures(*times, **values):
    """What is seen of a server that failed so many seconds before the end.

    Args:
        *times: Seconds, in their order.
        **values: The gauges, by a part of their names.
    """

    def answer(path, _):
        query = unquote_plus(path)
        if "query_range" in path and "duration_seconds_count" in query:
            points = [[END - each, str(number)] for number, each in enumerate(times, 1)]
            result = [{"metric": PLACE, "values": points}]
        elif "build_info" in query and query.startswith("/api/v1/query?query=count by (job)"):
            result = [{"metric": {"job": "api"}, "value": [END, "1"]}]
        elif "count_over_time" in query:
            result = [{"metric": {}, "value": [END, "8"]}]
        else:
            found = (value for name, value in values.items() if f"_{name}" in query)
            value = next(found, None)
            result = [] if value is None else [{"metric": {}, "value": [END, str(value)]}]
        return 200, {"status": "success", "data": {"result": result}}

    with serving(answer) as url, SourceReader(url, SourceAccess(), "Prometheus") as reader:
        seen = prometheus.observe(PrometheusAPI(reader), end=END, window=WINDOW_OF_FAKE)
    (server,) = [each for each in seen.servers if each.server == "a:1"]
    return server


@pytest.mark.parametrize(
    ("last", "values", "until"),
    [
        # A moment ago: it fails still, whatever its state.
        (30.0, {"consecutive_failures": 0}, None),
        # Some minutes ago, and each caller has had a success since.
        (200.0, {"consecutive_failures": 0}, END - 210),
        (200.0, {"consecutive_failures": 0, "last_failure_timestamp": END - 210}, END - 210),
        # Some minutes ago, and a caller has had none.
        (200.0, {"consecutive_failures": 3}, None),
        # Long ago, and no caller has had a success since.
        (900.0, {"last_success_timestamp": END - 1000}, None),
        (900.0, {"last_success_timestamp": END - 10}, END - 910),
        (900.0, {}, END - 910),
    ],
)
def test_failures_have_ended_if_somebody_succeeded_since(last, values, until):
    assert until == observe_failures(last, **values).until


@pytest.mark.parametrize(
    ("last", "values", "gone"),
    [
        (900.0, {}, True),
        (900.0, {"last_success_timestamp": END - 10}, False),
        # It has not ended.
        (30.0, {}, False),
    ],
)
def test_a_server_that_no_caller_asks_any_more_is_gone(last, values, gone):
    assert gone == observe_failures(last, **values).gone


@pytest.mark.parametrize(
    ("changes", "until"), [(8, None), (2, END - 260.0)], ids=["by-turns", "once"]
)
def test_what_fails_by_turns_goes_on_until_it_is_well_for_longer_than_before(changes, until):
    assert until == observe_failures(700.0, 450.0, 250.0, server_state=changes).until


@pytest.mark.parametrize(
    ("gauges", "since"),
    [
        ({"last_success": END - 400, "consecutive_failures": 3}, END - 400),
        # No failure since then is known to be one of several.
        ({"last_success": END - 400, "consecutive_failures": 1}, END - 810),
        ({"last_success": END - 200, "consecutive_failures": 3}, END - 810),
        ({"consecutive_failures": 3}, END - 810),
    ],
)
def test_a_server_that_got_worse_fails_since_its_last_success(gauges, since):
    assert since == observe_failures(800.0, 550.0, 300.0, 30.0, **gauges).since


def test_failures_end_when_their_counter_ceases_to_grow():
    points = [[80.0, "1"], [85.0, "4"], [90.0, "6"], [95.0, "6"]]
    answer = {"status": "success", "data": {"result": [{"metric": {}, "values": points}]}}
    with (
        serving(lambda *_: (200, answer)) as url,
        SourceReader(url, SourceAccess(), "Prometheus") as reader,
    ):
        end = find_end(PrometheusAPI(reader), "a counter", Window(0.0, 200.0, 15.0, 30.0), 100.0)
    assert 90.0 - 10.0 == end


@pytest.mark.parametrize(("window", "pause"), [(3600.0, PAUSE), (86400.0, 1080.0)])
def test_a_pause_is_longer_than_a_step(window, pause):
    assert pause == Window(0.0, window, 15.0, choose_step(window, 15.0)).pause


def test_it_looks_back_from_the_last_scrape_if_nothing_is_scraped_at_the_end():
    def answer(path, _):
        query = unquote_plus(path)
        last = f"time={END - 90:.3f}" in query
        if "query_range" in path and query.startswith("/api/v1/query_range?query=count by (job)"):
            result = [{"metric": {"job": "api"}, "values": [[END - 120, "1"], [END - 90, "1"]]}]
        elif last and query.startswith("/api/v1/query?query=count by (job)"):
            result = [{"metric": {"job": "api"}, "value": [END - 90, "1"]}]
        else:
            result = []
        return 200, {"status": "success", "data": {"result": result}}

    with serving(answer) as url, SourceReader(url, SourceAccess(), "Prometheus") as reader:
        seen = prometheus.observe(PrometheusAPI(reader), end=END, window=WINDOW_OF_FAKE)
    assert (END - 90, END - WINDOW_OF_FAKE, True) == (
        seen.end,
        seen.start,
        seen.unknown[-1].startswith("what was after 03:45:10"),
    )


@pytest.mark.parametrize(
    ("jobs", "asked", "found"),
    [
        ((), True, ["a:1", "b:1"]),
        (("api",), True, ["a:1"]),
        # A job that only probes asks no server.
        (("exporter",), False, ["a:1", "b:1"]),
    ],
)
def test_of_jobs_that_ask_some_servers_the_probes_of_others_are_no_matter(jobs, asked, found):
    probed = [
        {"metric": {**PROBED["metric"], "server_address": each}, "value": [END, "1"]}
        for each in "ab"
    ]

    def answer(path, _):
        query = unquote_plus(path)
        if "failure_info" in query:
            result = probed
        else:
            result = probed[:1] if asked and "state) (" in query else []
        return 200, {"status": "success", "data": {"result": result}}

    with serving(answer) as url, SourceReader(url, SourceAccess(), "Prometheus") as reader:
        seen = prometheus.observe(PrometheusAPI(reader), end=END, window=60, jobs=jobs)
    assert found == [each.server for each in seen.servers]


def test_what_fails_from_the_start_of_the_window_began_then_at_the_latest():
    server = observe_failures(WINDOW_OF_FAKE - 30.0)
    assert (True, False) == (server.since <= END - WINDOW_OF_FAKE + 30, server.exact)


def test_a_gauge_knows_what_began_before_the_window():
    gauges = {"failing_since_timestamp": END - 9000, "last_success_timestamp": 1.0}
    server = observe_failures(WINDOW_OF_FAKE - 30.0, **gauges)
    assert (END - 9000, True) == (server.since, server.exact)


def test_a_gauge_of_a_caller_that_was_idle_for_long_is_not_believed():
    server = observe_failures(900.0, failing_since_timestamp=END - 9000)
    assert END - 900 == pytest.approx(server.since, abs=60)


def test_a_server_that_refused_a_moment_ago_alone_has_no_beginning():
    def count(port, verdict, reason=""):
        labels = {**PLACE, "server_port": port, "job": "api", "operation": "images.get"}
        told = {**labels, "verdict": verdict, "error_type": reason}
        return {"metric": told, "value": [END, "12"]}

    def answer(path, _):
        query = unquote_plus(path)
        result = []
        if "direction, verdict" in query and "rate(" in query:
            result = [count("1", "refused", "401"), count("2", "success")]
        elif "query_range" not in path and ("server_state" in query or "build_info" in query):
            places = [{**PLACE, "server_port": port, "job": "api"} for port in "12"]
            result = [{"metric": each, "value": [END, "1"]} for each in places]
        return 200, {"status": "success", "data": {"result": result}}

    with serving(answer) as url, SourceReader(url, SourceAccess(), "Prometheus") as reader:
        seen = prometheus.observe(PrometheusAPI(reader), end=END, window=60.0)
    told = [(each.rule.name, each.servers, each.since) for each in findings.find(seen)]
    assert ([("refuses", ("a:1",), None)], {"401": 12.0}) == (told, dict(seen.refusals))


def test_a_server_that_was_slow_a_moment_ago_alone_has_no_beginning():
    def answer(path, _):
        query = unquote_plus(path)
        if "query_range" in path:
            result = []
        elif "duration_seconds_sum" in query and "server_address, server_port, operation" in query:
            result = [{"metric": {**PLACE, "operation": "images.get"}, "value": [END, "9"]}]
        elif "server_state" in query or "build_info" in query:
            result = [{"metric": {**PLACE, "job": "api"}, "value": [END, "1"]}]
        else:
            result = []
        return 200, {"status": "success", "data": {"result": result}}

    with serving(answer) as url, SourceReader(url, SourceAccess(), "Prometheus") as reader:
        seen = prometheus.observe(PrometheusAPI(reader), end=END, window=60.0)
    assert [("slow", None)] == [(each.rule.name, each.since) for each in findings.find(seen)]


def test_points_that_are_none_are_left_out():
    values = [[1, "NaN"], ["x", "1"], [1], 7, [2, "5"]]
    answer = {"status": "success", "data": {"result": [{"metric": {}, "values": values}, {}]}}
    with (
        serving(lambda *_: (200, answer)) as url,
        SourceReader(url, SourceAccess(), "Prometheus") as reader,
    ):
        (sample,) = PrometheusAPI(reader).query_range("up", 0, 1, 1)
    assert ((2.0, 5.0),) == sample.points
