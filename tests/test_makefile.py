"""What `make` says where it can't work, and what it names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Each test runs make; `make check` runs them.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
MAKE = shutil.which("make")
OLD = "sys.version_info = (3, 9, 18)"
GOALS = (
    "demo test test-contract test-pythons test-newest test-wheel test-all test-real check docs"
    " bench chaos fuzz soak proof dist audit lock"
)

REAL = "-o addopts=\"--strict-markers --strict-config -ra -m 'not slow'\""

POSES = """#!/bin/sh
exec {python} -c 'import sys; {before}; exec(sys.argv[2])' "$@"
"""
"""A Python that has run something before what it is asked to run."""


class Clone:
    """What make needs of a clone, and a folder of programs that has no others."""

    def __init__(self, place):
        self.root, self.programs = place / "clone", place / "bin"
        self.programs.mkdir()
        self.root.mkdir()
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        self.before = self.files()

    def add(self, name, before):
        """Add a Python that is this one, but for what it runs before."""
        path = self.programs / name
        path.write_text(POSES.format(python=sys.executable, before=before))
        path.chmod(0o755)

    def make(self, *arguments):
        return make(*arguments, cwd=self.root, path=str(self.programs))

    def files(self):
        return {path for path in self.root.rglob("*") if path.is_file()}


def make(*arguments, cwd, path):
    return subprocess.run(
        [MAKE, *arguments],
        check=False,
        cwd=cwd,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )


def said(done):
    """The text of the only line that make printed, without where it comes from."""
    (line,) = (done.stdout + done.stderr).splitlines()
    return re.fullmatch(r"Makefile:\d+: \*\*\* (.*)\.  Stop\.", line)[1]


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


@pytest.fixture(scope="module", params=GOALS.split())
def refused(request, tmp_path_factory):
    """A goal, a clone where Python is too old for it, and how make ended there."""
    clone = Clone(tmp_path_factory.mktemp(request.param))
    clone.add("python3", OLD)
    return request.param, clone, clone.make(request.param)


def test_a_python_that_is_too_old_is_told_in_one_line(refused):
    goal, _, done = refused

    assert said(done) == (
        "python3 is Python 3.9; traced-image needs Python 3.10 or newer, with venv;"
        f" fix: make PYTHON=python3.11 {goal}"
    )


def test_a_python_that_is_too_old_is_a_failure(refused):
    _, _, done = refused

    assert done.returncode == 2


def test_a_python_that_is_too_old_leaves_nothing_behind(refused):
    _, clone, _ = refused

    assert clone.files() == clone.before


def test_the_oldest_versions_have_a_python_of_their_own(clone):
    clone.add("python3", OLD)

    assert said(clone.make("test-oldest", "OLDEST=python3")) == (
        "python3 is Python 3.9; traced-image needs Python 3.10 or newer, with venv;"
        " fix: make OLDEST=python3.11 test-oldest"
    )


def test_a_python_that_is_not_there_is_told_in_one_line(clone):
    assert said(clone.make("demo", "PYTHON=nope")) == (
        "nope does not run; traced-image needs Python 3.10 or newer, with venv;"
        " fix: make PYTHON=python3.11 demo"
    )


def test_a_python_without_venv_is_told_in_one_line(clone):
    clone.add("python3", 'sys.modules["ensurepip"] = None')

    assert said(clone.make("demo")) == (
        "python3 has no venv (on Debian, install python3-venv); traced-image needs Python 3.10 or"
        " newer, with venv; fix: make PYTHON=python3.11 demo"
    )


def test_of_newer_pythons_the_newest_is_proposed(clone):
    clone.add("python3", OLD)
    clone.add("python3.11", "pass")
    clone.add("python3.13", "pass")

    assert said(clone.make("demo")).endswith("fix: make PYTHON=python3.13 demo")


def test_to_clean_needs_no_python(clone):
    assert clone.make("-n", "clean").returncode == 0


def test_what_the_contract_names_is_there():
    printed = make("-n", "test-contract", cwd=ROOT, path=os.environ["PATH"]).stdout
    paths = re.findall(r"tests/[\w/.]+", printed)

    missing = [path for path in paths if not (ROOT / path).exists()]

    assert (bool(paths), missing) == (True, [])


def test_everything_is_on_every_python_with_the_oldest_versions_and_the_real_parts(clone):
    for name in ("python3", "python3.10", "python3.12"):
        clone.add(name, "sys.version_info = (3, 10, 0)")
    printed = clone.make("-n", "test-all").stdout

    assert [
        (".venv", '-n 3 --cov --cov-report=term-missing -m ""'),
        (".venv-python3.12", '-q -n 3 -m ""'),
        (".venv-oldest", "-q -n 3 tests/test_public.py"),
        (".venv", f'{REAL} tests/real -m ""'),
    ] == re.findall(
        r"^(\.venv\S*)/bin/python -m pytest"
        r" (.*-m \"\"|-q -n 3 \S+|-o addopts=\"[^\"]*\" tests/real -m \"\")",
        printed,
        re.MULTILINE,
    )


def test_the_sums_of_a_release_are_not_of_their_own_file_which_is_begun_beside_them(clone):
    clone.add("python3", "pass")

    assert "sha256sum traced_image-* | tee SHA256SUMS" in clone.make("-n", "dist").stdout


@pytest.fixture
def proof(clone):
    """A clone where the steps of `make proof` are small: one passes, one fails."""
    clone.add("python3", "pass")
    steps = "good:\n\t@echo run $@ $(SECONDS)\nbad:\n\t@false\ndocs:\n\t@echo run $@\n"
    (clone.root / "GNUmakefile").write_text(f"include Makefile\n{steps}")
    for name in ("git", "mkdir", "touch", "echo", "false"):
        (clone.programs / name).symlink_to(shutil.which(name))
    (clone.root / ".venv/bin").mkdir(parents=True)
    for name in ("bin/python", ".dev"):
        (clone.root / ".venv" / name).touch()
    return lambda *arguments: clone.make("proof", *arguments)


def test_the_proof_says_of_each_step_whether_it_passed(proof):
    done = proof("PROOF=bad good")

    assert (2, ["bad         did not pass", "good        passed"]) == (
        done.returncode,
        done.stdout.splitlines()[-2:],
    )


def test_the_proof_runs_no_step_again_that_has_passed(proof):
    proof("PROOF=good")
    done = proof("PROOF=good")

    assert (0, False) == (done.returncode, "run good" in done.stdout)


def test_a_step_of_the_proof_has_its_long_form(proof):
    assert "run good 1800" in proof("PROOF=good", "LONG_good=SECONDS=1800").stdout


def test_the_proof_has_all_long_forms_one_after_the_other_and_the_page(clone):
    clone.add("python3", "pass")
    printed = clone.make("-n", "proof").stdout

    assert [
        "fuzz --seconds 1800 --save",
        "soak --seconds 3600 --save",
        "chaos --seconds 1800 --save",
        "traced_image_docs docs",
    ] == [
        " ".join(found.split())
        for found in re.findall(
            r"-m ((?:fuzz|soak|chaos) +--seconds \d+ .*--save|traced_image_docs docs)",
            printed.replace("\\\n", " "),
        )
    ]


@pytest.mark.parametrize("goal", ["chaos", "fuzz", "soak"])
def test_a_long_run_is_the_process_that_make_tells_to_end(clone, goal):
    program = clone.root / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nread parent </proc/$PPID/comm && echo "told by $parent"\n')
    program.chmod(0o755)
    (clone.root / ".venv/.dev").touch()

    assert "told by make" == clone.make(goal).stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("variable", "lock"),
    [("X=", "demo"), ("OS_AUTH_URL=http://keystone", "keystone"), ("OS_CLOUD=mine", "keystone")],
)
def test_credentials_for_keystone_bring_the_packages_that_read_them(clone, variable, lock):
    clone.add("python3", "pass")

    assert f"-r requirements/{lock}.txt" in clone.make("-n", "demo", variable).stdout
