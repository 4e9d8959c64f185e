"""What is written out drops the times when counters began, but for those that the rules read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from traced_image.telemetry import catalogue

ROOT = Path(__file__).parents[2]
RULES = "".join(path.read_text() for path in (ROOT / "dashboards/rules").glob("*.yaml"))
BOARDS = "".join(path.read_text() for path in (ROOT / "dashboards").glob("*.json"))
CREATED = [
    f"{each.name.removesuffix('_total')}_created"
    for each in catalogue.METRICS
    if each.kind in ("counter", "histogram")
]


def read_page():
    """The rules of the page on telemetry for what Prometheus scrapes."""
    page = (ROOT / "docs/how-to/observe.md").read_text()
    (text,) = re.findall(r"```yaml\n(.+?)```", page, re.DOTALL)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    return job["metric_relabel_configs"]


def read_monitor():
    """The rules of the operator's monitor."""
    text = (ROOT / "deploy/operator/podmonitor-callers.yaml").read_text()
    (endpoint,) = yaml.safe_load(text)["spec"]["podMetricsEndpoints"]
    return endpoint["metricRelabelings"]


def is_dropped(name, rules):
    (rule,) = rules
    assert "drop" == rule["action"]
    return bool(re.fullmatch(rule["regex"], name))


@pytest.mark.parametrize("rules", [read_page(), read_monitor()], ids=["page", "monitor"])
@pytest.mark.parametrize("name", CREATED)
def test_a_time_is_dropped_if_nothing_reads_it(name, rules):
    assert is_dropped(name, rules) == (name not in RULES + BOARDS)


@pytest.mark.parametrize("rules", [read_page(), read_monitor()], ids=["page", "monitor"])
@pytest.mark.parametrize("metric", catalogue.METRICS, ids=lambda each: each.name)
def test_no_value_is_dropped(metric, rules):
    assert not is_dropped(metric.name, rules)


@pytest.mark.parametrize("rules", [read_page(), read_monitor()], ids=["page", "monitor"])
def test_what_other_software_shows_is_left_alone(rules):
    assert not is_dropped("http_requests_created", rules)
