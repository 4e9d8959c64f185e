"""What a trace tells: calls with their attempts, in order, and what they cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from statistics import mean
from typing import TYPE_CHECKING

from ..errors import DiagnosisError
from ..telemetry import catalogue
from .episodes import find_latest
from .json_values import find_number
from .latencies import compare, is_slow
from .observations import (
    NAMED,
    TOKEN_UNAVAILABLE,
    Callers,
    CallSeen,
    KeystoneSeen,
    Observations,
    ServerSeen,
    Tally,
    add_up,
    name_server,
)
from .refusals import find_unlike, sum_up
from .trace_formats import read_spans
from .words import describe_reason

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
    "alerts",
)


def observe(text: str, source: str, *, jobs: Sequence[str] = ()) -> Observations:
    """Return what the spans of a text tell.

    Args:
        text: JSON in one of the formats.
        source: The name of the file, for messages.
        jobs: The names of services to look at; empty for all.

    Raises:
        DiagnosisError: It has no call of this package's.
    """
    spans = [each for each in read_spans(text) if not jobs or each.job in jobs]
    below = _find_below(spans)
    calls = [
        _TracedCall(each, below[each.trace_id, each.span_id]) for each in spans if _is_call(each)
    ]
    if not calls:
        raise DiagnosisError(
            f"{source} has no span of a call to Glance; give OTLP's, Jaeger's or the console's"
            " JSON of a whole trace"
        )
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
        unknown=_UNKNOWN,
    )


def _is_call(span: SpanSeen) -> bool:
    return catalogue.OUTCOME in span.attributes


def _find_below(spans: Iterable[SpanSeen]) -> defaultdict[tuple[str, str], list[SpanSeen]]:
    """Return the spans below each span, by its trace and its id, in their order."""
    found: defaultdict[tuple[str, str], list[SpanSeen]] = defaultdict(list)
    for each in sorted(spans, key=lambda span: span.start):
        found[each.trace_id, each.parent_id].append(each)
    return found


@dataclass(frozen=True, slots=True)
class _AttemptSeen:
    """An attempt, or a stream that broke after its attempt had ended."""

    span: SpanSeen
    server: str
    reason: str
    refusal: str = ""

    @property
    def seconds(self) -> float:
        return self.span.end - self.span.start

    @property
    def end(self) -> str:
        if self.refusal:
            return f"refused ({describe_reason(self.refusal)})"
        return describe_reason(self.reason) if self.reason else ""


@dataclass(frozen=True, slots=True)
class _TracedCall:
    """A call, and the spans below it."""

    span: SpanSeen
    below: list[SpanSeen]

    @property
    def attempts(self) -> list[_AttemptSeen]:
        return [each for span in self.below if (each := _read_attempt(span)) is not None]

    @property
    def failures(self) -> list[_AttemptSeen]:
        return [each for each in self.attempts if each.reason]

    @property
    def operation(self) -> str:
        return str(self.span.attributes.get(catalogue.OPERATION, ""))

    @property
    def outcome(self) -> str:
        return str(self.span.attributes[catalogue.OUTCOME])

    @property
    def has_failed(self) -> bool:
        return self.outcome in catalogue.FAILED_OUTCOMES

    @property
    def reason(self) -> str:
        return str(self.span.attributes.get(catalogue.ERROR_TYPE, "")) if self.has_failed else ""

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.span.job, self.operation, self.reason

    @property
    def cost(self) -> float:
        """What retries added; of a trace that does not say it, the time of failed attempts."""
        told = find_number(self.span.attributes, catalogue.RETRY_COST_TOTAL)
        waits = find_number(self.span.attributes, catalogue.RETRY_DELAY_TOTAL) or 0.0
        return sum(each.seconds for each in self.failures) + waits if told is None else told

    def ends_at(self, server: str) -> bool:
        """Return whether the call failed, and this server was the last one that failed it."""
        return self.has_failed and self.failures[-1].server == server

    def share_cost(self, server: str) -> float:
        """Return the part of the cost that one of the servers has caused."""
        every = sum(each.seconds for each in self.failures)
        own = sum(each.seconds for each in self.failures if each.server == server)
        return self.cost * own / every if every else 0.0

    def show(self) -> CallSeen:
        return CallSeen(
            self.operation,
            self.outcome,
            self.reason,
            self.span.end - self.span.start,
            self.cost,
            tuple((each.server, each.end, each.seconds) for each in self.attempts),
            self.span.trace_id,
        )


_Attempted = tuple[_TracedCall, _AttemptSeen]
"""An attempt with its call."""


def _read_attempt(span: SpanSeen) -> _AttemptSeen | None:
    told = span.attributes
    reason = str(told.get(catalogue.ERROR_TYPE, ""))
    if catalogue.ATTEMPT_NUMBER in told:
        verdict = told.get(catalogue.ATTEMPT_VERDICT)
        failed, refused = (reason if verdict == each else "" for each in ("failed", "refused"))
        return _AttemptSeen(span, name_server(told), failed, refused)
    if catalogue.STREAM_SIZE in told and reason:
        return _AttemptSeen(span, name_server(told), reason)
    return None


def _tally_refusals(server: str, calls: Sequence[_TracedCall]) -> tuple[Tally, ...]:
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
    calls: Sequence[_TracedCall],
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


def _see_servers(names: Sequence[str], calls: Sequence[_TracedCall]) -> Iterator[ServerSeen]:
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
    server: str, latencies: Iterable[Latency], calls: Iterable[_TracedCall]
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


def _see_server(server: str, calls: Sequence[_TracedCall]) -> ServerSeen:
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


def _see_keystone(calls: Iterable[_TracedCall]) -> KeystoneSeen | None:
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


def _count_processes(calls: Iterable[_TracedCall]) -> dict[str, int]:
    processes = {(each.span.job, each.span.process) for each in calls}
    return {job: round(count) for job, count in add_up((job, 1.0) for job, _ in processes).items()}


def _find_usual(calls: Iterable[_TracedCall]) -> float | None:
    first = [
        each.span.end - each.span.start for each in calls if each.outcome == "success_first_try"
    ]
    return sum(first) / len(first) if first else None
