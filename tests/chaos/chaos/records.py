"""What callers, spans, servers and the schedule say of a run, for the checks to compare."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


KEYSTONE = -1
"""Stands for Keystone where a server's port is expected."""

KILLED = "killed"
"""The error of a call of a child that was killed in it."""

UNEXPECTED = "unexpected"
"""How the error of a call begins that its caller must not raise."""


@dataclass(frozen=True)
class Made:
    """A call as its caller saw it. Times are seconds since the epoch, here and below.

    Attributes:
        trace: The id of its trace, which each of its requests has, too.
        operation: What was called: `show`, `detail`, `download`, `create` or `delete`.
        started: When.
        ended: When it returned or raised; None if it has not.
        error: The name of the error that it raised; empty for none.
        image: The id of its image; empty for none, and for one that was not made.
        digest: What it received: the SHA-256 of data, the id of a record; empty for none.
        expected: What is right; empty if nothing is known.
    """

    trace: str
    operation: str
    started: float
    ended: float | None = None
    error: str = ""
    image: str = ""
    digest: str = ""
    expected: str = ""


@dataclass(frozen=True)
class Spanned:
    """A span that ended.

    Attributes:
        kind: `call`, `attempt`, `request` or `stream`.
        trace: The id of its trace.
        span: Its id.
        operation: Glance's operation; empty for a request.
        server: The port of its server; 0 for a call.
        started: When.
        ended: When.
        outcome: A call's outcome, an attempt's verdict; empty otherwise.
        reason: Why it failed; empty for success.
        status: The HTTP status of a request; 0 for none.
        attempts: The attempts of a call.
        is_counted: Whether it is of the process whose metrics are read, and not of a child.
    """

    kind: str
    trace: str
    span: str
    operation: str
    server: int
    started: float
    ended: float
    outcome: str = ""
    reason: str = ""
    status: int = 0
    attempts: int = 0
    is_counted: bool = True


@dataclass(frozen=True)
class Served:
    """A request as a server logged it.

    Attributes:
        trace: The id of its trace; empty for none.
        span: The id of the span that sent it.
        server: The port of the server.
        method: The HTTP method.
        path: The path.
        began: When it was read.
        status: The HTTP status of the answer; 0 if it was not answered.
        size: The bytes of the answer's body; None if it was not sent as a whole.
        is_gateway: Whether nginx in front of the server logged it.
        answered: When its status was known; None if it never was.
    """

    trace: str
    span: str
    server: int
    method: str
    path: str
    began: float
    status: int = 0
    size: int | None = None
    is_gateway: bool = False
    answered: float | None = None


@dataclass(frozen=True)
class Stored:
    """The data of an active image.

    Attributes:
        image: The image's id.
        digest: The SHA-256 of the data in the store; empty if there is none.
        expected: The SHA-256 of what was sent, as the image's name has it.
    """

    image: str
    digest: str
    expected: str


@dataclass(frozen=True)
class Outage:
    """A time in which a server or the way to it was broken.

    Attributes:
        server: The server's port.
        fault: What it was.
        started: When it began, at the latest.
        ended: When it was over, at the earliest.
    """

    server: int
    fault: str
    started: float
    ended: float


@dataclass(frozen=True)
class Resources:
    """What the process holds.

    Attributes:
        threads: The names of threads.
        descriptors: The number of open descriptors.
        spans: The number of spans that have begun and not ended.
        memory: The resident memory in bytes.
    """

    threads: tuple[str, ...]
    descriptors: int
    spans: int
    memory: int


@dataclass(frozen=True)
class Limits:
    """What a run may not exceed.

    Attributes:
        attempt: Seconds of an attempt, beside those in which its process was held up.
        attempts: The attempts of a call.
        grace: Seconds after the end of an outage in which its traces may still show.
        memory: Bytes by which the process may grow.
        descriptors: Descriptors that may be left; a client that is never closed keeps some.
        repeats: Whether its own retries may make an image twice, and upload what is left of a file
            that was read before, as nova's do: `docs/reference/stock-clients.md` has both.
        slow: Seconds of a request in a server's log that explain a timeout.
    """

    attempt: float
    attempts: int
    grace: float
    memory: int
    descriptors: int = 0
    repeats: bool = False
    slow: float = 1.0


@dataclass(frozen=True)
class Seen:
    """What one process saw of a run.

    Attributes:
        made: The calls.
        spans: The spans that ended.
        counted: The calls that the metrics counted, by operation and outcome.
        attempts: The attempts that they counted, by operation, server, verdict and reason.
        before: What the process held before the first call.
        after: What it held after the last one.
        leaks: Where a secret was found.
        stalls: The times in which its threads had to wait for the machine.
    """

    made: tuple[Made, ...] = ()
    spans: tuple[Spanned, ...] = ()
    counted: Mapping[tuple[str, str], int] = field(default_factory=dict)
    attempts: Mapping[tuple[str, int, str, str], int] = field(default_factory=dict)
    before: Resources = Resources((), 0, 0, 0)
    after: Resources = Resources((), 0, 0, 0)
    leaks: tuple[str, ...] = ()
    stalls: tuple[tuple[float, float], ...] = ()

    def of_kind(self, kind: str) -> tuple[Spanned, ...]:
        """The spans of a kind."""
        return tuple(span for span in self.spans if span.kind == kind)


@dataclass(frozen=True)
class Evidence(Seen):
    """What one process saw, and what it is compared with.

    Attributes:
        limits: What may not be exceeded.
        served: The requests of all servers that were sent for this process's calls.
        outages: The times in which servers were broken.
        stored: The data of the active images that this process's calls uploaded.
        slow: The times in which servers were slow by their own logs, whosever calls they served.
        held_up: The times in which the proxies' process had to wait for the machine.
    """

    limits: Limits = Limits(0, 0, 0, 0)
    served: tuple[Served, ...] = ()
    outages: tuple[Outage, ...] = ()
    stored: tuple[Stored, ...] = ()
    slow: tuple[Outage, ...] = ()
    held_up: tuple[tuple[float, float], ...] = ()


def dump_seen(seen: Seen) -> str:
    """Write what a process saw, so that `load_seen` reads it."""
    told = asdict(seen)
    for name in ("counted", "attempts"):
        told[name] = list(told[name].items())
    return json.dumps(told)


def load_seen(text: str) -> Seen:
    """Read what `dump_seen` wrote."""
    told = json.loads(text)
    return Seen(
        made=tuple(Made(**each) for each in told["made"]),
        spans=tuple(Spanned(**each) for each in told["spans"]),
        counted={(o, outcome): count for (o, outcome), count in told["counted"]},
        attempts={(o, port, v, reason): n for (o, port, v, reason), n in told["attempts"]},
        before=_load_resources(told["before"]),
        after=_load_resources(told["after"]),
        leaks=tuple(told["leaks"]),
        stalls=tuple((start, end) for start, end in told["stalls"]),
    )


def _load_resources(told: dict[str, Any]) -> Resources:
    return Resources(**{**told, "threads": tuple(told["threads"])})


def parse_traceparent(header: str) -> tuple[str, str]:
    """Return the ids of the trace and of the span; empty ones for a header that has none."""
    words = header.split("-")
    return (words[1], words[2]) if len(words) == 4 else ("", "")
