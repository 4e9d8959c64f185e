"""What `make dist` builds: the same bytes anywhere, files and no links, and whole metadata."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest
from trove_classifiers import classifiers

ROOT = Path(__file__).parent.parent
EPOCH = 1_700_000_000
"""The 14th of November 2023, 22:13:20 UTC."""
NOT_SHIPPED = {".ci/run"}


def build(source, dist, **environment):
    """Build an archive and a wheel of a source tree, and return their paths."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", dist],
        check=True,
        cwd=source,
        env={"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": str(EPOCH), **environment},
        capture_output=True,
        timeout=60,
    )
    wheel, archive = sorted(dist.iterdir(), key=lambda path: path.suffix, reverse=True)
    return archive, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The archive and the wheel of this checkout."""
    return build(ROOT, tmp_path_factory.mktemp("dist"), TZ="UTC", PYTHONHASHSEED="1")


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The source tree that the archive has, with a time and permissions of its own."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built[0]) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode & ~0o077)
    return root


@pytest.fixture(scope="module")
def rebuilt(unpacked, tmp_path_factory):
    """The archive and the wheel of the unpacked source tree."""
    dist = tmp_path_factory.mktemp("dist")
    return build(unpacked, dist, TZ="Asia/Tokyo", PYTHONHASHSEED="2", LC_ALL="C")


@pytest.fixture(scope="module")
def members(built):
    """What the archive has, by paths below its only folder."""
    with tarfile.open(built[0]) as archive:
        return {one.name.partition("/")[2]: one for one in archive.getmembers()}


@pytest.fixture(scope="module")
def metadata(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (name,) = (one for one in wheel.namelist() if one.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(wheel.read(name))


# --- the same bytes ------------------------------------------------------------------------------


def test_the_archive_builds_itself_to_the_byte(built, rebuilt):
    assert (built[0].name, True) == (
        rebuilt[0].name,
        built[0].read_bytes() == rebuilt[0].read_bytes(),
    )


def test_the_archive_builds_the_wheel_of_the_checkout_to_the_byte(built, rebuilt):
    assert (built[1].name, True) == (
        rebuilt[1].name,
        built[1].read_bytes() == rebuilt[1].read_bytes(),
    )


def test_all_in_the_archive_has_the_time_that_is_asked_for(members):
    assert {EPOCH} == {one.mtime for one in members.values()}


def test_all_in_the_wheel_has_the_time_that_is_asked_for(built):
    with zipfile.ZipFile(built[1]) as wheel:
        assert {(2023, 11, 14, 22, 13, 20)} == {one.date_time for one in wheel.infolist()}


# --- files ---------------------------------------------------------------------------------------


def test_the_archive_has_no_links(members):
    assert [] == [name for name, one in members.items() if not one.isfile()]


def test_the_archive_names_nobody(members):
    owners = {(one.uid, one.gid, one.uname, one.gname) for one in members.values()}

    assert {(0, 0, "", "")} == owners


def test_the_archive_has_the_content_of_the_package_once_for_each_link(members):
    content = ROOT / "traced_image/content"
    links = [path for path in content.rglob("*") if path.is_symlink()]

    assert {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in links} == {
        name: one.size for name, one in members.items() if name.startswith("traced_image/content/")
    }


def test_the_archive_has_every_file_of_the_repository(members):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], check=True, cwd=ROOT, capture_output=True, text=True
    )
    tracked = {*filter(None, listed.stdout.split("\0"))}

    assert NOT_SHIPPED == tracked - members.keys()


def test_a_program_in_the_archive_can_be_run(members):
    scripts = {name for name, one in members.items() if one.mode & stat.S_IXUSR}

    assert {name for name in members if os.access(ROOT / name, os.X_OK)} == scripts


# --- metadata ------------------------------------------------------------------------------------


def test_both_have_the_licence(built, members, metadata):
    with zipfile.ZipFile(built[1]) as wheel:
        (name,) = (one for one in wheel.namelist() if one.endswith("/licenses/LICENSE"))
        found = wheel.read(name)

    assert ("Apache-2.0", ["LICENSE"], (ROOT / "LICENSE").read_bytes(), True) == (
        metadata["License-Expression"],
        metadata.get_all("License-File"),
        found,
        "LICENSE" in members,
    )


def test_both_say_the_same_of_the_package(built, metadata):
    with tarfile.open(built[0]) as archive:
        (name,) = (one for one in archive.getnames() if one.endswith("/PKG-INFO"))
        info = BytesParser().parse(archive.extractfile(name))

    assert info.items() == metadata.items()


@pytest.mark.parametrize(
    "field",
    [
        *("Summary", "Author", "Keywords", "Requires-Python", "License-Expression"),
        *("Description-Content-Type", "Provides-Extra"),
    ],
)
def test_the_metadata_has_each_field_that_an_index_shows(metadata, field):
    assert metadata[field]


def test_every_classifier_is_one_that_an_index_knows(metadata):
    assert set() == {*metadata.get_all("Classifier")} - classifiers


def test_the_description_is_the_readme(metadata):
    readme = (ROOT / "README.md").read_text("utf-8")

    assert ("text/markdown", readme) == (
        metadata["Description-Content-Type"],
        metadata.get_payload(decode=True).decode(),
    )
