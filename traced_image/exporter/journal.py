"""The journal: what happened in the last hour, by server and minute, for the report.

It is one more backend of the metrics. An exporter attaches it to its registry's metrics; before
that, it costs nothing.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .. import _forks
from ..telemetry import catalogue
from ..telemetry.updates import format_trace_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..telemetry.catalogue import Metric
    from ..telemetry.updates import Exemplar, Labels, Update

MINUTE = 60.0
MINUTES = 60
"""How many minutes the journal keeps."""

PAUSE = 300.0
"""Seconds without a failure of Keystone after which the next one begins another trouble."""

LATEST = 50
"""How many failed calls the journal keeps."""

_BOUNDS = catalogue.ATTEMPT_DURATION.buckets

ServerKey = tuple[str, str]
"""A server's address and port, as in the labels of the metrics."""

_T = TypeVar("_T")


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


class Journal:
    """Keeps the last hour; a `Backend` of the metrics.

    Each update holds a lock for some microseconds. If the system clock is changed, only later
    updates get other times.

    Args:
        clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[ServerKey, Account] = {}
        self._outcomes: dict[int, Counter[str]] = {}
        self._keystone = KeystoneAccount()
        self._latest: deque[FailedCall] = deque(maxlen=LATEST)
        _forks.track(self)

    def after_fork(self) -> None:
        """Replace the lock in a forked child, because no thread there can release the old one."""
        self._lock = threading.Lock()

    def bind(self, metric: Metric, labels: Labels) -> Update | None:
        """Return what records one series; None for a series that the page does not show."""
        if metric is catalogue.CALL_DURATION:
            return partial(self._call, labels)
        if metric is catalogue.ATTEMPT_DURATION:
            _, address, port, verdict, reason = labels
            return partial(self._attempt, (address, port), verdict, reason)
        if metric is catalogue.TOKEN_FAILURES:
            return partial(self._token_failed, labels[0])
        if metric is catalogue.SERVER_STATE:
            address, port, state = labels
            return partial(self._state, (address, port), state)
        field_name = _FIELDS.get(metric.name)
        if field_name is None:
            return None
        address, port = labels
        return partial(self._set, (address, port), field_name)

    def forget(self, address: str, port: str) -> None:
        """Remove a server from the report."""
        with self._lock:
            self._accounts.pop((address, port), None)

    def hour(self) -> Hour:
        """Return a copy of the last hour, which does not change."""
        now = self.clock()
        minutes = range(int(now // MINUTE) - MINUTES + 1, int(now // MINUTE) + 1)
        with self._lock:
            accounts = list(self._accounts.items())
            outcomes = Counter[str]()
            for minute, counts in self._outcomes.items():
                if minute in minutes:
                    outcomes.update(counts)
            failures = {
                minute: count
                for minute, count in self._keystone.failures.items()
                if minute in minutes
            }
            keystone = replace(self._keystone, failures=failures)
            latest = tuple(self._latest)
        servers = {place: self._copy(account, minutes) for place, account in accounts}
        return Hour(now, servers, outcomes, keystone, latest)

    def _copy(self, account: Account, minutes: range) -> Account:
        # One server at a time, so that a service's calls never wait until all servers are copied.
        with self._lock:
            cells = {
                minute: replace(
                    cell,
                    failed=Counter(cell.failed),
                    refused=Counter(cell.refused),
                    seconds=Counter(cell.seconds),
                )
                for minute, cell in account.cells.items()
                if minute in minutes
            }
            return replace(account, cells=cells)

    def _call(self, labels: Labels, seconds: float, exemplar: Exemplar | None) -> None:
        operation, outcome, reason = labels
        now = self.clock()
        minute = int(now // MINUTE)
        trace_id = None if exemplar is None else format_trace_id(exemplar.trace_id)
        with self._lock:
            if minute not in self._outcomes:
                _make_room(self._outcomes, minute)
                self._outcomes[minute] = Counter()
            self._outcomes[minute][outcome] += 1
            if outcome in catalogue.FAILED_OUTCOMES:
                self._latest.append(FailedCall(now, operation, outcome, reason, seconds, trace_id))

    def _token_failed(self, reason: str, value: float, _: Exemplar | None) -> None:
        if not value:
            return
        now, account = self.clock(), self._keystone
        minute = int(now // MINUTE)
        with self._lock:
            _make_room(account.failures, minute)
            account.failures[minute] = account.failures.get(minute, 0) + 1
            if now - account.last_failure > PAUSE:
                account.since = now
            account.last_failure, account.last_error = now, reason

    def _attempt(
        self, place: ServerKey, verdict: str, reason: str, seconds: float, _: Exemplar | None
    ) -> None:
        minute = int(self.clock() // MINUTE)
        with self._lock:
            account = self._account(place)
            cell = account.cells.get(minute)
            if cell is None:
                _make_room(account.cells, minute)
                cell = account.cells[minute] = Cell(minute)
            if verdict == "failed":
                cell.failed[reason] += 1
                account.last_error = reason
            elif verdict == "refused":
                cell.refused[reason] += 1
            else:
                cell.succeeded += 1
                cell.seconds[bisect_left(_BOUNDS, seconds)] += 1

    def _state(self, place: ServerKey, state: str, value: float, _: Exemplar | None) -> None:
        # The metric has one series for each state; only the current one has the value 1.
        if value:
            with self._lock:
                self._account(place).state = state

    def _set(self, place: ServerKey, name: str, value: float, _: Exemplar | None) -> None:
        with self._lock:
            setattr(self._account(place), name, value)

    def _account(self, place: ServerKey) -> Account:
        account = self._accounts.get(place)
        if account is None:
            account = self._accounts[place] = Account()
        return account


def _make_room(minutes: dict[int, _T], minute: int) -> None:
    """Drop the minutes that are an hour or more away from `minute`, which has just begun."""
    # Minutes in the future exist if the system clock was set back.
    for each in [each for each in minutes if abs(each - minute) >= MINUTES]:
        del minutes[each]


_FIELDS = {
    catalogue.CONSECUTIVE_FAILURES.name: "consecutive_failures",
    catalogue.LAST_SUCCESS.name: "last_success",
    catalogue.LAST_FAILURE.name: "last_failure",
}
