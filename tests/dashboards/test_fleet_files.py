"""The files of a fleet's agent: what the generator makes, with each metric in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from traced_image_dashboards import fleet

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import probe_metrics

FOLDER = Path(__file__).parents[2] / "dashboards/fleet"
ENTRIES = yaml.safe_load(fleet.files()["aggregation.yaml"])
RELABELING = yaml.safe_load(fleet.files()["relabeling.yaml"])


def matches(entry, name):
    """Whether an entry adds a series up."""
    found = re.fullmatch(r'\{__name__=~"(.+)"\}', entry["match"])
    return bool(found and re.fullmatch(found[1], name))


def passes(name):
    """Whether the agent sends a series of this name."""
    for rule in RELABELING:
        if bool(re.fullmatch(rule["regex"], name)) == (rule["action"] == "drop"):
            return False
    return True


@pytest.mark.parametrize("name", fleet.files())
def test_a_file_is_what_the_generator_makes(name):
    assert (FOLDER / name).read_text() == fleet.files()[name]


def test_the_generator_writes_all_files(tmp_path):
    fleet.write(tmp_path / "fleet")
    written = {path.name: path.read_text() for path in (tmp_path / "fleet").iterdir()}
    assert fleet.files() == written


@pytest.mark.parametrize("metric", catalogue.METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_kept_or_added_up_in_one_way(metric):
    outputs = {
        "counter": [["total"]],
        "histogram": [["total"]],
        "updown": [["sum_samples"]],
        "gauge": [["sum_samples"]] if metric in fleet.SUMMED else [],
    }
    for name in fleet.list_series(metric):
        found = [entry["outputs"] for entry in ENTRIES if matches(entry, name)]
        assert (outputs[metric.kind], True) == (found, passes(name)), name


def test_each_metric_has_one_place():
    placed = [*fleet.KEPT, *fleet.ADDED, *fleet.SUMMED]
    assert sorted(each.name for each in catalogue.METRICS) == sorted(each.name for each in placed)


@pytest.mark.parametrize("name", [each.name for each in probe_metrics.PROBE_METRICS])
def test_what_an_exporter_probes_is_not_added_up(name):
    assert [] == [entry["name"] for entry in ENTRIES if matches(entry, name)]


@pytest.mark.parametrize("name", ["glance_client_retries_created", "python_info", "go_threads"])
def test_what_nothing_reads_is_not_sent(name):
    assert not passes(name)
