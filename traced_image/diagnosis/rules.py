"""The rules by which the diagnosis concludes, as data; the first one that applies counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .latencies import is_slow
from .observations import Callers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .observations import Observations, ServerSeen

Confidence = Literal["high", "medium", "low"]

NETWORK = frozenset(
    {
        *("dns_error", "connection_refused", "connect_timeout", "network_unreachable"),
        *("tls_error", "proxy_error"),
    }
)
"""Reasons for which no request reached the server, whatever its operation."""

_WAY = NETWORK | {"read_timeout", "connection_reset"}
"""Reasons that the way to a server may have, too."""

_IMAGE = frozenset({"500", "checksum_mismatch"})
"""Reasons that a single image may have on any server."""

ALL, MOST, NONE = 0.95, 0.75, 0.1
"""The shares from which a server fails for all attempts and for most, and up to which for none."""

RECOVERIES = 2
"""How often a server recovers until it flaps."""


@dataclass(frozen=True, slots=True)
class DiagnosisRule:
    """A rule.

    Attributes:
        name: Its name, as ``rule`` in JSON.
        applies: Whether it applies to a server.
        concludes: The sentence, in which `answer` fills in the names in braces.
        confidence: How sure the conclusion is, with several failures.
        together: How many servers it needs: each makes a finding of its own, or at least ``two``,
            or ``all`` that are asked, make one together.
        alike: What must be the same for servers to be in one finding.
    """

    name: str
    applies: Callable[[ServerSeen], bool]
    concludes: str
    confidence: Confidence = "high"
    together: Literal["each", "some", "two", "all"] = "each"
    alike: Callable[[ServerSeen], object] = bool


# --- conditions --------------------------------------------------------------------------------


def fails_for_one_caller(server: ServerSeen) -> bool:
    """Whether some processes never reach a server that others reach."""
    if not server.failed or not set(server.reasons) <= _WAY:
        return False
    never = sum(each.never for each in server.callers)
    failing = sum(each.failing for each in server.callers)
    succeeding = sum(each.succeeding for each in server.callers)
    if not never or failing > never or not succeeding:
        return False
    # What was sent may be the reason for the others: others must succeed with the same.
    return set(server.reasons) <= NETWORK or all(
        server.failing_share(operation) < ALL for operation in server.failing_operations
    )


def fails_some_images(server: ServerSeen) -> bool:
    """Whether a server fails some attempts for a reason that a single image may have."""
    asked = [each for each in server.tallies if each.operation in server.failing_operations]
    every = sum(each.count for each in asked)
    return bool(every) and set(server.reasons) <= _IMAGE and server.failed < MOST * every


def fails_always(server: ServerSeen) -> bool:
    """Whether a server fails all attempts."""
    return server.failing_share() >= ALL


def fails_one_operation(server: ServerSeen) -> bool:
    """Whether a server fails all attempts of some operations, and hardly one of the others."""
    shares = {
        each.operation: server.failing_share(each.operation)
        for each in server.tallies
        if each.operation
    }
    broken = [share for share in shares.values() if share >= ALL]
    fine = [share for share in shares.values() if share <= NONE]
    return bool(broken) and bool(fine) and len(broken) + len(fine) == len(shares)


def flaps(server: ServerSeen) -> bool:
    """Whether a server fails and recovers by turns, and not for a reason that an image may have."""
    recovers = (server.recoveries or 0) >= RECOVERIES
    return bool(server.failed) and recovers and not fails_some_images(server)


def fails_sometimes(server: ServerSeen) -> bool:
    """Whether a server has failures at all."""
    return bool(server.failed)


def refuses_alone(server: ServerSeen) -> bool:
    """Whether a server refuses what another server answers."""
    return bool(server.refusals)


def answers_slowly(server: ServerSeen) -> bool:
    """Whether a server is slow, beside the others or by itself."""
    return any(is_slow(each) for each in server.latencies)


def fails_probes(server: ServerSeen) -> bool:
    """Whether only an exporter's probes fail."""
    return bool(server.probe_reason)


def _name_callers(server: ServerSeen) -> tuple[Callers, ...]:
    return tuple(
        Callers(each.job, 0, 0, 0, each.never, each.names) for each in server.never_reaching
    )


RULES = (
    DiagnosisRule(
        "one_caller",
        fails_for_one_caller,
        "{never} can't use {servers} ({reasons}) {when}. {others} can: suspect the way between"
        " them, not the server.",
        "medium",
        together="some",
        alike=_name_callers,
    ),
    DiagnosisRule(
        "one_image",
        fails_some_images,
        "{servers} fail {share} of {operations} in the same way ({reasons}) {when}. Other attempts"
        " succeed: suspect an image, not a server.",
        "medium",
        together="two",
        alike=lambda server: tuple(server.reasons),
    ),
    DiagnosisRule(
        "all_servers",
        fails_always,
        "All {number} servers fail ({reasons}) {when}: {servers}. Suspect {shared}.",
        together="all",
    ),
    DiagnosisRule(
        "all_servers_one_operation",
        fails_one_operation,
        "All {number} servers fail {operations} ({reasons}) {when}, and not {fine}: {servers}."
        " Suspect what they share for it, such as the image store.",
        together="all",
    ),
    DiagnosisRule("down", fails_always, "{servers} {fails} {when}."),
    DiagnosisRule(
        "one_operation",
        fails_one_operation,
        "{servers} {fails} for {operations} alone {when}; not for {fine}.",
    ),
    DiagnosisRule(
        "flapping",
        flaps,
        "{servers} fails and recovers by turns ({reasons}) {when}: {share} of attempts fail, and it"
        " recovered {recoveries} times or more.",
        "medium",
    ),
    DiagnosisRule(
        "sometimes", fails_sometimes, "{servers} fails {share} of attempts ({reasons}) {when}."
    ),
    DiagnosisRule(
        "refuses",
        refuses_alone,
        "{servers} refuses {share} of {operations} ({reasons}) {when}, and others answer them:"
        " suspect {own}.",
        "medium",
    ),
    DiagnosisRule("slow", answers_slowly, "{servers} is slow {when}: {latencies}.", "medium"),
    DiagnosisRule(
        "probes",
        fails_probes,
        "{servers} fails its probes ({reasons}) {when}. No call of a caller fails there.",
        "medium",
    ),
)
"""The rules, in their order."""


def apply(seen: Observations) -> Iterator[tuple[DiagnosisRule, tuple[ServerSeen, ...]]]:
    """Yield each rule that applies, with the servers of the finding that it makes.

    A server whose failures have ended is never together with one that still fails.
    """
    left = list(seen.servers)
    for rule in RULES:
        found = [each for each in left if rule.applies(each)]
        for group in _group(rule, found):
            if len(group) >= _find_least(rule, seen) and (rule.together != "all" or _meet(group)):
                yield rule, group
                left = [each for each in left if each not in group]


def _find_least(rule: DiagnosisRule, seen: Observations) -> int:
    return {"two": 2, "all": max(2, len(seen.servers))}.get(rule.together, 1)


def _meet(servers: Sequence[ServerSeen]) -> bool:
    """Whether all servers failed at the same time, and not one after the other."""
    last = max(each.since or 0.0 for each in servers)
    return all(each.until is None or each.until > last for each in servers)


def _group(rule: DiagnosisRule, servers: Sequence[ServerSeen]) -> list[tuple[ServerSeen, ...]]:
    if rule.together == "each":
        return [(each,) for each in servers]
    groups: dict[object, list[ServerSeen]] = {}
    for each in servers:
        groups.setdefault((each.until is None, rule.alike(each)), []).append(each)
    return [tuple(group) for group in groups.values()]
