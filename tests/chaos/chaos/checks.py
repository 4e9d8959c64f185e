"""The checks of a run: each returns a sentence for each contradiction that it finds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, TypeVar

from .blame import find_wrong_accusations, find_wrong_token_failures
from .pulse import add_stalled
from .records import KILLED, UNEXPECTED, Evidence, Made, Served, Spanned

Check: TypeAlias = Callable[[Evidence], Iterator[str]]

CROWDED = 3
"""How many times its limit an attempt may take that begins in a burst: hundreds of threads wait for
each other, which the one thread of a pulse does not see."""

K = TypeVar("K", bound=tuple[object, ...])

ONE_CALL = {"show": "images.get", "detail": "images.list", "delete": "images.delete"}
"""The methods that make one call of the telemetry each; the others may make several."""

UPLOAD = "images.upload"

OF_DATA = frozenset({"images.data", UPLOAD})
"""Operations that take as long as the data does."""


def find_lost_calls(evidence: Evidence) -> Iterator[str]:
    """Each call ended, and telemetry has one span for each of those that make one call."""
    spans = defaultdict(list)
    for span in evidence.of_kind("call"):
        spans[span.trace].append(span)
    for made in evidence.made:
        found = spans.pop(made.trace, [])
        if made.error == KILLED:
            continue
        if made.ended is None:
            yield f"{_name(made)} has not ended"
        elif not found:
            yield f"{_name(made)} has no span"
        elif made.operation in ONE_CALL and len(found) != 1:
            yield f"{_name(made)} has {len(found)} spans of calls instead of one"
    for trace, extra in spans.items():
        yield f"{len(extra)} spans of calls are of no call that was made: trace {trace}"


def find_wrong_outcomes(evidence: Evidence) -> Iterator[str]:
    """A call that returned has a span of success, and one that raised has one of failure.

    No call raised an error that it does not document.
    """
    by_trace = {(s.trace, s.operation): s for s in evidence.of_kind("call")}
    for made in evidence.made:
        if made.error.startswith(UNEXPECTED):
            yield f"{_name(made)} ended with an error that is {made.error}"
        span = by_trace.get((made.trace, ONE_CALL.get(made.operation, "")))
        if span is not None and bool(span.reason) != bool(made.error):
            told = span.reason or "success"
            yield f"{_name(made)} ended with {made.error or 'success'}; its span says {told}"


def find_unequal_counts(evidence: Evidence) -> Iterator[str]:
    """Spans and metrics count the same calls and the same attempts."""
    calls = Counter((s.operation, s.outcome) for s in evidence.of_kind("call") if s.is_counted)
    attempts = Counter(
        (s.operation, s.server, s.outcome, s.reason)
        for s in evidence.of_kind("attempt")
        if s.is_counted
    )
    yield from _compare("calls", calls, evidence.counted)
    yield from _compare("attempts", attempts, evidence.attempts)


def find_unequal_logs(evidence: Evidence) -> Iterator[str]:
    """Each request of a server's log is one of ours, each answer is logged, both are the same.

    What nginx answered counts where a request passed it. A process that was killed can't tell of
    its last request.
    """
    killed = {made.trace for made in evidence.made if made.error == KILLED}
    passed = {line.span for line in evidence.served if line.is_gateway}
    served: dict[str, list[Served]] = defaultdict(list)
    for line in evidence.served:
        if line.trace not in killed and (line.is_gateway or line.span not in passed):
            served[line.span].append(line)
    for request in evidence.of_kind("request"):
        if request.trace not in killed:
            yield from _compare_request(request, served.pop(request.span, []))
    for lines in served.values():
        for line in lines:
            yield f"server {line.server} logged {line.method} {line.path}, which no span has sent"


def _compare_request(request: Spanned, lines: list[Served]) -> Iterator[str]:
    name = f"request {request.span} to {request.server}"
    if len(lines) > 1:
        yield f"{name} was served {len(lines)} times"
    for line in lines:
        if line.server != request.server:
            yield f"{name} was served by {line.server}"
        if request.status and line.status != request.status:
            yield f"{name} got {request.status}; the server logged {line.status or 'no answer'}"
    if request.status and not lines:
        yield f"{name} got {request.status}, which no server logged"


def find_repeated_creations(evidence: Evidence) -> Iterator[str]:
    """No server was asked twice to make the image of one call, but for one that refused it.

    A server that answers 401 has made no image: the caller asks again with a new token.
    """
    creations = Counter(
        line.trace
        for line in evidence.served
        if (line.method, line.path) == ("POST", "/v2/images")
        and not line.is_gateway
        and not 400 <= line.status < 500
    )
    for made in evidence.made:
        if creations[made.trace] > 1 and not evidence.limits.repeats:
            yield f"{_name(made)} made {creations[made.trace]} images"


def find_wrong_bytes(evidence: Evidence) -> Iterator[str]:
    """What was received is what was sent, and what was sent is what the store has."""
    deleted = {made.image for made in evidence.made if made.operation == "delete"}
    kept = {each.image for each in evidence.stored if each.digest} | deleted
    for made in evidence.made:
        if made.error or made.ended is None:
            continue
        if made.operation == "fill":
            yield f"{_name(made)} wrote all of its data to a disk that is full"
        if made.digest != made.expected:
            yield f"{_name(made)} received {made.digest[:12]} instead of {made.expected[:12]}"
        if made.operation == "create" and made.image not in kept:
            yield f"{_name(made)} made the image {made.image}, which is not there"
    excused = find_truncated(evidence) if evidence.limits.repeats else frozenset()
    for each in evidence.stored:
        # Another process may have deleted what is gone. What is there must be right.
        if each.digest != each.expected and each.digest and each.image not in excused:
            yield f"the store has {each.digest[:12]} for {each.image} of {each.expected[:12]}"


def find_truncated(evidence: Evidence) -> frozenset[str]:
    """The images with wrong data of which the upload was tried more than once.

    The first attempt may have read the file without reaching a server.
    """
    tries = Counter(s.trace for s in evidence.of_kind("attempt") if s.operation == UPLOAD)
    repeated = {
        line.path.split("/")[3]
        for line in evidence.served
        if line.method == "PUT" and line.path.endswith("/file") and tries[line.trace] > 1
    }
    wrong = {each.image for each in evidence.stored if each.digest not in {"", each.expected}}
    return frozenset(wrong & repeated)


def find_exceeded_limits(evidence: Evidence) -> Iterator[str]:
    """No attempt lasted longer than its limit, and nothing was tried more often than allowed.

    Time in which the machine kept the threads of the process waiting is not the attempt's.
    """
    bursts = [each for each in evidence.outages if each.fault == "burst"]
    for attempt in evidence.of_kind("attempt"):
        seconds = attempt.ended - attempt.started
        seconds -= add_stalled(evidence.stalls, attempt.started, attempt.ended)
        in_burst = any(each.started <= attempt.started <= each.ended for each in bursts)
        limit = evidence.limits.attempt * (CROWDED if in_burst else 1)
        if attempt.operation not in OF_DATA and seconds > limit:
            yield f"an attempt of {attempt.operation} took {seconds:.2f} s: trace {attempt.trace}"
    yield from _find_repetitions(evidence)


def _find_repetitions(evidence: Evidence) -> Iterator[str]:
    """Count attempts until one does not fail: record, data and the rest have a count each."""
    tries: Counter[tuple[str, str]] = Counter()
    for attempt in sorted(evidence.of_kind("attempt"), key=lambda each: each.started):
        key = attempt.trace, attempt.operation
        tries[key] += 1
        if tries[key] > evidence.limits.attempts:
            yield f"attempt {tries[key]} of {attempt.operation} in a row: trace {attempt.trace}"
        if attempt.outcome != "failed":
            tries[key] = 0


def find_leaks(evidence: Evidence) -> Iterator[str]:
    """After the run the process holds no more than before, and no secret was written."""
    before, after = evidence.before, evidence.after
    more = Counter(after.threads) - Counter(before.threads)
    if more:
        yield f"threads are left: {', '.join(sorted(more.elements()))}"
    if after.descriptors > before.descriptors + evidence.limits.descriptors:
        yield f"{after.descriptors - before.descriptors} descriptors are left open"
    if after.spans:
        yield f"{after.spans} spans have not ended"
    grown = after.memory - before.memory
    if grown > evidence.limits.memory:
        yield f"the process has grown by {grown / 1e6:.1f} MB"
    for place in evidence.leaks:
        yield f"a secret is in {place}"


CHECKS: Mapping[str, Check] = {
    "no call lost": find_lost_calls,
    "outcomes are true": find_wrong_outcomes,
    "spans equal metrics": find_unequal_counts,
    "requests equal access logs": find_unequal_logs,
    "no image made twice": find_repeated_creations,
    "no wrong byte": find_wrong_bytes,
    "no healthy server blamed": find_wrong_accusations,
    "no healthy Keystone blamed": find_wrong_token_failures,
    "limits kept": find_exceeded_limits,
    "no leak": find_leaks,
}
"""By what is true if a check finds nothing."""


def find_all(evidence: Evidence) -> dict[str, list[str]]:
    """Return what each check finds, by its name in `CHECKS`."""
    return {name: list(check(evidence)) for name, check in CHECKS.items()}


def _compare(what: str, spans: Mapping[K, int], metrics: Mapping[K, int]) -> Iterator[str]:
    for key in sorted({*spans, *metrics}, key=repr):
        if spans.get(key, 0) != metrics.get(key, 0):
            told = " ".join(map(str, key))
            yield f"{what} of {told}: {spans.get(key, 0)} spans, {metrics.get(key, 0)} in metrics"


def _name(made: Made) -> str:
    return f"{made.operation} (trace {made.trace})"
