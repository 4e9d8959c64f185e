"""The page of the command line, held against the commands themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from terminals import LIMIT

from traced_image.cli import reference
from traced_image.cli.outcome import STATUSES

PAGE = Path(__file__).parents[2] / "docs/reference/command-line.md"
TEXT = PAGE.read_text("utf-8")
COMMANDS = reference.commands()
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


def test_the_page_is_made_of_the_commands():
    assert reference.page(TEXT) == TEXT


def test_every_table_is_on_the_page():
    assert set(reference.TABLES) == set(re.findall(r"<!-- table: (\w+) -->", TEXT))


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


def test_the_page_is_written_anew(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- table: statuses -->\nold\n<!-- end -->\n")
    subprocess.run(
        [sys.executable, "-m", "traced_image.cli.reference", page], check=True, timeout=LIMIT
    )
    assert (True, False) == (
        "| 130 | ended by Ctrl-C |" in page.read_text(),
        "old" in page.read_text(),
    )
