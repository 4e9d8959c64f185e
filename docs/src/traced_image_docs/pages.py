"""Pages with places that tables fill: ``<!-- table: NAME -->`` to ``<!-- end -->``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""A place: what begins it, its table's name, and what ends it."""


def fill(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its tables in their places.

    Args:
        text: The page.
        tables: A function for each table's name, which makes the table as Markdown.

    Raises:
        KeyError: There is no such table.
    """
    return PLACE.sub(lambda found: f"{found[1]}\n{tables[found[2]]()}\n\n{found[3]}", text)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table as Markdown."""
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
