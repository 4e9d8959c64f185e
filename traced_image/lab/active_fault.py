"""A server's fault while it is active: which requests it affects, and what waits for its end."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Literal

from .fault import IN_KERNEL
from .met_faults import HEALTHY, MetFaults
from .resolving import FaultResolver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .fault import Fault
    from .http1 import ReceivedRequest

Door = Literal["open", "refuse", "black_hole"]
"""What happens to new connections."""


class ActiveFault:
    """A server's fault, from ``break_with()`` to the next ``break_with()`` or ``heal()``.

    Args:
        fault: The server's fault; None if the server is healthy.
        clock: Returns the time in seconds, for schedules.

    Attributes:
        fault: The server's fault; None if the server is healthy.
        began: When it began, in seconds since the epoch.
    """

    def __init__(self, fault: Fault | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.fault = fault
        self._clock = clock
        self._started = clock()
        self.began = time.time()
        self._resolver = FaultResolver(self.elapsed)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._held: set[Callable[[], None]] = set()
        self._leaves = () if fault is None else tuple(fault.leaves)
        self._of_transfers = () if fault is None else tuple(_find_uncounted(fault, "limit_rate"))
        self._of_kernel = tuple(leaf for leaf in self._leaves if leaf.name in IN_KERNEL)

    def elapsed(self) -> float:
        """Return the seconds since the fault began."""
        return self._clock() - self._started

    def on_connection(self, peer: str) -> MetFaults:
        """Return the faults for a connection that was just accepted.

        Args:
            peer: The client's address and port.
        """
        if self.fault is None or not self.fault.meets_connections:
            return HEALTHY
        return self._resolver.resolve(self.fault, None, peer)

    def on_request(self, request: ReceivedRequest, peer: str) -> MetFaults:
        """Return the faults for a request, when its headers have been read.

        Args:
            request: The request.
            peer: The client's address and port.
        """
        if self.fault is None or not self.fault.meets_requests:
            return HEALTHY
        return self._resolver.resolve(self.fault, request, peer)

    def on_transfer(self, request: ReceivedRequest, peer: str) -> Fault | None:
        """Return the limit of the rate of a transfer that began before it; None for none."""
        for fault in self._of_transfers:
            if fault.meets(request, peer) and self.is_on(fault):
                return fault
        return None

    def is_on(self, fault: Fault) -> bool:
        """Return whether a fault's schedule says that it is on now."""
        return fault.schedule is None or fault.schedule.is_on(self.elapsed())

    @property
    def door(self) -> Door:
        """What happens to new connections now."""
        for fault in self._of_kernel:
            if self.is_on(fault):
                return "refuse" if fault.name == "refuse" else "black_hole"
        return "open"

    @property
    def is_frozen(self) -> bool:
        """Whether no byte passes now on open connections."""
        return bool(self._of_kernel) and self.door == "black_hole" and not self._over.is_set()

    def next_change(self) -> float:
        """Return the seconds until a fault of connections begins or ends; `inf` for never."""
        schedules = (leaf.schedule for leaf in self._leaves if leaf.meets_connections)
        times = (each.next_change(self.elapsed()) for each in schedules if each is not None)
        return min(times, default=math.inf)

    @property
    def striking(self) -> tuple[Fault, ...]:
        """The faults of connections that are on now, and end the open ones when they begin."""
        return tuple(leaf for leaf in self._leaves if leaf.meets_connections and self.is_on(leaf))

    def wait(self, seconds: float) -> bool:
        """Wait until the fault ends, at most `seconds`; return whether the fault has ended."""
        return self._over.wait(None if seconds == math.inf else seconds)

    def hold(self, wake: Callable[[], None]) -> bool:
        """Call `wake` when the fault ends; return False, and do nothing, if it has ended."""
        with self._lock:
            if not self._over.is_set():
                self._held.add(wake)
                return True
            return False

    def release(self, wake: Callable[[], None]) -> None:
        """Cancel a call of `hold`."""
        with self._lock:
            self._held.discard(wake)

    def end(self) -> None:
        """End the fault, and wake everything that waits for its end."""
        with self._lock:
            self._over.set()
            held = tuple(self._held)
        # Outside the lock, because a woken thread calls `release`, which takes it.
        for wake in held:
            wake()


def _find_uncounted(fault: Fault, name: str) -> Iterator[Fault]:
    """Find the faults of a name that affect all requests alike, without a count and a chance."""
    if fault.limit is not None or fault.probability < 1:
        return
    if fault.name == name:
        yield fault
    for part in fault.parts:
        yield from _find_uncounted(part, name)
