"""Text from elsewhere, made harmless for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text in one line, with a mark in place of whatever a terminal would act upon."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def line(text: str) -> str:
    """The text as one line of words."""
    return printable(" ".join(text.split()))
