"""Each alert has a runbook that begins with what to do; its queries and silences can be used."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import promql_parser
import pytest
import yaml
from traced_image_dashboards import alerts, collector, recording
from traced_image_dashboards.alerts.alert import ROUTES

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import probe_metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "dashboards/runbooks.md").read_text("utf-8")
SEEN = (ROOT / "docs/explanation/alerts-seen.md").read_text("utf-8")
NAMES = sorted({alert.name for group in alerts.GROUPS for alert in group.alerts})

PARTS = (
    r"\*\*Do this\.\*\*",
    r"\*\*Which \w+\.\*\*\n\n```promql\n",
    r"\*\*Silence\.\*\*",
    r"\*\*Escalate\*\* to the ",
    r"\*\*What it means\.\*\*",
    r"\*\*What to look at\.\*\*",
    r"\*\*When it ends\.\*\*",
)
"""What a section has, in this order."""

OTHERS = {"up", "ALERTS", "scrape_samples_scraped", "otelcol_process_memory_rss"}
"""Series that neither this project nor a collector's rule names."""

QUERY = re.compile(r"^ *```promql\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
SILENCE = re.compile(r"^\$ (amtool silence add (?:.*\\\n)*.*)$", re.MULTILINE)


def sections(page):
    """The sections of alerts of a page, by their names."""
    return dict(re.findall(r"^## (Glance\w+)$\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))


def nodes(node):
    """Each part of an expression."""
    yield node
    for name in ("expr", "lhs", "rhs", "args", "vector_selector", "param"):
        below = getattr(node, name, None)
        for each in below if isinstance(below, list) else [below]:
            if hasattr(each, "prettify"):
                yield from nodes(each)


def selectors(query):
    """The selectors of a query: the name of each, and its matchers."""
    for node in nodes(promql_parser.parse(query)):
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {each.name: each.value for each in node.matchers.matchers}
            yield node.name or matchers["__name__"], matchers


def list_known():
    """The names of all series that a runbook may ask for."""
    metrics = (*catalogue.METRICS, *probe_metrics.PROBE_METRICS, probe_metrics.RELOADED)
    for metric in metrics:
        yield from (f"{metric.name}{part}" for part in ("", "_count", "_sum", "_bucket"))
    groups = (*recording.GROUPS.values(), recording.OUTAGES, recording.BY_CALLER)
    yield from (rule.record for group in groups for rule in group)
    yield recording.OBJECTIVE
    yield from OTHERS
    yield from (collector.QUEUE_SIZE, collector.QUEUE_CAPACITY, collector.TRACES_WAITING)


@cache
def read_alerts():
    """The alerts that the tests of rules expect, each as its name and its labels."""
    files = (ROOT / "dashboards/rules/tests").glob("*.yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    groups = [group for file in files for group in yaml.load(file.read_text(), loader)["tests"]]
    cases = [case for group in groups for case in group.get("alert_rule_test", ())]
    return [
        (case["alertname"], each["exp_labels"]) for case in cases for each in case["exp_alerts"]
    ]


def labels_of(name):
    """The labels that alerts of a name have in the tests of rules, and those to route by."""
    return {"alertname", *ROUTES}.union(*(labels for of, labels in read_alerts() if of == name))


@pytest.mark.parametrize("page", [PAGE, SEEN], ids=["runbooks", "seen"])
def test_a_page_has_a_section_for_each_alert_and_for_nothing_else(page):
    assert NAMES == sorted(re.findall(r"^## (Glance\w+)$", page, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_begins_with_what_to_do_and_ends_with_when_it_ends(name):
    text = sections(PAGE)[name]
    assert text.startswith("\n**Do this.**")
    assert re.search(".*".join(PARTS), text, re.DOTALL), text


@pytest.mark.parametrize("query", QUERY.findall(PAGE))
def test_a_query_asks_for_series_that_exist(query):
    known = set(list_known())
    asked = {name for name, _ in selectors(query)}
    # A collector's names have one ending in its own page, and another one in OTLP.
    assert [] == [
        name for name in asked - known if not re.match(r"(otelcol|rpc|http)_\w+.*\)\?", name)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_of_a_job_is_asked_of_its_region(name):
    found = [each for query in QUERY.findall(sections(PAGE)[name]) for each in selectors(query)]
    assert [] == [
        series
        for series, matchers in found
        if matchers.get("job") == "JOB"
        and matchers.get("region") != "REGION"
        and not re.match("otelcol|rpc|http", series)
    ]


@pytest.mark.parametrize("name", sorted({*NAMES} - {"GlanceWatchdog"}))
def test_a_silence_is_of_this_alert_and_by_its_labels(name):
    (command,) = SILENCE.findall(sections(PAGE)[name])
    words = shlex.split(command.replace("\\\n", " "))
    matchers = dict(word.split("=", 1) for word in words if "=" in word)
    assert (name, set()) == (matchers["alertname"], matchers.keys() - labels_of(name))


def test_nobody_is_shown_how_to_silence_the_watchdog():
    assert [] == SILENCE.findall(sections(PAGE)["GlanceWatchdog"])


@pytest.mark.parametrize("section", re.findall(r"\]\(#([\w-]+)\)", PAGE))
def test_a_link_within_the_page_leads_to_a_heading(section):
    headings = re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)
    assert section in {heading.lower().replace(" ", "-") for heading in headings}
