"""What ``traced-image dashboards`` writes loads with no edit in Prometheus 2 and 3, and vmagent.

Other tests have the rest: Alertmanager's routes (`test_real_alerts`), what is for Kubernetes
(`test_real_kubernetes`), and the collectors' configurations (`test_real_collector`).
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana import BOARDS, FOLDER, ask, panels
from parts import prometheus, prometheus3
from parts.prometheus import Programs, Prometheus
from units import run

PAGE = (Path(__file__).parents[2] / "docs/how-to/scale.md").read_text()
NOW = 1_800_000_000.0  # any time will do: nothing is scraped


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the command writes."""
    folder = tmp_path_factory.mktemp("written")
    command = [sys.executable, "-m", "traced_image", "dashboards", "--out", folder, "--fleet"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module", params=["2", "3"])
def stock(
    request: pytest.FixtureRequest, tool, written: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that has the files, and the configuration of the page on fleets."""
    if request.param == "2":
        programs = tool(prometheus.install)
    else:
        programs = Programs(str(tool(prometheus3.install)), "")
    folder = shutil.copytree(written, tmp_path_factory.mktemp("stock") / "prometheus")
    (settings,) = re.findall(r"```yaml\n *(rule_files: .*?)```", PAGE, re.DOTALL)
    receives = ["--web.enable-remote-write-receiver"]
    settings = re.sub("^ +", "", settings, flags=re.MULTILINE)
    with prometheus.prometheus(programs, folder, settings, receives) as running:
        yield running


def groups(folder: Path) -> list[dict[str, Any]]:
    """The groups of all rule files."""
    files = [*folder.glob("rules/*.yaml"), folder / "fleet/agents.yaml"]
    return [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


def named(rule: dict[str, Any]) -> str:
    return rule.get("record") or rule["alert"]


def test_prometheus_loads_each_rule(stock, written):
    there = {
        group["name"]: (group["interval"], [rule["name"] for rule in group["rules"]])
        for group in stock.get("rules")["groups"]
    }

    assert {
        group["name"]: (float(group["interval"].removesuffix("s")), [*map(named, group["rules"])])
        for group in groups(written)
    } == there


def test_prometheus_evaluates_each_rule(stock, written):
    asked = [rule["expr"] for group in groups(written) for rule in group["rules"]]
    kinds = {stock.get("query", query=expr, time=NOW)["resultType"] for expr in asked}

    assert {"vector"} == kinds


@pytest.mark.parametrize("board", BOARDS)
def test_prometheus_answers_each_panel(stock, written, board):
    assert (written / f"{board}.json").read_text() == (FOLDER / f"{board}.json").read_text()

    chosen = {"caller": "compute-1"}
    shown = [ask(stock, board, panel["title"], NOW, chosen) for panel in panels(board)]

    assert all(shown)


def test_vmagent_takes_the_files_of_a_fleet(vmagent, written, tmp_path):
    unit = (written / "fleet/vmagent.service").read_text().replace("\\\n", " ")
    (started,) = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    places = {
        "/etc/traced-image": str(written),
        "${REMOTE_WRITE}": "http://127.0.0.1:9/",
        "%S": str(tmp_path),
    }
    for place, here in places.items():
        started = started.replace(place, here)

    said = run("env", "AGENT=zone-1", vmagent, "-dryRun", *shlex.split(started))
    assert "error" not in said.lower()
