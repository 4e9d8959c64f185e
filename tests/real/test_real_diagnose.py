"""The diagnosis of 13 scenes, by a real Prometheus, and by real processes' exporters and spans.

`diagnose_scene` says what fails. Each scene is diagnosed from each source alone. All processes have
ended then: `diagnosed` plays the scenes once, for test_real_outlets.py, too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from diagnose_scene import Scene
from diagnosed import Diagnosed, Findings
from outlet_readers import SOURCES

FAILING = {
    "down": ("connection_refused", ["images.data", "images.get"]),
    "hanging": ("read_timeout", ["images.data", "images.get"]),
    "tls": ("tls_error", ["images.data", "images.get"]),
    "operation": ("503", ["images.data"]),
    "network": ("network_unreachable", ["images.get"]),
    "all": ("connection_refused", ["images.data", "images.get"]),
    "image": ("500", ["images.data", "images.get"]),
    "keystone": ("connection_refused", ["images.data", "images.get"]),
    "slow": (None, ["images.data", "images.get"]),
    "flapping": ("503", ["images.data", "images.get"]),
}
RULES = {
    **{name: name for name in ("slow", "keystone", "down", "flapping")},
    "hanging": "down",
    "tls": "down",
    "operation": "one_operation",
    "network": "one_caller",
    "all": "all_servers",
    "image": "one_image",
}
HIDDEN = ("down", "hanging", "tls", "operation", "network", "flapping")
"""Scenes in which retries hide all failures."""

Answers = Mapping[tuple[str, str], Findings]


@pytest.fixture
def scenes(diagnosed: Diagnosed) -> Mapping[str, Scene]:
    """The scenes, which are over."""
    return diagnosed.scenes


@pytest.fixture
def answers(diagnosed: Diagnosed) -> Answers:
    """The exit status and the findings of each scene, by each source."""
    return diagnosed.findings


def only(answers: Answers, scene: str, source: str) -> dict[str, Any]:
    """The one finding of a scene."""
    (found,) = answers[scene, source][1]
    return found


pytestmark = pytest.mark.parametrize("source", SOURCES)


def test_image_data_that_breaks_off_is_found_where_it_is_known(
    scenes: Mapping[str, Scene], answers: Answers, source: str
) -> None:
    place = scenes["stream"].place(0)
    # The reports of exporters have attempts, and these had ended.
    expected = [] if source == "exporter" else [([place], ["images.data"])]
    found = answers["stream", source][1]
    assert expected == [(each["servers"], each["operations"]) for each in found]


def test_a_server_that_refuses_what_others_answer_is_found(
    scenes: Mapping[str, Scene], answers: Answers, source: str
) -> None:
    found = only(answers, "refused", source)
    expected = ("refuses", [scenes["refused"].place(0)], "401", scenes["refused"].jobs)
    assert expected == (
        found["rule"],
        found["servers"],
        found["reason"],
        sorted(found["jobs"]),
    )


def test_where_nothing_fails_nothing_is_found(answers: Answers, source: str) -> None:
    assert (0, []) == answers["nothing", source]


@pytest.mark.parametrize("scene", FAILING)
def test_the_conclusion_is_right(answers: Answers, scene: str, source: str) -> None:
    # Exporters count by minutes, in which a server may both fail and answer; spans have no states.
    flaps = scene == "flapping" and source != "prometheus"
    expected = "sometimes" if flaps else RULES[scene]
    assert expected == only(answers, scene, source)["rule"]


@pytest.mark.parametrize("scene", FAILING)
def test_the_servers_are_named(
    scenes: Mapping[str, Scene], answers: Answers, scene: str, source: str
) -> None:
    played = scenes[scene]
    several = {"keystone": ["Keystone"], "all": played.places, "image": played.places}
    expected = several.get(scene, [played.place(0)])
    assert expected == only(answers, scene, source)["servers"]


@pytest.mark.parametrize("scene", FAILING)
def test_the_reason_and_the_operations_are_named(answers: Answers, scene: str, source: str) -> None:
    found = only(answers, scene, source)
    reason, operations = FAILING[scene]
    if (scene, source) == ("keystone", "trace"):
        reason = "token_unavailable"  # all that the call's span says
    if (scene, source) == ("slow", "exporter"):
        operations = []  # it does not report their durations one by one
    assert (reason, operations) == (found["reason"], found["operations"])


@pytest.mark.parametrize("scene", FAILING)
def test_it_is_known_since_when(
    scenes: Mapping[str, Scene], answers: Answers, scene: str, source: str
) -> None:
    since = only(answers, scene, source)["since"]
    if (scene, source) == ("slow", "exporter"):
        # It reports no durations by time.
        assert None is since
        return
    since = datetime.fromisoformat(since).timestamp()
    assert scenes[scene].began == pytest.approx(since, abs=30)


@pytest.mark.parametrize("scene", FAILING)
def test_the_jobs_that_are_hit_are_named(
    scenes: Mapping[str, Scene], answers: Answers, scene: str, source: str
) -> None:
    played = scenes[scene]
    hit = {"operation": ["image-cache"], "network": ["nova-api"]}
    expected = [played.job(each) for each in hit[scene]] if scene in hit else played.jobs
    assert expected == sorted(only(answers, scene, source)["jobs"])


@pytest.mark.parametrize("scene", HIDDEN)
def test_what_retries_hid_and_cost_is_known(answers: Answers, scene: str, source: str) -> None:
    found = only(answers, scene, source)
    assert (1, True, 0) == (
        answers[scene, source][0],
        found["hidden_by_retries"],
        found["calls_failed"],
    )
    assert min(found["calls_saved"], found["cost_seconds"]) > 0


@pytest.mark.parametrize("scene", ["keystone", "all", "image"])
def test_calls_that_failed_are_counted(answers: Answers, scene: str, source: str) -> None:
    assert (2, True) == (
        answers[scene, source][0],
        only(answers, scene, source)["calls_failed"] > 0,
    )


def test_the_process_that_is_cut_off_is_counted(
    scenes: Mapping[str, Scene], answers: Answers, source: str
) -> None:
    job = scenes["network"].job("nova-api")
    found = only(answers, "network", source)["processes"][job]
    assert {"asking": 2, "failing": 1} == found
