"""Time as the pipeline reads it, so that tests can set it."""

from __future__ import annotations

import time as stdlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


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
