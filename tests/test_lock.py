"""The locks in `requirements/`: whole, with hashes, and of what `pyproject.toml` asks for."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import hatchling.build
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = sorted((ROOT / "requirements").glob("*.txt"))
EXTRAS = {
    "demo": ("cli", "exporter", "lab"),
    "keystone": ("cli", "exporter", "lab", "keystone"),
    "dev": ("dev",),
    "oldest": ("test",),
}
IMAGES = {
    "image-oslo": ("cli", "exporter", "oslo"),
    "image-keystone": ("cli", "exporter", "keystone"),
}
"""What each lock is installed for; the rest is the tool that renews the locks."""
RELEASES = [path.stem for path in sorted((ROOT / "requirements/releases").glob("*.txt"))]
BESIDE_OPENSTACK = ("cli", "ec2", "instrument", "keystone", "oslo", "otlp")
"""The extras that a release's constraints are kept for."""
PYTHONS = re.findall(
    r"Python :: (3\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.MULTILINE
)


@dataclass(frozen=True)
class Pin:
    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> Version:
        return Version(str(self.requirement.specifier).removeprefix("=="))

    def is_for(self, **environment: str) -> bool:
        marker = self.requirement.marker
        return marker is None or marker.evaluate(environment)


def entries(lock: str) -> list[str]:
    """The lines of a lock without comments, each with what is continued below it."""
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return lines.splitlines()


def pins(lock: str) -> list[Pin]:
    parts = [entry.split("--hash=") for entry in entries(lock)]
    return [Pin(Requirement(first), tuple(map(str.strip, rest))) for first, *rest in parts]


def pins_on(lock: str, python: str) -> dict[str, list[Version]]:
    """The versions that a lock has for a Python, by name."""
    found: dict[str, list[Version]] = {}
    for pin in pins(lock):
        if pin.is_for(python_version=python, python_full_version=f"{python}.0"):
            found.setdefault(pin.name, []).append(pin.version)
    return found


def asked(extras: tuple[str, ...]) -> list[Requirement]:
    """What the project, some of its extras, and its build ask for."""
    return [*map(Requirement, PROJECT["dependency-groups"]["build"]), *needed_by(extras)]


def needed_by(extras: tuple[str, ...]) -> list[Requirement]:
    """What the project and some of its extras ask for."""
    found = [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        for text in PROJECT["project"]["optional-dependencies"][extra]:
            requirement = Requirement(text)
            if requirement.name == "traced-image":
                found += map(str, needed_by(tuple(requirement.extras)))
            else:
                found.append(text)
    return [Requirement(text) for text in found]


def applies(requirement: Requirement, python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def unmet(requirements: list[Requirement], versions: dict[str, list[Version]]) -> list[str]:
    """What has not exactly one version, or one that is not allowed."""
    return [
        str(one)
        for one in requirements
        if [True]
        != [
            one.specifier.contains(version, prereleases=True)
            for version in versions.get(canonicalize_name(one.name), [])
        ]
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_line_is_one_version_with_its_hashes(file):
    line = re.compile(r"[a-z0-9-]+==[^ ;,]+( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+")

    assert [entry for entry in entries(file.stem) if not line.fullmatch(entry)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_place_is_named(file):
    """Where packages come from, and where the lock was made, is for each machine to say."""
    assert re.findall(r".*(?:://|(?<![\w.])[/~]).*", file.read_text()) == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", EXTRAS)
def test_what_is_asked_for_is_locked_in_a_version_that_is_allowed(lock, python):
    requirements = [one for one in asked(EXTRAS[lock]) if applies(one, python)]

    assert unmet(requirements, pins_on(lock, python)) == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", IMAGES)
def test_what_an_image_has_is_locked_in_a_version_that_is_allowed(lock, python):
    requirements = [one for one in needed_by(IMAGES[lock]) if applies(one, python)]

    assert unmet(requirements, pins_on(lock, python)) == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", ["build", *IMAGES])
def test_an_image_has_the_versions_of_the_tests(lock, python):
    assert pins_on(lock, python).items() <= pins_on("dev", python).items()


@pytest.mark.parametrize("release", RELEASES)
def test_what_each_release_of_openstack_has_is_allowed(release):
    lines = (ROOT / f"requirements/releases/{release}.txt").read_text().replace("===", "==")
    has = [Pin(Requirement(line), ()) for line in lines.splitlines() if not line.startswith("#")]
    versions = {pin.name: [pin.version] for pin in has if pin.is_for(python_version="3.12")}
    core = [*PROJECT["project"]["dependencies"]]
    for extra in BESIDE_OPENSTACK:
        core += PROJECT["project"]["optional-dependencies"][extra]

    asked_for = [one for one in map(Requirement, core) if canonicalize_name(one.name) in versions]
    assert (True, []) == (len(asked_for) > len(BESIDE_OPENSTACK), unmet(asked_for, versions))


@pytest.mark.parametrize("lock", ["build", "demo", "dev", "keystone", *IMAGES])
def test_what_is_locked_needs_nothing_that_is_not(lock):
    """pip is told to install nothing else, and does not look."""
    here = "{}.{}".format(*sys.version_info)
    needed = [
        requirement
        for pin in pins(lock)
        if pin.is_for()
        for requirement in map(Requirement, metadata.requires(pin.name) or ())
        if applies(requirement, here)
    ]

    assert unmet(needed, pins_on(lock, here)) == []


@pytest.mark.parametrize("lock", ["build", *EXTRAS])
def test_what_builds_the_package_is_locked(lock):
    """An editable install is made without isolation: pip would get the backend unlocked."""
    needed = [
        *PROJECT["build-system"]["requires"],
        *hatchling.build.get_requires_for_build_editable(),
    ]

    assert unmet(list(map(Requirement, needed)), pins_on(lock, PYTHONS[0])) == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_demonstration_has_the_versions_of_the_tests(python):
    assert pins_on("demo", python).items() <= pins_on("dev", python).items()


def test_the_oldest_are_the_lowest_that_are_allowed():
    lowest = {
        (canonicalize_name(one.name), Version(min(bound.version for bound in one.specifier)))
        for one in asked(EXTRAS["oldest"])
        if applies(one, PYTHONS[0])
    }
    found = pins_on("oldest", PYTHONS[0])

    assert {(name, *found[name]) for name, _ in lowest} == lowest


def test_the_tool_that_locks_is_locked():
    (wanted,) = map(Requirement, PROJECT["dependency-groups"]["lock"])

    assert [(wanted.name, wanted.specifier)] == [
        (pin.name, SpecifierSet(f"=={pin.version}")) for pin in pins("lock")
    ]
