"""What happens to the process that calls: bursts, forks, and workers that die."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .schedule import Event
    from .workers import Forker


@dataclass(frozen=True)
class OwnFaults:
    """Carries out the faults of `schedule.OWN`.

    Attributes:
        forker: Forks, and makes callers.
        rng: Chooses what is called.
        patience: Seconds in which the calls of a burst must end.
    """

    forker: Forker
    rng: random.Random
    patience: float

    def suffer(self, event: Event) -> None:
        """Have it happen, until it is over."""
        seed = self.rng.getrandbits(64)
        if event.fault == "fork":
            self.forker.call_once(seed)
        elif event.fault == "worker_dies":
            self.forker.call_and_die(seed, event.seconds)
        else:
            self._burst(int(event.amount))

    def _burst(self, count: int) -> None:
        make, journal = self.forker.make_caller, self.forker.journal
        callers = [make(journal, random.Random(self.rng.getrandbits(64))) for _ in range(count)]
        threads = [
            threading.Thread(target=each.call, args=("show",), name="burst", daemon=True)
            for each in callers
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + self.patience
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
