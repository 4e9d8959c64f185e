"""The answer: findings as plain sentences, and as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .latencies import is_slow, is_slower
from .observations import KEYSTONE, STREAM_ERROR
from .words import (
    describe_failure,
    describe_reason,
    format_count,
    format_duration,
    format_share,
    format_time,
    join,
    to_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from .findings import DiagnosisFinding
    from .observations import AlertSeen, Callers, CallSeen, Latency, Observations

_INDENT = 10
_ONLY_SERVER = "it is the only server; if it is a load balancer, one behind it may fail"
_SHARED = "what they share: the network, the database, a load balancer"
_DEADLINE = "deadline_exceeded"
_NO_LOAD_MOVES = ("refuses", "slow", "probes", "keystone")
"""Rules whose servers keep their load."""

_LEFT = ("failing", "cooling")
"""Host states after a failure."""

_OF_STREAMS = {STREAM_ERROR, "checksum_mismatch"}
"""Reasons of streams that fail after their calls have ended."""

_OWN = {
    **dict.fromkeys(("401", "403"), "how it checks tokens, or its policy"),
    **dict.fromkeys(("404", "410"), "its database or its image store"),
}
"""What is suspected of a server that refuses alone, by the most frequent reason."""

_MOST_CALLS = 3
"""How many single calls are shown."""


def make_json(findings: Sequence[DiagnosisFinding], seen: Observations) -> list[dict[str, object]]:
    """Return the findings for a program; times are `datetime` in UTC, None is unknown."""
    return [_to_json(each, seen) for each in findings]


def _to_json(finding: DiagnosisFinding, seen: Observations) -> dict[str, object]:
    return {
        "server": finding.servers[0] if len(finding.servers) == 1 else None,
        "servers": finding.servers,
        "rule": finding.rule.name,
        "says": _conclude(finding, seen),
        "reason": next(iter(finding.reasons), None),
        "reasons": {reason: round(count) for reason, count in finding.reasons.items()},
        "since": _to_time(finding.since),
        "since_exact": finding.exact and not finding.earlier,
        "until": _to_time(finding.until),
        "operations": sorted({name for each in finding.operations.values() for name in each}),
        "jobs": finding.operations,
        "processes": {
            each.job: {"asking": each.asking, "failing": each.failing} if each.asking else None
            for each in finding.callers
        },
        "failures_in_a_row": finding.row,
        "calls_failed": _to_count(finding.calls_failed),
        "calls_saved": _to_count(finding.calls_saved),
        "cost_seconds": finding.cost_seconds,
        "hidden_by_retries": finding.hidden_by_retries,
        "alerts": [
            {"name": each.name, "state": each.state, "since": _to_time(each.since)}
            for each in finding.alerts
        ],
        "traces": finding.traces,
        "confidence": finding.confidence,
        "unknown": seen.unknown,
    }


def _to_time(seconds: float | None) -> datetime | None:
    return None if seconds is None else to_time(seconds)


def _to_count(count: float | None) -> int | None:
    return None if count is None else round(count)


def make_lines(findings: Sequence[DiagnosisFinding], seen: Observations) -> Iterator[str]:
    """Yield the lines of the answer."""
    yield _describe_source(seen)
    for each in findings:
        yield ""
        yield from _describe(each, seen, is_first=each is findings[0])
    if not findings:
        yield ""
        yield _describe_nothing(seen)
    for call in seen.calls[:_MOST_CALLS]:
        yield ""
        yield from _describe_call(call)
    yield ""
    if seen.refusals:
        reasons = join(f"{describe_reason(it)} ({n:,.0f})" for it, n in seen.refusals.items())
        yield f"Refused requests, which are no failures of servers: {reasons}."
    if seen.hazards:
        kinds = join(f"{kind} ({count:.0f})" for kind, count in seen.hazards.items())
        yield f"Stock clients did what their callers do not see: {kinds}."
    if seen.unknown:
        yield f"It can't know: {'; '.join(seen.unknown)}."


def _describe_source(seen: Observations) -> str:
    start, end = to_time(seen.start), to_time(seen.end)
    until = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    jobs = format_count(len(seen.jobs), "job")
    processes = sum(seen.jobs.values())
    callers = f"{format_count(processes, 'process')} of {jobs}" if processes else jobs
    servers = format_count(len(seen.servers), "server")
    return f"{seen.source}, {start:%Y-%m-%d %H:%M:%S} to {until} UTC: {servers}, {callers}"


def _describe_nothing(seen: Observations) -> str:
    lost = [each for each in seen.calls if each.has_failed]
    if lost:
        reasons = join(dict.fromkeys(describe_reason(each.reason) for each in lost))
        calls = format_count(len(lost), "call")
        return f"{calls} failed ({reasons}), but no attempt on a server is told to have failed."
    asked = [each for each in seen.servers if each.asked]
    if not asked:
        return "Nothing is known: no attempt on a server is told."
    servers = join(each.server for each in asked)
    usual = seen.usual_seconds
    takes = "" if usual is None else f" A call takes {format_duration(usual)} on average."
    left = [f"{each.server} is {each.state}" for each in asked if each.state in _LEFT]
    why = (
        f" {join(left)}, though no attempt failed: image data may have broken off after its call"
        " had ended."
    )
    unasked = [each.server for each in seen.servers if not each.asked]
    return (
        f"{'No attempt' if left else 'Nothing'} fails now, and no server is slow beside the others:"
        f" {servers}.{takes}{why if left else ''}"
        f"{f' No attempt on {join(unasked)} is told.' if unasked else ''}"
    )


def _describe(finding: DiagnosisFinding, seen: Observations, *, is_first: bool) -> Iterator[str]:
    yield _conclude(finding, seen)
    parts = (
        ("hit", _describe_hit(finding)),
        ("cost", _describe_cost(finding, seen)),
        ("then", _describe_load(finding, seen) if is_first else ""),
        ("probes", _describe_probes(finding)),
        ("look", _describe_look(finding)),
        ("sure", "no: there were few failures" if finding.confidence == "low" else ""),
    )
    for name, text in parts:
        if text:
            yield f"  {name:<{_INDENT - 2}}{text}"


def _conclude(finding: DiagnosisFinding, seen: Observations) -> str:
    never = [each for each in finding.callers if each.never]
    names = [name for each in never for name in each.names]
    succeeding = sum(each.succeeding for each in finding.callers)
    operations = {name for each in finding.operations.values() for name in each}
    sentence = finding.rule.concludes.format(
        servers=join(finding.servers),
        number=len(finding.servers),
        fails=describe_failure(finding.reasons),
        reasons=join(describe_reason(each) for each in finding.reasons) or "no reason is known",
        shared=f"{'a deadline that is too short, or ' * (_DEADLINE in finding.reasons)}{_SHARED}",
        own=_OWN.get(next(iter(finding.reasons), ""), "its own settings"),
        when=_describe_time(finding, seen),
        operations=join(sorted(operations)) or "attempts",
        fine=join(finding.fine) or "others",
        share=format_share(finding.share),
        recoveries=finding.recoveries,
        never=f"{join(each.job for each in never)} ({join(names)})",
        others=format_count(succeeding, "other process"),
        latencies=join(_describe_latency(each) for each in finding.latencies if is_slow(each)),
    )
    row = f" {finding.row} failures in a row." if (finding.row or 0) > 1 else ""
    gone = " No caller asks it any more." if finding.gone else ""
    return f"{'' if finding.is_ongoing else 'Ended: '}{sentence}{row}{gone}"


def _describe_time(finding: DiagnosisFinding, seen: Observations) -> str:
    if finding.since is None:
        return "since an unknown time"
    since = format_time(finding.since, seen.end)
    if finding.until is not None:
        length = format_duration(finding.until - finding.since)
        return f"from {since} to {format_time(finding.until, seen.end)}, {length}"
    about = "" if finding.exact else "about "
    if finding.earlier:
        return f"since {about}{since} or earlier"
    return f"since {about}{since}, {format_duration(seen.end - finding.since)}"


def _describe_latency(latency: Latency) -> str:
    name = latency.operation or "an attempt"
    others = latency.others if is_slower(latency) else None
    usual = "" if others is None else f" in place of {format_duration(others)}"
    return f"{name} takes {format_duration(latency.seconds)}{usual}"


def _describe_hit(finding: DiagnosisFinding) -> str:
    processes = {each.job: each for each in finding.callers}
    parts = []
    for job, operations in finding.operations.items():
        caller = processes.get(job)
        count = "" if caller is None else f" ({_describe_processes(caller)})"
        parts.append(
            f"{job or 'a caller'}{count}: {', '.join(operations) or 'its operations are not told'}"
        )
    return "; ".join(parts)


def _describe_processes(caller: Callers) -> str:
    if not caller.asking:
        return "processes: not kept"
    return f"{caller.failing} of {format_count(caller.asking, 'process')}"


def _describe_cost(finding: DiagnosisFinding, seen: Observations) -> str:
    if finding.rule.name == "slow":
        return "its callers wait; no attempt on it failed, so that none was retried"
    if finding.rule.name == "probes":
        return ""
    if finding.rule.name == "refuses":
        calls = format_count(round(finding.calls_failed or 0.0), "call")
        return f"{calls} refused; no other server is asked then"
    parts = [_describe_saved(finding, seen)] if finding.calls_saved else []
    if finding.calls_failed:
        parts.append(f"{format_count(round(finding.calls_failed), 'call')} failed")
    elif not finding.calls_saved and {*finding.reasons} & _OF_STREAMS:
        parts.append("no call failed; the data of calls that had ended broke off or was wrong")
    elif finding.calls_failed is not None:
        parts.append("none failed: retries hid it" if finding.calls_saved else "no call failed")
    if finding.calls_saved is None and finding.servers != (KEYSTONE,):
        parts.append("what retries cost is not told")
    return "; ".join(parts)


def _describe_saved(finding: DiagnosisFinding, seen: Observations) -> str:
    saved, cost = finding.calls_saved or 1.0, finding.cost_seconds or 0.0
    calls = format_count(round(saved), "call")
    every, whole = format_duration(cost / saved), format_duration(cost)
    if seen.usual_seconds is None:
        return f"{calls} took {every} longer, {whole} in all"
    took, usual = format_duration(cost / saved + seen.usual_seconds), seen.usual_seconds
    return f"{calls} took {took} in place of {format_duration(usual)}, {whole} more in all"


def _describe_load(finding: DiagnosisFinding, seen: Observations) -> str:
    if not finding.is_ongoing or finding.rule.name in _NO_LOAD_MOVES:
        return ""
    if finding.servers == tuple(each.server for each in seen.servers):
        return _ONLY_SERVER if len(finding.servers) == 1 else ""
    others = [each for each in seen.servers if each.server not in finding.servers]
    shares = [each.share for each in others if not each.since and each.share[0] is not None]
    if not shares:
        return ""
    now = max(share or 0.0 for share, _ in shares)
    before = [share for _, share in shares if share is not None]
    was = f", {format_share(max(before))} before" if before else ""
    verb = "carries" if len(shares) == 1 else "carry"
    servers = f"{len(shares)} of {len(seen.servers)} servers {verb} the load"
    return f"{servers}: up to {format_share(now)} of attempts each{was}"


def _describe_probes(finding: DiagnosisFinding) -> str:
    if not finding.probe_reason or finding.rule.name == "probes":
        return ""
    return f"fail, too ({describe_reason(finding.probe_reason)})"


def _describe_look(finding: DiagnosisFinding) -> str:
    parts = [f"trace {each}" for each in finding.traces[:1]]
    parts += dict.fromkeys(_describe_alert(each) for each in finding.alerts)
    parts += dict.fromkeys(f"runbook {each.runbook}" for each in finding.alerts if each.runbook)
    return ", ".join(parts)


def _describe_alert(alert: AlertSeen) -> str:
    verb = "fires" if alert.state == "firing" else f"is {alert.state}"
    since = "" if alert.since is None else f" since {format_time(alert.since, alert.since)}"
    return f"{alert.name} {verb}{since}"


def _describe_call(call: CallSeen) -> Iterator[str]:
    reason = f" ({call.reason})" if call.reason else ""
    yield (
        f"{call.operation} in {format_duration(call.seconds)}: {call.outcome}{reason};"
        f" retries cost {format_duration(call.cost_seconds)}; trace {call.trace_id}"
    )
    for number, (server, why, seconds) in enumerate(call.attempts, 1):
        end = why or "answered"
        yield f"  {number}. {server} {end}, {format_duration(seconds)}"
