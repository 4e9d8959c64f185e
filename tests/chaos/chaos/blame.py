"""The checks of who is blamed: nobody but who was broken, or too slow by the servers' own logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .pulse import add_stalled
from .records import KEYSTONE, Evidence, Made, Outage, Served, Spanned

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

TIMEOUTS = frozenset({"connect_timeout", "read_timeout", "deadline_exceeded"})
"""The reasons of which a server that is merely slow may be the cause."""

_SERVER_ERRORS = 500


STATUS, FAULT, SLOW, NOTHING = "a status", "a fault", "a slow server", "nothing"
"""What explains that an attempt failed."""


def explain(evidence: Evidence) -> Iterator[tuple[Spanned, str]]:
    """Say of each attempt that failed what explains it.

    A server that ran out of time although nothing broke it must have been slow by its own log, or
    the machine must have kept the proxies before it waiting for as long.
    """
    said = {(line.trace, line.server) for line in evidence.served if line.status >= _SERVER_ERRORS}
    for attempt in evidence.of_kind("attempt"):
        if attempt.outcome != "failed":
            continue
        if (attempt.trace, attempt.server) in said:
            yield attempt, STATUS
        elif _was_broken(attempt.server, attempt, evidence):
            yield attempt, FAULT
        elif attempt.reason in TIMEOUTS and _was_slow(attempt.server, attempt, evidence):
            yield attempt, SLOW
        else:
            yield attempt, NOTHING


def find_wrong_accusations(evidence: Evidence) -> Iterator[str]:
    """An attempt that failed was made on a server that was broken then, or that said so itself."""
    for attempt, why in explain(evidence):
        if why == NOTHING:
            yield (
                f"an attempt of {attempt.operation} blames server {attempt.server},"
                f" which was healthy, for {attempt.reason}: trace {attempt.trace}"
            )


def find_wrong_token_failures(evidence: Evidence) -> Iterator[str]:
    """A call failed for want of a token only while Keystone was broken, or was slow by its log."""
    for made in evidence.made:
        if made.error == "TokenUnavailable" and not (
            _was_broken(KEYSTONE, made, evidence) or _was_slow(KEYSTONE, made, evidence)
        ):
            name = f"{made.operation} (trace {made.trace})"
            yield f"{name} got no token of a Keystone that was healthy"


def _was_broken(server: int, of: Made | Spanned, evidence: Evidence) -> bool:
    return _meets(evidence.outages, server, of, evidence.limits.grace)


def _was_slow(server: int, of: Made | Spanned, evidence: Evidence) -> bool:
    stalled = add_stalled(evidence.held_up, of.started, of.ended or of.started)
    return (
        stalled > evidence.limits.slow
        or _meets(evidence.slow, server, of, 0.0)
        or _waited(server, of, evidence)
    )


def _waited(server: int, of: Made | Spanned, evidence: Evidence) -> bool:
    """Whether a request waited for the server to begin with it, by the server's own log."""
    return any(
        line.began - of.started > evidence.limits.slow
        for line in evidence.served
        if (line.trace, line.server) == (of.trace, server) and not line.is_gateway
    )


def _meets(outages: Iterable[Outage], server: int, of: Made | Spanned, grace: float) -> bool:
    started, ended = of.started, of.ended or of.started
    return any(
        each.server == server and each.started <= ended and started <= each.ended + grace
        for each in outages
    )


def find_slow(
    served: Iterable[Served], outages: Collection[Outage], seconds: float
) -> Iterator[Outage]:
    """Find the requests that took longer by a server's own log.

    One that was never answered took until the server was killed, which the outages tell.
    """
    for line in served:
        ends = [each.started for each in outages if each.server == line.server]
        killed = min((end for end in ends if end >= line.began), default=line.began)
        answered = killed if line.answered is None else line.answered
        if answered - line.began > seconds:
            yield Outage(line.server, "slow", line.began, answered)
