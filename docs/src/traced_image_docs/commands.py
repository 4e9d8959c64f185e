"""The tables of the page of the command line, made of the commands."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import TYPE_CHECKING

import click

from traced_image.cli.commands import COMMANDS, traced_image
from traced_image.cli.exit_status import NAME, STATUSES
from traced_image.cli.options import Choice, name_parameter

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_OF_SOME = ("verbose", "deadline")
"""Fields of a `Choice` whose options not all commands have that ask a server."""
_SHARED = {name_parameter(field.name) for field in fields(Choice) if field.name not in _OF_SOME}
"""The options that say which servers, of all commands that ask any."""


def commands() -> dict[str, click.Command]:
    """All commands by their names."""
    context = click.Context(traced_image, info_name=NAME)
    found = {name: traced_image.get_command(context, name) for name in sorted(COMMANDS)}
    return {name: command for name, command in found.items() if command is not None}


def _commands() -> str:
    return "\n\n".join(_section(name, command) for name, command in commands().items())


def _section(name: str, command: click.Command) -> str:
    parent = click.Context(traced_image, info_name=NAME)
    with click.Context(command, info_name=name, parent=parent) as context:
        usage = " ".join([f"{NAME} {name}", *command.collect_usage_pieces(context)])
    own = _options(command)
    shared = {each.name for each in own} >= _SHARED
    if shared:
        own = [each for each in own if each.name not in _SHARED]
    parts = [f"### {name}", f"`{usage}`", inspect.cleandoc(command.help or "")]
    parts.append(_table(own))
    if shared:
        parts.append("And [which servers](#which-servers).")
    return "\n\n".join(parts)


def _servers() -> str:
    return _table(each for each in _options(commands()["show"]) if each.name in _SHARED)


def _options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


def _table(options: Iterable[click.Option]) -> str:
    rows = ((f"`{_named(option)}`", _told(option)) for option in options)
    return table(("option", "what it does"), rows)


def _named(option: click.Option) -> str:
    names = ", ".join(option.opts)
    return names if option.is_flag else f"{names} {option.metavar or str(option.name).upper()}"


def _told(option: click.Option) -> str:
    default = f" By default `{option.default}`." if option.show_default else ""
    return f"{option.help or ''}{default}"


def _statuses() -> str:
    return table(("status", "meaning"), ((str(int(each)), told) for each, told in STATUSES.items()))


TABLES: Mapping[str, Callable[[], str]] = {
    "commands": _commands,
    "servers": _servers,
    "statuses": _statuses,
}
