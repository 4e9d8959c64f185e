"""The state of one server of the cycle: healthy, cooling after a failure, or on trial."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config import Server
    from ...errors import Reason


State = Literal["healthy", "cooling", "trial"]
ShownState = Literal["healthy", "failing", "cooling", "trial"]

STUCK_AFTER = 1.0
"""Seconds without any answer after which the cycle skips a server with attempts under way."""

SPARE = 2
"""Attempts that may be under way on a server even if no attempt is on the other servers."""


_DRIFT = 1.25
"""How much an answer that is slower than usual changes what is usual, at most."""


@dataclass(slots=True, eq=False)
class HostState:
    """One server's mutable state; the cycle's lock guards it.

    Attributes:
        server: The server.
        state: ``healthy``, ``cooling`` or ``trial``.
        epoch: The number of changes of state. The outcome of an attempt that began in an earlier
            epoch is out of date.
        ready_at: When the server may be tried again, in monotonic seconds: at the end of its
            cool-down, or when its trial has lasted so long that another one is due.
        trial_at: When that is in seconds since the epoch, as the watches were last shown it; None
            if the server does not cool down.
        asked_until: The end of the wait that the server asked for, in monotonic seconds.
        cooldowns: Failures in a row that each lengthened the cool-down.
        consecutive_failures: Failed attempts since the last successful one.
        last_success: When an attempt last succeeded, in seconds since the epoch.
        last_failure: When an attempt last failed, in seconds since the epoch.
        last_reason: The reason of its last failure.
        answered: When an attempt last succeeded, in monotonic seconds.
        usual: Seconds that its quick answers take, about; 0 if it has not answered yet.
        active: The picks whose attempts are under way, the oldest first. A dict keeps that order
            and removes any pick in constant time.
    """

    server: Server
    state: State = "healthy"
    epoch: int = 0
    ready_at: float = 0.0
    trial_at: float | None = None
    asked_until: float = 0.0
    cooldowns: int = 0
    consecutive_failures: int = 0
    last_success: float | None = None
    last_failure: float | None = None
    last_reason: Reason | None = None
    answered: float = 0.0
    usual: float = 0.0
    active: dict[Pick, None] = field(default_factory=dict)

    @property
    def shown_state(self) -> ShownState:
        """The state, or ``failing`` for a server that stays in turn although it fails.

        It stays if the policy has no cool-down, or after a failure that may concern one image.
        """
        failing = self.state == "healthy" and self.consecutive_failures
        return "failing" if failing else self.state

    def enter(self, state: State, ready_at: float) -> None:
        """Change the state, and begin a new epoch."""
        self.state = state
        self.ready_at = ready_at
        self.epoch += 1

    def rank(self, tried: Sequence[Server], now: float) -> tuple[bool, int, bool, float, int]:
        """Return the sort key for a choice among servers that are all skipped: lowest first."""
        return (
            self.asked_until > now,
            tried.count(self.server),
            self.is_stuck(now),
            self.ready_at,
            len(self.active),
        )

    def is_stuck(self, now: float) -> bool:
        """Return whether an attempt has waited long, and no other attempt got an answer.

        The server may hang. A read timeout shows that later, and only to the callers that
        already wait.
        """
        # Uploads do not count: a server answers one only after it has stored all of the data.
        oldest = next((pick.since for pick in self.active if not pick.transfer), now)
        return now - max(oldest, self.answered) > STUCK_AFTER

    def note_duration(self, seconds: float) -> None:
        """Record how long a successful attempt took."""
        # A quicker answer counts at once, and slower ones only slowly: a large list or a wait in
        # between says little about how long the server needs.
        self.usual = min(seconds, self.usual * _DRIFT) if self.usual else seconds

    def blame(self, reason: Reason, when: float) -> None:
        """Record a failed attempt."""
        self.consecutive_failures += 1
        self.last_failure = when
        self.last_reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class Pick:
    """The server for one attempt; the attempt's outcome must end the pick.

    Attributes:
        server: The server to try.
        healthy: Whether the server is healthy.
        trial: Whether the attempt is the server's trial after its cool-down.
        wait: Seconds left of the wait that the server asked for (``Retry-After``).
        since: When the pick was made, in monotonic seconds.
        transfer: Whether the attempt sends image data, for which no time limit applies.
        spare: Whether another server is healthy, so that a trial may be given up early.
        usual: Seconds that a quick answer takes of this server, or of the quickest healthy one if
            that is longer; 0 if unknown.
    """

    server: Server
    healthy: bool
    trial: bool
    wait: float
    host: HostState = field(repr=False)
    epoch: int = field(repr=False)
    since: float = field(default=0.0, repr=False)
    transfer: bool = field(default=False, repr=False)
    spare: bool = field(default=False, repr=False)
    usual: float = field(default=0.0, repr=False)
