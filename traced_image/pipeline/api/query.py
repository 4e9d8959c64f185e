"""The query of a list: what may be asked for, checked before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from ...config.checks import format_value
from ...errors import InvalidQuery

Pairs = list[tuple[str, str]]


def read_count(value: object, what: str) -> int:
    """Read a number of images or bytes, of which None means 0.

    Raises:
        InvalidQuery: It is not a whole number of 0 or more.
    """
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InvalidQuery(f"{what} is {format_value(value)}: pass a whole number")
    try:
        number = int(value)
    except ValueError as error:
        raise InvalidQuery(f"{what} is {format_value(value)}: pass a whole number") from error
    if number < 0:
        raise InvalidQuery(f"{what} is {format_value(number)}: pass 0 or more")
    return number


def read_texts(value: object, what: str) -> list[str]:
    """Read one text or several.

    Raises:
        InvalidQuery: One is not text, or empty.
    """
    values = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
    if not all(isinstance(item, str) and item for item in values):
        raise InvalidQuery(f"{what} is {format_value(value)}: pass text, or a list of texts")
    return list(values)


def make_filter_pairs(filters: Mapping[str, object]) -> Pairs:
    """Read filters; one with a list of values stands several times.

    Raises:
        InvalidQuery: They are no mapping, a name is not text, or a value neither text nor a
            number.
    """
    if not isinstance(filters, Mapping):
        raise InvalidQuery(f"filters are {type(filters).__name__}: pass a dict")
    pairs: Pairs = []
    for name, value in filters.items():
        if not name or not isinstance(name, str):
            raise InvalidQuery(
                f"{format_value(name)} is not a filter: pass the name of a field or property"
            )
        values = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(name, _make_text(item, name)) for item in values]
    return pairs


def _make_text(value: object, name: str) -> str:
    try:
        if isinstance(value, (str, int, float)):
            return str(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        pass
    raise InvalidQuery(
        f"filter {format_value(name)} is {format_value(value)}: pass text or numbers"
    )


def encode_query(query: Pairs) -> str:
    """Encode a query for a URL.

    Raises:
        InvalidQuery: A text has no form in UTF-8.
    """
    try:
        return urlencode(query)
    except UnicodeEncodeError as error:
        raise InvalidQuery(
            "a filter is not valid Unicode: pass text that UTF-8 can hold"
        ) from error
