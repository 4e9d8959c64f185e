"""How commands print: JSON for programs, tables and lists for people."""

from __future__ import annotations

import errno
import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType


def make_printable(text: str) -> str:
    """The text in one line, with a mark in place of whatever a terminal would act upon."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def make_line(text: str) -> str:
    """The text as one line of words."""
    return make_printable(" ".join(text.split()))


_WIDEST = 100_000


def print_json(value: object) -> None:
    """Print a value as JSON, times in ISO 8601; in ASCII, which no encoding and terminal spoils."""
    click.echo(json.dumps(value, indent=2, default=_to_plain))


def _to_plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one a line; what has no value is left out."""
    write(open_output(), _make_block((name, format_cell(value)) for name, value in fields.items()))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows below headings, or on a terminal that is too narrow one below the other."""
    console = open_output()
    write(console, make_table(console, headings, rows))


def write(console: Console, drawn: RenderableType) -> None:
    """Print what has been drawn; where it is no terminal, without spaces at the ends of lines."""
    if console.is_terminal:
        console.print(drawn)
        return
    with console.capture() as captured:
        console.print(drawn)
    for each in captured.get().splitlines():
        click.echo(each.rstrip())


def make_table(
    console: Console, headings: Sequence[str], rows: Iterable[Sequence[object]]
) -> RenderableType:
    """Draw rows below headings, or a block for each where the console is too narrow.

    Args:
        console: Where it is to be printed.
        headings: The columns.
        rows: Their values; a `Text` keeps its style.
    """
    shown_rows = [[format_cell(value) for value in row] for row in rows]
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in shown_rows:
        drawn.add_row(*row)
    unbounded = console.options.update_width(_WIDEST)
    if console.measure(drawn, options=unbounded).maximum <= console.width:
        return drawn
    return Group(*(_make_block((*zip(headings, row, strict=True), None)) for row in shown_rows))


def _make_block(rows: Iterable[tuple[str, Text] | None]) -> Table:
    """Names with their values, those without left out; an empty line for None."""
    block = Table.grid(padding=(0, 2, 0, 0))
    block.add_column(style="bold", no_wrap=True)
    block.add_column(overflow="fold")
    for row in rows:
        if row is None:
            block.add_row()
        elif row[1]:
            block.add_row(Text(make_printable(row[0])), row[1])
    return block


def format_cell(value: object) -> Text:
    """A value to print, with nothing in it that a terminal would act upon; empty for none."""
    if isinstance(value, Text):
        return value
    if value is None or value in ({}, [], ()):
        return Text()
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(value, ensure_ascii=False, default=_to_plain)
    return Text(make_printable(value if isinstance(value, str) else _to_plain(value)))


class _Console(Console):
    """A console that leaves it to others what becomes of the program if its reader has gone."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def open_output() -> Console:
    """Standard output: as wide as its terminal, or else as wide as need be.

    Colours only on a terminal, and not where NO_COLOR is set.
    """
    return _Console(highlight=False, width=None if sys.stdout.isatty() else _WIDEST)


def open_messages() -> Console:
    """Standard error, likewise."""
    return _Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _WIDEST)
