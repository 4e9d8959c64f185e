"""The cycle of servers: the order in which calls try them, and what is known of their health.

The order is that of nova's ``get_api_servers``: a shuffled list, then round robin. nova has no
memory of failures; this module adds it. A server that failed cools down while the other servers
come first. After the cool-down, one attempt is the server's trial. If the trial succeeds, the
server is healthy again; if it fails, the server cools down for twice as long.

While another server is healthy, a trial has little time (``trial_timeout``), because its caller
would get an answer elsewhere. If only that time ran out, nobody knows whether the server is broken
or slow. So it cools down again for no longer than before, and its trials do not become rarer. A
server that is slow but well comes back: a trial has at least twice the time of quick answers,
those of the server itself before it failed, or those of the quickest healthy server. And it has
the full time if no other server is healthy. A trial that is overdue has no more time than others:
a caller that comes every other minute would wait the full time for a server that hangs.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from ... import _forks
from ..clock import Clock, double
from .host_state import SPARE, HostState, Pick, ShownState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...config import RetryPolicy, Server
    from ...errors import Reason
    from .seams import Watch


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """The health of one server at one moment.

    Attributes:
        server: The server.
        state: ``healthy``; ``failing`` if it stays in turn although it fails, because the policy
            has no cool-down or the failure may concern one image; ``cooling`` after a failure; or
            on ``trial`` after its cool-down.
        consecutive_failures: Failed attempts since the last successful one.
        last_success: When an attempt last succeeded, in seconds since the epoch.
        last_failure: When an attempt last failed, in seconds since the epoch.
        last_reason: The reason of its last failure.
        active_attempts: How many attempts are under way.
        ready_in: Seconds until its cool-down ends; 0 unless it is cooling.
    """

    server: Server
    state: ShownState
    consecutive_failures: int
    last_success: float | None
    last_failure: float | None
    last_reason: Reason | None
    active_attempts: int
    ready_in: float


class ServerCycle:
    """The servers in turn, those that failed recently last; safe with threads and forks.

    Args:
        servers: The servers, in any order.
        policy: The retry policy; only its ``cooldown_base`` and ``cooldown_cap`` count here.
        clock: The source of time.
        rng: The source of the shuffle and of the jitter; by default the system's, so that no two
            processes get the same numbers.
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
        # Reentrant, so that a signal handler may call `health` while its thread has the lock.
        self._lock = threading.RLock()
        self._watches: Counter[Watch] = Counter()
        self._leaving: deque[Watch] = deque()
        self._untold = False
        _forks.track(self)

    def watch(self, watch: Watch) -> None:
        """Call `watch` with each server now, and again after each change of a server's state.

        Several services may pass the same watch. The cycle calls it once for each change, until
        `unwatch` was called as often as this method.
        """
        with self._lock:
            self._dismiss()
            self._watches[watch] += 1
            for host in self._hosts:
                watch(host)

    def unwatch(self, watch: Watch) -> None:
        """Stop calling `watch`, unless another service passed it too."""
        # The garbage collector may call this at any line, also while this thread changes the
        # watches. So it takes no lock: it only appends to a deque, which is atomic.
        self._leaving.append(watch)

    def _show_anew(self) -> None:
        """Call the watches for all servers if this is the first use in the child of a fork."""
        if self._untold:
            self._untold = False
            for host in self._hosts:
                self._show(host)

    def _show(self, host: HostState) -> None:
        self._dismiss()
        cooling = host.state == "cooling"
        now = self._clock
        host.trial_at = now.time() + host.ready_at - now.monotonic() if cooling else None
        for watch in self._watches:
            watch(host)

    def _dismiss(self) -> None:
        """Remove the watches that `unwatch` has queued."""
        while self._leaving:
            self._watches[self._leaving.popleft()] -= 1
            # Unary plus drops the watches with a count of 0.
            self._watches = +self._watches

    def pick(
        self, tried: Sequence[Server] = (), *, careful: bool = False, transfer: bool = False
    ) -> Pick:
        """Return the next server in turn, for one attempt.

        Healthy servers and servers due for a trial come in turn. The cycle skips a server that
        seems to hang, or that has many more attempts under way than another one. Otherwise a
        server that does not answer would collect all callers.

        If every server is skipped, cooling or tried before, the cycle returns one all the same.
        It prefers, in this order, servers that did not ask for a wait (``Retry-After``), servers
        that the call has tried least often, servers that do not hang, and the one that is ready
        first.

        Args:
            tried: The server of each attempt that the call has made; they come last.
            careful: Whether to leave trials to other calls if there is a choice, because another
                failure would cost this call too much. A trial that is overdue by
                ``cooldown_cap`` seconds is made all the same.
            transfer: Whether the attempt will send image data.

        Returns:
            The server to try. `record_success`, `record_failure` or `release` must follow.
        """
        pick = None
        try:
            with self._lock:
                pick = self._pick(tried, careful=careful, transfer=transfer)
        except BaseException:
            # A signal handler raised before the caller got the pick, to end it. The server would
            # seem to hang for ever.
            if pick is not None:
                self.release(pick)
            raise
        return pick

    def _pick(self, tried: Sequence[Server], *, careful: bool, transfer: bool) -> Pick:
        now = self._clock.monotonic()
        self._show_anew()
        turn = self._next
        # The common case takes no loop: a first attempt while all servers are healthy.
        if tried or self._unhealthy or self._is_skipped(self._hosts[turn], now):
            turn = self._turn(tried, now, now - self._cap if careful else now)
        self._next = (turn + 1) % len(self._hosts)
        host = self._hosts[turn]
        healthy = host.state == "healthy"
        trial = not healthy and host.ready_at <= now
        if trial:
            # If the trial has no outcome after `cooldown_cap` seconds, another one may start.
            # Otherwise a trial that hangs would keep the server from all calls.
            host.enter("trial", now + self._cap)
            self._show(host)
        wait = max(0.0, host.asked_until - now)
        pick = Pick(host.server, healthy, trial, wait, host, host.epoch, now, transfer)
        if trial:
            pick = self._with_spare(pick)
        host.active[pick] = None
        return pick

    def _with_spare(self, pick: Pick) -> Pick:
        """Add to a trial whether another server is healthy, and how long quick answers take."""
        others = [
            host
            for host in self._hosts
            if host.state == "healthy" and not host.is_stuck(pick.since)
        ]
        quickest = min((host.usual for host in others if host.usual), default=0.0)
        return replace(pick, spare=bool(others), usual=max(pick.host.usual, quickest))

    def _is_skipped(self, host: HostState, now: float) -> bool:
        # Without cool-downs the cycle is nova's plain round robin, which skips no server.
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
        """Record that an attempt succeeded, and end its pick."""
        host = pick.host
        with self._lock:
            if not _take_back(pick):
                return
            host.last_success = self._clock.time()
            host.answered = self._clock.monotonic()
            if not pick.transfer:
                host.note_duration(host.answered - pick.since)
            # An attempt of an earlier epoch began before the last change of state, so its success
            # does not end the cool-down.
            if host.consecutive_failures and pick.epoch == host.epoch:
                host.consecutive_failures = host.cooldowns = 0
                host.asked_until = 0.0
                if host.state != "healthy":
                    host.enter("healthy", 0.0)
                    self._unhealthy -= 1
            self._show(host)

    def record_failure(
        self,
        pick: Pick,
        reason: Reason,
        *,
        cool: bool = True,
        retry_after: float = 0.0,
        cut_short: bool = False,
    ) -> None:
        """Record that an attempt failed, and end its pick.

        Args:
            pick: The result of `pick`.
            reason: Why the attempt failed.
            cool: Whether the server cools down, because other calls would fail on it too.
            retry_after: Seconds that the server asked clients to wait.
            cut_short: Whether only the time of the trial ran out, so that the next cool-down is
                as long as the last one.
        """
        host = pick.host
        with self._lock:
            if not _take_back(pick):
                return
            now = self._clock.monotonic()
            host.blame(reason, self._clock.time())
            host.asked_until = max(host.asked_until, now + retry_after)
            # Of many attempts that fail at the same time, only the first starts a cool-down: it
            # changes the epoch. Otherwise one outage would double the cool-down many times.
            if self._base and (cool or pick.trial) and pick.epoch == host.epoch:
                # An attempt on a cooling server, made because no better one was left, does not
                # lengthen the cool-down.
                host.cooldowns += (pick.healthy or pick.trial) and not cut_short
                self._cool(host, now)
            elif host.state == "cooling":
                host.ready_at = max(host.ready_at, host.asked_until)
            self._show(host)

    def _cool(self, host: HostState, now: float) -> None:
        longest = double(self._base, host.cooldowns - 1, self._cap)
        # Jitter over the upper half, so that processes do not all make their trial at once.
        wait = self._rng.uniform(longest / 2, longest)
        if host.state == "healthy":
            self._unhealthy += 1
        host.enter("cooling", max(now + wait, host.asked_until))

    def accuse(self, server: Server, reason: Reason) -> None:
        """Record a broken stream: a failure after its attempt had succeeded."""
        with self._lock:
            for host in self._hosts:
                if host.server == server:
                    host.blame(reason, self._clock.time())
                    if self._base and host.state == "healthy":
                        host.cooldowns += 1
                        self._cool(host, self._clock.monotonic())
                    self._show(host)

    def release(self, pick: Pick) -> None:
        """End a pick whose attempt says nothing about the server's health."""
        host = pick.host
        with self._lock:
            if _take_back(pick) and pick.trial and pick.epoch == host.epoch:
                host.enter("cooling", max(self._clock.monotonic(), host.asked_until))
                self._show(host)

    def health(self) -> tuple[ServerHealth, ...]:
        """Return the health of each server, in the order of the cycle."""
        with self._lock:
            self._show_anew()
            now = self._clock.monotonic()
            return tuple(
                ServerHealth(
                    host.server,
                    host.shown_state,
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
        """Reset in a child: no attempt is under way there, and the order is shuffled again."""
        self._lock = threading.RLock()
        for host in self._hosts:
            host.active.clear()
            if host.state == "trial":
                host.enter("cooling", 0.0)
        # The fork may have come while another thread was changing a state.
        self._unhealthy = sum(host.state != "healthy" for host in self._hosts)
        # Otherwise all workers of a pre-forking server would try the same server first.
        self._rng.shuffle(self._hosts)
        # Call the watches at the next use, not now: their locks may not have been reset yet.
        self._untold = True


def _take_back(pick: Pick) -> bool:
    """End a pick; return False if it has ended before or comes from the parent process."""
    if pick not in pick.host.active:
        return False
    del pick.host.active[pick]
    return True
