"""Stock clients run one script against Glance 33 and the lab: the results are equal but for a list.

The clients are python-glanceclient, openstacksdk, gophercloud and nova's image service.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
from lab_script import SCRIPT, label
from parts import cache, go

from traced_image import lab

PROGRAM = Path(__file__).parent / "parts/inside/scripted_clients.py"
LIMIT = 120.0

STEPS = {"gophercloud": 72, "nova": 52, "openstacksdk": 77, "python-glanceclient": 77}
"""How many steps of the script each client has a call for."""

DIFFERENCES: dict[str, dict[str, str]] = {}
"""By client and step, why the lab's result differs from Glance's."""

_VARYING = {
    "<uuid>": r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "<time>": r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?",
    "<place>": r"(file|memory)://[^\"'\\]*",
    "<stores>": r"\b(fast|fs)\b",
}


@pytest.fixture(scope="module")
def played(glances, tool):
    """By client, its results with Glance and with the lab, step by step."""
    python, scripted = tool(cache.install, cache.NOVA), tool(go.build_gophercloud) / "scripted"
    with lab.cluster(1, images=lab.Images(show_locations=True)) as (server,):
        urls = [glances[0].url, server.url]
        commands = [[*cache.python(python), str(PROGRAM), *urls], [str(scripted), *urls]]
        others, told = map(read, [start(command) for command in commands])
    Path("/tmp/w-interfaces/played.json").write_text(
        json.dumps([urls, {**others, "gophercloud": told}])
    )
    return {
        client: [make_alike(*pair) for pair in zip(urls, both, strict=True)]
        for client, both in {**others, "gophercloud": told}.items()
    }


def start(command):
    """Start a program that plays the script; all run at the same time."""
    program = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    program.stdin.write(json.dumps(SCRIPT))
    program.stdin.close()
    program.stdin = None
    return program


def read(program):
    """What a program has written, at its end."""
    try:
        out, errors = program.communicate(timeout=LIMIT)
    finally:
        program.kill()
    assert program.returncode == 0, errors
    return json.loads(out)


def make_alike(url, played):
    """The results of one client with one server, without what varies from run to run."""
    known = {**{id_: f"<{name}>" for name, id_ in played["ids"].items()}, url: "<url>"}
    return [make_result_alike(known, result) for result in played["results"]]


def make_result_alike(known, result):
    text = json.dumps(result, sort_keys=True)
    for value, name in known.items():
        text = text.replace(value, name)
    for name, pattern in _VARYING.items():
        text = re.sub(pattern, name, text)
    return json.loads(text)


@pytest.mark.parametrize("client", STEPS)
def test_the_results_are_those_of_glance_but_for_the_list(client, played):
    results = zip(SCRIPT, *played[client], strict=True)
    differing = {
        label(number): (glance, ours)
        for number, (_, glance, ours) in enumerate(results, 1)
        if glance != ours
    }
    assert DIFFERENCES.get(client, {}).keys() == differing.keys(), differing


@pytest.mark.parametrize("client", STEPS)
def test_a_client_is_asked_for_all_that_it_has_a_call_for(client, played):
    called = [["absent" not in result for result in results] for results in played[client]]
    assert [STEPS[client]] * 2 == [sum(each) for each in called]


@pytest.mark.parametrize("client", STEPS)
def test_most_steps_of_glance_succeed(client, played):
    """If each step failed alike, equal results would show nothing."""
    succeeded = sum("value" in result for result in played[client][0])
    assert succeeded > STEPS[client] / 2
