"""Prometheus's own tool on the rules, and on each alert's tests."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from parts import prometheus
from parts.cache import PartUnavailableError

RULES = Path(__file__).parents[2] / "dashboards/rules"
FILES = sorted(RULES.glob("tests/*.yaml"), key=lambda file: file.stem != "budget")
"""The files of tests, first the one that takes longest."""


@pytest.fixture(scope="module")
def promtool(request):
    """Run promtool; returns its exit status and its words."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    try:
        programs = prometheus.install(lambda line: terminal.write_line(f"real parts: {line}"))
    except PartUnavailableError as error:
        pytest.skip(str(error))

    def run(*arguments):
        command = [programs.promtool, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_promtool_finds_no_fault_with_the_rules(promtool):
    status, said = promtool("check", "rules", "--lint=all", *sorted(RULES.glob("*.yaml")))
    assert (0, 3) == (status, said.count("SUCCESS")), said


@pytest.fixture(scope="module")
def tested(promtool):
    """What promtool says of each file of tests; as many run at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(FILES, pool.map(partial(promtool, "test", "rules"), FILES), strict=True))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_alerts_fire_and_keep_quiet(tested, file):
    status, said = tested[file]
    assert 0 == status, said


def test_an_alert_that_is_not_guarded_would_not_keep_quiet(promtool, tmp_path):
    """So that the quiet cases are known to be more than silence."""
    rules = shutil.copytree(RULES, tmp_path / "rules") / "alerts.yaml"
    text = rules.read_text()
    rules.write_text(text.replace("[1h]) * 30 > 4.5", "[1h]) * 30 > 0"))
    assert text != rules.read_text()

    status, said = promtool("test", "rules", rules.parent / "tests/quiet.yaml")
    assert (1, True) == (status, "GlanceClientErrorBudgetBurn" in said), said


def test_a_time_that_is_one_evaluation_too_soon_would_be_seen(promtool, tmp_path):
    """So that the times of the page of alerts are known to be measured."""
    shutil.copytree(RULES, tmp_path / "rules")
    file = tmp_path / "rules/tests/objective.yaml"
    text = file.read_text()
    file.write_text(text.replace("value: 900", "value: 870"))
    assert text != file.read_text()

    status, said = promtool("test", "rules", file)
    assert (1, True) == (status, 'GlanceObjectiveMissing", severity="ticket"} 9E+02' in said), said
