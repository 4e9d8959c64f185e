"""The servers in rotation, and the memory of which of them failed.

The rotation is the seed's: a shuffled copy, then round robin (nova ``get_api_servers``). The
memory is what nova lacks. A server that failed cools down while the others go first; when the
cool-down ends, one attempt tries it, and it is healthy again or cools for twice as long.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ... import _forks
from ..clock import Clock, double
from .host_state import SPARE, HostState, Pick, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...config import RetryPolicy, Server
    from ...errors import Reason
    from .seams import Watch


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


class ServerCycle:
    """Hands out servers in turn, those that failed lately last; safe under threads and forks.

    Args:
        servers: The servers, in any order.
        policy: Its ``cooldown_base`` and ``cooldown_cap`` are used, in seconds.
        clock: Where time comes from.
        rng: The source of the shuffle and of the jitter; by default the system's, of which no
            two processes have the same.
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
        self._rng = rng or random.SystemRandom()
        self._hosts = [HostState(server) for server in servers]
        self._rng.shuffle(self._hosts)
        self._next = 0
        self._unhealthy = 0
        # Reentrant, so that a signal handler may ask for the health.
        self._lock = threading.RLock()
        self._watches: Counter[Watch] = Counter()
        self._leaving: deque[Watch] = deque()
        self._untold = False
        _forks.track(self)

    def watch(self, watch: Watch) -> None:
        """Show each server to `watch` now, and again whenever what is known of it has changed.

        Several services may have the same watch: it is shown each change once, until as many
        have called `unwatch`.
        """
        with self._lock:
            self._dismiss()
            self._watches[watch] += 1
            for host in self._hosts:
                watch(host)

    def unwatch(self, watch: Watch) -> None:
        """Show nothing more to `watch`, unless another service has it too.

        The garbage collector may call this at any line, so that it takes no lock.
        """
        self._leaving.append(watch)

    def _show_anew(self) -> None:
        """In the child of a fork, show what the parent has told to its own watchers only."""
        if self._untold:
            self._untold = False
            for host in self._hosts:
                self._show(host)

    def _show(self, host: HostState) -> None:
        self._dismiss()
        for watch in self._watches:
            watch(host)

    def _dismiss(self) -> None:
        """Forget the watches that no service has any more."""
        while self._leaving:
            self._watches[self._leaving.popleft()] -= 1
            self._watches = +self._watches

    def pick(
        self, tried: Sequence[Server] = (), *, careful: bool = False, transfer: bool = False
    ) -> Pick:
        """Hand out the server whose turn it is.

        Healthy servers and those due for a trial come in turn. One that seems to hang, or that
        has many more attempts under way than another, is passed over: a server that does not
        answer must not gather all callers. When there is none to be had so, the one that is
        ready soonest is handed out rather than none: of those that the call has tried least,
        and of those that did not ask to be left alone, if there are such.

        Args:
            tried: The server of each attempt that the call has made; they come last.
            careful: Whether to leave trials to others where there is a choice, unless nobody
                made one for `cooldown_cap`: the next failure would cost this call too much.
            transfer: Whether the attempt will send image data.
        """
        with self._lock:
            now = self._clock.monotonic()
            self._show_anew()
            turn = self._next
            if tried or self._unhealthy or self._is_skipped(self._hosts[turn], now):
                turn = self._turn(tried, now, now - self._cap if careful else now)
            self._next = (turn + 1) % len(self._hosts)
            host = self._hosts[turn]
            healthy = host.state == "healthy"
            trial = not healthy and host.ready_at <= now
            if trial:
                # A trial that tells nothing for so long must not keep the server out for ever.
                host.enter("trial", now + self._cap)
                self._show(host)
            wait = max(0.0, host.asked_until - now)
            pick = Pick(host.server, healthy, trial, wait, host, host.epoch, now, transfer)
            host.active[pick] = None
            return pick

    def _is_skipped(self, host: HostState, now: float) -> bool:
        if not host.active or not self._base:
            return False
        under_way = len(host.active)
        if under_way > SPARE:
            others = (len(other.active) for other in self._hosts if other.state == "healthy")
            if under_way > SPARE + min(others, default=under_way):
                return True
        return host.is_stuck(now)

    def _turn(self, tried: Sequence[Server], now: float, due: float) -> int:
        for turn in self._turns():
            host = self._hosts[turn]
            usable = host.state == "healthy" or host.ready_at <= due
            if usable and host.server not in tried and not self._is_skipped(host, now):
                return turn
        return min(self._turns(), key=lambda turn: self._hosts[turn].rank(tried, now))

    def _turns(self) -> Iterable[int]:
        return chain(range(self._next, len(self._hosts)), range(self._next))

    def record_success(self, pick: Pick) -> None:
        """Give a server back that did its work."""
        host = pick.host
        with self._lock:
            if not _take_back(pick):
                return
            host.last_success = self._clock.time()
            host.answered = self._clock.monotonic()
            if host.consecutive_failures and pick.epoch == host.epoch:
                host.consecutive_failures = host.cooldowns = 0
                host.asked_until = 0.0
                if host.state != "healthy":
                    host.enter("healthy", 0.0)
                    self._unhealthy -= 1
            self._show(host)

    def record_failure(
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
            if not _take_back(pick):
                return
            now = self._clock.monotonic()
            host.blame(reason, self._clock.time())
            host.asked_until = max(host.asked_until, now + retry_after)
            # Of many attempts that fail at the same time, only the first counts.
            if self._base and (cool or pick.trial) and pick.epoch == host.epoch:
                # One that was made for want of a better server does not lengthen the cool-down.
                host.cooldowns += pick.healthy or pick.trial
                self._cool(host, now)
            elif host.state == "cooling":
                host.ready_at = max(host.ready_at, host.asked_until)
            self._show(host)

    def _cool(self, host: HostState, now: float) -> None:
        longest = double(self._base, host.cooldowns - 1, self._cap)
        wait = self._rng.uniform(longest / 2, longest)
        if host.state == "healthy":
            self._unhealthy += 1
        host.enter("cooling", max(now + wait, host.asked_until))

    def accuse(self, server: Server, reason: Reason) -> None:
        """Count a failure that showed after its attempt had succeeded: a broken stream."""
        with self._lock:
            for host in self._hosts:
                if host.server == server:
                    host.blame(reason, self._clock.time())
                    if self._base and host.state == "healthy":
                        host.cooldowns += 1
                        self._cool(host, self._clock.monotonic())
                    self._show(host)

    def release(self, pick: Pick) -> None:
        """Give a server back of which the attempt told nothing, good or bad."""
        host = pick.host
        with self._lock:
            if _take_back(pick) and pick.trial and pick.epoch == host.epoch:
                host.enter("cooling", max(self._clock.monotonic(), host.asked_until))
                self._show(host)

    def health(self) -> tuple[ServerHealth, ...]:
        """What is known of each server, in the order of the rotation."""
        with self._lock:
            self._show_anew()
            now = self._clock.monotonic()
            return tuple(
                ServerHealth(
                    host.server,
                    host.state,
                    host.consecutive_failures,
                    host.last_success,
                    host.last_failure,
                    host.last_reason,
                    len(host.active),
                    max(0.0, host.ready_at - now) if host.state == "cooling" else 0.0,
                )
                for host in self._hosts
            )

    def after_fork(self) -> None:
        """Start anew in a child: no attempt is under way there, and its turn is its own."""
        self._lock = threading.RLock()
        for host in self._hosts:
            host.active.clear()
            if host.state == "trial":
                host.enter("cooling", 0.0)
        # The fork may have come while another thread was changing a state.
        self._unhealthy = sum(host.state != "healthy" for host in self._hosts)
        self._rng.shuffle(self._hosts)
        # Not now: a watcher's locks may be held by a thread that is not in the child.
        self._untold = True


def _take_back(pick: Pick) -> bool:
    """Take a pick back; False if it was before, or was handed out in the parent process."""
    if pick not in pick.host.active:
        return False
    del pick.host.active[pick]
    return True
