"""The parts of the table of faults: how calls end, a cell, a row, and what makes cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from traced_image.lab import Fault

OPERATIONS = ("show", "detail", "download", "upload", "create")
READS = ("show", "detail", "download")
CHANGES = ("upload", "create")

Ending = Literal[
    "saved",
    "passed by",
    "resumed",
    "gave up",
    "told",
    "spoiled",
    "caller's error",
    "too large",
    "not stored",
    "no harm",
]


@dataclass(frozen=True)
class Shape:
    """What all cells with one ending have in common.

    Attributes:
        caller: What the caller gets, in words.
        outcome: That of the call's span.
        reason_on: The span that has the reason, beside the call's.
        lines: Level and last words of the lines in the log.
        state: The state of the faulty server, or nothing where it is not accused.
        compared: Whether the caller gets the error of a comparison after the call.
    """

    caller: str
    outcome: str
    reason_on: Literal["", "attempt", "stream"] = ""
    lines: tuple[tuple[str, str], ...] = ()
    state: Literal["", "failing", "cooling"] = ""
    compared: bool = False

    @property
    def error(self) -> bool:
        """Whether the caller gets an error."""
        return self.call_failed or self.compared or DONE in self.lines

    @property
    def call_failed(self) -> bool:
        """Whether the call's span has the reason, too."""
        return self.outcome in ("refused", "exhausted", "non_retryable")


RETRYING = ("WARNING", "retrying")
DONE = ("WARNING", "done trying")
GAVE_UP = ("ERROR", "gave up")

ENDINGS: Mapping[Ending, Shape] = {
    "saved": Shape(
        "what it asked for, from another server",
        "success_after_retry",
        "attempt",
        (RETRYING,),
        "cooling",
    ),
    "passed by": Shape(
        "what it asked for, from another server",
        "success_after_retry",
        "attempt",
        (RETRYING,),
        "failing",
    ),
    "resumed": Shape(
        "all the data, the rest of it from another server",
        "success_after_retry",
        "stream",
        (RETRYING,),
        "cooling",
    ),
    "gave up": Shape(
        "a `GlanceConnectionFailed`, or one of its kinds",
        "exhausted",
        "attempt",
        (DONE, GAVE_UP),
        "cooling",
    ),
    "told": Shape(
        "the server's error at once: another server would not do better",
        "non_retryable",
        "attempt",
        (DONE,),
        "failing",
    ),
    "spoiled": Shape(
        "an error at the end of the data; it must not use the bytes that it got",
        "non_retryable",
        "stream",
        (DONE,),
        "cooling",
    ),
    "caller's error": Shape("an error about what it asked for", "refused", "attempt"),
    "too large": Shape("an error about the size of the list", "non_retryable"),
    "not stored": Shape(
        "an error after the upload: the image's record differs from what was sent",
        "success_first_try",
        compared=True,
    ),
    "no harm": Shape("what it asked for", "success_first_try"),
}
"""How the call ends that meets a fault."""


@dataclass(frozen=True)
class Cell:
    """What one operation shows of one fault.

    Attributes:
        ending: How the call ends that meets it.
        reason: Why its attempt, or its stream, failed.
        error: The type of what the caller gets; empty for nothing.
        upload: Broken uploads that are counted; None where nobody can know, since the
            connection may be gone before the first byte of data is taken or after it.
        why: Why there is no harm.
        waits: Seconds for which the server is left alone then.
        request: The reason that the request's span has, where it is another one.
        alternative: What is just as right, where chance decides.
    """

    ending: Ending
    reason: str = ""
    error: str = ""
    upload: int | None = 0
    why: str = ""
    waits: int = 1
    request: str = ""
    alternative: Cell | None = None


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        title: What it is, for an operator.
        fault: The lab's fault, or the name of one that no lab server has.
        cells: By operation.
        tls: Whether the servers speak TLS.
        proxy: Whether the fault is that of a proxy in front of the server.
        rounds: How often each server is asked.
        patience: The time-outs of the configuration that the fault runs into.
        sizes: The limits of size that the fault runs into.
        real_time: Whether time passes.
    """

    title: str
    fault: Fault | str
    cells: Mapping[str, Cell]
    tls: bool = False
    proxy: bool = False
    rounds: int = 1
    patience: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    real_time: bool = False

    @property
    def harmless(self) -> bool:
        """Whether no operation is harmed."""
        return all(cell.ending == "no harm" for cell in self.cells.values())


def saved(reason: str, waits: int = 1) -> Cell:
    return Cell("saved", reason, waits=waits)


def passed_by(reason: str, request: str = "") -> Cell:
    """A proxy failed, which says nothing about the server behind it."""
    return Cell("passed by", reason, request=request)


def resumed(reason: str) -> Cell:
    return Cell("resumed", reason)


def unsafe(reason: str, *, upload: int | None = 0, waits: int = 1) -> Cell:
    """It may have been carried out, so it is not repeated."""
    return Cell("gave up", reason, "UnsafeToRepeat", upload, waits=waits)


def late(error: str) -> Cell:
    """The deadline passed, which a request knows only as no answer in time."""
    return Cell("gave up", "deadline_exceeded", error, request="read_timeout")


def told(reason: str, error: str) -> Cell:
    return Cell("told", reason, error, waits=0)


def refused(reason: str, error: str) -> Cell:
    return Cell("caller's error", reason, error)


def spoiled(reason: str, error: str) -> Cell:
    return Cell("spoiled", reason, error)


def not_stored() -> Cell:
    """The server confirms an upload that it did not carry out."""
    return Cell("not stored", error="UploadIncomplete")


def unharmed(why: str) -> Cell:
    return Cell("no harm", why=why)


def everywhere(cell: Cell) -> dict[str, Cell]:
    return dict.fromkeys(OPERATIONS, cell)


def by_effect(reason: str, *, upload: int | None = 1, waits: int = 1) -> dict[str, Cell]:
    """Reads go elsewhere, changes must not: the server may have carried them out."""
    return {
        **dict.fromkeys(READS, saved(reason, waits)),
        "upload": unsafe(reason, upload=upload, waits=waits),
        "create": unsafe(reason, waits=waits),
    }


def by_chance(reason: str) -> dict[str, Cell]:
    """A reset may come before the request was sent, which then can be repeated, or after it."""
    cells = by_effect(reason, upload=None)
    other = saved(reason)
    return {**cells, **{name: replace(cells[name], alternative=other) for name in CHANGES}}


def by_answer(reason: str, why: str) -> dict[str, Cell]:
    """As `by_effect`, but for an upload, whose answer the fault does not change."""
    return {**by_effect(reason), "upload": unharmed(why)}


def of_data(cell: Cell) -> dict[str, Cell]:
    """Only the data of a download is met."""
    return {
        **everywhere(unharmed("no image data is received")),
        "download": cell,
        "upload": unharmed("the fault is in received data, and an upload sends data"),
    }


def answered(status: int, about_image: str, otherwise: str, end=refused) -> dict[str, Cell]:
    """A status that another server would not change.

    Args:
        status: The HTTP status.
        about_image: The error where the service knows which image it is about.
        otherwise: The error elsewhere.
        end: What makes the cell.
    """
    reason = str(status)
    return {
        **everywhere(end(reason, otherwise)),
        **dict.fromkeys(("show", "download"), end(reason, about_image)),
    }
