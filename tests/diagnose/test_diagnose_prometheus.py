"""A Prometheus as a source: what a real one answered, and what it may lack."""

from __future__ import annotations

import pytest
from replayed import SCENES, WINDOW, read, replaying, serving

from traced_image.diagnosis import findings, prometheus
from traced_image.diagnosis.prometheus_api import PrometheusAPI
from traced_image.diagnosis.requests_of_sources import Access, SourceReader
from traced_image.errors import DiagnosisError

CONCLUSIONS = {
    "down": ("down", "connection_refused"),
    "hanging": ("down", "read_timeout"),
    "slow": ("slow", None),
    "operation": ("one_operation", "503"),
    "network": ("one_caller", "network_unreachable"),
    "keystone": ("keystone", "connection_refused"),
    "all": ("all_servers", "connection_refused"),
    "image": ("one_image", "500"),
}


def observe(recorded, answers=None, end=None, jobs=None):
    with (
        replaying(recorded.prometheus if answers is None else answers) as url,
        SourceReader(url, Access(), "Prometheus") as reader,
    ):
        api = PrometheusAPI(reader)
        return prometheus.observe(
            api, end=end or recorded.at, window=WINDOW, jobs=jobs or recorded.jobs
        )


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
        ("network", [("images.get",)]),
        ("keystone", [("images.data",), ("images.get",)]),
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


@pytest.mark.parametrize("scene", ["down", "hanging", "operation", "network"])
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
    assert ("pending", True, 3) == (
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
        SourceReader(url, Access(), "Prometheus") as reader,
        pytest.raises(DiagnosisError, match=words),
    ):
        prometheus.observe(PrometheusAPI(reader), end=1e9, window=60, jobs=jobs)


@pytest.mark.parametrize(
    "answer", [[], {"status": "success"}, {"status": "error", "data": {"result": []}}]
)
def test_something_else_than_a_prometheus_is_told(answer):
    with (
        serving(lambda *_: (200, answer)) as url,
        SourceReader(url, Access(), "Prometheus") as reader,
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

    with serving(answer) as url, SourceReader(url, Access(), "Prometheus") as reader:
        seen = prometheus.observe(PrometheusAPI(reader), end=1e9, window=60)
    assert [("probes", ("a:1",), {"read_timeout": 1.0})] == [
        (each.rule.name, each.servers, each.reasons) for each in findings.find(seen)
    ]
