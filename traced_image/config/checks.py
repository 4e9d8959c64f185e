"""Checks of single values, with errors that name the item, its source and the fix."""

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
    """A function that checks the value of an option."""

    def __call__(self, item: str, value: object, source: str, /) -> _T_co:
        """Return the value in the form that the option stores, or raise a `ConfigError`."""


LONGEST_WAIT = 1e6
"""Seconds, 11 days: ``poll`` takes milliseconds in a C int, which ends at 24 days."""

SHOWN = 60
"""Characters of a rejected value that a message shows."""


def format_value(value: object) -> str:
    """Render a rejected value for a message: printable, without secrets, at most `SHOWN` long."""
    try:
        text = ascii(hide_in_text(value)) if isinstance(value, str) else hide_in_text(ascii(value))
    except (ValueError, RecursionError):  # Python converts no int of more than 4300 digits
        text = f"<{type(value).__name__}, too large to show>"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def describe_cause(error: Exception) -> str:
    """Return what another library's error says, in one line, printable and without secrets.

    It has no full stop at its end, and may be empty.
    """
    text = hide_in_text(str(error))
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.split()).rstrip(".")


def check_number(
    item: str,
    value: object,
    source: str,
    error: type[ConfigError],
    *,
    zero: bool = True,
    most: float = LONGEST_WAIT,
) -> float:
    """Return `value` as a float if it is a number of 0 or more.

    Args:
        item: The option's name.
        value: The value to check.
        source: Where the value came from, for the error.
        error: The class of the error to raise.
        zero: Whether 0 is allowed.
        most: The largest number allowed.
    """
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)  # Python's bool is a subclass of int
        and 0 <= value <= most
        and (value or zero)
    ):
        return float(value)
    fix = f"set a number {'of 0 or more' if zero else 'above 0'}, at most {most:,g}"
    raise error(item, f"{format_value(value)} can't be used", source=source, fix=fix)


def check_integer(
    item: str, value: object, source: str, error: type[ConfigError], *, least: int = 0
) -> int:
    """Return `value` if it is a whole number of `least` or more, and not a bool."""
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
    """Return `value` if it equals one of `choices` and has the same type."""
    for each in choices:
        # By the type as well: 1 == True == 1.0, and `api_version=True` is a mistake.
        if type(value) is type(each) and value == each:
            return each
    fix = f"set {' or '.join(str(each) for each in choices)}"
    raise error(item, f"{format_value(value)} can't be used", source=source, fix=fix)


def allow_none(check: Check[_T]) -> Check[_T | None]:
    """Build a check that also accepts None."""

    def checked(item: str, value: object, source: str) -> _T | None:
        return None if value is None else check(item, value, source)

    return checked


def suggest(name: str, known: Iterable[str], otherwise: str, *, cutoff: float = 0.6) -> str:
    """Return the question "did you mean …?" with the known name that is most similar.

    Args:
        name: The unknown name.
        known: The known names.
        otherwise: The text to return if no known name is similar.
        cutoff: The least similarity, from 0 to 1, as in `difflib.get_close_matches`.
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else otherwise


def build_unknown_error(name: str, known: Iterable[str], source: str = "argument") -> InvalidOption:
    """Build the error for an option that does not exist; it suggests the most similar one."""
    fix = suggest(name, known, f"use one of {', '.join(sorted(known))}")
    hidden = hide_in_text(name)[:SHOWN]
    return InvalidOption(hidden, "there is no such option", source=source, fix=fix)
