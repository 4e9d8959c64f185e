"""The commands of the pages are run against servers of the lab, but for those that say why not."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from traced_image import lab

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("dashboards/*.md")])
PAGES.append(ROOT / "bench/README.md")
BLOCK = re.compile(r"^ *```console\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^ *[$#] ((?:.*\\\n)*.*)$", re.MULTILINE)
LIMIT = 60.0

NOT_RUN = {
    r"make ": "it makes an environment; tests/test_makefile.py and .ci/run have the targets",
    r"pip (install|wheel) ": "it needs the network; tests/test_wheel.py builds and installs",
    r"python -m traced_image\.demo": "it takes 40 s; it is `make demo`, which .ci/run runs",
    r"sudo ": "it needs root and systemd; tests/real/test_real_deployment.py has the unit",
    r"cd deploy/exporter$": "what follows needs root",
    r"curl http://127.0.0.1:9293/readyz": "it asks the system's exporter",
    r"podman ": "it needs a container engine; tests/real/test_real_deployment.py has the image",
    r"kubectl ": "it needs a cluster; tests/test_deployment.py checks the manifests",
    r"(TRACED_IMAGE_\w+=\S+ )?opentelemetry-instrument ": "tests/instrumentation runs some",
    r"gunicorn ": "it runs until it is ended; tests/exporter/test_exporter_workers.py runs it",
    r"go install ": "it needs Go and the network; tests/real has the collector",
    r"builder ": "it needs the collector's builder; tests/real has the collector",
    r"(GOMEMLIMIT=\S+ )?otelcol-contrib ": "it needs the collector; tests/real has it",
    r"amtool ": "it needs Alertmanager; tests/real/test_real_runbooks.py runs them",
    r"victoria-metrics |vmalert ": "they need programs in Go; bench/fleet_victoria.py runs them",
    r"dashboard-linter ": "it has no release; tests/dashboards/test_boards_lint.py has its rules",
    r'eval "\$\(_TRACED_IMAGE_COMPLETE=zsh': "it needs zsh",
    r"_TRACED_IMAGE_COMPLETE=fish": "it needs fish",
    r"traced-image diagnose ": "it asks Prometheus; tests/diagnose/test_diagnose_page.py runs it",
    r"traced-image (servers|watch) --exporter ": "it asks callers; test_cli_*_exporter.py run it",
    r"traced-image servers --server http://127\.0\.0\.1:\d+": "it was run for the page, once",
    r"pytest ": "it is of a project that has tests of its own",
}
"""The commands that no test here runs, by what begins them, and why."""

ENDLESS = {"traced-image exporter ": "--listen 127.0.0.1:0", "traced-image lab ": "--port 0"}
"""What begins a command that runs until it is ended, and what gives it a free port.

A test of its own runs it.
"""

CONTROL = "127.0.0.1:9291"
"""Where pages have the lab's control API; by it, they ask the server at 127.0.0.1:9292."""

STAND_INS = {"HOST:PORT": "http://10.0.0.1:9292", "…": "http://10.0.0.2:9292"}
"""What a page writes for something that its reader has to fill in."""

FOLDERS = ("/etc/grafana/", "/var/lib/grafana/")
"""Folders of the system, for which the tests have their own."""


def commands(page):
    """The commands of a page, in their order, each on one line."""
    return [
        command.replace("\\\n", " ")
        for block in BLOCK.findall(page.read_text("utf-8"))
        for command in COMMAND.findall(block)
    ]


def reason_not_to_run(command):
    return next((why for start, why in NOT_RUN.items() if re.match(start, command)), None)


def runnable(page):
    return [
        command
        for command in commands(page)
        if reason_not_to_run(command) is None and not command.startswith(tuple(ENDLESS))
    ]


def named(page):
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def glances():
    with lab.cluster(3) as servers:
        servers[0].images.add(name="cirros", data=b"...", visibility="public")
        yield servers


@pytest.fixture
def control(glances):
    with lab.Control(glances) as serving:
        yield serving


@pytest.fixture
def environment(tmp_path):
    """A user's, with the programs of the Python that runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "TERM": "dumb", "LANG": "C.UTF-8"}


def fill_in(command, servers, folder):
    """Return a command for the servers and folders that are there."""
    for text, stand_in in STAND_INS.items():
        command = command.replace(text, stand_in)
    for number, server in enumerate(servers, 1):
        command = command.replace(f"10.0.0.{number}:9292", f"{server.host}:{server.port}")
    command = command.replace("127.0.0.1:9292", f"{servers[0].host}:{servers[0].port}")
    for name in FOLDERS:
        command = command.replace(name, f"{folder}{name}")
    return command


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=named)
def test_the_commands_of_a_page_succeed(page, glances, control, environment, tmp_path):
    for name in (*FOLDERS, "/etc/grafana/provisioning/dashboards"):
        Path(f"{tmp_path}{name}").mkdir(parents=True, exist_ok=True)
    Path(f"{tmp_path}/etc/grafana/provisioning/datasources").mkdir()
    script = "\n".join(fill_in(command, glances, tmp_path) for command in runnable(page))
    script = script.replace(CONTROL, f"{control.host}:{control.port}")
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-exc", script],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )

    assert (0, done.stdout) == (done.returncode, done.stdout)


@pytest.mark.parametrize(
    "command",
    sorted({each for page in PAGES for each in commands(page) if each.startswith(tuple(ENDLESS))}),
)
def test_a_command_that_does_not_end_serves_and_ends_on_sigterm(
    command, glances, environment, tmp_path
):
    port = next(option for start, option in ENDLESS.items() if command.startswith(start))
    command = f"exec {fill_in(command.removesuffix('&'), glances, tmp_path)} {port}"
    with subprocess.Popen(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        serves = any(re.search(r"https?://127\.0\.0\.1:\d+", line) for line in program.stdout)
        program.send_signal(signal.SIGTERM)
        try:
            program.communicate(timeout=LIMIT)
        finally:
            program.kill()

    assert (True, 0) == (serves, program.returncode)


@pytest.mark.parametrize("start", NOT_RUN)
def test_what_is_not_run_is_on_a_page(start):
    everything = [command for page in PAGES for command in commands(page)]

    assert any(re.match(start, command) for command in everything)


def test_the_pages_have_commands_that_are_run():
    assert len([command for page in PAGES for command in runnable(page)]) > 20
