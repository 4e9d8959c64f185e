"""The examples run as their first lines say, against Glance servers of the lab."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from traced_image import lab

EXAMPLES = Path(__file__).parent.parent / "examples"
LIMIT = 30.0
LONGEST = 60


@pytest.fixture
def glances():
    with lab.cluster(3) as servers:
        yield servers


@pytest.fixture
def image_id(glances):
    return glances[0].images.add(name="cirros", data=b"...", visibility="public")


def environment(servers):
    """The caller's environment, with the servers."""
    return {**os.environ, "TRACED_IMAGE_SERVERS": ",".join(server.url for server in servers)}


def end(program):
    """Wait for a program that was told to end; a test that fails leaves none behind."""
    try:
        program.communicate(timeout=LIMIT)
    finally:
        program.kill()


@contextmanager
def running(name, servers, *arguments):
    """Run an example that serves; yields the lines of its output, which say where."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    with subprocess.Popen(
        command,
        env=environment(servers),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            yield program.stdout
        finally:
            # Not by SIGINT: wsgiref takes the KeyboardInterrupt within a request for its error.
            program.terminate()
            end(program)


def find_addresses(lines):
    """The addresses in the first line that has some."""
    for line in lines:
        found = re.findall(r"http://[\d.]+:\d+", line)
        if found:
            return found
    raise AssertionError("the program ended, and named no address")


def fetch(url):
    """The status and the JSON of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=LIMIT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


SERVICES = ("wsgi_service.py", "asgi_service.py")
"""The examples that serve."""

IN_REAL = {"test_glanceclient_failover.py"}
"""The examples that need other libraries; tests/real/test_real_lab_samples.py runs them."""


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_shows_an_image_and_the_servers(name, glances, image_id):
    with running(name, glances, "0") as lines:
        (service,) = find_addresses(lines)
        image = fetch(f"{service}/images/{image_id}")
        missing, _ = fetch(f"{service}/images/4f1c6d1e-0c5e-4a43-8a6e-2a8c9f7f1f6d")
        servers = fetch(f"{service}/glance/servers")

    assert (200, {"name": "cirros", "status": "active"}, 404, 200, 3) == (
        *image,
        missing,
        servers[0],
        len(servers[1]["servers"]),
    )


@pytest.mark.slow  # each starts a program, as the test above does
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_names_the_server_that_failed(name, glances, image_id):
    glances[0].break_with(lab.faults.refuse())
    only = glances[:1]
    with running(name, only, "0") as lines:
        (service,) = find_addresses(lines)
        answer = fetch(f"{service}/images/{image_id}")

    assert (503, {"server": glances[0].url, "reason": "connection_refused"}) == answer


def run_script(servers):
    command = [sys.executable, str(EXAMPLES / "find_failing_servers.py")]
    return subprocess.run(
        command,
        env=environment(servers),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def test_the_script_lists_the_images(glances, image_id):
    done = run_script(glances)

    assert (0, f"{image_id} cirros active\n", "") == (done.returncode, done.stdout, done.stderr)


def test_the_script_names_a_server_that_failed(glances, image_id):
    glances[1].break_with(lab.faults.status(503))

    done = run_script(glances)

    assert (1, f"{image_id} cirros active\n") == (done.returncode, done.stdout)
    assert f"{glances[1].url} is cooling: 503" in done.stderr.splitlines()


def test_the_script_says_that_no_server_answered(glances):
    for server in glances:
        server.break_with(lab.faults.refuse())

    done = run_script(glances)

    assert 2 == done.returncode
    named = {line.split()[0] for line in done.stderr.splitlines() if "connection_refused" in line}
    assert named >= {server.url for server in glances}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path):
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_a_page_links_every_example(page):
    text = (EXAMPLES.parent / page).read_text("utf-8")

    assert [] == [
        path.name for path in EXAMPLES.glob("*.py") if f"examples/{path.name})" not in text
    ]


def test_every_example_is_run():
    run_here = {*SERVICES, "find_failing_servers.py"}
    assert run_here | IN_REAL == {path.name for path in EXAMPLES.glob("*.py")}
