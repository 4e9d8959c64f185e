"""The page of where the lab differs from a real Glance, from the list that the tests keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIST = Path(__file__).parents[2] / "reference" / "lab-differences.json"
"""The list: kinds of differences, each with its reason and the requests that show it."""


def _write_kinds() -> str:
    kinds = json.loads(LIST.read_text("utf-8"))
    rows = ((one["glance"], one["lab"], one["reason"], _count(one)) for one in kinds)
    return table(("Glance 33", "the lab", "why", "requests"), rows)


def _count(kind: Mapping[str, list[str]]) -> str:
    return str(len(kind["requests"]))


TABLES: Mapping[str, Callable[[], str]] = {"differences": _write_kinds}
