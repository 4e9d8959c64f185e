"""The command ``demo`` is the demonstration."""

from traced_image_docs.commands import commands as all_commands

from traced_image.cli import commands
from traced_image.demo.__main__ import main


def test_the_command_is_the_demonstration():
    assert main is all_commands()["demo"]


def test_its_help_is_that_of_the_demonstration(cli):
    assert (commands.COMMANDS["demo"].extra, 0) == ("exporter,lab", cli("demo", "--help").status)
