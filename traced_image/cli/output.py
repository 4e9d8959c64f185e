"""Output of the commands: JSON for programs, tables and lists for people."""

from __future__ import annotations

import errno
import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType


def make_printable(text: str) -> str:
    """Replace each character that a terminal would act on, such as an escape or a line break."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def make_line(text: str) -> str:
    """Return the text as one line, with single spaces between its words."""
    return make_printable(" ".join(text.split()))


_WIDEST = 100_000
"""Columns of an output that is not a terminal: programs that read it expect one row a line."""


_LEAST = 8
"""Columns that a value has at least if it is broken into several lines."""


def print_json(value: object) -> None:
    """Print a value as JSON, with times in ISO 8601; in ASCII, which each encoding can write."""
    click.echo(json.dumps(value, indent=2, default=_to_plain))


def _to_plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one pair on each line; skip names without a value."""
    write(open_output(), _make_block((name, format_cell(value)) for name, value in fields.items()))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, flexible: Sequence[str]
) -> None:
    """Print rows as a table, or as blocks if the terminal is too narrow for a table.

    Args:
        headings: The headings of the columns.
        rows: The values of each row.
        flexible: The headings of columns whose values may be broken into several lines.
    """
    console = open_output()
    write(console, make_table(console, headings, rows, flexible=flexible))


def write(console: Console, drawn: RenderableType) -> None:
    """Print a drawing; if the output is not a terminal, remove spaces at the ends of lines."""
    if console.is_terminal:
        console.print(drawn)
        return
    with console.capture() as captured:
        console.print(drawn)
    for each in captured.get().splitlines():
        click.echo(each.rstrip())


def make_table(
    console: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    flexible: Sequence[str],
    optional: Sequence[str] = (),
) -> RenderableType:
    """Draw rows as a table, or a block for each row if the console is too narrow for a table.

    Args:
        console: The console that prints the result.
        headings: The headings of the columns.
        rows: The values of each row; a `Text` keeps its style.
        flexible: The headings of columns whose values may be broken into several lines.
        optional: The headings of columns that a table leaves out, the last one first, where it
            would be too wide with them.
    """
    shown_rows = [[format_cell(value) for value in row] for row in rows]
    columns = [
        _Column(heading, values, heading in flexible)
        for heading, *values in zip(headings, *shown_rows, strict=True)
    ]
    left_out = list(optional)
    while left_out and not _fits(columns, console):
        name = left_out.pop()
        columns = [each for each in columns if each.heading != name]
    if _fits(columns, console):
        return _draw(columns, console)
    return Group(*(_make_block((*zip(headings, row, strict=True), None)) for row in shown_rows))


class _Column(NamedTuple):
    """A column of a table, and whether its values may be broken into several lines."""

    heading: str
    values: Sequence[Text]
    is_flexible: bool

    @property
    def widest(self) -> int:
        """The columns of the terminal that its widest value has."""
        return max((value.cell_len for value in self.values), default=0)

    @property
    def whole(self) -> int:
        """Those that it has if nothing is broken."""
        return max(cell_len(self.heading), self.widest)

    @property
    def least(self) -> int:
        """Those that it needs."""
        if self.is_flexible:
            return min(self.whole, _LEAST)
        # A heading of several words may be broken, so that its column is as wide as its values.
        return max(self.widest, *map(cell_len, self.heading.split()))


def _find_room(columns: Sequence[_Column], console: Console) -> int:
    """Return how wide the columns may be together; two spaces are between two of them."""
    return console.width - 2 * len(columns) + 1


def _fits(columns: Sequence[_Column], console: Console) -> bool:
    return sum(each.least for each in columns) <= _find_room(columns, console)


def _draw(columns: Sequence[_Column], console: Console) -> Table:
    is_whole = sum(each.whole for each in columns) <= _find_room(columns, console)
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for each in columns:
        width = each.whole if is_whole else each.least
        drawn.add_column(each.heading, overflow="fold", width=None if each.is_flexible else width)
    for row in zip(*(each.values for each in columns), strict=True):
        drawn.add_row(*row)
    return drawn


def _make_block(rows: Iterable[tuple[str, Text] | None]) -> Table:
    """Draw names with their values; skip empty values, and draw None as an empty line."""
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
    """Format a value without characters that a terminal would act on; None becomes empty."""
    if isinstance(value, Text):
        return value
    if value is None or value in ({}, [], ()):
        return Text()
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(value, ensure_ascii=False, default=_to_plain)
    return Text(make_printable(value if isinstance(value, str) else _to_plain(value)))


class _Console(Console):
    """A console that raises BrokenPipeError if its reader has gone; rich's would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def open_output() -> Console:
    """Open standard output: as wide as its terminal, or wide enough for each line if it has none.

    It prints colours on a terminal only, and none if NO_COLOR is set (https://no-color.org).
    """
    return _Console(highlight=False, width=None if sys.stdout.isatty() else _WIDEST)


def open_messages() -> Console:
    """Open standard error, with the same width and colours as `open_output`."""
    return _Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _WIDEST)
