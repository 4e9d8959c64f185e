"""What all services of a process share that talk to the same servers."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import forks
from .budget import RetryBudget
from .cycle import ServerCycle

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from ..config import RetryPolicy, Server
    from .clock import Clock

KEPT = 64
"""How many server lists are remembered though no service has them: those asked for last."""


@dataclass(frozen=True)
class Fleet:
    """The servers of one list: their rotation and health, and the budget for retries on them."""

    cycle: ServerCycle
    budget: RetryBudget

    @classmethod
    def of(
        cls,
        servers: Iterable[Server],
        policy: RetryPolicy,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> Fleet:
        """Build a fleet that nobody else shares."""
        return cls(
            ServerCycle(servers, policy, clock, rng),
            RetryBudget(policy.budget_share, policy.budget_floor, clock),
        )


class _Registry:
    """The fleets in use, by their servers and policy, and the last few that were."""

    def __init__(self) -> None:
        self._fleets: weakref.WeakValueDictionary[object, Fleet] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[object, Fleet] = OrderedDict()
        self._lock = threading.Lock()
        forks.track(self)

    def get(self, servers: tuple[Server, ...], policy: RetryPolicy) -> Fleet:
        key = (frozenset(servers), policy)
        with self._lock:
            fleet = self._fleets.get(key)
            if fleet is None:
                fleet = self._fleets[key] = Fleet.of(servers, policy)
            self._recent[key] = fleet
            self._recent.move_to_end(key)
            if len(self._recent) > KEPT:
                self._recent.popitem(last=False)
            return fleet

    def after_fork(self) -> None:
        """Start anew in a child, where nobody holds the lock."""
        self._lock = threading.Lock()


_registry = _Registry()


def shared_fleet(servers: tuple[Server, ...], policy: RetryPolicy) -> Fleet:
    """The fleet that every service with this server list and policy uses.

    It outlives the service: nova makes one for every operation, and forgets with it which server
    was dead.
    """
    return _registry.get(servers, policy)
