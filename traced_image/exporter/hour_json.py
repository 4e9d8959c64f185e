"""What one process knows of the last hour, as JSON for the other processes."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import asdict, fields, replace
from operator import attrgetter
from typing import Any

from .hour import (
    LAST,
    Account,
    CallFailure,
    Cell,
    Content,
    KeptCall,
    KeystoneAccount,
    OperationAccount,
)

_list_values = attrgetter(*(field.name for field in fields(Cell)))


def encode(content: Content) -> str:
    """Return what one process knows, as JSON."""
    outcomes = [
        [minute, outcome, count]
        for minute, counts in content.outcomes.items()
        for outcome, count in counts.items()
    ]
    keystone = {
        **asdict(content.keystone),
        "failures": list(content.keystone.failures.items()),
    }
    told = {
        "accounts": [[*place, _encode(each)] for place, each in content.accounts.items()],
        "outcomes": outcomes,
        "keystone": keystone,
        "latest": [asdict(call) for call in content.latest],
        "saved": [asdict(call) for call in content.saved],
        "saved_calls": list(content.saved_calls.items()),
    }
    return json.dumps(told)


def _encode(account: Account) -> dict[str, object]:
    return {
        **asdict(replace(account, cells={}, last=deque())),
        "cells": [_list_values(cell) for cell in account.cells.values()],
        "last": list(account.last),
    }


def decode(text: str) -> Content:
    """Return what `encode` wrote.

    Raises:
        ValueError: The text is no JSON; as KeyError and TypeError, it is of another version.
    """
    told = json.loads(text)
    outcomes: dict[int, Counter[str]] = {}
    for minute, outcome, count in told["outcomes"]:
        outcomes.setdefault(minute, Counter())[outcome] = count
    keystone = told["keystone"]
    return Content(
        {(address, port): _decode(account) for address, port, account in told["accounts"]},
        outcomes,
        KeystoneAccount(**{**keystone, "failures": dict(keystone["failures"])}),
        tuple(map(_decode_call, told["latest"])),
        tuple(map(_decode_call, told["saved"])),
        dict(told["saved_calls"]),
    )


def _decode(told: dict[str, Any]) -> Account:
    cells = [_decode_cell(cell) for cell in told.pop("cells")]
    operations = told.pop("operations").items()
    last = ((when, failed) for when, failed in told.pop("last"))
    return Account(
        **told,
        cells={cell.minute: cell for cell in cells},
        operations={name: OperationAccount(**each) for name, each in operations},
        last=deque(last, maxlen=LAST),
    )


def _decode_cell(values: list[Any]) -> Cell:
    cell = Cell(*values)
    # JSON's names are text.
    buckets = Counter({int(bucket): count for bucket, count in cell.seconds.items()})
    return replace(
        cell,
        failed=Counter(cell.failed),
        refused=Counter(cell.refused),
        seconds=buckets,
        operations=Counter(cell.operations),
        failed_operations=Counter(cell.failed_operations),
    )


def _decode_call(told: dict[str, Any]) -> KeptCall:
    failures = tuple(CallFailure(*each) for each in told.pop("failures"))
    return KeptCall(**told, failures=failures)
