"""Checks values of images as Glance 33 does: by schema, by amount and by character."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..error_responses import Refused
from .json_schema import Subschema, find_problem
from .schemas import CUSTOM, IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..http1 import JSON

_ANY: dict[str, JSON] = {"type": "string"}
# A column of MySQL's type INTEGER.
_LARGEST = (1 << 31) - 1


def check(values: Mapping[str, JSON]) -> None:
    """Check some or all of an image's attributes and properties against the image's schema.

    Raises:
        Refused: 400, with the text of the jsonschema library, which Glance uses.
    """
    for name, value in values.items():
        known = IMAGE.get(name) or CUSTOM.get(name)
        place = ("properties", name) if known else ("additionalProperties",)
        problem = find_problem(value, Subschema(known or _ANY, place, (name,)))
        if problem is not None:
            raise Refused(400, f"Provided object does not match schema 'image': {problem}")


def check_characters(base: Mapping[str, JSON], properties: Mapping[str, JSON], tags: JSON) -> None:
    """Check an image for characters of four bytes in UTF-8, which MySQL's ``utf8`` lacks.

    Raises:
        Refused: 400, as by Glance's ``no_4byte_params``.
    """
    for name, value in {**base, **properties}.items():
        if isinstance(value, str) and has_long_character(value):
            raise Refused(400, f"{name.title()} can't contain 4 byte unicode characters.")
    if any(has_long_character(name) for name in properties):
        raise Refused(400, "Property names can't contain 4 byte unicode.")
    if isinstance(tags, list) and any(has_long_character(str(tag)) for tag in tags):
        raise Refused(400, "Param values can't contain 4 byte unicode.")


def has_long_character(text: str) -> bool:
    """Return whether a text has a character of four bytes in UTF-8."""
    return not text.isascii() and max(text) > "\uffff"


def check_amounts(values: Mapping[str, JSON]) -> None:
    """Check ``min_disk`` and ``min_ram``, for which the schema has no bounds.

    Raises:
        Refused: 400, if a value is negative, or too large for Glance's database.
    """
    for name in ("min_disk", "min_ram"):
        value = values.get(name)
        if not isinstance(value, int | float):
            continue
        problem = f"Invalid value '{value}' for parameter '{name}'"
        if value < 0:
            raise Refused(400, f"{problem}: Cannot be a negative value")
        if value > _LARGEST:
            raise Refused(400, f"'{name}' value out of range, must not exceed {_LARGEST}.")
