"""Values as JSON that keeps their types: how a dict crosses from one interpreter to another.

Two values have equal tags when they are equal and of the same types, key by key.
"""

from datetime import datetime


def tagged(value: object) -> object:
    """The value's type and what makes it up: `["int", 1]`, `["dict", {"a": ["bool", true]}]`."""
    name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return [name, {key: tagged(item) for key, item in value.items()}]
    if isinstance(value, (list, tuple)):
        return [name, [tagged(item) for item in value]]
    if isinstance(value, datetime):
        zone = type(value.tzinfo)
        offset = value.utcoffset()
        seconds = None if offset is None else offset.total_seconds()
        return [name, value.isoformat(), f"{zone.__module__}.{zone.__qualname__}", seconds]
    if value is None or isinstance(value, (str, int, float)):
        return [name, value]
    raise TypeError(f"{name} has no tag; teach tagged() about it")
