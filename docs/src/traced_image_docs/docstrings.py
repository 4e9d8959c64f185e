"""Docstrings in Google's style, taken apart: the text, and the entries of each section."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TITLE = re.compile(r"^(Args|Attributes|Returns|Raises):\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\*{0,2}\w+): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Doc:
    """What a docstring says.

    Attributes:
        text: What stands before the sections, as Markdown.
        returns: What is returned; empty if the docstring does not say.
        arguments: What each argument is.
        attributes: What each attribute is.
        raises: When each error is raised.
    """

    text: str
    returns: str
    arguments: Mapping[str, str]
    attributes: Mapping[str, str]
    raises: Mapping[str, str]

    @property
    def summary(self) -> str:
        """The first paragraph, on one line."""
        return _on_one_line(self.text.partition("\n\n")[0])


def read(thing: object) -> Doc:
    """Read the docstring of a class, function or property."""
    text, *rest = _TITLE.split(inspect.getdoc(thing) or "")
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    return Doc(
        markdown(text),
        _on_one_line(textwrap.dedent(sections.get("Returns", ""))),
        _entries(sections.get("Args", "")),
        _entries(sections.get("Attributes", "")),
        _entries(sections.get("Raises", "")),
    )


def _entries(section: str) -> dict[str, str]:
    _, *rest = _ENTRY.split(textwrap.dedent(section))
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return {name.lstrip("*"): _on_one_line(text) for name, text in pairs}


def markdown(text: str) -> str:
    """Return a docstring's text as Markdown: its code is quoted once, its blocks are indented."""
    text = re.sub(r"^::\n", "", text, flags=re.MULTILINE)
    return text.strip().replace("``", "`").replace("::\n", ":\n")


def _on_one_line(text: str) -> str:
    return " ".join(markdown(text).split())
