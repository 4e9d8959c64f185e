"""When a server is slow: what its attempts take, beside those of the other servers."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from .observations import Latency

if TYPE_CHECKING:
    from collections.abc import Mapping

_PlaceT = TypeVar("_PlaceT")

TIMES = 5.0
"""A server is slow if it takes so many times what the others take, …"""

LONGER = 0.2
"""… and so many seconds more; …"""

SLOW = 5.0
"""… or if it takes so many seconds, whatever the others take."""

_DATA = ("images.data", "images.stage", "images.upload")
"""Operations whose durations depend on the size of an image."""


def is_slow(latency: Latency) -> bool:
    """Return whether a server is slow, by the duration of one of its operations."""
    by_itself = latency.seconds >= SLOW and latency.operation not in _DATA
    return by_itself or is_slower(latency)


def is_slower(latency: Latency) -> bool:
    """Return whether a server is slow beside the others."""
    if latency.others is None:
        return False
    longer = latency.seconds - latency.others
    return longer >= LONGER and latency.seconds >= TIMES * latency.others


def compare(
    durations: Mapping[str, Mapping[_PlaceT, float]],
) -> dict[_PlaceT, tuple[Latency, ...]]:
    """Return each server's durations, each with the median of the other servers.

    Args:
        durations: Seconds by operation and server.
    """
    found: dict[_PlaceT, list[Latency]] = defaultdict(list)
    for operation, by_server in sorted(durations.items()):
        for place, seconds in by_server.items():
            others = [each for other, each in by_server.items() if other != place]
            found[place].append(Latency(operation, seconds, median(others) if others else None))
    return {place: tuple(latencies) for place, latencies in found.items()}
