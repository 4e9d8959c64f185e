"""Values inside JSON that somebody else wrote: what is missing or of another type is left out."""

from __future__ import annotations

import math


def find(value: object, *path: str) -> object:
    """Return the value below these names; None if there is none."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def find_list(value: object, *path: str) -> list[object]:
    """Return the list below these names; empty if there is none."""
    found = find(value, *path)
    return found if isinstance(found, list) else []


def find_text(value: object, *path: str) -> str:
    """Return the text below these names; empty if there is none."""
    found = find(value, *path)
    return found if isinstance(found, str) else ""


def find_names(value: object) -> set[str]:
    """Return the names that an object has; none of anything else."""
    return {*value} if isinstance(value, dict) else set()


def find_number(value: object, *path: str) -> float | None:
    """Return the number below these names, also one that is written as a text; None for none."""
    found = find(value, *path)
    if isinstance(found, bool) or not isinstance(found, (int, float, str)):
        return None
    try:
        number = float(found)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def find_texts(value: object, *path: str) -> dict[str, str]:
    """Return the names and texts of the object below these names, without other values."""
    found = find(value, *path)
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: text for name, text in pairs if isinstance(text, str)}


def find_numbers(value: object, *path: str) -> dict[str, float]:
    """Return the names and numbers of the object below these names, without other values."""
    found = find(value, *path)
    pairs = found if isinstance(found, dict) else {}
    numbers = ((str(name), find_number(pairs, name)) for name in pairs)
    return {name: number for name, number in numbers if number is not None}
