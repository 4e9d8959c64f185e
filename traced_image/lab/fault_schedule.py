"""Follows the schedule of faults of connections, which begin and end without a request."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .active_fault import ActiveFault
    from .fault import Fault

Follow = Callable[["ActiveFault", tuple["Fault", ...]], None]
"""Applies the faults that have just begun; none of them if some have just ended."""

_BEAT = 0.02
"""Seconds between two looks at the clock, which a test may set."""


class FaultSchedule:
    """A thread that applies the faults of a schedule when they begin and end.

    Args:
        episode: The server's fault.
        follow: Applies what has changed.
        name: The thread's name.

    Attributes:
        on: The faults that are on.
    """

    def __init__(self, episode: ActiveFault, follow: Follow, name: str) -> None:
        self._episode = episode
        self._follow = follow
        # Before `striking`, here and below: if nothing is left to come, what is on now stays on.
        self._left = episode.next_change()
        self.on = episode.striking
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> bool:
        """Start the thread; return False if no fault of connections begins or ends any more."""
        if self._left == math.inf:
            return False
        self._thread.start()
        return True

    def join(self) -> None:
        """Wait until the thread has ended, after the end of the fault."""
        self._thread.join()

    def _run(self) -> None:
        while self._left != math.inf and not self._episode.wait(min(_BEAT, self._left)):
            self._left = self._episode.next_change()
            on = self._episode.striking
            if on != self.on:
                begun = tuple(fault for fault in on if fault not in self.on)
                self.on = on
                self._follow(self._episode, begun)
