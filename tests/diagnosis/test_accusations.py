"""Who is accused of what: all witnesses agree, alerts read what they say, and the page shows it."""

from __future__ import annotations

import re

import pytest
from accusation_page import ALERTS, PAGE, alerts, page, seen
from accusation_probes import PROBES
from accusation_scenes import SCENES
from accusation_witnesses import KEYSTONE, PLACES, SETTINGS, WITNESSES
from traced_image_dashboards import alerts as rules
from traced_image_dashboards import recording

ALL = SCENES | PROBES
BLIND = {
    KEYSTONE: frozenset({"host state"}),
    **dict.fromkeys(SETTINGS.values(), frozenset({"spans", "host state"})),
}
"""The witnesses that know servers only: they must accuse nobody then."""


def each(scenes=ALL):
    return pytest.mark.parametrize("name", scenes)


@each()
def test_every_witness_accuses_whom_it_should_and_nobody_else(name):
    accused = ALL[name].accused
    assert {
        witness: frozenset(who for who in accused if witness not in BLIND.get(who, ()))
        for witness in WITNESSES
    } == seen(name).accused


@each()
def test_the_metrics_have_the_reason(name):
    expected = {ALL[name].reason} - {""}
    assert expected == seen(name).reasons


@each(SCENES)
def test_the_caller_gets_its_error(name):
    assert SCENES[name].caller == seen(name).caller


@each([name for name, scene in ALL.items() if not scene.accused])
def test_no_alert_reads_what_is_nobodys_fault(name):
    assert [] == alerts(seen(name))


@each([name for name, scene in ALL.items() if scene.accused])
def test_an_alert_reads_what_somebody_is_accused_of(name):
    assert [] != alerts(seen(name))


# --- the rules ---------------------------------------------------------------------------------

RECORDED = {
    rule.record: rule.expr
    for group in (
        *recording.GROUPS.values(),
        recording.MONTH,
        recording.OUTAGES,
        recording.BY_CALLER,
    )
    for rule in group
}
RULES = [alert for group in rules.GROUPS for alert in group.alerts]


def expanded(expr):
    """An expression with what its recordings read after it, each once: one may read itself."""
    found, new = set(), {expr}
    while new:
        found |= new
        new = {RECORDED[name] for name in RECORDED for each in new if name in each} - found
    return "\n".join(found)


@pytest.mark.parametrize(("metric", "verdict"), ALERTS)
def test_the_alert_reads_the_series(metric, verdict):
    (expr,) = [alert.expr for alert in RULES if alert.name == ALERTS[metric, verdict]]
    selector = rf"\b{metric}{{[^}}]*verdict=\"{verdict}\"" if verdict else rf"\b{metric}\b"
    assert re.search(selector, expanded(expr))


def test_no_other_alert_reads_keystones_failures():
    token_failures = "glance_client_token_failures_total"
    assert {"GlanceKeystoneFailing"} == {
        alert.name for alert in RULES if token_failures in expanded(alert.expr)
    }


# --- the page ----------------------------------------------------------------------------------


def test_the_page_is_what_a_run_shows():
    """If it fails: run `python tests/diagnosis/accusation_page.py`, and look at what changed."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_each_scene_has_a_title_of_its_own():
    assert len(ALL) == len({scene.title for scene in ALL.values()})


def test_no_cell_of_the_page_is_empty():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    assert [] == [row for row in rows if not all(cell.strip() for cell in row)]


def test_no_server_but_the_first_has_trouble():
    assert {PLACES[0], KEYSTONE, *SETTINGS.values()} == {
        who for name in ALL for accused in seen(name).accused.values() for who in accused
    }
