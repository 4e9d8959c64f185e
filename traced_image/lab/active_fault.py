"""One fault's time on a server: which requests it still meets, and what waits for its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .faults import Fault
    from .http1 import ReceivedRequest


class ActiveFault:
    """From ``break_with()`` to the next one, or to ``heal()``.

    Args:
        fault: What the server has; None if it is well.
    """

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._met = 0
        self._held: set[Callable[[], None]] = set()

    def on_connection(self) -> Fault | None:
        """The fault for a connection that was just accepted."""
        fault = self.fault
        if fault is None or not fault.meets_connections:
            return None
        return fault if self._count(fault) is not None else None

    def on_request(self, request: ReceivedRequest) -> Fault | None:
        """The fault for a request whose headers were just read."""
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
        """How many the fault had met before this one; None if that was the limit."""
        with self._lock:
            if fault.limit is not None and self._met >= fault.limit:
                return None
            self._met += 1
            return self._met - 1

    def wait(self, seconds: float) -> bool:
        """Wait, but not beyond the end; return whether that has come."""
        return self._over.wait(seconds)

    def hold(self, wake: Callable[[], None]) -> bool:
        """Have `wake` called at the end; False if that has come already."""
        with self._lock:
            if not self._over.is_set():
                self._held.add(wake)
                return True
            return False

    def release(self, wake: Callable[[], None]) -> None:
        """Take back what `hold` was given."""
        with self._lock:
            self._held.discard(wake)

    def end(self) -> None:
        """Wake everything that waits."""
        with self._lock:
            self._over.set()
            held = tuple(self._held)
        for wake in held:
            wake()
