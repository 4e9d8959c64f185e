"""Writes docs/reference/diagnosis.md from what the cells of the fault matrix have shown.

After a change to what is seen of a fault, run this file and commit the page:

    python tests/diagnosis/fault_matrix_page.py
"""

from __future__ import annotations

from pathlib import Path

from fault_matrix_cells import ENDINGS, OPERATIONS
from fault_matrix_expected import LEAVE, TABLE
from fault_matrix_run import CELLS, PLACES, prefetch, seen

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "diagnosis.md"

_TOP = """\
# What each fault looks like

<!-- Written from a run by `python tests/diagnosis/fault_matrix_page.py`; a test compares it. -->

Three Glance servers are asked in turn, and one of them is faulty. This page shows what the caller
gets, and what spans, metrics, log and host state show. A run of the tests made the tables. In it
the faulty server was the first, the second and the third of the cycle, on new connections and on
kept-alive ones. The result was the same everywhere: all of them name the faulty server, with the
same reason.

To find a row, take the reason. It is `error_type` in metrics and log, `error.type` on spans, and
`last_reason` in `service.servers()`. [The reference of telemetry](telemetry.md#reasons) says what
each reason means.

## How a call ends

"""
_BETWEEN = f"""
The log has two kinds of lines. Their records have the server and the reason as fields:

```text
WARNING Error contacting glance server '10.0.0.2:9292' for 'get', retrying. Reason: 503.
ERROR Gave up 'create' after 1 attempts, read_timeout: Connection to glance host ...
```

A call that succeeded has no reason: retries hid the failure from the caller. The failed attempt has
the reason, on its span and in the counters of attempts and retries.
`glance_client_stream_errors_total` counts data that broke off.

`UnsafeToRepeat` ends a call that changes something, if nobody knows whether the server carried it
out. Look before you try again. [Another page](../explanation/requests.md#what-may-be-repeated) says
which answers are repeated.

*Passed by* is for a failed proxy, which says nothing about the server behind it: the server is
named in the log, but does not cool down. *Too large* is `ListTooLarge`: the call has the reason
`_OTHER`, and its attempt has none. *Not stored* is `UploadIncomplete`: to the telemetry, the upload
is a success, because the server confirmed it.

## The faults

`upload` sends an image's data, and then compares the image's record with it, as `create` and
`update` do. The other operations are methods of the service. A `Retry-After` asked for {LEAVE}
seconds. A server that is accused has a line in the log and a failure in its host state. After a
caller's error, only the span of the attempt and its counter name the server.

"""
_BOTTOM = """
If the call's deadline passed, the span of the request below the attempt says `read_timeout`: a
request knows only that no answer came in time. If a proxy answered 407, the span of the request
says `407`.
"""


def page() -> str:
    """The page as a run of all cells shows it."""
    prefetch(CELLS)
    endings = _table(
        "in the table",
        "the caller gets",
        "outcome of the call",
        "spans with the reason",
        "the log",
        "the server is then",
        rows=map(_legend, ENDINGS),
    )
    faults = _table(
        "what is wrong with the server",
        "reason",
        *OPERATIONS,
        "accused",
        "the log",
        "the server is then",
        rows=map(_row, TABLE),
    )
    return _TOP + endings + _BETWEEN + faults + _BOTTOM


def _table(*head: str, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _legend(ending: str) -> list[str]:
    shape = ENDINGS[ending]
    spans = ["call"] * shape.call_failed + [shape.reason_on] * bool(shape.reason_on)
    return [
        ending,
        shape.caller,
        f"`{shape.outcome}`",
        " and ".join(spans) or "none",
        _lines(shape.lines) or "nothing",
        shape.state or "healthy, not accused",
    ]


def _lines(lines) -> str:
    return ", ".join(f"{level} {words}" for level, words in lines)


def _row(name: str) -> list[str]:
    """A fault's row, which is the same wherever in the cycle the faulty server is."""
    rows = [_row_at(name, place) for place in PLACES]
    return [" / ".join(dict.fromkeys(cells)) for cells in zip(*rows, strict=True)]


def _row_at(name: str, place: str) -> list[str]:
    found = {operation: seen(name, operation, place, kept=False) for operation in OPERATIONS}
    met = {operation: one for operation, one in found.items() if _reason(one, place)}
    reason = next((_reason(one, place) for one in met.values()), "")
    return [
        TABLE[name].title,
        f"`{reason}`" if reason else "none",
        *(_cell(name, operation, one, place, reason) for operation, one in found.items()),
        _each((_accused(one, place) for one in met.values()), "nobody"),
        _each(_log(name, met), "nothing"),
        _each((_state(one.hosts[place]) for one in met.values()), "healthy, not accused"),
    ]


def _each(words, otherwise: str) -> str:
    return "; or ".join(filter(None, dict.fromkeys(words))) or otherwise


def _reason(one, place: str) -> str:
    """The reason that the faulty server is named for."""
    return next((reason for where, reason in (*one.streams, *one.attempts) if where == place), "")


def _accused(one, place: str) -> str:
    blamed = {where for where, (_, failures, _, _) in one.hosts.items() if failures}
    # A line about a proxy names the server behind it, which is not accused.
    blamed |= {where for _, where, _, _, _ in one.log if where != place}
    return " and ".join("it alone" if where == place else where for where in sorted(blamed))


def _log(name: str, met: dict):
    for operation, one in met.items():
        if TABLE[name].cells[operation].alternative:
            # Which of the two it was this time tells nothing.
            yield from (_lines(ENDINGS[ending].lines) for ending in ("saved", "gave up"))
        else:
            yield _lines((level, words) for level, _, _, words, _ in one.log)


def _state(state: tuple) -> str:
    name, failures, _, left = state
    if not failures:
        return ""
    return f"{name} for {left} s" if left > 1 else name


def _cell(name: str, operation: str, one, place: str, main: str) -> str:
    cell = TABLE[name].cells[operation]
    if cell.alternative:
        return f"by chance {cell.alternative.ending}, or {cell.ending}: `{cell.error}`"
    error = next(filter(None, one.caller), "")
    ending = _ending(one)
    reason = _reason(one, place)
    words = f": `{error}`" if error else f": {cell.why}" if cell.why else ""
    words += f" (`{reason}`)" if reason not in ("", main) else ""
    return f"{ending}{words}"


def _ending(one) -> str:
    """The ending that fits what was seen, all of it."""
    what = (
        bool(one.attempts),
        bool(one.streams),
        any(one.caller),
        tuple((level, words) for level, _, _, words, _ in one.log),
        any(outcome in ("refused", "non_retryable") for outcome, _ in one.calls),
        any(state == "cooling" for state, _, _, _ in one.hosts.values()),
    )
    for ending, shape in ENDINGS.items():
        attempt, stream = shape.reason_on == "attempt", shape.reason_on == "stream"
        told, cools = shape.outcome in ("refused", "non_retryable"), shape.state == "cooling"
        if what == (attempt, stream, shape.error, shape.lines, told, cools):
            return ending
    return "not as it should be"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
