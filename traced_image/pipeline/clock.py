"""The clock that the pipeline reads, which tests can replace, and waits that double."""

from __future__ import annotations

import time as stdlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_DOUBLINGS = 1023  # 2.0 ** 1024 raises OverflowError


@dataclass(frozen=True, slots=True)
class Clock:
    """The source of time.

    Attributes:
        monotonic: Returns seconds that never go back, for durations and deadlines.
        time: Returns seconds since the epoch, for time stamps.
        sleep: Waits for a number of seconds.
    """

    monotonic: Callable[[], float] = stdlib.monotonic
    time: Callable[[], float] = stdlib.time
    sleep: Callable[[float], None] = stdlib.sleep


def double(base: float, times: int, cap: float) -> float:
    """Return `base` seconds doubled `times` times, at most `cap`; `times` may be any number."""
    return min(cap, base * 2.0 ** min(times, _MOST_DOUBLINGS))
