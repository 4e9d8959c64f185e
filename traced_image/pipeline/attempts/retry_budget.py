"""The retry budget of a process: a share of its calls, plus a floor per second.

When all servers are overloaded, retries add to the overload. The budget limits them as Finagle's
``RetryBudget`` and Linkerd do. In the last ten seconds, a process may make as many retries as
`share` times its calls, plus `floor` for each second.
"""

from __future__ import annotations

import threading

from ... import _forks
from ..clock import Clock

WINDOW = 10
"""Seconds over which the budget counts calls and retries, as in Finagle and Linkerd.

They are the current second and the nine before it.
"""


class RetryBudget:
    """A counter of the calls and retries of the last ten seconds; safe with threads and forks.

    Args:
        share: Retries allowed per call; None allows all retries.
        floor: Retries allowed per second, however many calls there are.
        clock: The source of time.
    """

    def __init__(self, share: float | None, floor: float, clock: Clock | None = None) -> None:
        self._share = share
        self._floor = floor
        self._monotonic = (clock or Clock()).monotonic
        self._calls = [0] * WINDOW
        self._retries = [0] * WINDOW
        self._second = int(self._monotonic())
        self._lock = threading.Lock()
        _forks.track(self)

    def call(self) -> None:
        """Count a call, which adds `share` of a retry to the budget."""
        with self._lock:
            self._calls[self._slot()] += 1

    def has_room(self) -> bool:
        """Return whether the budget allows a retry now; do not count one."""
        if self._share is None:
            return True
        with self._lock:
            self._slot()
            return self._allows()

    def _allows(self) -> bool:
        allowed = (self._share or 0.0) * sum(self._calls) + self._floor * WINDOW
        return sum(self._retries) + 1 <= allowed

    def retry(self) -> bool:
        """Count a retry and return True if the budget allows it; otherwise return False."""
        if self._share is None:
            return True
        with self._lock:
            slot = self._slot()
            if not self._allows():
                return False
            self._retries[slot] += 1
            return True

    def _slot(self) -> int:
        second = int(self._monotonic())
        if second != self._second:
            # Clear the slots of the seconds that have passed: a ring, so at most all of them.
            for passed in range(self._second + 1, min(second, self._second + WINDOW) + 1):
                self._calls[passed % WINDOW] = 0
                self._retries[passed % WINDOW] = 0
            self._second = second
        return second % WINDOW

    def after_fork(self) -> None:
        """Reset the counts in a child, which does not share its parent's calls."""
        self._lock = threading.Lock()
        self._calls = [0] * WINDOW
        self._retries = [0] * WINDOW
