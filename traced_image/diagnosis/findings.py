"""Findings: what the rules conclude of the observations, worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .latencies import is_slow
from .observations import KEYSTONE, NAMED, TOKEN_UNAVAILABLE, Callers, ServerSeen, add_up
from .rules import DiagnosisRule, apply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .observations import AlertSeen, KeystoneSeen, Latency, Observations, Tally
    from .rules import Confidence

KEYSTONE_RULE = DiagnosisRule(
    "keystone",
    lambda server: server.server == KEYSTONE,
    "Keystone gives no token ({reasons}) {when}. No Glance server was asked for those calls.",
)

_SHORTLY = 30.0
"""Seconds after the begin of a source's time in which something may have begun before it."""

_FEW = 3
"""Fewer failures than these prove little."""


@dataclass(frozen=True, slots=True)
class DiagnosisFinding:
    """What is wrong with one server, with several together, or with Keystone.

    Attributes:
        rule: The rule that concluded it.
        servers: The servers, or `KEYSTONE`.
        reasons: Why they fail, with how often; the most frequent first.
        since: Since when, in seconds since the epoch; None if unknown.
        exact: Whether it began then; otherwise it began about then.
        earlier: Whether it may have begun before, as the source does not reach back.
        until: When it ended; None if it has not.
        gone: Whether it ended because no caller asks these servers any more.
        row: The most failures in a row of a caller; None if unknown.
        operations: The operations that fail, by job.
        fine: The operations that do not.
        callers: The processes that are hit.
        share: The share of attempts that fail, from 0 to 1.
        recoveries: How often a caller found the server healthy again.
        latencies: The durations of attempts.
        calls_failed: How many calls failed in the end; None if unknown.
        calls_saved: How many calls did not fail because of retries; None if unknown.
        cost_seconds: How much longer these took; None if unknown.
        probe_reason: Why probes fail; empty if they do not.
        alerts: The alerts that name a server, or Keystone.
        traces: The ids of some traces.
        confidence: How sure the conclusion is.
    """

    rule: DiagnosisRule
    servers: tuple[str, ...]
    reasons: dict[str, float]
    since: float | None
    exact: bool
    earlier: bool
    until: float | None
    gone: bool
    row: int | None
    operations: dict[str, tuple[str, ...]]
    fine: tuple[str, ...]
    callers: tuple[Callers, ...]
    share: float
    recoveries: int
    latencies: tuple[Latency, ...]
    calls_failed: float | None
    calls_saved: float | None
    cost_seconds: float | None
    probe_reason: str
    alerts: tuple[AlertSeen, ...]
    traces: tuple[str, ...]
    confidence: Confidence

    @property
    def hidden_by_retries(self) -> bool | None:
        """Whether retries hid it: calls were saved and none failed; None if that is unknown."""
        if self.calls_failed is None:
            return None
        return not self.calls_failed and bool(self.calls_saved)

    @property
    def is_ongoing(self) -> bool:
        """Whether it has not ended."""
        return self.until is None


def find(seen: Observations) -> list[DiagnosisFinding]:
    """Return the findings, worst first: what still fails, what fails calls, what costs most."""
    findings = [_make_finding(rule, servers, seen) for rule, servers in apply(seen)]
    if seen.keystone is not None:
        findings.append(_make_keystone(seen.keystone, seen))
    return sorted(
        findings,
        key=lambda each: (
            not each.is_ongoing,
            -(each.calls_failed or 0.0),
            -(each.cost_seconds or 0.0),
            each.servers,
        ),
    )


def _make_finding(
    rule: DiagnosisRule, servers: tuple[ServerSeen, ...], seen: Observations
) -> DiagnosisFinding:
    if rule.name == "refuses":
        servers = tuple(map(_see_refusals, servers))
    tallies = [tally for each in servers for tally in each.tallies]
    failed = sum(each.failed for each in servers)
    every = sum(each.attempts for each in servers)
    names = tuple(each.server for each in servers)
    reasons = add_up((each.reason, each.count) for each in tallies if each.reason)
    slow = rule.name == "slow"  # then no attempt has failed
    probed = next((each.probe_reason for each in servers if each.probe_reason), "")
    since = _find_since(rule, servers)
    return DiagnosisFinding(
        rule=rule,
        servers=names,
        reasons=reasons or ({probed: 1.0} if rule.name == "probes" else {}),
        since=since,
        exact=all(each.exact for each in servers),
        earlier=any(each.earlier for each in servers) or _begins_with(rule, since, seen),
        until=_find_most(each.until for each in servers),
        gone=all(each.gone for each in servers),
        row=_find_row(servers),
        operations=_find_slow(servers) if slow else _find_operations(tallies),
        fine=_find_fine(tallies),
        callers=_merge(caller for each in servers for caller in each.callers),
        share=failed / every if every else 0.0,
        recoveries=max((each.recoveries or 0) for each in servers),
        latencies=tuple(latency for each in servers for latency in each.latencies),
        calls_failed=0.0 if slow else _count_failed(servers, reasons, seen),
        calls_saved=0.0 if slow else _add(each.calls_saved for each in servers),
        cost_seconds=_add(each.cost_seconds for each in servers),
        probe_reason=probed,
        alerts=tuple(each for each in seen.alerts or () if each.server in names),
        traces=tuple(trace for each in servers for trace in each.traces)[:NAMED],
        confidence=_weigh(rule, failed, servers),
    )


def _see_refusals(server: ServerSeen) -> ServerSeen:
    """Return a server whose refusals count as failures."""
    lost = sum(each.count for each in server.refusals if each.reason)
    return ServerSeen(
        server.server,
        server.refused_since,
        exact=False,
        tallies=server.refusals,
        calls_failed=float(lost),
        calls_saved=0.0,
        probe_reason=server.probe_reason,
    )


def _weigh(rule: DiagnosisRule, failed: float, servers: Iterable[ServerSeen]) -> Confidence:
    if rule.name in ("slow", "probes"):
        return rule.confidence
    return rule.confidence if max(failed, _find_row(servers) or 0) >= _FEW else "low"


def _find_row(servers: Iterable[ServerSeen]) -> int | None:
    rows = [each.row for each in servers if each.row is not None]
    return max(rows) if rows else None


def _begins_with(rule: DiagnosisRule, since: float | None, seen: Observations) -> bool:
    """Whether what is no failure began with the time that the source knows, or before."""
    of_answers = rule.name in ("refuses", "slow")
    return of_answers and since is not None and since - seen.start < _SHORTLY


def _find_since(rule: DiagnosisRule, servers: tuple[ServerSeen, ...]) -> float | None:
    """Return since when; of all servers, when the last of them began to fail."""
    if rule.name == "probes":
        return servers[0].probe_since
    if rule.name == "slow":
        return servers[0].slow_since
    times = [each.since for each in servers if each.since is not None]
    if not times:
        return None
    return max(times) if rule.together == "all" else min(times)


def _find_most(times: Iterable[float | None]) -> float | None:
    """Return the latest time; None if one is open."""
    every = list(times)
    known = [each for each in every if each is not None]
    return max(known) if len(known) == len(every) else None


def _find_operations(tallies: Iterable[Tally]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for each in tallies:
        if each.reason:
            found.setdefault(each.job, set()).update(filter(None, [each.operation]))
    return {job: tuple(sorted(operations)) for job, operations in sorted(found.items())}


def _find_slow(servers: Iterable[ServerSeen]) -> dict[str, tuple[str, ...]]:
    """Return the slow operations by job; none are named if the source does not tell them apart."""
    found: dict[str, set[str]] = {}
    for server in servers:
        slow = {each.operation: each.jobs for each in server.latencies if is_slow(each)}
        for each in server.tallies:
            jobs = slow.get(each.operation, slow.get(""))
            if jobs is not None and (not jobs or each.job in jobs):
                found.setdefault(each.job, set()).update({each.operation} & {*slow})
    return {job: tuple(sorted(operations)) for job, operations in sorted(found.items())}


def _find_fine(tallies: Iterable[Tally]) -> tuple[str, ...]:
    every = list(tallies)
    failing = {each.operation for each in every if each.reason}
    return tuple(sorted({each.operation for each in every} - failing - {""}))


def _merge(callers: Iterable[Callers]) -> tuple[Callers, ...]:
    """Return the callers of several servers, each job once."""
    found: dict[str, Callers] = {}
    for each in callers:
        known = found.get(each.job, Callers(each.job, 0, 0, 0, 0))
        found[each.job] = Callers(
            each.job,
            max(known.asking, each.asking),
            max(known.failing, each.failing),
            max(known.succeeding, each.succeeding),
            max(known.never, each.never),
            known.names or each.names,
        )
    return tuple(found.values())


def _count_failed(
    servers: tuple[ServerSeen, ...], reasons: dict[str, float], seen: Observations
) -> float | None:
    """Return how many calls failed by these servers.

    Calls that no other server could save name no server; those with one of the reasons count.
    """
    known = _add(each.calls_failed for each in servers)
    if known is None:
        return None
    unsaved = sum(each.count for each in seen.failed_calls if each.reason in reasons)
    return max(known, unsaved) if _is_only(servers, reasons, seen) else known


def _is_only(
    servers: tuple[ServerSeen, ...], reasons: dict[str, float], seen: Observations
) -> bool:
    """Whether no other server fails for one of the reasons."""
    others = [each for each in seen.servers if each not in servers]
    return not any(set(reasons) & set(each.reasons) for each in others)


def _add(values: Iterable[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) if known else None


def _make_keystone(keystone: KeystoneSeen, seen: Observations) -> DiagnosisFinding:
    failed = sum(each.count for each in keystone.tallies)
    calls = [each for each in seen.failed_calls if each.reason == TOKEN_UNAVAILABLE]
    return DiagnosisFinding(
        rule=KEYSTONE_RULE,
        servers=(KEYSTONE,),
        reasons=add_up((each.reason, each.count) for each in keystone.tallies),
        since=keystone.since,
        exact=keystone.exact,
        earlier=not keystone.exact,
        until=keystone.until,
        gone=False,
        row=None,
        operations=_find_operations([*keystone.tallies, *calls]),
        fine=(),
        callers=(),
        share=1.0,
        recoveries=0,
        latencies=(),
        calls_failed=failed,
        calls_saved=None,
        cost_seconds=None,
        probe_reason="",
        alerts=tuple(each for each in seen.alerts or () if "Keystone" in each.name),
        traces=keystone.traces,
        confidence="high" if failed >= _FEW else "low",
    )
