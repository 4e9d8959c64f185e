"""What type checkers say of a user's code: `tests/typing/` has what must pass, and must not."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import typing
from dataclasses import fields
from pathlib import Path

import pytest

from traced_image import Config, lab
from traced_image.config import keywords

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests/typing"
LIMIT = 300

# A type checker takes 5 to 30 seconds to read all that is imported: `make check` runs these.
checked = pytest.mark.slow


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    ).stdout


def mypy(name):
    """The lines of a file that mypy refuses."""
    said = run("mypy", "--strict", f"tests/typing/{name}")
    return {
        int(line) for line in re.findall(rf"^tests/typing/{name}:(\d+): error:", said, re.MULTILINE)
    }


def pyright(name, tmp_path):
    """The lines of a file that pyright refuses, in its strict mode."""
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(json.dumps({"include": [str(FOLDER / name)], "typeCheckingMode": "strict"}))
    options = ("--outputjson", "--pythonpath", sys.executable, "--project", str(settings))
    said = json.loads(run("basedpyright", *options))
    assert said["summary"]["filesAnalyzed"] == 1
    return {
        one["range"]["start"]["line"] + 1
        for one in said["generalDiagnostics"]
        if one["severity"] == "error"
    }


def marked(name):
    """The lines of a file that say that they are refused."""
    lines = (FOLDER / name).read_text("utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}


@checked
@pytest.mark.parametrize("name", ["accepted.py", "refused.py"])
def test_mypy_refuses_what_is_wrong_and_nothing_else(name):
    assert marked(name) == mypy(name)


@checked
@pytest.mark.parametrize("name", ["accepted.py", "refused.py"])
def test_pyright_refuses_what_is_wrong_and_nothing_else(name, tmp_path):
    assert marked(name) == pyright(name, tmp_path)


def test_what_is_accepted_runs():
    path = FOLDER / "accepted.py"
    spec = importlib.util.spec_from_file_location("accepted", path)
    accepted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(accepted)
    with lab.GlanceServer() as server:
        image_id = server.images.add(name="cirros", data=b"...", visibility="public")
        with accepted.connect_to([server.url]) as service:
            found = accepted.use(service)
            accepted.configure(service.servers()[0].server).close()
        assert "cirros" == accepted.read_name([server.url], image_id)
    assert accepted.record("http://glance-1:9292")
    assert [5, "new", 1, "newer", b"data", None, True, 404, 0, [("healthy", None)]] == found


def test_the_keywords_are_the_fields_of_a_configuration():
    assert {each.name for each in fields(Config)} == set(keywords.ConfigKeywords.__annotations__)


def test_the_keywords_have_the_types_of_the_fields_but_for_what_the_constructor_converts():
    given = {name: _text(kind) for name, kind in keywords.ConfigKeywords.__annotations__.items()}
    kept = {each.name: each.type for each in fields(Config)}
    converted = {name for name in kept if kept[name] != given[name]}
    assert {"servers", "auth", "service_auth"} == converted


def _text(kind):
    """An annotation as it is written, which a TypedDict keeps as a reference."""
    return kind.__forward_arg__ if isinstance(kind, typing.ForwardRef) else kind
