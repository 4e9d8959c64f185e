"""Checks of single values, whose errors name the item, its source and the fix."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..errors import InvalidOption
from ..redact import hide_in_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..errors import ConfigError

_T = TypeVar("_T")

_T_co = TypeVar("_T_co", covariant=True)


class Check(Protocol[_T_co]):
    """Checks the value of an option."""

    def __call__(self, item: str, value: object, source: str, /) -> _T_co:
        """Return a value as it is kept, or raise a `ConfigError`."""


LONGEST_WAIT = 1e6
"""Seconds, 11 days: the system's poll and sleep do not take much more."""

SHOWN = 60
"""Characters of a refused value that a message shows."""


def format_value(value: object) -> str:
    """Render a refused value for a message: printable, without secrets, cut where it is long."""
    try:
        text = ascii(hide_in_text(value)) if isinstance(value, str) else hide_in_text(ascii(value))
    except (ValueError, RecursionError):  # Python writes no number of more than 4300 digits
        text = f"<{type(value).__name__}, too large to show>"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def check_number(
    item: str,
    value: object,
    source: str,
    error: type[ConfigError],
    *,
    zero: bool = True,
    most: float = LONGEST_WAIT,
) -> float:
    """Return `value` as a float of 0 or more.

    Args:
        item: The option's name.
        value: What to check.
        source: Where it came from.
        error: What to raise.
        zero: Whether 0 is allowed.
        most: The largest number allowed.
    """
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value <= most
        and (value or zero)
    ):
        return float(value)
    fix = f"set a number {'of 0 or more' if zero else 'above 0'}, at most {most:,g}"
    raise error(item, f"{format_value(value)} can't be used", source=source, fix=fix)


def check_integer(
    item: str, value: object, source: str, error: type[ConfigError], *, least: int = 0
) -> int:
    """Return `value` if it is a whole number of `least` or more, and no bool."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    fix = f"set a whole number of {least} or more"
    raise error(item, f"{format_value(value)} can't be used", source=source, fix=fix)


def check_boolean(item: str, value: object, source: str, error: type[ConfigError]) -> bool:
    """Return `value` if it is a bool."""
    if isinstance(value, bool):
        return value
    raise error(
        item, f"{format_value(value)} can't be used", source=source, fix="set true or false"
    )


def check_choice(
    item: str,
    value: object,
    source: str,
    error: type[ConfigError],
    *,
    choices: tuple[_T, ...],
) -> _T:
    """Return `value` if it is one of `choices`, and of its type."""
    for each in choices:
        if type(value) is type(each) and value == each:
            return each
    fix = f"set {' or '.join(str(each) for each in choices)}"
    raise error(item, f"{format_value(value)} can't be used", source=source, fix=fix)


def allow_none(check: Check[_T]) -> Check[_T | None]:
    """Make a check that takes None, too."""

    def checked(item: str, value: object, source: str) -> _T | None:
        return None if value is None else check(item, value, source)

    return checked


def suggest(name: str, known: Iterable[str], otherwise: str, *, cutoff: float = 0.6) -> str:
    """Return the question whether another name was meant.

    Args:
        name: What is not known.
        known: What is.
        otherwise: What to return if nothing known is like it.
        cutoff: How like it has to be, from 0 to 1.
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else otherwise


def build_unknown_error(name: str, known: Iterable[str], source: str = "argument") -> InvalidOption:
    """Build the error for an option that does not exist, with the one that may be meant."""
    fix = suggest(name, known, f"use one of {', '.join(sorted(known))}")
    hidden = hide_in_text(name)[:SHOWN]
    return InvalidOption(hidden, "there is no such option", source=source, fix=fix)
