"""The diagnosis of twelve scenes, by a real Prometheus, and by real processes' exporters and spans.

`diagnose_scene` says what fails. Each scene is diagnosed from each source alone.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import diagnose_scene
import pytest
from diagnose_scene import Scene, Watched
from parts.prometheus import Prometheus

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = ("prometheus", "exporter", "trace")
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

Answers = Mapping[tuple[str, str], tuple[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def watched(prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The scenes, played once."""
    folder: Path = tmp_path_factory.mktemp("diagnose")
    with diagnose_scene.play(prometheus.programs, folder) as playing:
        yield playing


@pytest.fixture(scope="module")
def answers(watched: Watched) -> Answers:
    """The exit status and the findings of each scene, by each source."""
    return {
        (name, source): diagnose(watched, scene, source)
        for name, scene in watched.scenes.items()
        for source in SOURCES
    }


def diagnose(watched: Watched, scene: Scene, source: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command."""
    if source == "prometheus":
        options = ["--prometheus", watched.prometheus.url]
        options += [part for job in scene.jobs for part in ("--job", job)]
    elif source == "exporter":
        options = [part for url in scene.exporters for part in ("--exporter", url)]
    else:
        options = ["--trace", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "traced_image", "diagnose", "--json", *options],
        input="\n".join(each.read_text() for each in scene.logs) if source == "trace" else "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def only(answers: Answers, scene: str, source: str) -> dict[str, Any]:
    """The one finding of a scene."""
    (found,) = answers[scene, source][1]
    return found


pytestmark = pytest.mark.parametrize("source", SOURCES)


def test_image_data_that_breaks_off_is_found_where_it_is_known(
    watched: Watched, answers: Answers, source: str
) -> None:
    place = watched.scenes["stream"].place(0)
    # The reports of exporters have attempts, and these had ended.
    expected = [] if source == "exporter" else [([place], ["images.data"])]
    found = answers["stream", source][1]
    assert expected == [(each["servers"], each["operations"]) for each in found]


def test_where_nothing_fails_nothing_is_found(answers: Answers, source: str) -> None:
    assert (0, []) == answers["nothing", source]


@pytest.mark.parametrize("scene", FAILING)
def test_the_conclusion_is_right(answers: Answers, scene: str, source: str) -> None:
    # Exporters count by minutes, in which a server may both fail and answer; spans have no states.
    flaps = scene == "flapping" and source != "prometheus"
    expected = "sometimes" if flaps else RULES[scene]
    assert expected == only(answers, scene, source)["rule"]


@pytest.mark.parametrize("scene", FAILING)
def test_the_servers_are_named(watched: Watched, answers: Answers, scene: str, source: str) -> None:
    played = watched.scenes[scene]
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
    watched: Watched, answers: Answers, scene: str, source: str
) -> None:
    since = only(answers, scene, source)["since"]
    if scene == "slow" and source != "prometheus":
        # The others report no durations by time.
        assert None is since
        return
    since = datetime.fromisoformat(since).timestamp()
    assert watched.scenes[scene].began == pytest.approx(since, abs=30)


@pytest.mark.parametrize("scene", FAILING)
def test_the_jobs_that_are_hit_are_named(
    watched: Watched, answers: Answers, scene: str, source: str
) -> None:
    played = watched.scenes[scene]
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
    watched: Watched, answers: Answers, source: str
) -> None:
    job = watched.scenes["network"].job("nova-api")
    found = only(answers, "network", source)["processes"][job]
    assert {"asking": 2, "failing": 1} == found
