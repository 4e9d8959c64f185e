"""The command ``config``: the options in force, and the source of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..config import RetryPolicy, Server, retry_policy
from ..config.options import OPTIONS
from .options import json_output, with_choice
from .output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config import Config
    from .options import Choice


@click.command(short_help="Show the options in force, and the source of each.")
@json_output
@with_choice
def config(choice: Choice, *, as_json: bool) -> None:
    """Show the options in force, and the source of each value; secrets are hidden."""
    rows = list(_list_rows(choice.config()))
    if as_json:
        print_json({name: {"value": value, "source": source} for name, value, source in rows})
    else:
        print_table(("option", "value", "source"), rows, flexible=("value", "source"))


def _list_rows(found: Config) -> Iterator[tuple[str, object, str]]:
    """Yield the name, the value and the source of each option; secrets are hidden."""
    for name in OPTIONS:
        value = getattr(found, name)
        source = found.sources.get(name, "default")
        if isinstance(value, RetryPolicy):
            for each in retry_policy.OPTIONS:
                yield f"retry.{each}", _to_json(getattr(value, each)), source
        elif name in ("auth", "service_auth"):
            yield name, None if value is None else "(hidden)", source
        else:
            yield name, _to_json(value), source


def _to_json(value: object) -> object:
    """Return a value of a type that JSON has."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_to_json(each) for each in value]
    return value.url if isinstance(value, Server) else value
