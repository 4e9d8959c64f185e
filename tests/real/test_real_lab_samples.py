"""The samples that test other clients with the lab: python-glanceclient's, and gophercloud's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from parts import cache, go

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LIMIT = 60.0


@pytest.fixture(scope="module")
def client_tests(tool):
    """A Python that has python-glanceclient and pytest, and no OpenTelemetry."""
    return tool(cache.install, cache.NOVA) / "bin/python"


@pytest.fixture(scope="module")
def go_tests(tool):
    """The program of the tests in Go."""
    return tool(go.build_gophercloud) / "failover"


@pytest.fixture
def programs(tmp_path):
    """A folder with the program ``traced-image`` of this package."""
    program = tmp_path / "programs/traced-image"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m traced_image "$@"\n')
    program.chmod(0o755)
    return program.parent


def run(command, folder, **variables):
    """The status of a program, and what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_sample_of_pytest_passes(client_tests, tmp_path):
    """A copy, so that pytest does not read the configuration of this repository."""
    shutil.copy(EXAMPLES / "test_glanceclient_failover.py", tmp_path)
    command = [client_tests, "-m", "pytest", "-p", "traced_image.pytest_plugin", "-W", "error"]
    status, printed = run(command, tmp_path, PYTHONPATH=str(ROOT))
    assert (0, True) == (status, " 7 passed" in printed), printed


def test_the_sample_in_go_passes(go_tests, programs, tmp_path):
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    status, printed = run([go_tests, "-test.v"], tmp_path, PATH=path)
    assert (0, 8) == (status, printed.count("--- PASS: ")), printed
