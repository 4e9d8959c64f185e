"""The cycle and the retry budget that all services of a process share for the same servers."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ... import _forks
from .retry_budget import RetryBudget
from .server_cycle import ServerCycle

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from ...config import Config, RetryPolicy, Server
    from ..clock import Clock


KEPT = 64
"""How many fleets stay in memory although no service uses them: the most recent ones.

nova makes a service for every operation. Without these, each would forget the failed servers.
"""


@dataclass(frozen=True)
class Fleet:
    """The servers of one list: their cycle with their health, and the retry budget for them."""

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
        """Build a fleet that no other service shares."""
        return cls(
            ServerCycle(servers, policy, clock, rng),
            RetryBudget(policy.budget_share, policy.budget_floor, clock),
        )


class _Registry:
    """The fleets that services use and the most recent others, by their keys."""

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
        """Replace the lock in a child: a thread of the parent may hold the old one."""
        self._lock = threading.Lock()


def _make_key(config: Config) -> tuple[object, ...]:
    """Build the key of a configuration; services with equal keys share a fleet.

    The key has the servers, the settings of cool-down, budget and verdicts, and the TLS settings.
    Without the last two, one service's wrong certificate, or what it alone takes for a failure,
    would cool the servers of another service.
    """
    policy = config.retry
    return (
        frozenset(config.servers),
        (policy.cooldown_base, policy.cooldown_cap, policy.budget_share, policy.budget_floor),
        (policy.statuses, policy.protocol_errors),
        (config.insecure, config.cafile, config.certfile, config.keyfile),
    )


_registry = _Registry()


def share_fleet(config: Config) -> Fleet:
    """Return the fleet that all services with the same servers and the same rules share.

    The fleet outlives the service. nova makes a service for every operation, and so it forgets
    which servers failed.
    """
    return _registry.get(config)
