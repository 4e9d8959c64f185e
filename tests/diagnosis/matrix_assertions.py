"""What each witness must say of a cell, by its line in the table, beside what it said."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fault_matrix_cells import ENDINGS
from fault_matrix_run import PLACES

if TYPE_CHECKING:
    from fault_matrix_cells import Cell
    from fault_matrix_run import Seen


def fitting(cell: Cell, found: Seen) -> Cell:
    """The cell, or what is just as right where chance decides."""
    return cell.alternative if cell.alternative and not any(found.caller) else cell


def caller(cell: Cell, place: str, rounds: int = 1) -> list[str]:
    """The call that meets the fault ends as the table says, and no other one."""
    calls = [""] * (rounds * len(PLACES))
    calls[PLACES.index(place) - len(PLACES)] = cell.error
    return calls


def spans(cell: Cell, place: str, rounds: int = 1) -> dict:
    """One failed attempt or stream, and calls of which at most one knows of it."""
    shape = ENDINGS[cell.ending]
    first_try = "success_first_try", ""
    calls = Counter({first_try: rounds * len(PLACES) - 1})
    calls[(shape.outcome, cell.reason if shape.call_failed else "")] += 1
    return {
        "calls": calls,
        "tried": set(PLACES),
        "attempts": [(place, cell.reason)] if shape.reason_on == "attempt" else [],
        "streams": [(place, cell.reason)] if shape.reason_on == "stream" else [],
        "other requests": set(),
    }


def seen_spans(cell: Cell, place: str, found: Seen) -> dict:
    """Requests are compared in so far as no other one may fail.

    The attempt tells of what came of its requests. One over a kept connection may have been
    sent again, since the connection was stale.
    """
    reasons = (cell.request or cell.reason, "connection_reset") if cell.reason else ()
    return {
        "calls": Counter(found.calls),
        "tried": found.tried,
        "attempts": found.attempts,
        "streams": found.streams,
        "other requests": found.requests - {(place, reason) for reason in reasons},
    }


def metrics(cell: Cell, place: str, found: Seen) -> dict:
    """All that is counted with a reason."""
    shape = ENDINGS[cell.ending]
    once = {(place, cell.reason): 1.0}
    uploads = found.uploads.get(place, 0) if cell.upload is None else cell.upload
    return {
        "failures": once if shape.reason_on == "attempt" else {},
        "retries": once if shape.outcome == "success_after_retry" else {},
        "given up": once if cell.ending == "gave up" else {},
        "downloads": {place: 1.0} if shape.reason_on == "stream" else {},
        "uploads": {place: float(uploads)} if uploads else {},
    }


def seen_metrics(found: Seen) -> dict:
    return {
        "failures": found.failures,
        "retries": found.retries,
        "given up": found.given_up,
        "downloads": found.downloads,
        "uploads": found.uploads,
    }


def log(cell: Cell, place: str) -> list[tuple]:
    """Each line also points at the span of what failed."""
    lines = ENDINGS[cell.ending].lines
    return [(level, place, cell.reason, words, True) for level, words in lines]


def hosts(cell: Cell, place: str) -> dict:
    """State, failures, reason and cool-down of each server."""
    healthy = dict.fromkeys(PLACES, ("healthy", 0, None, 0))
    state = ENDINGS[cell.ending].state
    if cell.ending == "passed by":
        # It stays in turn. If it was the first, a later call has reached it again, and succeeded.
        again = place == PLACES[0]
        return healthy | {place: ("healthy" if again else state, int(not again), cell.reason, 0)}
    return healthy | ({place: (state, 1, cell.reason, cell.waits)} if state else {})


def of_all(cell: Cell, place: str, found: Seen, rounds: int, before: int = 0) -> dict:
    """What every witness must say; each server was asked `before` times before the fault struck."""
    return {
        "caller": caller(cell, place, rounds),
        "spans": spans(cell, place, before + rounds),
        "metrics": metrics(cell, place, found),
        "log": log(cell, place),
        "hosts": hosts(cell, place),
        "problems": [],
    }


def seen_by_all(cell: Cell, place: str, found: Seen) -> dict:
    return {
        "caller": found.caller,
        "spans": seen_spans(cell, place, found),
        "metrics": seen_metrics(found),
        "log": found.log,
        "hosts": found.hosts,
        "problems": found.problems,
    }
