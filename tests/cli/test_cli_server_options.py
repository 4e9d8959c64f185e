"""The options that say which servers, beside those of a command's own."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from traced_image.cli.options import Choice, verbose, with_choice


@pytest.fixture
def asked():
    """What a command is handed, whose own options are named like fields of the `Choice`."""
    found = []

    @click.command()
    @click.option("--cloud-cover", "cloud")
    @click.option("--talk", "verbose", is_flag=True)
    @verbose
    @with_choice
    def weather(choice, **own):
        found.append((choice, own))

    def ask(*arguments):
        CliRunner().invoke(weather, arguments, catch_exceptions=False)
        return found.pop()

    return ask


def test_a_choice_has_all_that_was_said_of_it(asked):
    arguments = "--server a --server b --config c --os-cloud d --insecure --cafile e -v".split()
    assert Choice(("a", "b"), "c", "d", True, "e", True) == asked(*arguments)[0]


def test_a_choice_of_nothing_is_the_default(asked):
    assert Choice() == asked()[0]


def test_a_commands_own_option_may_be_named_like_a_field_of_the_choice(asked):
    choice, own = asked("--cloud-cover", "full", "--talk", "--os-cloud", "mine")
    assert (Choice(cloud="mine"), {"cloud": "full", "verbose": True}) == (choice, own)
