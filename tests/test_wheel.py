"""The wheel, as the README builds it: it has all files, and works away from the checkout."""

import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import traced_image

# pip builds and installs a wheel; `make check` runs these.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "-q", *map(str, arguments)], check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built without the network: what builds it is here already."""
    dist = tmp_path_factory.mktemp("dist")
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", dist, ".")
    (path,) = dist.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder that the wheel is installed in."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def test_the_wheel_has_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "traced_image").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert {"traced_image/content/rules/alerts.yaml", "traced_image/exporter/page.html"} <= expected
    assert set() == expected - names


def test_the_wheel_is_named_as_the_readme_says(wheel):
    assert {wheel.name} == set(re.findall(r"traced_image-\S+\.whl", README))


def test_an_installed_wheel_writes_out_the_dashboards(installed, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "traced_image", "dashboards", "--out", "glance"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"},
        check=True,
        timeout=60,
    )

    rules = tmp_path / "glance/rules/alerts.yaml"
    assert (ROOT / "dashboards/rules/alerts.yaml").read_bytes() == rules.read_bytes()


def test_pytest_finds_the_fixtures_of_an_installed_wheel(installed, tmp_path):
    (tmp_path / "test_it.py").write_text("def test_it(glance):\n    assert glance.url\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:anyio", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (0, done.stdout) == (done.returncode, done.stdout)


def test_an_installed_wheel_is_what_runs(installed, tmp_path):
    script = "import traced_image; print(traced_image.__file__, traced_image.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    expected = f"{installed / 'traced_image/__init__.py'} {traced_image.__version__}"
    assert expected == done.stdout.strip()


def test_the_readme_has_every_extra():
    extras = {*metadata.metadata("traced-image").get_all("Provides-Extra")} - {"test", "dev"}

    assert extras == set(re.findall(r"^\| `(\w+)` \| ", README, re.MULTILINE))
