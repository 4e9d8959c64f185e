"""The servers in rotation, and the memory of which of them failed.

The rotation is the seed's: a shuffled copy, then round robin (nova ``get_api_servers``). The
memory is what nova lacks. A server that failed cools down while the others go first; when the
cool-down ends, one attempt tries it, and it is healthy again or cools for twice as long.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from . import forks
from .clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import RetryPolicy, Server
    from ..errors import Reason

State = Literal["healthy", "cooling", "trial"]


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """What the cycle knows of one server.

    Attributes:
        server: The server.
        state: ``healthy``, ``cooling`` after a failure, or on ``trial`` after its cool-down.
        consecutive_failures: Failed attempts since the last one that succeeded.
        last_success: When an attempt last succeeded, in seconds since the epoch.
        last_failure: When an attempt last failed, in seconds since the epoch.
        last_reason: Why it last failed.
        active_attempts: Attempts under way.
        ready_in: Seconds until its cool-down ends; 0 unless it is cooling.
    """

    server: Server
    state: State
    consecutive_failures: int
    last_success: float | None
    last_failure: float | None
    last_reason: Reason | None
    active_attempts: int
    ready_in: float


@dataclass(slots=True, eq=False)
class _Host:
    """One server's mutable state, guarded by the cycle's lock.

    `epoch` counts its changes between healthy and cooling: what an attempt tells that began in
    an earlier epoch is out of date.
    """

    server: Server
    state: State = "healthy"
    consecutive_failures: int = 0
    cooldowns: int = 0
    epoch: int = 0
    ready_at: float = 0.0
    asked_until: float = 0.0
    last_success: float | None = None
    last_failure: float | None = None
    last_reason: Reason | None = None
    active: int = 0


@dataclass(frozen=True, slots=True)
class Pick:
    """A server handed out for one attempt; it must be given back with its outcome.

    Attributes:
        server: The server to try.
        healthy: Whether nothing speaks against it.
        trial: Whether this is the one attempt that tries it after its cool-down.
        wait: Seconds that the server asked to be left alone yet (``Retry-After``).
    """

    server: Server
    healthy: bool
    trial: bool
    wait: float
    host: _Host = field(repr=False)
    epoch: int = field(repr=False)


class ServerCycle:
    """Hands out servers in turn, those that failed lately last; safe under threads and forks.

    Args:
        servers: The servers, in any order.
        policy: Its ``cooldown_base`` and ``cooldown_cap`` are used, in seconds.
        clock: Where time comes from.
        rng: The source of the shuffle and of the jitter.
    """

    def __init__(
        self,
        servers: Iterable[Server],
        policy: RetryPolicy,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._base = policy.cooldown_base
        self._cap = policy.cooldown_cap
        self._clock = clock or Clock()
        self._rng = rng or random.Random()
        self._hosts = [_Host(server) for server in servers]
        self._rng.shuffle(self._hosts)
        self._next = 0
        self._unhealthy = 0
        self._lock = threading.Lock()
        forks.track(self)

    def __len__(self) -> int:
        return len(self._hosts)

    def pick(self) -> Pick:
        """Hand out the server whose turn it is.

        Healthy servers and those due for a trial come in turn. When there are none, the one
        whose cool-down ends soonest is handed out rather than none.
        """
        with self._lock:
            now = self._clock.monotonic()
            turn = self._next if self._unhealthy == 0 else self._turn_among_unhealthy(now)
            self._next = (turn + 1) % len(self._hosts)
            host = self._hosts[turn]
            healthy = host.state == "healthy"
            trial = host.state == "cooling" and host.ready_at <= now
            if trial:
                host.state = "trial"
            host.active += 1
            wait = max(0.0, host.asked_until - now)
            return Pick(host.server, healthy, trial, wait, host, host.epoch)

    def _turn_among_unhealthy(self, now: float) -> int:
        count = len(self._hosts)
        turns = [(self._next + turn) % count for turn in range(count)]
        usable = (turn for turn in turns if self._usable(self._hosts[turn], now))
        soonest = min(turns, key=lambda turn: self._hosts[turn].ready_at)
        return next(usable, soonest)

    @staticmethod
    def _usable(host: _Host, now: float) -> bool:
        return host.state == "healthy" or (host.state == "cooling" and host.ready_at <= now)

    def succeeded(self, pick: Pick) -> None:
        """Give a server back that did its work."""
        host = pick.host
        with self._lock:
            host.active -= 1
            host.last_success = self._clock.time()
            if host.consecutive_failures and pick.epoch == host.epoch:
                host.consecutive_failures = 0
                if host.state != "healthy":
                    host.state = "healthy"
                    host.epoch += 1
                    host.cooldowns = 0
                    host.ready_at = 0.0
                    self._unhealthy -= 1

    def failed(
        self, pick: Pick, reason: Reason, *, cool: bool = True, retry_after: float = 0.0
    ) -> None:
        """Give a server back that failed.

        Args:
            pick: What `pick` handed out.
            reason: Why the attempt failed.
            cool: Whether the failure speaks against the server for the next calls too.
            retry_after: Seconds that the server asked to be left alone.
        """
        host = pick.host
        with self._lock:
            host.active -= 1
            host.consecutive_failures += 1
            host.last_failure = self._clock.time()
            host.last_reason = reason
            if retry_after:
                host.asked_until = self._clock.monotonic() + retry_after
            # Of many attempts that fail at the same time, only the first lengthens the cool-down.
            if self._base and (cool or pick.trial) and pick.epoch == host.epoch:
                self._cool(host)

    def _cool(self, host: _Host) -> None:
        if host.state == "healthy":
            self._unhealthy += 1
        host.state = "cooling"
        longest = min(self._cap, self._base * 2.0 ** min(host.cooldowns, 32))
        host.cooldowns += 1
        host.epoch += 1
        wait = self._rng.uniform(longest / 2, longest)
        host.ready_at = max(self._clock.monotonic() + wait, host.asked_until)

    def accuse(self, server: Server, reason: Reason) -> None:
        """Count a failure that showed after its attempt had succeeded: a broken stream."""
        with self._lock:
            for host in self._hosts:
                if host.server == server:
                    host.consecutive_failures += 1
                    host.last_failure = self._clock.time()
                    host.last_reason = reason
                    if self._base:
                        self._cool(host)

    def abandoned(self, pick: Pick) -> None:
        """Give a server back of which the attempt told nothing, good or bad."""
        host = pick.host
        with self._lock:
            host.active -= 1
            if pick.trial and host.state == "trial":
                host.state = "cooling"

    def health(self) -> tuple[ServerHealth, ...]:
        """What is known of each server, in the order of the rotation."""
        with self._lock:
            now = self._clock.monotonic()
            return tuple(
                ServerHealth(
                    host.server,
                    host.state,
                    host.consecutive_failures,
                    host.last_success,
                    host.last_failure,
                    host.last_reason,
                    host.active,
                    max(0.0, host.ready_at - now),
                )
                for host in self._hosts
            )

    def after_fork(self) -> None:
        """Start anew in a child: no attempt is under way there, and its turn is its own."""
        self._lock = threading.Lock()
        self._rng.seed()
        for host in self._hosts:
            host.active = 0
            if host.state == "trial":
                host.state = "cooling"
        self._rng.shuffle(self._hosts)
        self._next = 0
