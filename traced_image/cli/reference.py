"""The commands and the exit statuses as Markdown, and their places in a page of documentation.

``python -m traced_image.cli.reference docs/reference/command-line.md`` writes them anew.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .commands import COMMANDS, traced_image
from .options import Choice
from .outcome import NAME, STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SHARED = {field.name for field in fields(Choice)} - {"verbose"}
"""The options that say which servers, of all commands that ask any."""


def page(text: str) -> str:
    """A page with what is said of the commands in its places.

    Args:
        text: The page; a place is ``<!-- table: NAME -->`` to ``<!-- end -->``.

    Raises:
        KeyError: There is no such table.
    """
    return _PLACE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)


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
    return _rows(("option", "what it does"), rows)


def _named(option: click.Option) -> str:
    names = ", ".join(option.opts)
    return names if option.is_flag else f"{names} {option.metavar or str(option.name).upper()}"


def _told(option: click.Option) -> str:
    default = f" By default `{option.default}`." if option.show_default else ""
    return f"{option.help or ''}{default}"


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _statuses() -> str:
    return _rows(("status", "meaning"), ((str(int(each)), told) for each, told in STATUSES.items()))


TABLES: Mapping[str, Callable[[], str]] = {
    "commands": _commands,
    "servers": _servers,
    "statuses": _statuses,
}


def main(path: str) -> None:
    """Write the tables of a page anew."""
    place = Path(path)
    place.write_text(page(place.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
