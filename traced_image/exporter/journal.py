"""The journal: what happened in the last hour, by server and minute, for the report.

It is one more backend of the metrics. An exporter attaches it to its registry's metrics; before
that, it costs nothing.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from .. import _forks
from ..telemetry import catalogue
from ..telemetry.updates import format_trace_id
from .hour import (
    LATEST,
    MINUTE,
    MINUTES,
    MOST_FAILURES,
    PAUSE,
    Account,
    CallFailure,
    Cell,
    Content,
    KeptCall,
    KeystoneAccount,
    OperationAccount,
    list_minutes,
)
from .merge import merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..telemetry.catalogue import Metric
    from ..telemetry.updates import EndedCall, Exemplar, Labels, ServerKey, Update
    from .hour import Hour

_BOUNDS = catalogue.ATTEMPT_DURATION.buckets

_T = TypeVar("_T")

ONE_OF_SEVERAL = (
    "This page and the metrics show one worker of several, the one that answered. "
    "Set PROMETHEUS_MULTIPROC_DIR to show all workers together."
)


class Journal:
    """Keeps the last hour; a `Backend` of the metrics, and their `DetailKeeper`.

    Each update holds a lock for some microseconds. If the system clock is changed, only later
    updates get other times.

    Args:
        clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._lock = Lock()
        self._accounts: dict[ServerKey, Account] = {}
        self._outcomes: dict[int, Counter[str]] = {}
        self._keystone = KeystoneAccount()
        self._latest: deque[KeptCall] = deque(maxlen=LATEST)
        self._saved: deque[KeptCall] = deque(maxlen=LATEST)
        self._saved_calls: dict[int, int] = {}
        _forks.track(self)

    def after_fork(self) -> None:
        """Replace the lock in a forked child, because no thread there can release the old one."""
        self._lock = Lock()

    def bind(self, metric: Metric, labels: Labels) -> Update | None:
        """Return what records one series; None for a series that the page does not show."""
        if metric is catalogue.CALL_DURATION:
            return partial(self._call, labels[1])
        if metric is catalogue.ATTEMPT_DURATION:
            operation, address, port, verdict, reason = labels
            return partial(self._attempt, (address, port), operation, verdict, reason)
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
        return merge(now, [self.copy(now)])

    def notice(self, hour: Hour, *, several: bool) -> str | None:  # noqa: ARG002 other journals need it
        """Return what a reader of `hour` must know, in words; None for nothing.

        Args:
            hour: What `hour` returned.
            several: Whether other processes answer at the same address.
        """
        return ONE_OF_SEVERAL if several else None

    def copy(self, now: float) -> Content:
        """Return a copy of all that is known of the hour before `now`, which does not change."""
        minutes = list_minutes(now)
        with self._lock:
            accounts = list(self._accounts.items())
            outcomes = {
                minute: Counter(counts)
                for minute, counts in self._outcomes.items()
                if minute in minutes
            }
            failures = {
                minute: count
                for minute, count in self._keystone.failures.items()
                if minute in minutes
            }
            keystone = replace(self._keystone, failures=failures)
            latest, saved = tuple(self._latest), tuple(self._saved)
            saved_calls = {
                minute: count for minute, count in self._saved_calls.items() if minute in minutes
            }
        servers = {place: self._copy(account, minutes) for place, account in accounts}
        return Content(servers, outcomes, keystone, latest, saved, saved_calls)

    def _copy(self, account: Account, minutes: range) -> Account:
        # One server at a time, so that a service's calls never wait until all servers are copied.
        with self._lock:
            cells = {
                minute: cell.copy() for minute, cell in account.cells.items() if minute in minutes
            }
            operations = {name: replace(each) for name, each in account.operations.items()}
            last = account.last.copy()
            return replace(account, cells=cells, operations=operations, last=last)

    def _call(self, outcome: str, _seconds: float, _: Exemplar | None) -> None:
        minute = int(self.clock() // MINUTE)
        with self._lock:
            if minute not in self._outcomes:
                _make_room(self._outcomes, minute)
                self._outcomes[minute] = Counter()
            self._outcomes[minute][outcome] += 1

    def keep_call(self, call: EndedCall) -> None:
        """Keep a call that failed, or that retries saved."""
        now = self.clock()
        kept = KeptCall(
            now,
            call.operation,
            call.outcome,
            call.reason,
            call.seconds,
            None if call.exemplar is None else format_trace_id(call.exemplar.trace_id),
            call.attempts,
            tuple(
                CallFailure(*place, reason, seconds)
                for place, reason, seconds in call.failures[:MOST_FAILURES]
            ),
        )
        with self._lock:
            if call.outcome in catalogue.FAILED_OUTCOMES:
                self._latest.append(kept)
            else:
                self._saved.append(kept)
                self._count_saved(call, int(now // MINUTE))

    def keep_trial(self, place: ServerKey, when: float | None) -> None:
        """Keep when a server's cool-down ends; None for no cool-down."""
        with self._lock:
            self._account(place).next_trial = when

    def _count_saved(self, call: EndedCall, minute: int) -> None:
        _make_room(self._saved_calls, minute)
        self._saved_calls[minute] = self._saved_calls.get(minute, 0) + 1
        for place, _, seconds in call.failures:
            if place in self._accounts:  # else it is no longer configured
                self._cell(self._accounts[place], minute).cost += seconds
        for place in {place for place, _, _ in call.failures} & self._accounts.keys():
            self._cell(self._accounts[place], minute).saved += 1

    def _token_failed(self, reason: str, value: float, _: Exemplar | None) -> None:
        if not value:
            return
        now = self.clock()
        minute = int(now // MINUTE)
        with self._lock:
            account = self._keystone
            _make_room(account.failures, minute)
            account.failures[minute] = account.failures.get(minute, 0) + 1
            if now - account.last_failure > PAUSE:
                account.since = now
            account.last_failure, account.last_error = now, reason

    def _attempt(
        self,
        place: ServerKey,
        operation: str,
        verdict: str,
        reason: str,
        seconds: float,
        _: Exemplar | None,
    ) -> None:
        now = self.clock()
        failed = verdict == "failed"
        with self._lock:
            account = self._account(place)
            cell = self._cell(account, int(now // MINUTE))
            account.last.append((now, failed))
            cell.operations[operation] += 1
            if failed:
                cell.failed[reason] += 1
                cell.failed_operations[operation] += 1
                account.last_error = reason
            elif verdict == "refused":
                cell.refused[reason] += 1
            else:
                cell.succeeded += 1
                cell.seconds[bisect_left(_BOUNDS, seconds)] += 1
                cell.longest = max(cell.longest, seconds)
            self._note_operation(account, operation, now, reason if failed else "")

    def _note_operation(self, account: Account, operation: str, now: float, error: str) -> None:
        known = account.operations.get(operation)
        if known is None:
            known = account.operations[operation] = OperationAccount()
        if error:
            known.since = known.since or now
            known.last_failure, known.last_error = now, error
        else:
            known.since, known.last_success = 0.0, now

    def _state(self, place: ServerKey, state: str, value: float, _: Exemplar | None) -> None:
        # The metric has one series for each state; only the current one has the value 1.
        if value:
            with self._lock:
                self._account(place).state = state

    def _set(self, place: ServerKey, name: str, value: float, _: Exemplar | None) -> None:
        with self._lock:
            setattr(self._account(place), name, value)

    def _cell(self, account: Account, minute: int) -> Cell:
        cell = account.cells.get(minute)
        if cell is None:
            _make_room(account.cells, minute)
            cell = account.cells[minute] = Cell(minute)
        return cell

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
    catalogue.FAILING_SINCE.name: "since",
}
