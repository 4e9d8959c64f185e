"""How the last hours of several processes become one."""

from __future__ import annotations

from collections import Counter, deque
from functools import reduce
from typing import TYPE_CHECKING

from .hour import (
    LAST,
    LATEST,
    PAUSE,
    Account,
    Cell,
    Hour,
    KeystoneAccount,
    OperationAccount,
    list_minutes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..telemetry.updates import ServerKey
    from .hour import Content, KeptCall


def merge(now: float, contents: Sequence[Content]) -> Hour:
    """Return the hour before `now` of some processes together."""
    minutes = list_minutes(now)
    outcomes, keystone, saved_calls = Counter[str](), KeystoneAccount(), 0
    servers: dict[ServerKey, list[Account]] = {}
    for content in contents:
        for minute, counts in content.outcomes.items():
            if minute in minutes:
                outcomes.update(counts)
        saved_calls += sum(n for minute, n in content.saved_calls.items() if minute in minutes)
        for place, account in content.accounts.items():
            servers.setdefault(place, []).append(account)
        keystone = _add_keystone(keystone, content.keystone)
    return Hour(
        now,
        {place: reduce(_add, accounts) for place, accounts in servers.items()},
        outcomes,
        keystone,
        latest=_find_latest(call for content in contents for call in content.latest),
        saved=_find_latest(call for content in contents for call in content.saved),
        saved_calls=saved_calls,
        processes=len(contents),
    )


def _find_latest(calls: Iterable[KeptCall]) -> tuple[KeptCall, ...]:
    return tuple(sorted(calls, key=lambda call: call.when)[-LATEST:])


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
    newest = max(one, other, key=_find_last)
    failed = max(one, other, key=lambda each: each.last_failure)
    cells = {minute: cell.copy() for minute, cell in one.cells.items()}
    for minute, cell in other.cells.items():
        cells.setdefault(minute, Cell(minute)).add(cell)
    operations = dict(one.operations)
    for name, account in other.operations.items():
        operations[name] = _add_operations(operations.get(name, OperationAccount()), account)
    return Account(
        state=newest.state,
        consecutive_failures=newest.consecutive_failures,
        last_success=max(one.last_success, other.last_success),
        last_failure=failed.last_failure,
        last_error=failed.last_error,
        cells=cells,
        since=_find_first(one.since, other.since) if newest.since else 0.0,
        operations=operations,
        last=deque(sorted([*one.last, *other.last]), maxlen=LAST),
        next_trial=newest.next_trial,
    )


def _find_last(account: Account | OperationAccount) -> float:
    return max(account.last_success, account.last_failure)


def _find_first(*times: float) -> float:
    """Return the first of some times; 0 is none."""
    return min(filter(None, times), default=0.0)


def _add_operations(one: OperationAccount, other: OperationAccount) -> OperationAccount:
    newest = max(one, other, key=_find_last)
    failed = max(one, other, key=lambda each: each.last_failure)
    return OperationAccount(
        since=_find_first(one.since, other.since) if newest.since else 0.0,
        last_success=max(one.last_success, other.last_success),
        last_failure=failed.last_failure,
        last_error=failed.last_error,
    )
