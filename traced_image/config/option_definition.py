"""The definition of an option: a field with its default, check, sources and documentation."""

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
"""Columns of a docstring without its indentation."""


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """The properties of an option beside its field's name, type and default.

    Attributes:
        doc: The description, for the class's docstring and the page of the reference.
        check: Returns a value in the form to store, or raises `ConfigError`; None if the class
            checks the value itself.
        read: Returns the value that a text means, or raises `ValueError`. None if no text can
            express a value; then no variable and no file sets the option.
        nova: The section and name in today's nova.conf, as in ``[glance] timeout``.
        cinder: The section and name in cinder.conf and in nova 2013.1's nova.conf.
        cloud: The key of a cloud in clouds.yaml.
    """

    doc: str
    check: Check[object] | None = None
    read: Callable[[str], object] | None = None
    nova: str | None = None
    cinder: str | None = None
    cloud: str | None = None

    def check_value(self, item: str, value: object, source: str) -> object:
        """Check a value, and return it in the form to store.

        Args:
            item: The option's name, for the error.
            value: The value to check.
            source: Where the value came from, for the error.

        Raises:
            ConfigError: The value can't be used.
        """
        return value if self.check is None else self.check(item, value, source)

    def parse_text(self, text: str) -> object:
        """Return the value that `text` means, or `text` itself if it means none."""
        # The check rejects the text later, with an error that names the option and its source.
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
    """Define an option as a field of a dataclass, with the properties of `Option`.

    The annotated result is the default's type, as for `dataclasses.field`. So type checkers
    compare the default and the check with the field's type. The dataclass's `repr` contains the
    field if `shown` is true.
    """
    defined = Option(doc, check, read, nova, cinder, cloud)
    return dataclasses.field(default=default, repr=shown, metadata={"option": defined, "doc": doc})


def list_options(kind: type) -> Mapping[str, Option]:
    """Return the options that a dataclass defines, by the names of their fields."""
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)
    return {each.name: each.metadata["option"] for each in fields if "option" in each.metadata}


def document_fields(kind: type[_T]) -> type[_T]:
    """Add the descriptions of a dataclass's fields to its docstring, as ``Attributes:``.

    Args:
        kind: A dataclass. Each of its fields has a text under ``doc`` in its metadata.
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
