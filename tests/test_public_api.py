"""The record of the public API is what the code has, so that nobody changes it unseen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from traced_image_docs import public_api

import traced_image
from traced_image import lab

ROOT = Path(__file__).parent.parent
RECORD = (ROOT / "docs" / public_api.RECORD).read_text("utf-8")
RENEW = "To record a change of the public API: make docs; then say it in CHANGELOG.md"


def record(name, thing, **home):
    """What the record would say of something."""
    return "\n".join(public_api._write_thing(name, thing, home))


def test_the_record_is_what_the_code_has():
    assert RECORD.splitlines() == public_api.write().splitlines(), RENEW


def test_every_public_module_has_a_section():
    assert [*public_api.MODULES, "what these return"] == re.findall(
        r"^\[(.*)\]$", RECORD, re.MULTILINE
    )


@pytest.mark.parametrize("module", [traced_image, lab, lab.faults], ids=lambda one: one.__name__)
def test_every_public_name_is_recorded(module):
    section = RECORD.partition(f"[{module.__name__}]\n")[2].partition("\n[")[0]
    found = re.findall(r"^(?:class |module )?(\w+)\b", section, re.MULTILINE)

    assert set() == set(module.__all__) - set(found)


def test_a_name_that_two_modules_have_is_described_once():
    assert ["class NotFound(HTTPStatusError)", "NotFound = traced_image.NotFound"] == re.findall(
        r"^.*\bNotFound\b(?: =.*|\(HTTP.*)$", RECORD, re.MULTILINE
    )


# --- what is seen --------------------------------------------------------------------------------


class Before:
    """A class, and what may become of it."""

    limit: int
    _hidden: int

    def __init__(self, size: int = 1) -> None:
        """Take a size."""

    def get(self, key: str, *, default: str | None = None) -> str:
        """Return a value."""

    def _own(self) -> None:
        """Stay unrecorded."""

    @property
    def size(self) -> int:
        """Say how much."""

    @cached_property
    def name(self) -> str:
        """Say what."""

    @classmethod
    def make(cls) -> Before:
        """Make one."""

    def __len__(self) -> int:
        """Say how many."""


WRITTEN = """\
class Thing
Thing(size: int = 1)
Thing.limit: int
Thing.get(key: str, *, default: str | None = None) -> str
Thing.size: int
Thing.name: str
classmethod Thing.make() -> Before
Thing.__len__() -> int"""


def test_all_that_a_program_can_use_of_a_class_is_written():
    assert WRITTEN == record("Thing", Before)


def test_what_a_recorded_base_has_is_not_written_again():
    class After(Before):
        def more(self) -> None:
            """Do more."""

    assert "class Thing(Before)\nThing.more()" == "\n".join(
        public_api._write_thing("Thing", After, {Before: "module.Before"})
    )


def test_what_an_unrecorded_base_has_is_written():
    class After(Before):
        """Says nothing of its own."""

    assert WRITTEN.replace("class Thing", "class Thing(Before)") == record("Thing", After)


def test_a_set_is_written_in_one_order():
    def function(codes: frozenset[int] = frozenset({503, 8, 429})) -> None:
        """Take codes."""

    assert "function(codes: frozenset[int] = frozenset([8, 429, 503]))" == record(
        "function", function
    )


@dataclass(frozen=True)
class Values:
    size: int = 3


@pytest.mark.parametrize(
    ("value", "written"), [(Values(), "Values()"), (Values(4), "Values(size=4)")]
)
def test_a_value_is_written_with_what_is_not_its_default(value, written):
    def function(values: Values = value) -> None:
        """Take values."""

    assert f"function(values: Values = {written})" == record("function", function)
