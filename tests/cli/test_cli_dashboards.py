"""``traced-image dashboards``: all that is packaged, written out whole, and nothing lost by it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from traced_image_dashboards import links

from traced_image.cli.dashboards import PACKAGED, RUNBOOKS

TOP = Path(__file__).parents[2]
ELSEWHERE = {"otel-collector.yaml": TOP} | dict.fromkeys(
    (
        *("agent.yaml", "agent-dns.yaml", "agent-token.yaml", "agent-twice.yaml"),
        *("gateway.yaml", "gateway-token.yaml"),
    ),
    TOP / "deploy",
)
ELSEWHERE["builder.yaml"] = TOP / "deploy" / "collector"
"""What lies elsewhere in a checkout than in ``dashboards``."""

OURS = {"src", ".lint"}
"""What it is made and checked by."""


@pytest.fixture
def written(cli, tmp_path):
    """Write it all out, and tell how that went."""

    def write(*options):
        return cli("dashboards", "--out", tmp_path / "out", *options)

    return write


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in OURS
    }


def test_it_writes_what_a_checkout_has(written, tmp_path):
    assert 0 == written("--fleet").status
    expected = content(TOP / "dashboards")
    expected |= {name: (folder / name).read_bytes() for name, folder in ELSEWHERE.items()}
    found = content(tmp_path / "out")
    assert expected.keys() == found.keys()
    assert {"README.md", "runbooks.md"} == {
        name for name in expected if expected[name] != found[name]
    }


def test_the_files_of_a_fleet_are_written_if_they_are_asked_for(written, tmp_path):
    written()
    before = (tmp_path / "out" / "fleet").exists()
    written("--fleet")
    assert (False, True) == (before, (tmp_path / "out" / "fleet" / "aggregation.yaml").is_file())


@pytest.mark.parametrize("page", ["README.md", "runbooks.md"])
def test_the_links_of_a_page_lead_somewhere_from_where_it_is_written(written, tmp_path, page):
    written()
    text = (tmp_path / "out" / page).read_text()
    for link in re.findall(r"\]\(([^)#]+)", text):
        there = link.removeprefix(f"{RUNBOOKS.removesuffix('dashboards/runbooks.md')}")
        assert ((TOP if there != link else tmp_path / "out") / there).exists(), link


def test_no_folder_is_a_link_since_a_source_distribution_would_leave_out_what_is_in_it():
    assert [] == [path for path in PACKAGED.rglob("*") if path.is_dir() and path.is_symlink()]


def test_it_says_how_much_there_is_and_where(written, tmp_path):
    line = written().line
    assert f"{len(content(tmp_path / 'out'))} files are in {tmp_path / 'out'}" == line


def test_it_may_be_written_twice(written):
    written()
    assert 0 == written().status


def test_what_somebody_has_changed_is_not_replaced(written, tmp_path):
    written()
    changed = tmp_path / "out" / "rules" / "alerts.yaml"
    changed.write_text("groups: []\n")
    result = written()
    assert (3, True, "groups: []\n") == (
        result.status,
        f"{changed} exists and differs: add --force to replace it" in result.line,
        changed.read_text(),
    )


def test_it_is_replaced_where_that_is_asked_for(written, tmp_path):
    written()
    changed = tmp_path / "out" / "rules" / "alerts.yaml"
    changed.write_text("groups: []\n")
    written("--force")
    assert (TOP / "dashboards" / "rules" / "alerts.yaml").read_text() == changed.read_text()


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), "vector(0.999)"), (("--objective", "99.95"), "vector(0.9995)")],
)
def test_the_objective_is_the_one_that_is_asked_for(written, tmp_path, options, expected):
    written(*options)
    rules = yaml.safe_load((tmp_path / "out" / "rules" / "objective.yaml").read_text())
    resource = yaml.safe_load((tmp_path / "out" / "prometheusrule" / "objective.yaml").read_text())
    assert expected == rules["groups"][0]["rules"][0]["expr"]
    assert rules == resource["spec"]


def test_an_objective_that_is_there_stays_unless_another_is_asked_for(written, tmp_path):
    written("--objective", "99.5")
    objective = tmp_path / "out" / "rules" / "objective.yaml"
    written("--force")
    assert "vector(0.995)" in objective.read_text()
    assert 3 == written("--objective", "99").status
    written("--objective", "99", "--force")
    assert "vector(0.99)" in objective.read_text()


@pytest.mark.parametrize("objective", ["100", "94", "all", "nan", "99.99999999999"])
def test_an_objective_that_no_alert_could_go_by_is_refused(written, tmp_path, objective):
    result = written("--objective", objective)
    assert (3, False) == (result.status, (tmp_path / "out").exists())


def test_a_file_in_the_place_of_a_folder_is_one_clear_line(cli, tmp_path):
    (tmp_path / "out").write_text("")
    result = cli("dashboards", "--out", tmp_path / "out")
    assert (3, True) == (result.status, "is a file" in result.line)


def test_where_nothing_can_be_written_nothing_half_written_is_left(written, tmp_path, monkeypatch):
    def full(path, data):
        with path.open("wb") as file:
            file.write(data[:1])
        raise OSError(28, os.strerror(28), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    result = written()
    assert (4, True, {}) == (
        result.status,
        "No space left on device" in result.line,
        content(tmp_path / "out"),
    )


def test_the_runbooks_are_where_that_is_said(written, tmp_path):
    written("--runbooks", "https://wiki.example/glance")
    texts = [data.decode() for data in content(tmp_path / "out").values()]
    alerts = yaml.safe_load((tmp_path / "out" / "rules" / "alerts.yaml").read_text())
    assert ([], "https://wiki.example/glance#glanceallserversfailing") == (
        [text for text in texts if RUNBOOKS in text],
        next(
            rule["annotations"]["runbook_url"]
            for group in alerts["groups"]
            for rule in group["rules"]
            if rule.get("alert") == "GlanceAllServersFailing"
        ),
    )


def list_boards(folder):
    """The addresses of dashboards in all rules."""
    files = [*folder.rglob("alerts.yaml"), folder / "fleet" / "agents.yaml"]
    return [
        address
        for file in files
        for address in re.findall(r"\bdashboard_url: (\S+?)\?", file.read_text())
    ]


def test_alerts_link_to_the_dashboards_of_the_grafana_that_is_given(written, tmp_path):
    written("--fleet")
    paths = list_boards(tmp_path / "out")
    written("--fleet", "--force", "--grafana", "https://grafana.example/tools/")
    addresses = list_boards(tmp_path / "out")
    assert [f"https://grafana.example/tools{path}" for path in paths] == addresses
    assert {"/d/traced-image-servers"} < {*paths}


@pytest.mark.parametrize(
    "url", ["grafana", "https://a/?orgId=2", "https://a/#top", "https://a/{{page}}"]
)
def test_a_grafana_that_no_link_leads_to_is_refused(written, tmp_path, url):
    result = written("--grafana", url)
    assert (3, False) == (result.status, (tmp_path / "out").exists())


@pytest.mark.parametrize(
    "url",
    ["runbooks.md", 'https://a/"', "https://a b", "https://a/#top", "https://a/{{page}}"],
)
def test_runbooks_that_no_link_leads_to_are_refused(written, tmp_path, url):
    result = written("--runbooks", url)
    assert (3, False) == (result.status, (tmp_path / "out").exists())


def test_the_runbooks_are_where_the_generator_has_them():
    assert RUNBOOKS == links.RUNBOOKS


def test_rules_add_up_over_each_label_in_which_processes_differ(written, tmp_path):
    assert 0 == written("--process-label", "hostname").status
    rules = [path.read_text() for path in sorted((tmp_path / "out/rules").glob("*.yaml"))]
    added_up = [re.findall(r"instance,\s+node,\s+pod\b(?:, (\w+))?", text) for text in rules]
    assert {"hostname"} == {label for found in added_up for label in found}


@pytest.mark.parametrize("label", ["", "a-b", "1st", "a, b"])
def test_a_process_label_that_is_no_label_is_refused(written, label):
    assert 3 == written("--process-label", label).status


@pytest.mark.parametrize("label", ["job", "server_address", "le"])
def test_a_process_label_that_the_rules_need_is_refused(written, tmp_path, label):
    result = written("--process-label", label)
    assert (3, True, False) == (
        result.status,
        f"the rules need {label}" in result.line,
        (tmp_path / "out").exists(),
    )


def test_alerts_are_about_the_collectors_of_a_job_and_nothing_else_changes(written, tmp_path):
    written()
    before = content(tmp_path / "out")
    assert 0 == written("--collector-job", "glance/otelcol-.+|gateway", "--force").status
    after = content(tmp_path / "out")
    changed = {name for name in before if before[name] != after[name]}
    assert ({"rules/alerts.yaml", "prometheusrule/alerts.yaml"}, True) == (
        changed,
        all(
            before[name].replace(b'job=~".*"', b'job=~"glance/otelcol-.+|gateway"') == after[name]
            for name in changed
        ),
    )


@pytest.mark.parametrize("pattern", ["", 'a"', "a b", "a\\d", "a\n", "(a"])
def test_a_job_of_collectors_that_no_rule_could_have_is_refused(written, tmp_path, pattern):
    result = written("--collector-job", pattern)
    assert (3, False) == (result.status, (tmp_path / "out").exists())


@pytest.mark.parametrize("pattern", ["otelcol++", "a*+", "a?+", "(a)(?(1)b|c)", "(?x:a)", "(?a)b"])
def test_a_regular_expression_that_python_reads_and_prometheus_does_not_is_refused(
    written, tmp_path, pattern
):
    result = written("--collector-job", pattern)
    assert (3, False) == (result.status, (tmp_path / "out").exists())


@pytest.mark.parametrize("pattern", ["(?i)otelcol", "(?i-s:a)b", "(?:a|b)+?", "a??b*?"])
def test_a_regular_expression_that_both_read_is_taken(written, pattern):
    assert 0 == written("--collector-job", pattern).status
