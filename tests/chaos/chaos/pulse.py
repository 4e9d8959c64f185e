"""Notes when a process does not get around to a thread in time, so that limits can allow for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BEAT = 0.05
"""Seconds between two looks at the clock."""

LATE = 0.05
"""Seconds by which a look may be late without a note."""

Stall = tuple[float, float]
"""When a thread was due, and when it ran, in seconds since the epoch."""


class Pulse:
    """A thread that does nothing but look at the clock: what it misses, all threads may miss.

    Args:
        now: The clock.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now, self._over = now, threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)
        self.stalls: list[Stall] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._over.set()
        self._thread.join()

    def note(self, last: float, now: float) -> None:
        """Keep the time from when a look was due until it came, if it was late."""
        if now - last > BEAT + LATE:
            self.stalls.append((last + BEAT, now))

    def _beat(self) -> None:
        last = self._now()
        while not self._over.wait(BEAT):
            now = self._now()
            self.note(last, now)
            last = now


def add_stalled(stalls: Iterable[Stall], started: float, ended: float) -> float:
    """Return the seconds of a time in which threads had to wait."""
    return sum(max(0.0, min(end, ended) - max(start, started)) for start, end in stalls)
