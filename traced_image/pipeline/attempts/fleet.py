"""What all services of a process share that talk to the same servers."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ... import _forks
from .cycle import ServerCycle
from .retry_budget import RetryBudget

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from ...config import Config, RetryPolicy, Server
    from ..clock import Clock


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
    """The fleets in use, by what they go by, and the last few that were."""

    def __init__(self) -> None:
        self._fleets: weakref.WeakValueDictionary[object, Fleet] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[object, Fleet] = OrderedDict()
        self._lock = threading.Lock()
        _forks.track(self)

    def get(self, config: Config) -> Fleet:
        key = _make_key(config)
        with self._lock:
            fleet = self._fleets.get(key)
            if fleet is None:
                fleet = self._fleets[key] = Fleet.of(config.servers, config.retry)
            self._recent[key] = fleet
            self._recent.move_to_end(key)
            if len(self._recent) > KEPT:
                self._recent.popitem(last=False)
            return fleet

    def after_fork(self) -> None:
        """Start anew in a child, where nobody holds the lock."""
        self._lock = threading.Lock()


def _make_key(config: Config) -> tuple[object, ...]:
    """What services must agree on to share what they learn.

    Beside the servers, that is how long one cools down and what the budget allows; and what
    certificates are trusted and shown, lest one service's mistake there cool another's servers.
    """
    policy = config.retry
    return (
        frozenset(config.servers),
        (policy.cooldown_base, policy.cooldown_cap, policy.budget_share, policy.budget_floor),
        (config.insecure, config.cafile, config.certfile, config.keyfile),
    )


_registry = _Registry()


def share_fleet(config: Config) -> Fleet:
    """The fleet that every service uses that has these servers, and goes by the same rules.

    It outlives the service: nova makes one for every operation, and forgets with it which server
    was dead.
    """
    return _registry.get(config)
