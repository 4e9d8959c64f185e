"""The committed dashboards are what the generator makes, and hold together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("grafana_foundation_sdk", reason="it needs Python 3.11")

from traced_image_dashboards import boards, links
from traced_image_dashboards.alerts import GROUPS
from traced_image_dashboards.promql import ROUTES

# isort: split
# After what quiets their warnings.
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import probe_metrics

FOLDER = Path(__file__).parents[2] / "dashboards"
BOARDS = {name: json.loads((FOLDER / name).read_text()) for name in boards.FILES}
UIDS = {
    "overview.json": "traced-image-overview",
    "servers.json": "traced-image-servers",
    "callers.json": "traced-image-callers",
    "pipeline.json": "traced-image-pipeline",
}
"""What others' links and bookmarks name; a change breaks them."""

PANELS = {
    f"{name}: {panel['title']}": panel
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
}
every_board = pytest.mark.parametrize("name", BOARDS)


def those_that_are_not(right):
    """Return the names of the panels that fail a check."""
    return [name for name, panel in PANELS.items() if not right(panel)]


def expressions(board):
    """All that a dashboard asks Prometheus."""
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (each["expr"] for each in board["annotations"]["list"])
    yield from (each["query"] for each in board["templating"]["list"] if each["type"] == "query")


def own_links(panel):
    """The addresses that a panel leads to."""
    yield from (link["url"] for link in panel.get("links", ()))
    config = panel["fieldConfig"]
    yield from (link["url"] for link in config["defaults"].get("links", ()))
    for override in config.get("overrides", ()):
        for each in override["properties"]:
            if each["id"] == "links":
                yield from (link["url"] for link in each["value"])


def test_the_committed_files_are_what_the_generator_makes(tmp_path):
    boards.write(tmp_path)
    for name in (*boards.FILES, ".lint"):
        assert (tmp_path / name).read_text() == (FOLDER / name).read_text(), name


def test_another_page_of_runbooks_is_where_the_links_lead(tmp_path):
    boards.write(tmp_path, "https://example.org/runbooks")
    for name in boards.FILES:
        board = json.loads((tmp_path / name).read_text())
        (page,) = (each for each in board["templating"]["list"] if each["name"] == "runbooks")
        assert ("https://example.org/runbooks", 2) == (page["query"], page["hide"])


@every_board
def test_the_models_of_grafana_read_and_write_a_dashboard_as_it_is(name):
    read = Dashboard.from_json(BOARDS[name])
    written = json.dumps(read, cls=JSONEncoder)
    assert BOARDS[name] == json.loads(written, object_hook=without_placement)


def without_placement(part):
    """Leave out where the SDK's models put a link or a mark whose file says nothing of it."""
    return {name: value for name, value in part.items() if name != "placement"}


@every_board
def test_links_and_marks_are_in_no_menu(name):
    assert "placement" not in (FOLDER / name).read_text("utf-8")


@every_board
def test_a_dashboard_has_its_uid_its_tags_and_can_not_be_edited(name):
    board = BOARDS[name]
    assert (UIDS[name], ["traced-image", "glance"]) == (board["uid"], board["tags"])
    assert board["editable"] is False


@every_board
def test_panels_have_numbers_and_titles_of_their_own(name):
    panels = BOARDS[name]["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    titles = [panel["title"] for panel in panels if panel["type"] != "row"]
    assert len(set(titles)) == len(titles)


@every_board
def test_no_panel_is_over_another_or_over_the_edge(name):
    taken = set()
    for place in (panel["gridPos"] for panel in BOARDS[name]["panels"]):
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + across, place["y"] + down)
            for across in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken
        taken |= cells


def test_a_panel_says_what_it_is_what_to_do_and_why_it_is_empty():
    def says(panel):
        defaults = panel["fieldConfig"]["defaults"]
        return (
            len(panel["description"].split()) >= 12
            and panel["description"][-1] in ".?"
            and defaults["unit"]
            and len(defaults["noValue"].split()) >= 3
        )

    assert [] == those_that_are_not(says)


def test_a_panel_links_to_the_section_of_an_alert_in_the_runbook():
    headings = re.findall(r"^## (\w+)$", (FOLDER / "runbooks.md").read_text(), re.MULTILINE)
    alerts = {alert.name.lower() for group in GROUPS for alert in group.alerts}
    sections = alerts & {heading.lower() for heading in headings}

    def links_there(panel):
        link = panel["links"][0]
        page, _, section = link["url"].partition("#")
        return ("${runbooks:raw}", "Runbook") == (page, link["title"]) and section in sections

    assert [] == those_that_are_not(links_there)


def test_the_other_links_of_a_panel_are_to_dashboards_and_their_variables():
    known = {
        each["uid"]: {variable["name"] for variable in each["templating"]["list"]}
        for each in BOARDS.values()
    }

    def names_variables(url):
        uid, _, given = url.removeprefix("/d/").partition("?")
        names = re.findall(r"var-(\w+)=", given) + re.findall(r"\$\{(\w+):queryparam\}", given)
        return set(names) <= known[uid]

    def links_right(panel):
        return all(names_variables(url) for url in own_links(panel) if url.startswith("/d/"))

    assert [] == those_that_are_not(links_right)


def leads_on(panel):
    """Whether a panel links to another dashboard."""
    return any(url.startswith("/d/") for url in own_links(panel))


def test_a_panel_of_the_overview_that_shows_a_failure_leads_to_another_dashboard():
    first = ("What fails?", "Do calls succeed?")
    rows, row = [], ""
    for panel in BOARDS["overview.json"]["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        if row in first and panel["type"] != "row" and not leads_on(panel):
            rows.append(panel["title"])
    # Its rows have alerts, which have links of their own.
    assert ["Alerts"] == rows


def test_the_board_that_comes_next_is_another_one_and_the_link_has_its_title():
    titles = {each["uid"]: each["title"].partition(" / ")[2] for each in BOARDS.values()}
    found = {
        (UIDS[name.partition(":")[0]], *re.findall(r"^/d/([\w-]+)\?", link["url"]), link["title"])
        for name, panel in PANELS.items()
        for link in panel["links"][1:]
    }
    assert [] == [each for each in found if each[0] == each[1] or titles[each[1]] != each[2]]
    assert {*titles} - {UIDS["overview.json"]} == {to for _, to, _ in found}


def test_what_is_clicked_has_the_labels_that_its_link_is_made_of():
    def has_them(panel):
        asked = " ".join(target["expr"] for target in panel["targets"])
        labels = re.findall(
            r"\$\{__(?:data\.fields|field\.labels)\.(\w+)\}", " ".join(own_links(panel))
        )
        return all(re.search(rf"by \([^)]*\b{label}\b", asked) for label in labels)

    assert [] == those_that_are_not(has_them)


@every_board
def test_all_variables_that_are_used_are_there(name):
    board = BOARDS[name]
    there = {each["name"] for each in board["templating"]["list"]}
    used = {
        variable
        for text in [*expressions(board), *(panel["title"] for panel in board["panels"])]
        for variable in re.findall(r"\$(?!__)(\w+)", text)
    }
    assert used <= there
    # The data source is named elsewhere, and the page of runbooks by links.
    assert there - used == {"datasource", "runbooks"}


@every_board
def test_each_label_that_one_routes_by_is_a_variable_that_matches_its_absence(name):
    variables = {each["name"]: each for each in BOARDS[name]["templating"]["list"]}
    for label in ROUTES:
        found = variables[label]
        every = (found["allValue"], found["current"]["value"])
        assert (label.title(), True, ".*", "$__all") == (found["label"], found["multi"], *every)


@every_board
def test_whatever_asks_for_the_chosen_jobs_asks_for_the_chosen_routes(name):
    jobs = re.compile(r'job=~"\$job\|?"')
    for expr in expressions(BOARDS[name]):
        chosen = {len(jobs.findall(expr))}
        chosen |= {len(re.findall(rf'{label}=~"\${label}\|?"', expr)) for label in ROUTES}
        assert len(chosen) == 1 or expr.startswith("label_values("), expr


def test_links_keep_the_routes():
    kept = "&".join(f"${{{label}:queryparam}}" for label in ROUTES)
    assert [] == those_that_are_not(
        lambda panel: all(kept in url for url in own_links(panel) if url.startswith("/d/"))
    )


@every_board
def test_everything_is_asked_of_the_chosen_data_source(name):
    board = BOARDS[name]
    asked = [panel for panel in board["panels"] if panel["type"] != "row"]
    asked += [target for panel in asked for target in panel["targets"]]
    asked += board["annotations"]["list"]
    asked += [each for each in board["templating"]["list"] if each["type"] == "query"]
    assert [{"type": "prometheus", "uid": "${datasource}"}] * len(asked) == [
        each["datasource"] for each in asked
    ]


@every_board
def test_servers_that_leave_and_rejoin_and_new_versions_are_marked(name):
    marks = [each["name"] for each in BOARDS[name]["annotations"]["list"]]
    assert marks == ["Server cooling", "Server healthy", "New version"]


UNTOLD = {catalogue.LAST_FAILURE.name, probe_metrics.CANARY_BYTES.name}
"""A last success tells more of a server than its last failure, and a check than its bytes."""


def test_whatever_is_counted_is_on_a_dashboard():
    shown = " ".join(expr for board in BOARDS.values() for expr in expressions(board))
    metrics = (*catalogue.METRICS, *probe_metrics.PROBE_METRICS, probe_metrics.RELOADED)
    assert {metric.name for metric in metrics if not told(metric, shown)} == UNTOLD


def told(metric, shown):
    """Whether expressions read a metric, by itself or as it was recorded."""
    stem = metric.name.removesuffix("_total")
    recorded = {
        catalogue.CALL_DURATION: "job:glance_client_calls:",
        catalogue.ATTEMPT_DURATION: "job_server:glance_client_attempts:",
    }
    return recorded.get(metric, stem) in shown


@pytest.mark.parametrize("kind", ["tempo", "jaeger"])
def test_exemplars_lead_to_the_traces_data_source(kind):
    file = FOLDER / f"provisioning/datasources/prometheus-{kind}.yaml"
    prometheus, traces = yaml.safe_load(file.read_text())["datasources"]
    targets = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert {target["name"] for target in targets} == {"trace_id"}
    assert targets[0]["datasourceUid"] == traces["uid"]
    assert (prometheus["type"], traces["type"]) == ("prometheus", kind)


def test_jaegers_own_page_shows_the_trace_of_an_exemplar():
    file = FOLDER / "provisioning/datasources/prometheus-jaeger.yaml"
    prometheus, _ = yaml.safe_load(file.read_text())["datasources"]
    own = prometheus["jsonData"]["exemplarTraceIdDestinations"][1]
    assert own["url"] == "$JAEGER_URL/trace/$${__value.raw}"


def test_the_dashboards_are_provisioned_from_a_folder():
    file = FOLDER / "provisioning/dashboards/traced-image.yaml"
    (provider,) = yaml.safe_load(file.read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert links.RUNBOOKS.endswith("/dashboards/runbooks.md")
