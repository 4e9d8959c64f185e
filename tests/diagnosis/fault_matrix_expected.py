"""What each fault must look like, operation by operation: written down, not taken from a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from traced_image.lab import Fault, faults

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATIONS = ("show", "detail", "download", "upload", "create")
READS = ("show", "detail", "download")
CHANGES = ("upload", "create")

Ending = Literal["saved", "resumed", "gave up", "told", "spoiled", "caller's error", "no effect"]


@dataclass(frozen=True)
class Shape:
    """What all cells with one ending have in common.

    Attributes:
        caller: What the caller gets, in words.
        outcome: That of the call's span.
        reason_on: The span that has the reason, beside the call's.
        lines: Level and last words of the lines in the log.
        state: The state of the faulty server, or nothing where it is not accused.
    """

    caller: str
    outcome: str
    reason_on: Literal["", "attempt", "stream"] = ""
    lines: tuple[tuple[str, str], ...] = ()
    state: Literal["", "healthy", "cooling"] = ""

    @property
    def error(self) -> bool:
        """Whether the caller gets an error."""
        return self.call_failed or DONE in self.lines

    @property
    def call_failed(self) -> bool:
        """Whether the call's span has the reason, too."""
        return self.outcome in ("exhausted", "non_retryable")


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
    "resumed": Shape(
        "all the data, the rest of it from another server",
        "success_first_try",
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
        "healthy",
    ),
    "spoiled": Shape(
        "an error at the end of the data; it must not use the bytes that it got",
        "success_first_try",
        "stream",
        (DONE,),
        "cooling",
    ),
    "caller's error": Shape("an error about what it asked for", "non_retryable", "attempt"),
    "no effect": Shape("what it asked for", "success_first_try"),
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
        why: Why there is no effect.
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
        rounds: How often each server is asked.
        patience: The time-outs of the configuration that the fault runs into.
        real_time: Whether time passes.
    """

    title: str
    fault: Fault | str
    cells: Mapping[str, Cell]
    tls: bool = False
    rounds: int = 1
    patience: Mapping[str, float] = field(default_factory=dict)
    real_time: bool = False


def saved(reason: str, waits: int = 1) -> Cell:
    return Cell("saved", reason, waits=waits)


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


def unharmed(why: str) -> Cell:
    return Cell("no effect", why=why)


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


NO_BODY = "the answer to an upload has no body"
NOT_READ = "of the answer to an upload, only the status is read"
DATA = r"/file$"
AGES = 60.0
"""Seconds between two bytes that no time-out waits for."""
SOON = {"read_timeout": 1.0, "upload_timeout": 1.0}
LEAVE = 7
"""Seconds that a server asks to be left alone."""

TABLE: Mapping[str, Row] = {
    # --- no connection -------------------------------------------------------------------------
    "dns": Row("its name does not resolve", "unknown_name", everywhere(saved("dns_error"))),
    "unreachable": Row(
        "its network can't be reached", "unreachable", everywhere(saved("network_unreachable"))
    ),
    "refuse": Row(
        "nothing listens on its port", faults.refuse(), everywhere(saved("connection_refused"))
    ),
    "deaf": Row(
        "it accepts no connection",
        "deaf",
        everywhere(saved("connect_timeout")),
        patience={"connect_timeout": 1.0},
    ),
    "untrusted_tls": Row(
        "its certificate is from an unknown CA",
        faults.untrusted_tls(),
        everywhere(saved("tls_error")),
        tls=True,
    ),
    "broken_tls": Row(
        "its TLS port speaks no TLS",
        faults.broken_tls(),
        everywhere(saved("tls_error")),
        tls=True,
    ),
    "reset_tls": Row(
        "it resets connections before TLS is set up",
        faults.reset(),
        everywhere(saved("connection_reset")),
        tls=True,
    ),
    # --- no answer -----------------------------------------------------------------------------
    "reset": Row(
        "it resets connections as soon as they are made",
        faults.reset(),
        by_chance("connection_reset"),
    ),
    "reset_request": Row(
        "it resets connections at the request",
        faults.reset().only(path="/v2/"),
        by_effect("connection_reset"),
    ),
    "lost_reply": Row(
        "it does what is asked, and closes the connection without an answer",
        faults.lost_reply(),
        by_effect("connection_reset"),
    ),
    "never_answer": Row(
        "it never answers", faults.never_answer(), by_effect("read_timeout"), patience=SOON
    ),
    "deadline": Row(
        "it never answers, and the call's deadline is shorter than the read timeout",
        faults.never_answer(),
        {
            **dict.fromkeys(READS, late("DeadlineExceeded")),
            # A deadline does not apply to image data.
            "upload": unsafe("read_timeout", upload=1),
            "create": late("UnsafeToRepeat"),
        },
        patience={"read_timeout": 2.0, "upload_timeout": 2.0, "deadline": 1.0},
        real_time=True,
    ),
    "slow_headers": Row(
        "its answer's headers never end",
        faults.slow_headers(AGES),
        by_effect("read_timeout"),
        patience=SOON,
    ),
    # --- a broken answer -----------------------------------------------------------------------
    "slow_body": Row(
        "its answer's body never ends",
        faults.slow_body(AGES),
        by_answer("read_timeout", NO_BODY),
        patience=SOON,
    ),
    "slow_data": Row(
        "the image data that it sends never ends",
        faults.slow_body(AGES).only(path=DATA),
        {**of_data(resumed("read_timeout")), "upload": unharmed(NO_BODY)},
        patience=SOON,
    ),
    "cut_body": Row(
        "its answer's body is cut short",
        faults.cut_body(),
        by_answer("protocol_error", NO_BODY),
    ),
    "cut_data": Row(
        "the image data that it sends is cut short",
        faults.cut_body().only(path=DATA),
        {**of_data(resumed("protocol_error")), "upload": unharmed(NO_BODY)},
    ),
    "longer": Row(
        "its answer is shorter than its `Content-Length`",
        faults.wrong_length(1),
        by_answer("protocol_error", NO_BODY),
    ),
    "longer_data": Row(
        "the image data that it sends is shorter than its `Content-Length`",
        faults.wrong_length(1).only(path=DATA),
        {**of_data(resumed("protocol_error")), "upload": unharmed(NO_BODY)},
    ),
    "shorter": Row(
        "its answer is longer than its `Content-Length`",
        faults.wrong_length(-1),
        by_answer("protocol_error", NO_BODY),
    ),
    "shorter_data": Row(
        "the image data that it sends is longer than its `Content-Length`",
        faults.wrong_length(-1).only(path=DATA),
        {
            **of_data(spoiled("checksum_mismatch", "ChecksumMismatch")),
            "upload": unharmed(NO_BODY),
        },
    ),
    "corrupt_data": Row(
        "the image data that it sends has a wrong bit",
        faults.corrupt_data(),
        of_data(spoiled("checksum_mismatch", "ChecksumMismatch")),
    ),
    "garbage_headers": Row(
        "its answer has a line that is no header",
        faults.garbage_headers(),
        by_effect("protocol_error"),
    ),
    "not_json": Row(
        "its answer is not the JSON that it claims to be",
        faults.not_json(),
        by_answer("protocol_error", NOT_READ),
    ),
    "wrong_type": Row(
        "its answer is JSON, but no image",
        faults.wrong_type(),
        by_answer("protocol_error", NOT_READ),
    ),
    "redirect_loop": Row(
        "it redirects in a circle",
        faults.redirect_loop(),
        {
            **everywhere(saved("too_many_redirects")),
            # What changes something is not sent on: the next server gets it.
            **dict.fromkeys(CHANGES, saved("invalid_endpoint")),
        },
    ),
    # --- an error status -----------------------------------------------------------------------
    "400": Row("it answers 400", faults.status(400), answered(400, "ImageBadRequest", "Invalid")),
    "401": Row(
        "it answers 401", faults.status(401), answered(401, "ImageNotAuthorized", "Unauthorized")
    ),
    "403": Row(
        "it answers 403", faults.status(403), answered(403, "ImageNotAuthorized", "Forbidden")
    ),
    "404": Row("it answers 404", faults.status(404), answered(404, "ImageNotFound", "NotFound")),
    "409": Row("it answers 409", faults.status(409), answered(409, "Conflict", "Conflict")),
    "413": Row(
        "it answers 413", faults.status(413), answered(413, "ImageQuotaExceeded", "OverLimit")
    ),
    "413_after": Row(
        "it answers 413 with `Retry-After`",
        faults.status(413, LEAVE),
        answered(413, "ImageQuotaExceeded", "OverLimit"),
    ),
    "429": Row("it answers 429", faults.status(429), by_effect("429", upload=0)),
    "429_after": Row(
        "it answers 429 with `Retry-After`",
        faults.status(429, LEAVE),
        by_effect("429", upload=0, waits=LEAVE),
    ),
    "500": Row(
        "it answers 500", faults.status(500), answered(500, "ServerError", "ServerError", told)
    ),
    "501": Row(
        "it answers 501",
        faults.status(501),
        answered(501, "NotImplementedByServer", "NotImplementedByServer", told),
    ),
    "502": Row("it answers 502", faults.status(502), by_effect("502", upload=0)),
    "503": Row("it answers 503", faults.status(503), by_effect("503", upload=0)),
    "503_after": Row(
        "it answers 503 with `Retry-After`",
        faults.status(503, LEAVE),
        by_effect("503", upload=0, waits=LEAVE),
    ),
    "504": Row("it answers 504", faults.status(504), by_effect("504", upload=0)),
    "507": Row(
        "it answers 507", faults.status(507), answered(507, "ServerError", "ServerError", told)
    ),
    "flapping": Row(
        "every other answer of it is 503",
        faults.flapping(None, faults.status(503)),
        by_effect("503", upload=0),
        rounds=2,
    ),
}
"""Every fault, by a short name."""
