"""Time as the pipeline reads it, so that tests can set it, and waits that double."""

from __future__ import annotations

import time as stdlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_DOUBLINGS = 1023


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from.

    Attributes:
        monotonic: Seconds that never go back, for durations and deadlines.
        time: Seconds since the epoch, for time stamps.
        sleep: Waits for a number of seconds.
    """

    monotonic: Callable[[], float] = stdlib.monotonic
    time: Callable[[], float] = stdlib.time
    sleep: Callable[[float], None] = stdlib.sleep


def double(base: float, times: int, cap: float) -> float:
    """`base` seconds, doubled so many times, but at most `cap`; no number is too large."""
    return min(cap, base * 2.0 ** min(times, _MOST_DOUBLINGS))
