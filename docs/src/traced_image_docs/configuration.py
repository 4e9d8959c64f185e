"""The tables of the page of configuration, made of the options' definitions."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from traced_image.config import Config, RetryPolicy
from traced_image.config.environment import VARIABLES, name_variable
from traced_image.config.option_definition import list_options

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_VALUES = ("field", "type", "default", "what it is")
_PLACES = ("field", "variable", "nova.conf", "cinder.conf, older nova.conf", "clouds.yaml")


def _list_values(kind: type[Config | RetryPolicy]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each option: its name, type and default, and what it is."""
    options = list_options(kind)
    for field in fields(kind):
        if field.name in options:
            doc = options[field.name].doc.replace("``", "`")
            cells = (field.name, str(field.type), _write_default(field.default))
            yield *map(_quote, cells), doc


def _write_default(value: object) -> str:
    if isinstance(value, RetryPolicy):
        return "RetryPolicy()"
    if isinstance(value, frozenset):
        return ", ".join(map(str, sorted(value)))
    # One that has to be given has an empty default, which is refused.
    return "" if value == () else str(value)


def _quote(text: str | None) -> str:
    """Quote code in a table, in which a bar would end the cell."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def _list_places() -> Iterator[tuple[str, ...]]:
    """Yield a row for each option of `Config`: where else than in arguments it can be."""
    for name, option in list_options(Config).items():
        places = (name, _find_variable(name), option.nova, option.cinder, option.cloud)
        if any(places[1:]):
            yield tuple(map(_quote, places))


def _list_retry() -> Iterator[tuple[str, ...]]:
    for name, (*values, doc) in zip(
        list_options(RetryPolicy), _list_values(RetryPolicy), strict=True
    ):
        yield *values, _quote(_find_variable(f"retry.{name}")), doc


def _find_variable(item: str) -> str | None:
    variable = name_variable(item)
    return variable if variable in VARIABLES else None


TABLES: Mapping[str, Callable[[], str]] = {
    "config": lambda: table(_VALUES, _list_values(Config)),
    "places": lambda: table(_PLACES, _list_places()),
    "retry": lambda: table((*_VALUES[:-1], "variable", _VALUES[-1]), _list_retry()),
}
