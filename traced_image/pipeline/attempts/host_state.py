"""One server of the cycle as its attempts go: healthy, cooling after a failure, or on trial."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config import Server
    from ...errors import Reason


State = Literal["healthy", "cooling", "trial"]

STUCK_AFTER = 1.0
"""Seconds without an answer to anybody, after which a server that owes one is passed over."""

SPARE = 2
"""Attempts that may always be under way on a server, however few are on the others."""


@dataclass(slots=True, eq=False)
class HostState:
    """One server's mutable state, guarded by the cycle's lock.

    Attributes:
        server: The server.
        state: Whether it is healthy.
        epoch: Counts its changes of state. What an attempt tells that began in an earlier epoch
            is out of date.
        ready_at: When it may be tried again: its cool-down ends, or its trial has lasted so
            long that another one is due. In monotonic seconds.
        asked_until: Until when it asked to be left alone, in monotonic seconds.
        cooldowns: Failures in a row that each lengthened the cool-down.
        consecutive_failures: Failed attempts since the last one that succeeded.
        last_success: When an attempt last succeeded, in seconds since the epoch.
        last_failure: When an attempt last failed, in seconds since the epoch.
        last_reason: Why it last failed.
        answered: When an attempt last succeeded, in monotonic seconds.
        active: The picks that were handed out and not yet given back, oldest first.
    """

    server: Server
    state: State = "healthy"
    epoch: int = 0
    ready_at: float = 0.0
    asked_until: float = 0.0
    cooldowns: int = 0
    consecutive_failures: int = 0
    last_success: float | None = None
    last_failure: float | None = None
    last_reason: Reason | None = None
    answered: float = 0.0
    active: dict[Pick, None] = field(default_factory=dict)

    def enter(self, state: State, ready_at: float) -> None:
        """Change its state."""
        self.state = state
        self.ready_at = ready_at
        self.epoch += 1

    def rank(self, tried: Sequence[Server], now: float) -> tuple[bool, int, bool, float, int]:
        """Where it stands among servers none of which is free: the lowest goes first."""
        return (
            self.asked_until > now,
            tried.count(self.server),
            self.is_stuck(now),
            self.ready_at,
            len(self.active),
        )

    def is_stuck(self, now: float) -> bool:
        """Whether it owes an answer for long and gives none to others: it may hang.

        A read timeout tells that too, but later, and only to those who wait for it already.
        """
        oldest = next((pick.since for pick in self.active if not pick.transfer), now)
        return now - max(oldest, self.answered) > STUCK_AFTER

    def blame(self, reason: Reason, when: float) -> None:
        """Note a failed attempt."""
        self.consecutive_failures += 1
        self.last_failure = when
        self.last_reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class Pick:
    """A server handed out for one attempt; it must be given back with its outcome.

    Attributes:
        server: The server to try.
        healthy: Whether nothing speaks against it.
        trial: Whether this is the one attempt that tries it after its cool-down.
        wait: Seconds that the server asked to be left alone yet (``Retry-After``).
        since: When it was handed out, in monotonic seconds.
        transfer: Whether image data is sent, which takes as long as it takes.
    """

    server: Server
    healthy: bool
    trial: bool
    wait: float
    host: HostState = field(repr=False)
    epoch: int = field(repr=False)
    since: float = field(default=0.0, repr=False)
    transfer: bool = field(default=False, repr=False)
