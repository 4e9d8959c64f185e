"""The query of a list: checks of its arguments, and its encoding for a URL."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from ...config.checks import format_value
from ...errors import InvalidQuery

Pairs = list[tuple[str, str]]


def read_count(value: object, what: str) -> int:
    """Return a number of images or bytes; None means 0.

    Args:
        value: A whole number, or text that contains one.
        what: The argument's name, for the error.

    Raises:
        InvalidQuery: The value is not a whole number of 0 or more.
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
    """Return a list with one text or with several; None means an empty list.

    Args:
        value: A text, or a list or tuple of texts.
        what: The argument's name, for the error.

    Raises:
        InvalidQuery: A value is empty or not text.
    """
    values = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
    if not all(isinstance(item, str) and item for item in values):
        raise InvalidQuery(f"{what} is {format_value(value)}: pass text, or a list of texts")
    return list(values)


def make_filter_pairs(filters: Mapping[str, object]) -> Pairs:
    """Build name and value pairs of filters; a list of values becomes several pairs.

    Raises:
        InvalidQuery: The filters are not a mapping, a name is not text, or a value is neither
            text nor a number.
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


def make_list_query(
    size: int, filters: Mapping[str, object], arguments: Mapping[str, list[str]]
) -> Pairs:
    """Build the query of a list.

    An argument counts before a filter of the same name, so that no name is sent for both. A filter
    named ``limit`` never counts, as in python-glanceclient: the size of a page takes its place.

    Args:
        size: How many records to request at a time.
        filters: Fields and properties with the values to match.
        arguments: The list's other arguments by name, each with its values.

    Raises:
        InvalidQuery: The filters can't be used; see `make_filter_pairs`.
    """
    given = {"limit", *(name for name, texts in arguments.items() if texts)}
    return [
        ("limit", str(size)),
        *(pair for pair in make_filter_pairs(filters) if pair[0] not in given),
        *((name, text) for name, texts in arguments.items() for text in texts),
    ]


def _make_text(value: object, name: str) -> str:
    try:
        if isinstance(value, (str, int, float)):
            return str(value)
    except ValueError:  # Python converts no int of more than 4300 digits
        pass
    raise InvalidQuery(
        f"filter {format_value(name)} is {format_value(value)}: pass text or numbers"
    )


def encode_query(query: Pairs) -> str:
    """Encode a query for a URL.

    Raises:
        InvalidQuery: UTF-8 can't encode a text.
    """
    try:
        return urlencode(query)
    except UnicodeEncodeError as error:
        raise InvalidQuery(
            "a filter is not valid Unicode: pass text that UTF-8 can hold"
        ) from error
