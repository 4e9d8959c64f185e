"""What a trace tells: calls with their attempts, in order, and what they cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from statistics import mean
from typing import TYPE_CHECKING

from ..errors import DiagnosisError
from ..telemetry import catalogue
from .episodes import find_latest
from .latencies import compare, is_slow
from .observations import (
    NAMED,
    TOKEN_UNAVAILABLE,
    Callers,
    KeystoneSeen,
    Observations,
    ServerSeen,
    Tally,
    add_up,
)
from .refusals import find_unlike, sum_up
from .trace_formats import read_spans
from .traced_calls import AttemptSeen, TracedCall
from .words import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .observations import Latency
    from .trace_formats import SpanSeen

_LATE = 120.0
"""Seconds of answers after which a server's failures have ended."""

_UNKNOWN = (
    "since when it is so, only when the trace saw it first",
    "whether it is so now",
    "other callers and calls than those of the trace",
    "how fast image data flows",
    "alerts",
)


def observe(text: str, source: str, *, jobs: Sequence[str] = ()) -> Observations:
    """Return what the spans of a text tell.

    Args:
        text: JSON in one of the formats.
        source: The name of the file, for messages.
        jobs: The names of services to look at; empty for all.

    Raises:
        DiagnosisError: It has no call of this package's, or of the jobs.
    """
    spans = [each for each in read_spans(text) if not jobs or each.job in jobs]
    below = _find_below(spans)
    calls = [
        TracedCall(each, below[each.trace_id, each.span_id]) for each in spans if _is_call(each)
    ]
    if not calls:
        raise DiagnosisError(_describe_nothing(source, jobs))
    calls.sort(key=lambda each: each.span.start)
    names = dict.fromkeys(each.server for call in calls for each in call.attempts)
    asked = {name: _tally_refusals(name, calls) for name in names}
    return Observations(
        f"trace {source}",
        min(each.span.start for each in calls),
        max(each.span.end for each in calls),
        servers=tuple(_add_refusals(_see_servers(sorted(names), calls), asked, calls)),
        keystone=_see_keystone(calls),
        jobs=_count_processes(calls),
        refusals=sum_up(asked.values()),
        failed_calls=_tally(each.labels for each in calls if each.has_failed),
        usual_seconds=_find_usual(calls),
        calls=tuple(each.show() for each in calls if each.outcome != "success_first_try"),
        unknown=(*_UNKNOWN, *_describe_missing(calls)),
    )


def _describe_nothing(source: str, jobs: Sequence[str]) -> str:
    of, check = (f" of {' or '.join(jobs)}", ", and --job") if jobs else ("", "")
    return (
        f"{source} has no span of a call to Glance{of} that can be read; give OTLP's, Jaeger's or"
        f" the console's JSON of a whole trace, and check that it is not cut off{check}"
    )


def _describe_missing(calls: Iterable[TracedCall]) -> Iterator[str]:
    missing = sum(not each.is_whole for each in calls)
    if missing:
        yield f"all attempts of {format_count(missing, 'call')}, as some of their spans are missing"


def _is_call(span: SpanSeen) -> bool:
    return catalogue.OUTCOME in span.attributes


def _find_below(spans: Iterable[SpanSeen]) -> defaultdict[tuple[str, str], list[SpanSeen]]:
    """Return the spans below each span, by its trace and its id, in their order."""
    found: defaultdict[tuple[str, str], list[SpanSeen]] = defaultdict(list)
    for each in sorted(spans, key=lambda span: span.start):
        found[each.trace_id, each.parent_id].append(each)
    return found


_Attempted = tuple[TracedCall, AttemptSeen]
"""An attempt with its call."""


def _tally_refusals(server: str, calls: Sequence[TracedCall]) -> tuple[Tally, ...]:
    """Return what a server answered or refused."""
    return _tally(
        (call.span.job, call.operation, each.refusal)
        for call in calls
        for each in call.attempts
        if each.server == server and not each.reason
    )


def _add_refusals(
    servers: Iterable[ServerSeen],
    asked: Mapping[str, tuple[Tally, ...]],
    calls: Sequence[TracedCall],
) -> Iterator[ServerSeen]:
    unlike = find_unlike(asked)
    for server in servers:
        ends = [
            each.span.end
            for call in calls
            for each in call.attempts
            if each.server == server.server and each.refusal
        ]
        refusals = unlike.get(server.server, ())
        yield replace(server, refusals=refusals, refused_since=min(ends) if refusals else None)


def _see_servers(names: Sequence[str], calls: Sequence[TracedCall]) -> Iterator[ServerSeen]:
    seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        for each in call.attempts:
            if not each.reason:
                seconds[call.operation][each.server].append(each.seconds)
    compared = compare(
        {
            operation: {server: mean(every) for server, every in by_server.items()}
            for operation, by_server in seconds.items()
        }
    )
    for name in names:
        latencies = compared.get(name, ())
        since = _find_slow(name, latencies, calls)
        yield replace(_see_server(name, calls), latencies=latencies, slow_since=since)


def _find_slow(
    server: str, latencies: Iterable[Latency], calls: Iterable[TracedCall]
) -> float | None:
    """Return when the first slow attempt of the latest ones began; None for none."""
    slow = {each.operation: each for each in latencies if is_slow(each)}
    begins = {
        each.span.start: 1.0
        for call in calls
        if call.operation in slow
        for each in call.attempts
        if each.server == server and is_slow(replace(slow[call.operation], seconds=each.seconds))
    }
    episode = find_latest(begins)
    return None if episode is None else episode.first


def _see_server(server: str, calls: Sequence[TracedCall]) -> ServerSeen:
    attempts = [(call, each) for call in calls for each in call.attempts if each.server == server]
    since = min((each.span.end for _, each in attempts if each.reason), default=None)
    until = _find_until(attempts)
    # What was before its first failure is no part of the trouble, nor what is after the last one.
    those = [
        pair
        for pair in attempts
        if (since is None or pair[1].span.end >= since)
        and (until is None or pair[1].span.end <= until)
    ]
    seen = ServerSeen(
        server,
        since,
        exact=False,
        earlier=True,
        until=until,
        tallies=_tally((call.span.job, call.operation, each.reason) for call, each in those),
    )
    return seen if since is None else _add_calls(seen, those)


def _find_until(attempts: Sequence[_Attempted]) -> float | None:
    """Return when the last failure of a server was, if it then answered for some time."""
    ends = [each.span.end for _, each in attempts]
    last = max((each.span.end for _, each in attempts if each.reason), default=None)
    return None if last is None or max(ends) - last <= _LATE else last


def _tally(labels: Iterable[tuple[str, str, str]]) -> tuple[Tally, ...]:
    """Return how many attempts or calls there are of each job, operation and reason."""
    return tuple(Tally(*each, float(count)) for each, count in Counter(labels).items())


def _add_calls(seen: ServerSeen, attempts: Sequence[_Attempted]) -> ServerSeen:
    hit = list({id(call): call for call, each in attempts if each.reason}.values())
    saved = [each for each in hit if each.outcome in ("success_after_retry", "refused")]
    return replace(
        seen,
        callers=tuple(_see_callers(attempts)),
        # One that several servers failed counts once, as in the metrics.
        calls_failed=float(sum(each.ends_at(seen.server) for each in hit)),
        calls_saved=float(len(saved)),
        cost_seconds=sum(each.share_cost(seen.server) for each in saved),
        traces=tuple(dict.fromkeys(each.span.trace_id for each in hit))[:NAMED],
    )


def _see_callers(attempts: Iterable[_Attempted]) -> Iterator[Callers]:
    ends: dict[str, dict[str, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for call, each in attempts:
        ends[call.span.job][call.span.process].add(bool(each.reason))
    for job, processes in sorted(ends.items()):
        never = [name for name, failed in processes.items() if failed == {True}]
        yield Callers(
            job,
            asking=len(processes),
            failing=sum(True in failed for failed in processes.values()),
            succeeding=sum(False in failed for failed in processes.values()),
            never=len(never),
            names=tuple(filter(None, never))[:NAMED],
        )


def _see_keystone(calls: Iterable[TracedCall]) -> KeystoneSeen | None:
    lost = [
        each
        for each in calls
        if each.has_failed and not each.attempts and each.reason == TOKEN_UNAVAILABLE
    ]
    if not lost:
        return None
    return KeystoneSeen(
        since=min(each.span.end for each in lost),
        exact=False,
        tallies=_tally(each.labels for each in lost),
        traces=tuple(dict.fromkeys(each.span.trace_id for each in lost))[:NAMED],
    )


def _count_processes(calls: Iterable[TracedCall]) -> dict[str, int]:
    processes = {(each.span.job, each.span.process) for each in calls}
    return {job: round(count) for job, count in add_up((job, 1.0) for job, _ in processes).items()}


def _find_usual(calls: Iterable[TracedCall]) -> float | None:
    first = [
        each.span.end - each.span.start for each in calls if each.outcome == "success_first_try"
    ]
    return sum(first) / len(first) if first else None
