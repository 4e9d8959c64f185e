"""Each rule of the diagnosis, on what callers in simulated time left in a real Prometheus."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache

import pytest
from diagnosis_cases import CACHE, CASES, HOUR, NOVA
from diagnosis_player import END, ask, list_jobs, play
from parts import prometheus as part
from parts.cache import PartUnavailableError
from prometheus_client import CollectorRegistry
from simulated_callers import read_registry

import traced_image
from traced_image import lab
from traced_image.diagnosis.rules import RULES
from traced_image.telemetry import catalogue

COSTS = {
    "calls_saved": catalogue.SAVED_CALLS.name,
    "cost_seconds": catalogue.RETRY_COST.name,
    "calls_failed": catalogue.CONNECTION_FAILED.name,
}
COUNTED = (
    *("down", "restarts", "restart-as-it-fails", "process-dies", "pids", "pid-dies", "crash-loop"),
    *("yesterday", "six-hours", "gap-in-the-middle", "rare-callers-only", "recovered"),
)
SCRAPE = 20.0


@pytest.fixture(scope="module")
def played(request, tmp_path_factory):
    """A Prometheus that has seen all cases."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    try:
        programs = part.install(lambda line: terminal.write_line(f"real parts: {line}"))
    except PartUnavailableError as error:
        pytest.skip(str(error))
    with play(CASES, programs, tmp_path_factory.mktemp("rules") / "prometheus") as playing:
        yield playing


@pytest.fixture(scope="module")
def found(played):
    """The findings of a case."""
    return cache(lambda name: ask(played.url, name, CASES[name]))


@pytest.fixture
def only(found):
    """The one finding of a case."""

    def find(name):
        (one,) = found(name)
        return one

    return find


def name_servers(case, finding):
    """The names of servers, as the diagnosis has them."""
    names = sorted(f"{case}-{each}" for each in finding.servers)
    return tuple(f"{each}:9292" for each in names) or ("Keystone",)


def about(seconds, case):
    """A time that may be off a little."""
    return None if seconds is None else pytest.approx(seconds, abs=case.exact)


def until_end(time):
    """Seconds until the end of the case; negative."""
    return None if time is None else time.timestamp() - END


@pytest.mark.parametrize("name", CASES)
def test_it_concludes_what_fails_since_when_and_until_when(found, name):
    case = CASES[name]
    expected = [
        (
            *(each.rule, name_servers(name, each), each.reason),
            *(about(each.since, case), about(each.until, case)),
        )
        for each in case.finds
    ]
    told = [
        (
            *(each["rule"], each["servers"], each["reason"]),
            *(until_end(each["since"]), until_end(each["until"])),
        )
        for each in found(name)
    ]
    assert sorted(expected, key=lambda each: each[1]) == sorted(told, key=lambda each: each[1])


@pytest.mark.parametrize("rule", [*(each.name for each in RULES), "keystone"])
def test_each_rule_has_a_case(rule):
    assert any(rule == each.rule for case in CASES.values() for each in case.finds)


@pytest.mark.parametrize("rule", [each.name for each in RULES])
def test_each_rule_has_a_case_to_which_it_just_does_not_apply(rule):
    assert any(
        rule in case.near and rule not in {each.rule for each in case.finds}
        for case in CASES.values()
    )


@pytest.mark.parametrize("name", COUNTED)
def test_what_it_cost_is_counted_across_restarts_and_gaps(played, only, name):
    since = CASES[name].finds[0].since - SCRAPE
    expected = {each: played.count(name, metric, since) for each, metric in COSTS.items()}
    told = only(name)
    assert pytest.approx(expected, rel=0.1, abs=1.0) == {each: told[each] for each in COSTS}


@pytest.mark.parametrize(
    ("name", "job", "asking", "failing"),
    [
        ("down", NOVA, 2, 2),
        ("one-caller", NOVA, 2, 1),
        ("one-caller", CACHE, 1, 0),
        ("one-job", NOVA, 2, 2),
        ("process-dies", NOVA, 2, 2),
        ("pids", NOVA, 2, 2),
        ("pid-dies", NOVA, 1, 1),
        ("replicas", NOVA, 2, 2),
        ("new-caller-among-others", CACHE, 2, 0),
        ("rare-caller", CACHE, 1, 1),
    ],
)
def test_the_processes_that_are_hit_are_counted(only, name, job, asking, failing):
    assert {"asking": asking, "failing": failing} == only(name)["processes"][f"{name}/{job}"]


def test_it_says_what_it_could_not_see_if_nothing_is_scraped_at_the_end(only):
    assert "when it scraped these callers last" in only("gap-at-the-end")["unknown"][-1]


def test_what_began_before_the_window_is_known_to_have_begun_then(played):
    case = replace(CASES["six-hours"], window=HOUR)
    (found,) = ask(played.url, "six-hours", case)
    expected = ("down", about(-6 * HOUR, case), True)
    assert expected == (found["rule"], until_end(found["since"]), found["since_exact"])


def test_yesterdays_failure_is_none_of_the_last_hour(played):
    case = replace(CASES["yesterday"], window=HOUR)
    assert [] == ask(played.url, "yesterday", case)


@pytest.mark.parametrize(
    ("name", "status"), [("nothing", 0), ("down", 1), ("all-servers", 2), ("recovered", 0)]
)
def test_the_command_finds_the_same(played, name, status):
    at = datetime.fromtimestamp(END, timezone.utc).isoformat()
    jobs = [part for job in list_jobs(name, CASES[name]) for part in ("--job", job)]
    command = [sys.executable, "-m", "traced_image", "diagnose", "--prometheus", played.url]
    command += ["--at", at, "--since", "1h", *jobs, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    expected = [each.rule for each in CASES[name].finds]
    assert (status, expected) == (
        done.returncode,
        [each["rule"] for each in json.loads(done.stdout)],
    )


def test_a_simulated_caller_has_the_series_of_a_real_one(played):
    """By names and labels, of a server that answers and of one that refuses connections."""
    registry = CollectorRegistry()
    telemetry = traced_image.Telemetry(registry=registry)
    with lab.cluster(2) as servers:
        image = servers[0].images.add(name="cirros", data=b"x", visibility="public")
        servers[1].break_with(lab.faults.refuse())
        urls = [each.url for each in servers]
        with traced_image.connect(servers=urls, telemetry=telemetry) as service:
            for _ in range(4):
                service.show(None, image)
    real = {(name, *sorted(dict(labels))) for name, labels in read_registry(registry)}
    simulated = {
        (name, *sorted(dict(labels).keys() - {"job", "instance"}))
        for name, labels in played.series["down"][0]
    }
    assert real == simulated
