"""The page of the command line, held against the commands themselves."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from traced_image_docs.commands import commands

from traced_image.cli.exit_status import STATUSES

PAGE = Path(__file__).parents[2] / "docs/reference/command-line.md"
TEXT = PAGE.read_text("utf-8")
COMMANDS = commands()
OPTIONS = [
    pytest.param(name, option, id=f"{name} {option.opts[0]}")
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]


def section(name):
    """What the page says of a command, and of the options that commands share."""
    own = re.search(rf"^### {name}$(.*?)^(?:### |<!-- end -->)", TEXT, re.DOTALL | re.MULTILINE)[1]
    shared = re.search(r"<!-- table: servers -->(.*?)<!-- end -->", TEXT, re.DOTALL)[1]
    return own + shared if "(#which-servers)" in own else own


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_on_the_page(name):
    assert f"`traced-image {name} [OPTIONS]" in section(name)


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_is_on_the_page(name, option):
    assert all(re.search(rf"[`, ]{re.escape(each)}[`, ]", section(name)) for each in option.opts)


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_has_help(name, option):
    assert (option.help or "").endswith(".")


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_on_the_page(status):
    assert f"\n| {int(status)} | " in TEXT
