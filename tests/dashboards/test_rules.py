"""The rule files are what the generator makes, and no alert is without tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from traced_image_dashboards import alerts, links, recording, rules
from traced_image_dashboards.alerts.alert import ROUTES
from traced_image_docs.alerts import TIMES, list_scenes

FOLDER = Path(__file__).parents[2] / "dashboards"
RULES = FOLDER / "rules"
ALERTS = {
    (alert.name, alert.severity, alert.labels.get("long_window", ""))
    for group in alerts.GROUPS
    for alert in group.alerts
}
BOARDS = {alert.name: alert.board for group in alerts.GROUPS for alert in group.alerts}
NAMES = sorted({name for name, *_ in ALERTS})
RECORDINGS = [
    rule
    for group in (
        *recording.GROUPS.values(),
        recording.MONTH,
        recording.OUTAGES,
        recording.BY_CALLER,
    )
    for rule in group
]


@cache
def read(file: Path):
    return yaml.safe_load(file.read_text())


@cache
def cases():
    """Promtool's tests of alerts."""
    files = sorted(RULES.glob("tests/*.yaml"))
    groups = [group for file in files for group in read(file)["tests"]]
    return [case for group in groups for case in group.get("alert_rule_test", ())]


def test_no_rule_lists_a_status():
    text = "".join(rules.files().values())
    assert [] == re.findall(r"error_type[!=]~?[\"'][^\"']", text)


@pytest.mark.parametrize("name", rules.files())
def test_a_rule_file_is_what_the_generator_makes(name):
    assert (RULES / name).read_text() == rules.files()[name]


def test_it_leaves_the_operators_objective_alone(tmp_path):
    rules.write(tmp_path / "rules")
    objective = tmp_path / "rules/objective.yaml"
    objective.write_text("groups: []\n")
    rules.write(tmp_path / "rules", "https://wiki.example/runbooks")

    assert "groups: []\n" == objective.read_text()
    assert (
        "runbook_url: https://wiki.example/runbooks#glanceserverfailing"
        in (tmp_path / "rules/alerts.yaml").read_text()
    )


def annotations(text):
    """The annotations of all alerts of a rule file, by the alerts' names."""
    groups = yaml.safe_load(text)["groups"]
    each = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["annotations"] for rule in each}


def test_an_alert_links_to_a_dashboard_of_the_given_grafana():
    told = annotations(rules.files(grafana="https://grafana.example")["alerts.yaml"])
    assert (set(NAMES), True) == (
        set(told),
        all(
            each["dashboard_url"].startswith("https://grafana.example/d/") for each in told.values()
        ),
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_dashboard_of_an_alert_has_the_variables_that_the_link_sets(name):
    board = BOARDS[name]
    boards = [json.loads(file.read_text()) for file in FOLDER.glob("*.json")]
    (known,) = [
        {variable["name"] for variable in each["templating"]["list"]}
        for each in boards
        if board.uid == each["uid"]
    ]
    assert {"job", *board.variables} <= known


@pytest.mark.parametrize("name", NAMES)
def test_a_link_sets_no_variable_by_a_label_that_the_alert_never_has(name):
    """But for the pipeline's, whose alerts are partly of jobs and partly of processes."""
    board = BOARDS[name]
    seen = {
        label
        for test in cases()
        if name == test["alertname"]
        for alert in test["exp_alerts"]
        for label in alert["exp_labels"]
    }
    assert links.PIPELINE == board.uid or set(board.variables.values()) <= seen


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Grafana's SDK needs Python 3.11")
@pytest.mark.parametrize("name", ["alerts", "objective", "recording"])
def test_the_operators_resource_has_the_groups_of_the_rule_file(name):
    resource = yaml.safe_load((FOLDER / "prometheusrule" / f"{name}.yaml").read_text())
    assert "PrometheusRule" == resource["kind"]
    assert yaml.safe_load((RULES / f"{name}.yaml").read_text()) == resource["spec"]


def test_kustomize_is_told_of_each_file():
    listed = yaml.safe_load((FOLDER / "prometheusrule/kustomization.yaml").read_text())["resources"]
    boards = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    assert {file.name for file in RULES.glob("*.yaml")} == set(listed)
    assert {file.name for file in FOLDER.glob("*.json")} == {
        name for board in boards for name in board["files"]
    }


def test_the_command_writes_rules_and_dashboards(tmp_path):
    command = [sys.executable, "-m", "traced_image_dashboards", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER / "src")}
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)

    assert {*rules.files()} == {file.name for file in (tmp_path / "rules").iterdir()}
    for file in tmp_path.glob("*.json"):
        assert (FOLDER / file.name).read_text() == file.read_text()


@pytest.mark.parametrize("file", sorted(RULES.glob("tests/*.yaml")), ids=lambda file: file.stem)
def test_promtool_is_told_in_which_order_to_evaluate(file):
    """Else it takes any, and an alert may go by what was recorded half a minute before."""
    told = read(file)
    there = [
        group["name"]
        for name in told["rule_files"]
        for group in read((file.parent / name).resolve())["groups"]
    ]
    assert there == told["group_eval_order"]


def test_each_alert_has_a_test_in_which_it_fires():
    assert ALERTS == {
        (
            test["alertname"],
            alert["exp_labels"]["severity"],
            alert["exp_labels"].get("long_window", ""),
        )
        for test in cases()
        for alert in test["exp_alerts"]
    }


def test_each_alert_has_a_test_in_which_it_does_not():
    assert {*NAMES} - {"GlanceWatchdog"} == {
        test["alertname"] for test in cases() if not test["exp_alerts"]
    }


def test_each_group_of_quiet_cases_asks_for_any_alert_at_all():
    quiet = read(RULES / "tests/quiet.yaml")["tests"]
    assert 6 == len(quiet)
    for group in quiet:
        (test,) = group["promql_expr_test"]
        assert 'count_over_time(ALERTS{alertstate="firing", severity!="none"}[2h])' == test["expr"]
        assert [] == test["exp_samples"]


def test_a_panels_section_is_an_alerts():
    assert links.RUNBOOKS.endswith("dashboards/runbooks.md")
    assert f"{links.RUNBOOKS}#glanceserverfailing" == links.runbook("GlanceServerFailing")


def test_a_recording_is_named_by_level_metric_and_operations():
    names = [rule.record for rule in RECORDINGS]
    form = re.compile(r"(instance|job)(_server)?:[a-z_]+:[a-z0-9_]+")
    assert [] == [name for name in names if not form.fullmatch(name)]
    windows = {window for name in names for window in re.findall(r"rate(\w+)$", name)}
    assert windows <= {"5m", *recording.WINDOWS, "30d"}


def test_no_alert_waits_for_rules_that_take_long():
    own = ("glance_client_durations", "glance_client_month")
    groups = [
        group
        for name in ("recording.yaml", "alerts.yaml")
        for group in yaml.safe_load(rules.files()[name])["groups"]
    ]
    slow = [rule["record"] for group in groups if group["name"] in own for rule in group["rules"]]
    others = yaml.safe_dump([group for group in groups if group["name"] not in own])
    assert (4, []) == (len(slow), [name for name in slow if name in others])


def test_each_alert_has_a_scene_that_says_how_soon_it_fires():
    timed = {
        name
        for _, query in list_scenes()
        for sample in query["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', sample["labels"])
    }
    assert {*NAMES} - {"GlanceWatchdog"} == timed


@pytest.mark.parametrize("file", sorted(RULES.glob("tests/*.yaml")), ids=lambda file: file.stem)
def test_a_scene_asks_for_each_evaluation(file):
    """Else the page would lack it, or have a time that is too late."""
    told = read(file)
    queries = [
        query["expr"]
        for test in told["tests"]
        for query in test.get("promql_expr_test", ())
        if "timestamp(ALERTS" in query["expr"]
    ]
    steps = {found and found["step"] for found in map(TIMES.fullmatch, queries)}
    assert steps <= {told["evaluation_interval"]}


def test_no_rule_drops_the_labels_that_one_routes_by():
    """But what is about the objective, which is for jobs and regions."""
    text = " ".join("".join(rules.files().values()).split())
    kept = {found.group(1) for found in re.finditer(r"\bby \(([^)]*)\)", text)}
    assert {"job, region", ", ".join(("job", *ROUTES))} == kept


def test_the_example_of_alertmanager_groups_and_inhibits_by_the_labels_that_one_routes_by():
    page = (FOLDER.parent / "docs/how-to/alert.md").read_text()
    (text,) = re.findall(r"^route:\n.*?(?=^```)", page, re.MULTILINE | re.DOTALL)
    example = yaml.safe_load(text)
    assert (["alertname", "job", *ROUTES], ["job", *ROUTES]) == (
        example["route"]["group_by"],
        example["inhibit_rules"][0]["equal"],
    )


def test_the_page_of_alerts_has_each_with_its_severity():
    page = (FOLDER.parent / "docs/how-to/alert.md").read_text()
    told = set(re.findall(r"^\| `(Glance\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert {(name, severity) for name, severity, _ in ALERTS} == told
