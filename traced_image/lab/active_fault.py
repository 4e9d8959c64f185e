"""A server's fault while it is active: which requests it affects, and what waits for its end."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .fault import Fault
    from .http1 import ReceivedRequest


class ActiveFault:
    """A server's fault, from ``break_with()`` to the next ``break_with()`` or ``heal()``.

    Args:
        fault: The server's fault; None if the server is healthy.
    """

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._met = 0
        self._held: set[Callable[[], None]] = set()

    def on_connection(self) -> Fault | None:
        """Return the fault for a connection that was just accepted; None for none."""
        fault = self.fault
        if fault is None or not fault.meets_connections:
            return None
        return fault if self._count(fault) is not None else None

    def on_request(self, request: ReceivedRequest) -> Fault | None:
        """Return the fault for a request, when its headers have been read; None for none."""
        fault = self.fault
        if fault is None or fault.meets_connections or not fault.meets(request):
            return None
        met = self._count(fault)
        if met is None:
            return None
        if not fault.sequence:
            return fault
        step = fault.sequence[met % len(fault.sequence)]
        return step if step is not None and step.meets(request) else None

    def _count(self, fault: Fault) -> int | None:
        """Count one request; return how many came before it, or None if the limit was reached."""
        with self._lock:
            if fault.limit is not None and self._met >= fault.limit:
                return None
            self._met += 1
            return self._met - 1

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
