"""Every reader of text and bytes, on a little odd input; `make fuzz` runs many."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from fuzz.engine import run_round
from fuzz.run import make_targets

SLOW = {"mutated-replies"}
"""Those whose examples other tests of this folder try."""


@pytest.fixture(scope="module")
def targets():
    with contextlib.ExitStack() as stack:
        yield make_targets(stack)


def test_no_reader_fails_on_odd_input(targets):
    few = [replace(each, count=10) for each in targets if each.name not in SLOW]
    found = [run_round(each, 1, 1).finding for each in few]
    assert [] == [str(each) for each in found if each is not None]


def test_the_readers_have_names_of_their_own(targets):
    names = [each.name for each in targets]
    assert sorted(set(names)) == sorted(names)
