"""The committed dashboards keep the rules of dashboard-linter, but for what ``.lint`` excludes.

The program itself is not to be had everywhere: its module can't be installed by ``go install``. So
its rules are here, by their descriptions in its documentation, and stricter where those leave room.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import promql_parser
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parents[2] / "dashboards"
BOARDS = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
EXCLUDED = yaml.safe_load((FOLDER / ".lint").read_text())["exclusions"]
UNITS = {"Bps", "bytes", "d", "none", "ops", "percentunit", "reqps", "s", "short"}
"""Those of Grafana's that are used here."""

SOURCE = "${datasource}"
RATES = {"rate", "irate"}
GROWTH = {*RATES, "increase"}

Place = tuple[str, str]
"""The title of a dashboard, and of the panel if the rule is one of panels."""

RULES: dict[str, Callable[[dict], Iterator[str]]] = {}


def rule(name: str) -> Callable:
    """Keep a rule: what it yields are the titles of panels that break it, or nothing's."""

    def keep(check: Callable) -> Callable:
        RULES[name] = check
        return check

    return keep


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board, kind):
    return [each for each in board["templating"]["list"] if each["type"] == kind]


def parsed(expr):
    """An expression with Grafana's durations replaced; strings keep their variables."""
    return promql_parser.parse(re.sub(r"\$__(rate_interval|interval|range)", "5m", expr))


def nodes(node, above=()):
    """Each part of an expression, with all that are above it."""
    yield node, above
    for name in ("expr", "lhs", "rhs", "args", "vector_selector", "param"):
        below = getattr(node, name, None)
        for each in below if isinstance(below, list) else [below]:
            if hasattr(each, "prettify"):
                yield from nodes(each, (*above, node))


def selectors(expr):
    """The selectors of an expression, with what is above them."""
    for node, above in nodes(parsed(expr)):
        if isinstance(node, promql_parser.VectorSelector):
            yield node, above


def queries(board):
    for panel in panels(board):
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])


def has_matcher(selector, name):
    found = [each for each in selector.matchers.matchers if each.name == name]
    return [(each.op, each.value) for each in found] == [(promql_parser.MatchOp.Re, f"${name}")]


# --- the rules ---------------------------------------------------------------------------------


@rule("template-datasource-rule")
def the_data_source_is_a_variable(board):
    found = [(each["name"], each["label"]) for each in variables(board, "datasource")]
    if found != [("datasource", "Data source")]:
        yield ""


def _variable(board, name):
    found = [each for each in variables(board, "query") if each["name"] == name]
    wanted = [(name.title(), True, ".+", SOURCE)]
    if wanted != [
        (each["label"], each["multi"], each.get("allValue"), each["datasource"]["uid"])
        for each in found
    ]:
        yield ""


@rule("template-job-rule")
def the_job_is_a_variable(board):
    yield from _variable(board, "job")


@rule("template-instance-rule")
def the_instance_is_a_variable(board):
    yield from _variable(board, "instance")


@rule("template-label-promql-rule")
def variables_are_labels_of_series(board):
    for each in variables(board, "query"):
        found = re.fullmatch(r"label_values\((.+), \w+\)", each["query"])
        if not found or not parses(found[1]):
            yield ""


@rule("template-on-time-change-reload-rule")
def variables_are_asked_for_again(board):
    yield from ("" for each in variables(board, "query") if each["refresh"] != 2)


@rule("uneditable-dashboard")
def a_dashboard_is_not_edited(board):
    if board["editable"]:
        yield ""


@rule("panel-datasource-rule")
def panels_ask_the_chosen_data_source(board):
    yield from (panel["title"] for panel in panels(board) if panel["datasource"]["uid"] != SOURCE)


@rule("panel-title-description-rule")
def panels_have_titles_and_descriptions(board):
    yield from (
        panel["title"] for panel in panels(board) if not panel["title"] or not panel["description"]
    )


@rule("panel-units-rule")
def panels_have_units(board):
    for panel in panels(board):
        config = panel["fieldConfig"]
        others = [
            each["value"]
            for override in config.get("overrides", ())
            for each in override["properties"]
            if each["id"] == "unit"
        ]
        if not {config["defaults"].get("unit"), *others} <= {
            *UNITS,
            "dateTimeFromNow",
            "dateTimeAsIsoNoDateIfToday",
        }:
            yield panel["title"]


@rule("panel-no-targets-rule")
def panels_ask_something(board):
    yield from (panel["title"] for panel in panels(board) if not panel["targets"])


def parses(expr):
    try:
        parsed(expr)
    except ValueError:
        return False
    return True


@rule("target-promql-rule")
def queries_are_promql(board):
    yield from (title for title, expr in queries(board) if not parses(expr))


@rule("target-rate-interval-rule")
def rates_are_over_grafanas_interval(board):
    for title, expr in queries(board):
        windows = re.findall(rf"\b(?:{'|'.join(RATES)})\([^\[\]]*\[([^\]]+)\]", expr)
        if set(windows) - {"$__rate_interval"}:
            yield title


def _matched(board, name):
    for title, expr in queries(board):
        if parses(expr) and not all(has_matcher(each, name) for each, _ in selectors(expr)):
            yield title


@rule("target-job-rule")
def queries_are_of_the_chosen_jobs(board):
    yield from _matched(board, "job")


@rule("target-instance-rule")
def queries_are_of_the_chosen_instances(board):
    yield from _matched(board, "instance")


def _name(selector):
    names = [each.value for each in selector.matchers.matchers if each.name == "__name__"]
    return selector.name or names[0]


@rule("target-counter-agg-rule")
def counters_are_asked_for_their_growth(board):
    for title, expr in queries(board):
        for selector, above in selectors(expr) if parses(expr) else ():
            calls = [each.func.name for each in above if isinstance(each, promql_parser.Call)]
            if _name(selector).endswith("_total") and not GROWTH & set(calls):
                yield title


# --- the tests ---------------------------------------------------------------------------------


def broken(name, board) -> set[Place]:
    """Where a dashboard breaks a rule."""
    return {(board["title"], title) for title in RULES[name](board)}


def excluded(name) -> set[Place]:
    """Where a rule may be broken."""
    entries = EXCLUDED.get(name, {"entries": []})["entries"]
    return {(each["dashboard"], each.get("panel", "")) for each in entries}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_broken_where_it_is_excluded_and_nowhere_else(name):
    found = set().union(*(broken(name, board) for board in BOARDS))
    assert found == excluded(name)


def test_each_exclusion_is_of_a_rule_and_has_a_reason():
    assert EXCLUDED.keys() <= RULES.keys()
    assert all(len(each["reason"].split()) > 8 for each in EXCLUDED.values())


def with_target(**fields):
    """A change of the first query of the first panel."""

    def change(board):
        panels(board)[0]["targets"][0].update(fields)

    return change


def with_panel(**fields):
    return lambda board: panels(board)[0].update(fields)


def without_variable(name):
    def change(board):
        board["templating"]["list"] = [
            each for each in board["templating"]["list"] if each["name"] != name
        ]

    return change


def with_variable(**fields):
    return lambda board: variables(board, "query")[0].update(fields)


DAMAGE = {
    "template-datasource-rule": without_variable("datasource"),
    "template-job-rule": without_variable("job"),
    "template-instance-rule": without_variable("instance"),
    "template-label-promql-rule": with_variable(query="label_values(up{, job)"),
    "template-on-time-change-reload-rule": with_variable(refresh=1),
    "uneditable-dashboard": lambda board: board.update(editable=True),
    "panel-datasource-rule": with_panel(datasource={"uid": "mine"}),
    "panel-title-description-rule": with_panel(description=""),
    "panel-units-rule": with_panel(fieldConfig={"defaults": {}}),
    "panel-no-targets-rule": with_panel(targets=[]),
    "target-promql-rule": with_target(expr="sum(up"),
    "target-rate-interval-rule": with_target(expr="rate(things_total[5m])"),
    "target-job-rule": with_target(expr='up{job="mine"}'),
    "target-instance-rule": with_target(expr='up{job=~"$job"}'),
    "target-counter-agg-rule": with_target(expr="sum(things_total)"),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_seen_to_be_broken(name):
    board = next(copy.deepcopy(each) for each in BOARDS if not broken(name, each))

    DAMAGE[name](board)

    assert broken(name, board)
