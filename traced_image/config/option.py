"""How an option is defined: one field says its default, check, sources and documentation."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .checks import Check

_T = TypeVar("_T")

_WIDTH = 96
"""Columns of a docstring beside its indentation."""


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """What is known of an option beside its field's name, type and default.

    Attributes:
        doc: What it is; the docstring and the page of the reference are made of it.
        check: Returns a value as it is kept, or refuses it; None where the class does that.
        read: Returns the value that text stands for, or raises `ValueError`; None where no text
            can stand for one, so that neither a variable nor a file has it.
        nova: Where today's nova.conf has it, as in ``[glance] timeout``.
        cinder: Where cinder.conf and nova 2013.1's nova.conf have it.
        cloud: The key of a cloud in clouds.yaml.
    """

    doc: str
    check: Check[object] | None = None
    read: Callable[[str], object] | None = None
    nova: str | None = None
    cinder: str | None = None
    cloud: str | None = None

    def check_value(self, item: str, value: object, source: str) -> object:
        """Return a value as it is kept.

        Args:
            item: What the error calls it.
            value: What to check.
            source: Where it came from, for the error.

        Raises:
            ConfigError: It can't be used.
        """
        return value if self.check is None else self.check(item, value, source)

    def parse_text(self, text: str) -> object:
        """Return the value that `text` stands for; if none, the text, for the check to refuse."""
        try:
            return text if self.read is None else self.read(text)
        except ValueError:
            return text


def option(
    default: _T,
    *,
    doc: str,
    check: Check[_T] | None = None,
    read: Callable[[str], object] | None = None,
    nova: str | None = None,
    cinder: str | None = None,
    cloud: str | None = None,
    shown: bool = True,
) -> _T:
    """Define an option as a field of a dataclass, with what `Option` says of it.

    It claims to return its default, as `dataclasses.field` does, for type checkers to compare
    that and the check with the field's type. The `repr` has it where it is `format_value`.
    """
    defined = Option(doc, check, read, nova, cinder, cloud)
    return dataclasses.field(default=default, repr=shown, metadata={"option": defined, "doc": doc})


def list_options(kind: type) -> Mapping[str, Option]:
    """Return the options that a dataclass defines, by their fields' names."""
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)
    return {each.name: each.metadata["option"] for each in fields if "option" in each.metadata}


def document_fields(kind: type[_T]) -> type[_T]:
    """Add what the fields of a dataclass say of themselves to its docstring, as ``Attributes:``.

    Args:
        kind: A dataclass, whose fields have a text under ``doc`` in their metadata.
    """
    head, raises, tail = inspect.cleandoc(kind.__doc__ or "").partition("\n\nRaises:")
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    entries = [_format_entry(each.name, each.metadata["doc"]) for each in fields]
    kind.__doc__ = "\n".join([head, "", "Attributes:", *entries]) + raises + tail
    return kind


def _format_entry(name: str, doc: str) -> str:
    return textwrap.fill(
        f"{name}: {doc}",
        width=_WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
