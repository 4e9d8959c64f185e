"""The commands of the how-to page, with sources in the places that it names."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from replayed import serving

PAGE = (Path(__file__).parents[2] / "docs/how-to/diagnose.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ (traced-image diagnose .*)$", PAGE, re.MULTILINE)
SPAN = '{"context": {"span_id": "1"}, "attributes": {"glance.call.outcome": "success_first_try"}}'


def answer(path, _headers):
    """A Prometheus with one healthy job, and an exporter without servers."""
    known = "count+by+%28job%29" in path or "count%20by%20%28job%29" in path
    result = [{"metric": {"job": "nova-api"}, "value": [0, "1"]}] if known else []
    return 200, {"status": "success", "data": {"result": result}, "servers": []}


def test_the_page_has_commands_of_each_source():
    found = {word for each in COMMANDS for word in each.split() if word.startswith("--")}
    assert set() == {"--prometheus", "--exporter", "--trace", "--at", "--since", "--json"} - found


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_finds_nothing_where_nothing_fails(command, tmp_path):
    for name in ("password", "token"):
        (tmp_path / name).write_text("secret")
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "trace.json").write_text(SPAN)
    with serving(answer) as url:
        command = re.sub(r"https?://\S+?:\d+", url, command)
        program = f"{shlex.quote(sys.executable)} -m traced_image"
        done = subprocess.run(
            command.replace("traced-image", program, 1),
            shell=True,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (0, "") == (done.returncode, done.stderr)


def test_the_page_says_what_json_has():
    from traced_image.diagnosis import answer as made
    from traced_image.diagnosis import findings
    from traced_image.diagnosis.observations import Observations, ServerSeen, Tally

    server = ServerSeen("a:1", since=1.0, tallies=(Tally("", "", "503", 9),))
    seen = Observations("a test", 0.0, 9.0, servers=(server,))
    (found,) = made.make_json(findings.find(seen), seen)
    told = PAGE.partition("## In a script")[2]
    names = set(re.findall(r"`(\w+)`", told.partition("Null means")[0]))
    assert set() == names - set(found)
