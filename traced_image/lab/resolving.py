"""Finds the faults that a request meets: by its content, by counts, by chance and by the time."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from .met_faults import MetFaults
from .stages import find_stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from .fault import Fault
    from .http1 import ReceivedRequest

_Place = tuple[int, ...]
_Key = tuple[_Place, str]


@dataclass(frozen=True)
class _Caller:
    """What a fault may ask about: the request, if one was read, and its client."""

    request: ReceivedRequest | None
    peer: str

    def meets(self, fault: Fault) -> bool:
        """Return whether a fault, or any that it is made of, affects this request."""
        level = fault.meets_connections if self.request is None else fault.meets_requests
        if not level or not fault.meets(self.request, self.peer):
            return False
        return not fault.parts or any(self.meets(part) for part in fault.parts)

    def identify(self, fault: Fault) -> str:
        """Return what the fault's counts and chances belong to."""
        by = fault.counted_by
        if by is None:
            return ""
        if by in {"address", "connection"}:
            return self.peer if by == "connection" else self.peer.rpartition(":")[0]
        name = "x-auth-token" if by == "token" else by.lower()
        return "" if self.request is None else self.request.headers.get(name, "")


@dataclass
class FaultResolver:
    """The counts and chances of one active fault.

    Attributes:
        elapsed: Returns the seconds since the fault began.
    """

    elapsed: Callable[[], float]
    _counts: Counter[_Key] = field(default_factory=Counter)
    _randoms: dict[_Key, Random] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def resolve(self, fault: Fault, request: ReceivedRequest | None, peer: str) -> MetFaults:
        """Return the faults that a request meets, and count it.

        Args:
            fault: The server's fault.
            request: The request; None for a connection, before any request.
            peer: The client's address and port.
        """
        caller = _Caller(request, peer)
        with self._lock:
            return MetFaults(self._resolve(fault, caller, (), ""))

    def _resolve(
        self, fault: Fault, caller: _Caller, place: _Place, owner: str
    ) -> tuple[Fault, ...]:
        if not caller.meets(fault) or not self._is_on(fault):
            return ()
        key = (place, caller.identify(fault) or owner)
        if not self._is_chosen(fault, key):
            return ()
        before = self._count(fault, key)
        if before is None:
            return ()
        if fault.sequence:
            index = before % len(fault.sequence)
            step = fault.sequence[index]
            return () if step is None else self._resolve(step, caller, (*place, index), key[1])
        if fault.parts:
            return self._resolve_parts(fault, caller, place, key[1])
        return (self._drawn(fault, key),)

    def _resolve_parts(
        self, fault: Fault, caller: _Caller, place: _Place, owner: str
    ) -> tuple[Fault, ...]:
        """Return the faults of a combination; of two of one stage, the first."""
        found: tuple[Fault, ...] = ()
        taken: frozenset[str] = frozenset()
        for index, part in enumerate(fault.parts):
            if not find_stages(part) & taken:
                met = self._resolve(part, caller, (*place, index), owner)
                found += met
                taken = taken.union(*map(find_stages, met))
        return found

    def _is_on(self, fault: Fault) -> bool:
        return fault.schedule is None or fault.schedule.is_on(self.elapsed())

    def _is_chosen(self, fault: Fault, key: _Key) -> bool:
        return fault.probability >= 1 or self._random(fault, key).random() < fault.probability

    def _count(self, fault: Fault, key: _Key) -> int | None:
        """Count one request; return how many came before it, or None if the limit was reached."""
        if fault.limit is None and not fault.sequence:
            return 0
        if fault.limit is not None and self._counts[key] >= fault.limit:
            return None
        self._counts[key] += 1
        return self._counts[key] - 1

    def _drawn(self, fault: Fault, key: _Key) -> Fault:
        """Return the fault with the duration of this request's delay."""
        if not fault.jitter:
            return fault
        return replace(fault, interval=draw(fault, self._random(fault, key)))

    def _random(self, fault: Fault, key: _Key) -> Random:
        if key not in self._randoms:
            self._randoms[key] = Random(f"{fault.seed} {key}")
        return self._randoms[key]


def draw(fault: Fault, random: Random) -> float:
    """Return the duration of one delay in seconds, by the fault's distribution.

    Args:
        fault: The fault, with its `interval`, `jitter` and `distribution`.
        random: The source of chance.
    """
    middle, spread = fault.interval, fault.jitter
    if fault.distribution == "uniform":
        seconds = random.uniform(middle - spread, middle + spread)
    elif fault.distribution == "normal":
        seconds = random.gauss(middle, spread)
    elif fault.distribution == "exponential":
        seconds = middle + random.expovariate(1 / spread)
    else:
        seconds = middle * random.lognormvariate(0, spread)
    return max(0.0, seconds)
