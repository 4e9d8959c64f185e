"""Drops faults from a schedule for as long as what went wrong still goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


@dataclass(frozen=True)
class Shrunk(Generic[T]):
    """What is left.

    Attributes:
        items: Those without which it no longer goes wrong, as far as the runs sufficed.
        runs: How often it was tried.
        is_minimal: Whether leaving out any one of them was tried.
    """

    items: tuple[T, ...]
    runs: int
    is_minimal: bool


def shrink(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool], runs: int) -> Shrunk[T]:
    """Find few items with which it still fails.

    It is the algorithm ddmin, without the half that tries subsets: "Simplifying and Isolating
    Failure-Inducing Input", A. Zeller and R. Hildebrandt, 2002.

    Args:
        items: Items with which it fails.
        fails: Whether it fails with these.
        runs: How often `fails` may be called.
    """
    kept, size, made = tuple(items), max(1, len(items) // 2), 0
    start = 0
    while kept and made < runs:
        if start >= len(kept):
            if size == 1:
                return Shrunk(kept, made, is_minimal=True)
            start, size = 0, max(1, size // 2)
        tried = kept[:start] + kept[start + size :]
        made += 1
        if fails(tried):
            kept = tried
            # What could not be left out before may be superfluous now.
            start, size = (0, 1) if size == 1 else (start, size)
        else:
            start += size
    return Shrunk(kept, made, is_minimal=not kept)
