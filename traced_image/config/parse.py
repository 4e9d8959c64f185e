"""Parsers for the text of values: in variables, in files and on the command line."""

from __future__ import annotations

import re

from .checks import format_value

_BOOLEANS = dict.fromkeys(("true", "1", "on", "yes"), True) | dict.fromkeys(
    ("false", "0", "off", "no"), False
)
"""The words that oslo.config accepts for a boolean."""

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 2**63 / 1e9
"""Seconds, 292 years: Go stores a duration as nanoseconds in 64 bits."""


def parse_boolean(text: str) -> bool:
    """Return the boolean that a word such as ``on`` means.

    Raises:
        ValueError: The text is not such a word.
    """
    word = text.strip().lower()
    if word not in _BOOLEANS:
        raise ValueError(f"{format_value(text)} is not a boolean")
    return _BOOLEANS[word]


def parse_optional_number(text: str) -> float | None:
    """Return the number that a text contains, or None for ``none``.

    Raises:
        ValueError: The text is neither a number nor ``none``.
    """
    return None if text.strip().lower() == "none" else float(text)


def parse_integers(text: str) -> frozenset[int]:
    """Return the whole numbers of a text with commas between them.

    Raises:
        ValueError: A part is not a whole number.
    """
    return frozenset(int(each) for each in text.split(","))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration in the form of Go and Prometheus: ``1m30s``, ``500ms``.

    Raises:
        ValueError: The text is not a duration, or it is longer than Go's longest duration.
    """
    parts = _PART.findall(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != text or seconds > _LONGEST:
        raise ValueError(f"{format_value(text)} is not a duration")
    return seconds
