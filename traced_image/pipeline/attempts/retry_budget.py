"""How much a process may retry: a share of its calls, plus a floor per second.

When every server struggles, retries multiply the load that keeps it struggling. The budget is
that of Finagle's ``RetryBudget`` and Linkerd's: over the last ten seconds, no more retries than
`share` of the calls plus `floor` a second.
"""

from __future__ import annotations

import threading

from ... import _forks
from ..clock import Clock

WINDOW = 10
"""Seconds over which calls and retries are counted, as in Finagle and Linkerd: the one that is
under way, and the nine before it."""


class RetryBudget:
    """Counts calls and retries of the last ten seconds; safe under threads and forks.

    Args:
        share: Retries allowed per call; None allows all.
        floor: Retries allowed per second whatever the number of calls.
        clock: Where time comes from.
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
        """Count a call, which earns its share of a retry."""
        with self._lock:
            self._calls[self._slot()] += 1

    def retry(self) -> bool:
        """Count a retry if the budget has one left; otherwise return False."""
        if self._share is None:
            return True
        with self._lock:
            slot = self._slot()
            allowed = self._share * sum(self._calls) + self._floor * WINDOW
            if sum(self._retries) + 1 > allowed:
                return False
            self._retries[slot] += 1
            return True

    def _slot(self) -> int:
        second = int(self._monotonic())
        if second != self._second:
            for passed in range(self._second + 1, min(second, self._second + WINDOW) + 1):
                self._calls[passed % WINDOW] = 0
                self._retries[passed % WINDOW] = 0
            self._second = second
        return second % WINDOW

    def after_fork(self) -> None:
        """Start anew in a child: its parent's calls are not its own."""
        self._lock = threading.Lock()
        self._calls = [0] * WINDOW
        self._retries = [0] * WINDOW
