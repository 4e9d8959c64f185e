"""The demonstration, run as a person would run it."""

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from traced_image import lab
from traced_image.demo import CALLS, main


@pytest.fixture
def run():
    def run(*arguments):
        return CliRunner(env={"COLUMNS": "80"}).invoke(main, arguments)

    return run


@pytest.fixture
def glances():
    with lab.cluster(3) as servers:
        servers[0].images.add(name="cirros", data=b"...", visibility="public")
        yield servers


def _dying(output):
    return re.search(r"http://(\S+) dies", output)[1]


def test_it_is_a_program_of_its_own():
    done = subprocess.run(
        [sys.executable, "-m", "traced_image.demo", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.startswith("Usage: ")


def test_it_names_the_server_that_died_and_why(run):
    output = run().output

    assert f"{_dying(output)} fails: connection_refused" in output


def test_it_accuses_no_other_server(run):
    output = run().output

    assert [_dying(output)] == re.findall(r"^(\S+) fails:", output, re.MULTILINE)


def test_it_draws_a_call_that_recovered(run):
    output = run().output

    tree = output.partition("A call that recovered\n")[2].splitlines()
    assert tree[0].startswith("glance.images.get ")
    assert tree[0].endswith("success_after_retry")
    assert tree[1].startswith(f"├── glance.images.get attempt  {_dying(output)} ")
    assert tree[3].startswith("└── glance.images.get attempt  127.0.0.1:")


def test_no_line_is_wider_than_the_terminal(run):
    widest = max(len(line) for line in run().output.splitlines())

    assert widest <= 80


def test_no_call_fails(run):
    assert "no caller saw a failure" in run().output


def test_on_servers_of_ones_own_the_calls_reach_them(run, glances):
    result = run(*(argument for server in glances for argument in ("--server", server.url)))

    shows = sum(1 for server in glances for access in server.access_log if "?" not in access.path)
    assert (result.exit_code, shows) == (0, CALLS)


def test_on_servers_that_are_well_it_accuses_nobody(run, glances):
    output = run("--server", glances[0].url).output

    assert "The slowest call" in output
    assert "No server fails." in output


def test_calls_that_fail_are_counted(run, glances):
    glances[0].break_with(lab.faults.status(500).only(path=r"/images/"))

    output = run("--server", glances[0].url).output

    assert f"{CALLS} calls failed for their callers." in output


def test_several_reasons_are_counted_apart(run, glances):
    glances[0].break_with(
        lab.faults.flapping(
            lab.faults.status(500), lab.faults.status(403), lab.faults.status(500), None
        ).only(path=r"/images/")
    )

    output = run("--server", glances[0].url).output

    assert re.search(r"\d+ 500\s", output)
    assert re.search(r"\d+ 403\s", output)


def test_without_an_image_it_says_what_to_do(run):
    with lab.GlanceServer() as empty:
        result = run("--server", empty.url)

    assert (result.exit_code, result.output.strip()[-16:]) == (1, "upload one first")


def test_a_server_that_can_not_be_used_is_one_clear_line(run):
    result = run("--server", "http://user:secret@10.0.0.1")

    assert result.exit_code == 1
    assert "secret" not in result.output
    assert result.output.splitlines()[-1].startswith("Error: servers[0] ")
