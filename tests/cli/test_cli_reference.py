"""The page of the command line, held against the commands themselves."""

from __future__ import annotations

import re
from pathlib import Path

import click
from traced_image_docs.commands import commands

from traced_image.cli.exit_status import STATUSES

PAGE = Path(__file__).parents[2] / "docs/reference/command-line.md"
TEXT = PAGE.read_text("utf-8")
COMMANDS = commands()
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]


def section(name):
    """What the page says of a command, and of the options that commands share."""
    own = re.search(rf"^### {name}$(.*?)^(?:### |<!-- end -->)", TEXT, re.DOTALL | re.MULTILINE)[1]
    shared = re.search(r"<!-- table: servers -->(.*?)<!-- end -->", TEXT, re.DOTALL)[1]
    return own + shared if "(#which-servers)" in own else own


def test_every_command_is_on_the_page():
    assert [] == [
        name for name in COMMANDS if f"`traced-image {name} [OPTIONS]" not in section(name)
    ]


def test_every_option_is_on_the_page():
    assert [] == [
        (name, each)
        for name, option in OPTIONS
        for each in option.opts
        if not re.search(rf"[`, ]{re.escape(each)}[`, ]", section(name))
    ]


def test_every_option_has_help():
    assert [] == [
        (name, option.name) for name, option in OPTIONS if not (option.help or "").endswith(".")
    ]


def test_every_status_is_on_the_page():
    assert [] == [status for status in STATUSES if f"\n| {int(status)} | " not in TEXT]
