"""The last hour as values."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..telemetry.updates import ServerKey

MINUTE = 60.0
MINUTES = 60
"""How many minutes the journal keeps."""

PAUSE = 300.0
"""Seconds without a failure of Keystone after which the next one begins another trouble."""

LATEST = 50
"""How many failed calls the journal keeps, and how many that retries saved."""

LAST = 16
"""Of how many of a server's last attempts the journal keeps how they ended."""

MOST_FAILURES = 10
"""How many servers that failed a call the journal keeps with it."""


@dataclass(slots=True)
class Cell:
    """One minute of one server.

    Attributes:
        minute: Minutes since the epoch.
        succeeded: How many attempts succeeded.
        failed: How many attempts failed, by reason.
        refused: How many attempts the server refused, such as by 404, by reason.
        seconds: How many attempts succeeded, by the histogram bucket of their duration.
        operations: How many attempts there were, by operation.
        failed_operations: How many attempts failed, by operation.
        longest: Seconds of the longest attempt that succeeded.
        cost: Seconds that retries added to calls that they saved, after this server failed.
        saved: How many calls retries saved, after this server failed.
    """

    minute: int
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    failed_operations: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    cost: float = 0.0
    saved: int = 0

    def count(self) -> int:
        """Return how many attempts there were."""
        return self.succeeded + self.failed.total() + self.refused.total()

    def add(self, other: Cell) -> None:
        """Add what happened in another minute, or in another process."""
        self.succeeded += other.succeeded
        self.failed.update(other.failed)
        self.refused.update(other.refused)
        self.seconds.update(other.seconds)
        self.operations.update(other.operations)
        self.failed_operations.update(other.failed_operations)
        self.longest = max(self.longest, other.longest)
        self.cost += other.cost
        self.saved += other.saved

    def copy(self) -> Cell:
        """Return a copy, which does not change."""
        cell = Cell(self.minute)
        cell.add(self)
        return cell


class CallFailure(NamedTuple):
    """Why a call needed another attempt, or failed.

    Attributes:
        address: The server's address, as in the metrics' labels.
        port: Its port.
        reason: Why it failed.
        seconds: How long the call lost by that, including the wait for the next attempt.
    """

    address: str
    port: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A call that failed, or that retries saved.

    Attributes:
        when: The time at which the call ended, in seconds since the epoch.
        operation: What the call asked of Glance.
        outcome: One of the catalogue's outcomes.
        reason: Why the call failed; empty if it did not.
        seconds: How long the call took.
        trace_id: The id of its trace in hex digits; None if it was not sampled.
        attempts: How many attempts it made.
        failures: The first servers that failed it, at most `MOST_FAILURES`.
    """

    when: float
    operation: str
    outcome: str
    reason: str
    seconds: float
    trace_id: str | None
    attempts: int = 1
    failures: tuple[CallFailure, ...] = ()


@dataclass(slots=True)
class OperationAccount:
    """What is known of one operation on one server. Times are seconds since the epoch; 0 for never.

    Attributes:
        since: When the first of its failures in a row ended; 0 if the last attempt did not fail.
        last_success: When an attempt last did not fail.
        last_failure: When an attempt last failed.
        last_error: The reason of the last failure; empty if no attempt has failed.
    """

    since: float = 0.0
    last_success: float = 0.0
    last_failure: float = 0.0
    last_error: str = ""


@dataclass(slots=True)
class Account:
    """What is known of one server.

    Attributes:
        state: One of the catalogue's states.
        consecutive_failures: Failed attempts since the last one that succeeded.
        last_success: Time of the last success, in seconds since the epoch; 0 for never.
        last_failure: Time of the last failure, in seconds since the epoch; 0 for never.
        last_error: The reason of the last failure; empty if no attempt has failed.
        cells: The minutes with at least one attempt, by `Cell.minute`.
        since: Time of the first of its failures in a row, in seconds since the epoch; 0 for none.
        operations: What is known of each operation.
        last: When each of the last attempts ended, and whether it failed, the oldest first.
        next_trial: When its cool-down ends, in seconds since the epoch; None for no cool-down.
    """

    state: str = "healthy"
    consecutive_failures: float = 0
    last_success: float = 0.0
    last_failure: float = 0.0
    last_error: str = ""
    cells: dict[int, Cell] = field(default_factory=dict)
    since: float = 0.0
    operations: dict[str, OperationAccount] = field(default_factory=dict)
    last: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=LAST))
    next_trial: float | None = None


@dataclass(slots=True)
class KeystoneAccount:
    """What is known of Keystone, from the calls to which it gave no token.

    Attributes:
        since: Time of the first of the latest failures, with less than `PAUSE` between two, in
            seconds since the epoch; 0 for none.
        last_failure: Time of the last one, in seconds since the epoch; 0 for none.
        last_error: The reason of the last one; empty for none.
        failures: How many calls got no token, by minutes since the epoch.
    """

    since: float = 0.0
    last_failure: float = 0.0
    last_error: str = ""
    failures: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hour:
    """A copy of the journal's last hour.

    Attributes:
        now: The time of the copy, in seconds since the epoch.
        servers: What is known of each server.
        outcomes: The number of calls, by outcome.
        keystone: What is known of Keystone.
        latest: The latest failed calls, oldest first.
        saved: The latest calls that retries saved, oldest first.
        saved_calls: The number of calls that retries saved.
        processes: How many processes this is of.
    """

    now: float
    servers: Mapping[ServerKey, Account]
    outcomes: Mapping[str, int]
    keystone: KeystoneAccount
    latest: tuple[KeptCall, ...]
    saved: tuple[KeptCall, ...] = ()
    saved_calls: int = 0
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Content:
    """What one process knows of the last hour.

    Attributes:
        accounts: What it knows of each server.
        outcomes: The number of its calls, by minute and outcome.
        keystone: What it knows of Keystone.
        latest: Its latest failed calls, oldest first.
        saved: Its latest calls that retries saved, oldest first.
        saved_calls: The number of calls that retries saved, by minute.
    """

    accounts: Mapping[ServerKey, Account]
    outcomes: Mapping[int, Counter[str]]
    keystone: KeystoneAccount
    latest: tuple[KeptCall, ...]
    saved: tuple[KeptCall, ...] = ()
    saved_calls: Mapping[int, int] = field(default_factory=dict)


def list_minutes(now: float) -> range:
    """Return the minutes of the hour before `now`, by `Cell.minute`."""
    last = int(now // MINUTE)
    return range(last - MINUTES + 1, last + 1)
