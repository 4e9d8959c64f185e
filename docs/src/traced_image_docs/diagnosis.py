"""The table of the rules of the diagnosis."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from traced_image.diagnosis.rules import RULES, DiagnosisRule

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SERVERS = {
    "each": "a server",
    "some": "servers, alike",
    "two": "two servers or more, alike",
    "all": "all servers",
}


def _list_rules() -> str:
    rows = (
        (f"`{rule.name}`", _SERVERS[rule.together], _describe(rule), f"`{rule.confidence}`")
        for rule in RULES
    )
    return table(("rule", "of", "it applies if", "confidence"), rows)


def _describe(rule: DiagnosisRule) -> str:
    """Return the condition, by its docstring: ``Whether …``."""
    return inspect.getdoc(rule.applies).removeprefix("Whether ").rstrip(".")  # type: ignore[union-attr]


TABLES: Mapping[str, Callable[[], str]] = {"rules": _list_rules}
