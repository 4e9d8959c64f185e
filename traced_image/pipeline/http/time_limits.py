"""The limits in time of one request: to connect, for each wait, and for the whole reply."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import monotonic


@dataclass(slots=True)
class TimeLimits:
    """How long one request may take; the exchange changes them as it proceeds.

    Attributes:
        connect: Seconds to connect: DNS, all addresses of the name, a proxy and TLS together.
        wait: Seconds for each wait, to send or to receive.
        until: When the reply must be complete, in seconds of `time.monotonic`.
        answer: Seconds to wait for the answer to an upload after its last byte; None for `wait`.
    """

    connect: float
    wait: float
    until: float = math.inf
    answer: float | None = None

    def left(self) -> float:
        """Return the seconds that the next wait may take.

        Raises:
            TimeoutError: No time is left for the request.
        """
        return min(find_time_left(self.until), self.wait)

    def shorten(self, seconds: float) -> None:
        """Require the reply to be complete in `seconds`, if it has more time than that."""
        self.until = min(self.until, monotonic() + seconds)

    def lift(self) -> None:
        """Remove the limit for the whole reply: the transfer of image data may take any time."""
        self.until = math.inf

    def start_answer(self) -> None:
        """Begin the wait for the answer to an upload, whose last byte was sent."""
        if self.answer is not None:
            self.wait = self.answer
            self.shorten(self.answer)


def find_time_left(until: float) -> float:
    """Return the seconds until a moment of `time.monotonic`.

    Raises:
        TimeoutError: The moment has passed.
    """
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError("the time for this has passed")
    return left
