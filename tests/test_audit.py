"""What `make audit` makes of the answers of its tools, and who gets what is only for tests."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "requirements/audit.py"
TOOL = """#!/bin/sh
printf '%s' '{out}'
printf '%s\\n' '{err}' >&2
exit {status}
"""
MIT = [{"Name": "h11", "Version": "0.16.0", "License": "MIT License"}]
CLEAN = {"dependencies": [{"name": "h11", "version": "0.16.0", "vulns": []}]}
FAULT = {"id": "PYSEC-1", "fix_versions": ["0.17", "1.0"]}
UNREACHED = "requests.exceptions.ConnectionError: Failed to resolve api.osv.dev"


def load():
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit = load()


@pytest.fixture
def run(tmp_path):
    """Run the audit with tools that answer as told, and return its status and its lines."""

    def run(*options, licences=MIT, advisories=CLEAN, err=""):
        answers = {"pip-licenses": json.dumps(licences), "pip-audit": json.dumps(advisories)}
        if advisories is None:
            answers["pip-audit"] = ""
        for name, out in answers.items():
            path = tmp_path / name
            path.write_text(TOOL.format(out=out, err=err, status=int(name == "pip-audit")))
            path.chmod(0o755)
        (tmp_path / "python").symlink_to(sys.executable)
        done = subprocess.run(
            [tmp_path / "python", "-I", SCRIPT, sys.executable, *options],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout.splitlines()

    return run


def test_what_is_allowed_and_without_advisories_passes(run):
    assert (
        0,
        [
            "   1 MIT License",
            "Licences: 1 packages, 0 refused.",
            "Vulnerabilities: requirements/dev.txt: 1 packages, 0 known.",
            "Vulnerabilities: requirements/lock.txt: 1 packages, 0 known.",
            "Vulnerabilities: requirements/audit.txt: 1 packages, 0 known.",
        ],
    ) == run()


def test_a_licence_that_is_not_allowed_fails(run):
    status, lines = run(licences=[{"Name": "x", "Version": "1", "License": "GPL-3.0-only"}])

    assert (1, True) == (status, "REFUSED: x 1 has the licence GPL-3.0-only" in lines)


def test_an_environment_without_packages_fails(run):
    status, _ = run(licences=[])

    assert 1 == status


def test_what_is_only_for_tests_may_have_another_licence(run):
    package = {"Name": "zope.event", "Version": "6.2", "License": "ZPL-2.1"}

    assert 0 == run(licences=[*MIT, package])[0]


def test_a_known_vulnerability_fails_with_the_versions_that_fix_it(run):
    package = {"name": "h11", "version": "0.14.0", "vulns": [FAULT]}
    status, lines = run(advisories={"dependencies": [package]})

    expected = "VULNERABLE: h11 0.14.0: PYSEC-1, fixed in 0.17, 1.0"
    assert (1, True) == (status, expected in lines)


def test_a_vulnerability_that_no_version_fixes_is_told_as_such(run):
    package = {"name": "h11", "version": "0.14.0", "vulns": [{**FAULT, "fix_versions": []}]}
    _, lines = run(advisories={"dependencies": [package]})

    assert "VULNERABLE: h11 0.14.0: PYSEC-1, fixed in no version" in lines


LAST = "NOT CHECKED: what OSV knows of these packages; it can't be reached from here."
SKIPPED = {"dependencies": [{"name": "h11", "skip_reason": "not found"}]}


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            {"advisories": None, "err": UNREACHED},
            f"NOT CHECKED: requirements/dev.txt: {UNREACHED}",
        ),
        ({"advisories": SKIPPED}, "NOT CHECKED: requirements/dev.txt: h11"),
    ],
    ids=["unreached", "skipped"],
)
@pytest.mark.parametrize(("options", "status"), [((), 0), (("--strict",), 3)])
def test_what_is_not_checked_is_said_and_fails_if_strict(run, answer, line, options, status):
    ended, lines = run(*options, **answer)

    assert (status, True, LAST) == (ended, line in lines, lines[-1])


def test_a_tool_that_fails_for_another_reason_fails_the_audit(run):
    assert 1 == run(advisories=None, err="pip_audit: error: unknown option")[0]


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("Apache Software License; MIT License", True),
        ("MIT License; GPLv3", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND PSF-2.0", True),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_if_its_demands_are(licence, allowed):
    assert allowed == audit.is_allowed(licence)


def needed_by(name, extras, seen):
    """Add all packages to `seen` that a package and some of its extras need here."""
    try:
        needs = metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return
    for need in map(Requirement, needs):
        wanted = need.marker is None or any(
            need.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        )
        key = (canonicalize_name(need.name), frozenset(need.extras))
        if wanted and key not in seen:
            seen.add(key)
            needed_by(need.name, need.extras, seen)


def test_what_is_only_for_tests_is_what_no_user_gets():
    extras = {*metadata.metadata("traced-image").get_all("Provides-Extra")} - {"dev", "test"}
    seen = set()
    needed_by("traced-image", extras, seen)
    names = {name for name, _ in seen}

    assert (True, set()) == ({"urllib3", "h11"} <= names, names & audit.FOR_TESTS.keys())
