"""Checks JSON values as the jsonschema library does, with the texts of its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pprint import pformat
from textwrap import indent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..http1 import JSON

Step = str | int


@dataclass(frozen=True)
class Subschema:
    """The rules of one value, and where both stand.

    Attributes:
        rules: The schema of the value.
        schema_path: The steps from the whole schema to these rules.
        path: The steps from the whole instance to the value.
    """

    rules: Mapping[str, JSON]
    schema_path: tuple[Step, ...]
    path: tuple[Step, ...]

    def enter(self, rules: Mapping[str, JSON], steps: tuple[Step, ...], step: Step) -> Subschema:
        """Return the place of a part of the value."""
        return Subschema(rules, (*self.schema_path, *steps), (*self.path, step))

    def describe(self, keyword: str, message: str, value: JSON) -> str:
        """Return the text of a ``ValidationError``, ``jsonschema/exceptions.py``."""
        schema = "".join(f"[{step!r}]" for step in self.schema_path)
        instance = "".join(f"[{step!r}]" for step in self.path)
        return (
            f"{message}\n\nFailed validating {keyword!r} in schema{schema}:\n"
            f"{_pretty(self.rules)}\n\nOn instance{instance}:\n{_pretty(value)}"
        )


def _pretty(value: object) -> str:
    return indent(pformat(value, width=72, sort_dicts=False), "    ")


def find_problem(value: JSON, place: Subschema) -> str | None:
    """Return what is wrong with a value; None if it matches the rules.

    It covers the part of JSON Schema that Glance's schemas use.
    """
    for keyword, message in _find_own(value, place.rules):
        return place.describe(keyword, message, value)
    for part, inner in _find_parts(value, place):
        problem = find_problem(part, inner)
        if problem is not None:
            return problem
    return None


def _find_own(value: JSON, rules: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    """Yield the keywords that a value itself violates, each with jsonschema's message.

    The first one in the order of the rules is the one that jsonschema reports.
    """
    found = dict(_find_all(value, rules))
    yield from ((keyword, found[keyword]) for keyword in rules if keyword in found)


def _find_all(value: JSON, rules: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    kinds = rules["type"] if isinstance(rules["type"], list) else [rules["type"]]
    if not any(_is_type(value, str(kind)) for kind in kinds):
        yield "type", f"{value!r} is not of type {', '.join(repr(kind) for kind in kinds)}"
    enum = rules.get("enum")
    if isinstance(enum, list) and value not in enum:
        yield "enum", f"{value!r} is not one of {enum!r}"
    if isinstance(value, str):
        yield from _find_in_text(value, rules)
    required = rules.get("required")
    if isinstance(value, dict) and isinstance(required, list):
        missing = [name for name in required if name not in value]
        if missing:
            yield "required", f"{missing[0]!r} is a required property"


def _find_in_text(value: str, rules: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    longest, pattern = rules.get("maxLength"), rules.get("pattern")
    if isinstance(longest, int) and len(value) > longest:
        yield "maxLength", f"{value!r} is too long"
    if isinstance(pattern, str) and re.search(pattern, value) is None:
        yield "pattern", f"{value!r} does not match {pattern!r}"


def _find_parts(value: JSON, place: Subschema) -> Iterator[tuple[JSON, Subschema]]:
    """Yield the items or members that have rules of their own."""
    items, properties = place.rules.get("items"), place.rules.get("properties")
    if isinstance(value, list) and isinstance(items, dict):
        for number, item in enumerate(value):
            yield item, place.enter(items, ("items",), number)
    if isinstance(value, dict) and isinstance(properties, dict):
        for name, rules in properties.items():
            if name in value and isinstance(rules, dict):
                yield value[name], place.enter(rules, ("properties", name), name)


def _is_type(value: JSON, kind: str) -> bool:
    # In Python a bool is an int; in JSON Schema 1.0 is an integer.
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    if isinstance(value, float):
        return kind == "number" or (kind == "integer" and value.is_integer())
    names = {int: "integer", str: "string", list: "array", dict: "object"}
    return names[type(value)] == kind
