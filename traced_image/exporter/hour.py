"""The last hour as values, and how the hours of several processes become one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..telemetry.updates import ServerKey

MINUTE = 60.0
MINUTES = 60
"""How many minutes the journal keeps."""

PAUSE = 300.0
"""Seconds without a failure of Keystone after which the next one begins another trouble."""

LATEST = 50
"""How many failed calls the journal keeps."""


@dataclass(slots=True)
class Cell:
    """One minute of one server.

    Attributes:
        minute: Minutes since the epoch.
        succeeded: How many attempts succeeded.
        failed: How many attempts failed, by reason.
        refused: How many attempts the server refused, such as by 404, by reason.
        seconds: How many attempts succeeded, by the histogram bucket of their duration.
    """

    minute: int
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A call that failed.

    Attributes:
        when: The time at which the call ended, in seconds since the epoch.
        operation: What the call asked of Glance.
        outcome: ``exhausted`` or ``non_retryable``.
        reason: Why the call failed.
        seconds: How long the call took.
        trace_id: The id of its trace in hex digits; None if it was not sampled.
    """

    when: float
    operation: str
    outcome: str
    reason: str
    seconds: float
    trace_id: str | None


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
    """

    state: str = "healthy"
    consecutive_failures: float = 0
    last_success: float = 0.0
    last_failure: float = 0.0
    last_error: str = ""
    cells: dict[int, Cell] = field(default_factory=dict)


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
    """

    now: float
    servers: Mapping[ServerKey, Account]
    outcomes: Mapping[str, int]
    keystone: KeystoneAccount
    latest: tuple[FailedCall, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What one process knows of the last hour.

    Attributes:
        accounts: What it knows of each server.
        outcomes: The number of its calls, by minute and outcome.
        keystone: What it knows of Keystone.
        latest: Its latest failed calls, oldest first.
    """

    accounts: Mapping[ServerKey, Account]
    outcomes: Mapping[int, Counter[str]]
    keystone: KeystoneAccount
    latest: tuple[FailedCall, ...]


def list_minutes(now: float) -> range:
    """Return the minutes of the hour before `now`, by `Cell.minute`."""
    last = int(now // MINUTE)
    return range(last - MINUTES + 1, last + 1)


def merge(now: float, contents: Iterable[Content]) -> Hour:
    """Return the hour before `now` of some processes together."""
    minutes = list_minutes(now)
    outcomes, keystone = Counter[str](), KeystoneAccount()
    servers: dict[ServerKey, list[Account]] = {}
    latest: list[FailedCall] = []
    for content in contents:
        for minute, counts in content.outcomes.items():
            if minute in minutes:
                outcomes.update(counts)
        for place, account in content.accounts.items():
            servers.setdefault(place, []).append(account)
        keystone = _add_keystone(keystone, content.keystone)
        latest += content.latest
    latest.sort(key=lambda call: call.when)
    merged = {place: reduce(_add, accounts) for place, accounts in servers.items()}
    return Hour(now, merged, outcomes, keystone, tuple(latest[-LATEST:]))


def _add_keystone(one: KeystoneAccount, other: KeystoneAccount) -> KeystoneAccount:
    """Return what two processes know of Keystone; its trouble began when the first noticed it."""
    older, newer = sorted((one, other), key=lambda each: each.last_failure)
    same = newer.since - older.last_failure <= PAUSE
    return KeystoneAccount(
        since=min(older.since, newer.since) if older.since and same else newer.since,
        last_failure=newer.last_failure,
        last_error=newer.last_error,
        failures=dict(Counter(one.failures) + Counter(other.failures)),
    )


def _add(one: Account, other: Account) -> Account:
    """Return what two processes know of a server; its state is that of the last attempt."""
    newest = max(one, other, key=lambda each: max(each.last_success, each.last_failure))
    failed = max(one, other, key=lambda each: each.last_failure)
    cells = dict(one.cells)
    for minute, cell in other.cells.items():
        known = cells.get(minute, Cell(minute))
        cells[minute] = Cell(
            minute,
            known.succeeded + cell.succeeded,
            known.failed + cell.failed,
            known.refused + cell.refused,
            known.seconds + cell.seconds,
        )
    return Account(
        state=newest.state,
        consecutive_failures=newest.consecutive_failures,
        last_success=max(one.last_success, other.last_success),
        last_failure=failed.last_failure,
        last_error=failed.last_error,
        cells=cells,
    )
