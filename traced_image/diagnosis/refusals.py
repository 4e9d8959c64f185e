"""What one server refuses and another one answers: then the server is wrong, not the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .observations import add_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .observations import Tally

_PlaceT = TypeVar("_PlaceT")

_FEW, _TIMES = 10, 10
"""A server refuses alone at least so many requests, and so many times the share of another one."""


def find_unlike(asked: Mapping[_PlaceT, Sequence[Tally]]) -> dict[_PlaceT, tuple[Tally, ...]]:
    """Return what servers were asked for that they refuse and that another server answers.

    Args:
        asked: The requests that each server answered or refused. The reason of a tally is that of
            the refusal, or empty.
    """
    kinds = {(each.job, each.operation) for tallies in asked.values() for each in tallies}
    found: dict[_PlaceT, tuple[Tally, ...]] = {}
    for kind in sorted(kinds):
        by_server = {
            place: [each for each in tallies if (each.job, each.operation) == kind]
            for place, tallies in asked.items()
        }
        counts = {place: _count(tallies) for place, tallies in by_server.items()}
        for place, tallies in by_server.items():
            if any(_is_unlike(counts[place], other) for other in counts.values()):
                found[place] = (*found.get(place, ()), *tallies)
    return found


def _count(tallies: Iterable[Tally]) -> tuple[float, float]:
    """Return how many requests were refused, and how many there were."""
    every = [(each.count if each.reason else 0.0, each.count) for each in tallies]
    return sum(refused for refused, _ in every), sum(count for _, count in every)


def _is_unlike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether one server refuses what another one, which was asked as often, hardly refuses."""
    (refused, every), (refused_there, every_there) = one, other
    if refused < _FEW or every_there < refused:
        return False
    return refused / every >= _TIMES * refused_there / every_there


def sum_up(asked: Iterable[Sequence[Tally]]) -> dict[str, float]:
    """Return how many requests were refused, by reason; the most frequent first."""
    refused = (each for every in asked for each in every if each.reason and each.count)
    return add_up((each.reason, each.count) for each in refused)
