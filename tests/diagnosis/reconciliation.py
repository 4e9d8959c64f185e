"""Whether the books balance: calls, attempts, retries and requests, by all who counted them.

The spans, the metrics, the log, the state of the hosts and, where they are at hand, the servers'
own access logs must agree. Any scenario can be checked, with threads or without:

    problems = unbalanced(Books(spans, registry, records, health, {netloc: access_log, ...}))
    assert problems == []
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, StatusCode

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from opentelemetry.sdk.trace import ReadableSpan
    from prometheus_client import CollectorRegistry

    from traced_image import ServerHealth
    from traced_image.lab import Access

NEVER_ARRIVED = {
    "_OTHER",
    "connect_timeout",
    "connection_refused",
    "connection_reset",
    "deadline_exceeded",
    "dns_error",
    "network_unreachable",
    "proxy_error",
    "tls_error",
}
"""Reasons of an attempt of which the server need not have seen a request."""

_WITHOUT_ID = {"endless_body", "raw_reply", "unexpected_body"}
"""Faults of which the server sends bytes in place of its answer, with its id."""

_SERVER = ("server_address", "server_port")

_CHECKED = {"images.data", "images.get", "images.list"}
"""Operations whose call goes on when an attempt has succeeded, and may fail then."""


@dataclass
class Books:
    """What everybody has counted.

    Attributes:
        spans: All that ended.
        registry: Where the metrics are.
        records: What was logged of attempts and calls; None if nobody kept it.
        health: What the service says of its servers; None if it was not asked.
        logs: The servers' access logs by ``host:port``, that of a server which is none empty;
            None if they can't be had.
        unread: The ``host:port`` of servers that accept connections and read nothing.
    """

    spans: Sequence[ReadableSpan]
    registry: CollectorRegistry
    records: Sequence[logging.LogRecord] | None = None
    health: Sequence[ServerHealth] | None = None
    logs: Mapping[str, Sequence[Access]] | None = None
    unread: AbstractSet[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.by_id = {span.context.span_id: span for span in self.spans}
        ours = [s for s in self.spans if s.instrumentation_scope.name == "traced_image"]
        self.attempts = [span for span in ours if span.name.endswith(" attempt")]
        self.streams = [span for span in ours if span.name.endswith(" stream")]
        attempts = {span.context.span_id for span in self.attempts}
        self.wires = [
            span
            for span in ours
            if span.kind is SpanKind.CLIENT and span.context.span_id not in attempts
        ]
        below = {s.context.span_id for s in (*self.attempts, *self.streams, *self.wires)}
        self.calls = [span for span in ours if span.context.span_id not in below]

    @cached_property
    def _samples(self) -> dict[str, list]:
        samples = {}
        for metric in self.registry.collect():
            for sample in metric.samples:
                samples.setdefault(sample.name, []).append(sample)
        return samples

    def counted(self, name: str, *labels: str) -> Counter:
        """A metric's samples, summed up by some labels; those of 0 are left out."""
        total = Counter()
        for sample in self._samples.get(name, ()):
            if sample.value:
                total[tuple(sample.labels[label] for label in labels)] += sample.value
        return total

    def attempts_of(self, call: ReadableSpan) -> list[ReadableSpan]:
        """A call's attempts, in order."""
        mine = [s for s in self.attempts if _parent(s) == call.context.span_id]
        return sorted(mine, key=lambda span: span.attributes["glance.attempt.number"])

    def streams_of(self, call: ReadableSpan) -> list[ReadableSpan]:
        """A call's streams, in order."""
        mine = [s for s in self.streams if _parent(s) == call.context.span_id]
        return sorted(mine, key=lambda span: span.start_time)

    def counted_reason(self, span: ReadableSpan) -> str:
        """The reason that a metric has: to its span, a call that was cancelled is no error."""
        cancelled = span.attributes.get("glance.call.outcome") == "cancelled"
        return "_OTHER" if cancelled else _reason(span)


def unbalanced(books: Books) -> list[str]:
    """What does not add up, in words; nothing if the books balance."""
    found = [*_calls(books), *_attempts(books), *_retries(books), *_streams(books)]
    if books.records is not None:
        found += _records(books)
    if books.health is not None:
        found += _health(books)
    if books.logs is not None:
        found += [*_arrivals(books), *_data(books)]
    return found


def _parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def _reason(span: ReadableSpan) -> str:
    return span.attributes.get("error.type", "")


def _server(span: ReadableSpan) -> tuple[str, str]:
    return span.attributes["server.address"], str(span.attributes["server.port"])


def _span_id(record: logging.LogRecord) -> int:
    return int(record.span_id or "0", 16)


def _netloc(span: ReadableSpan) -> str:
    address, port = _server(span)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _differ(what: str, left: Mapping, right: Mapping, whose: str) -> Iterator[str]:
    """Tell of two counts that should be the same."""
    if dict(left) != dict(right):
        only = Counter(left)
        only.subtract(right)
        yield f"{what}: {whose} differ by { ({k: v for k, v in only.items() if v}) }"


def _calls(books: Books) -> Iterator[str]:
    """Calls = Σ outcomes, by spans and by metrics; each span tells the truth of its attempts."""
    told = Counter(
        (
            call.attributes["glance.operation"],
            call.attributes["glance.call.outcome"],
            books.counted_reason(call),
        )
        for call in books.calls
    )
    counted = books.counted(
        "glance_client_call_duration_seconds_count", "operation", "outcome", "error_type"
    )
    yield from _differ("calls", told, counted, "spans and metrics")
    for call in books.calls:
        attempts = books.attempts_of(call)
        if call.attributes["glance.call.attempts"] != len(attempts):
            yield f"{call.name} says {call.attributes['glance.call.attempts']} attempts"
        if call.attributes["glance.servers.tried"] != tuple(map(_netloc, attempts)):
            yield f"{call.name} says that it tried {call.attributes['glance.servers.tried']}"
        if [s.attributes["glance.attempt.number"] for s in attempts] != [
            *range(1, len(attempts) + 1)
        ]:
            yield f"{call.name} has attempts out of order"
        verdicts = [_verdict(attempt) for attempt in attempts]
        failed = bool(books.counted_reason(call))
        checked = call.attributes["glance.operation"] in _CHECKED
        possible = _possible(verdicts, failed=failed, checked=checked)
        if call.attributes["glance.call.outcome"] not in possible:
            yield f"{call.name} with {verdicts} is {call.attributes}"


def _possible(verdicts: Sequence[str], *, failed: bool, checked: bool) -> set[str]:
    """The outcomes that a call may have, by the ends of its attempts and its own.

    A call that goes on after its last attempt may fail then: a list is too large, nobody may see
    an image, or the stream of its data breaks. After a broken stream, another attempt may follow.
    """
    *before, last = verdicts or ["none"]
    allowed = {"failed", "success"} if checked else {"failed"}
    if set(before) - allowed or (last == "success" and failed and not checked):
        return set()
    if last == "success" and failed:
        return {"non_retryable", "refused", "cancelled", "exhausted"}
    if last != "success":
        return {
            "none": {"exhausted", "non_retryable", "cancelled"},
            "refused": {"refused"},
            "failed": {"exhausted", "non_retryable"},
            "cancelled": {"exhausted", "cancelled"},
        }[last]
    return {"success_after_retry" if before else "success_first_try"}


def _verdict(attempt: ReadableSpan) -> str:
    return attempt.attributes.get("glance.attempt.verdict", "success")


def _is_error(span: ReadableSpan) -> bool:
    return span.status.status_code is StatusCode.ERROR


def _attempts(books: Books) -> Iterator[str]:
    """Attempts = Σ per-host attempts, by spans and by metrics; none is under way."""
    told = Counter(
        (s.attributes["glance.operation"], *_server(s), _verdict(s), _reason(s))
        for s in books.attempts
        if _verdict(s) != "cancelled"
    )
    counted = books.counted(
        "glance_client_attempt_duration_seconds_count",
        *("operation", *_SERVER, "verdict", "error_type"),
    )
    yield from _differ("attempts", told, counted, "spans and metrics")
    calls = {call.context.span_id for call in books.calls}
    if any(_parent(attempt) not in calls for attempt in books.attempts):
        yield "an attempt is below no call"
    if any(_is_error(span) != bool(_reason(span)) for span in books.attempts):
        yield "an attempt is an error without a reason, or the other way round"
    active = books.counted("glance_client_active_attempts", *_SERVER)
    if active:
        yield f"attempts are under way for ever: {active}"


def _retries(books: Books) -> Iterator[str]:
    """Retries = attempts - calls, for each operation and each server that failed."""
    followed, given_up = Counter(), Counter()
    for call in books.calls:
        operation = call.attributes["glance.operation"]
        attempts = books.attempts_of(call)
        told = [*_followed(books, call)]
        for attempt, reason, _ in told:
            followed[(operation, *_server(attempt), reason)] += 1
        if [_retry(event) for event in call.events] != [
            (*_server(attempt), reason, _netloc(after)) for attempt, reason, after in told
        ]:
            yield f"the retries of {call.name} are not those of its attempts: {call.events}"
        if call.attributes["glance.call.outcome"] == "exhausted":
            failed = [each for each in attempts if _verdict(each) == "failed"]
            server = _server(failed[-1]) if failed else ("_OTHER", "_OTHER")
            given_up[(operation, *server, _reason(call))] += 1
    labels = ("operation", *_SERVER, "error_type")
    counted = books.counted("glance_client_retries_total", *labels)
    yield from _differ("retries", followed, counted, "spans and metrics")
    failed = books.counted("glance_client_connection_failed_total", *labels)
    yield from _differ("calls given up", given_up, failed, "spans and metrics")
    surplus = Counter(s.attributes["glance.operation"] for s in books.attempts)
    surplus.subtract(Counter(s.attributes["glance.operation"] for s in books.calls))
    surplus = {(operation,): count for operation, count in surplus.items() if count}
    for name in ("glance_client_call_retries_sum", "glance_client_retry_delay_seconds_count"):
        yield from _differ(name, surplus, books.counted(name, "operation"), "attempts and retries")


def _followed(books: Books, call: ReadableSpan) -> Iterator[tuple]:
    """Each attempt of a call that another one followed, why, and the one that followed it.

    An attempt that succeeded is followed by another one if its stream broke.
    """
    streams = iter(books.streams_of(call))
    for attempt, after in itertools.pairwise(books.attempts_of(call)):
        failed = _verdict(attempt) == "failed"
        yield attempt, _reason(attempt if failed else next(streams, attempt)), after


def _retry(event) -> tuple:
    """What the event of a retry says: the server that failed, the reason, and the next server."""
    attributes = event.attributes
    return (*_server(event), attributes["error.type"], attributes["glance.retry.next_server"])


def _streams(books: Books) -> Iterator[str]:
    """Every download has a stream, by spans and by metrics."""
    if sum(len(books.streams_of(call)) for call in books.calls) != len(books.streams):
        yield "a stream is below no call"
    for call in books.calls:
        opened = [_server(s) for s in books.attempts_of(call) if _verdict(s) == "success"]
        if any(_server(stream) not in opened for stream in books.streams_of(call)):
            yield "a stream is of another server than its call's attempts"
        if len(books.streams_of(call)) < len(opened) - 1:
            yield "an attempt follows another one that succeeded, and no stream broke"
    broken = Counter((*_server(s), "download") for s in books.streams if _is_error(s))
    counted = books.counted("glance_client_stream_errors_total", *_SERVER, "direction")
    uploads = {labels: count for labels, count in counted.items() if labels[-1] == "upload"}
    yield from _differ("broken streams", broken, counted - Counter(uploads), "spans and metrics")
    sizes = Counter()
    for stream in books.streams:
        sizes[(*_server(stream), "download")] += stream.attributes["glance.stream.size"]
    by_metric = books.counted("glance_client_stream_bytes_total", *_SERVER, "direction")
    down = {labels: count for labels, count in by_metric.items() if labels[-1] == "download"}
    yield from _differ("bytes", +sizes, down, "spans and metrics")
    failed = {
        _server(s)
        for s in books.attempts
        if _verdict(s) != "success" and s.attributes["glance.operation"] == "images.upload"
    }
    if not {labels[:2] for labels in uploads} <= failed:
        yield f"uploads broke off that did not fail: {uploads}"


def _records(books: Books) -> Iterator[str]:
    """A line for each failure that speaks against a server, and for each call given up."""
    failures = [s for s in books.attempts if _verdict(s) == "failed"]
    failures += [s for s in books.streams if _is_error(s)]
    told = Counter((*_server(span), _reason(span), span.context.span_id) for span in failures)
    logged = Counter(
        (one.server_address, str(one.server_port), one.error_type, _span_id(one))
        for one in books.records
        if one.levelname == "WARNING"
    )
    yield from _differ("failures", told, logged, "spans and log")
    yield from _lines(books)
    given_up, broken = Counter(), set()
    for call in books.calls:
        if call.attributes["glance.call.outcome"] == "exhausted":
            last = books.attempts_of(call)[-1]
            # After a broken stream, the call has its reason, and the line that of the attempts.
            if books.streams_of(call):
                broken.add(last.context.span_id)
            reason = "" if books.streams_of(call) else _reason(call)
            given_up[(*_server(last), reason, last.context.span_id)] += 1
    errors = Counter(
        (
            one.server_address,
            str(one.server_port),
            "" if _span_id(one) in broken else one.error_type,
            _span_id(one),
        )
        for one in books.records
        if one.levelname == "ERROR"
    )
    yield from _differ("calls given up", given_up, errors, "spans and log")


def _lines(books: Books) -> Iterator[str]:
    """What the line of a failed attempt tells beside its server and reason."""
    for one in books.records:
        span = books.by_id.get(_span_id(one))
        if span in books.attempts and one.levelname == "WARNING":
            line = one.operation, one.attempt, one.attempts_max, one.request_id
            names = ("glance.operation", "glance.attempt.number", "glance.attempt.max")
            told = (
                *(span.attributes[name] for name in names),
                span.attributes.get("glance.request_id"),
            )
            if told != line:
                yield f"the span of an attempt says {told}, its line in the log {line}"


def _health(books: Books) -> Iterator[str]:
    """The metrics show the hosts as the service does."""
    for host in books.health:
        labels = host.server.host, str(host.server.port)
        name = host.server.netloc
        if host.active_attempts:
            yield f"{name} has {host.active_attempts} attempts under way for ever"
        states = books.counted("glance_client_server_state", *_SERVER, "state")
        shown = {key: value for key, value in states.items() if key[:2] == labels}
        if shown != {(*labels, host.state): 1}:
            yield f"{name} is {host.state}, the metrics say {shown}"
        for metric, value in (
            ("consecutive_failures", host.consecutive_failures),
            ("last_success_timestamp_seconds", host.last_success or 0),
            ("last_failure_timestamp_seconds", host.last_failure or 0),
        ):
            shown = books.counted(f"glance_client_server_{metric}", *_SERVER)[labels]
            if shown != value:
                yield f"{name}: {metric} is {value}, the metric says {shown}"


def _arrivals(books: Books) -> Iterator[str]:
    """Attempts on a host = what its access log has + the connections that never arrived.

    An attempt may be several requests: the record and the data of a download, a request and
    where it is redirected, one more for a kept connection that was stale. Which attempt a request
    belongs to, the server knows by the trace context that came with it.
    """
    seen = {}
    for netloc, access, attempt, request in _asked(books):
        if attempt is None:
            yield f"{netloc} was asked {access.method} {access.path} by no attempt"
            continue
        if _netloc(attempt) != netloc:
            yield f"{netloc} was asked by an attempt on {_netloc(attempt)}"
        seen.setdefault(attempt.context.span_id, []).append((request, access))
    for attempt in books.attempts:
        yield from _arrived(books, attempt, seen.get(attempt.context.span_id, []))
    requests = {id(request) for mine in seen.values() for request, _ in mine}
    for wire in books.wires:
        unseen = _may_be_unseen(books, wire) or _is_by_proxy(books, wire)
        if id(wire) not in requests and not unseen:
            yield f"{_netloc(wire)} never saw a {wire.name}, which met {_reason(wire)!r}"


def _data(books: Books) -> Iterator[str]:
    """Bytes of image data that a server was sent are counted, though it may not get all of them."""
    sent = books.counted("glance_client_stream_bytes_total", *_SERVER, "direction")
    for netloc, log in books.logs.items():
        address, _, port = netloc.rpartition(":")
        arrived = sum(access.body_bytes for access in log if access.path.endswith("/file"))
        if arrived > sent[(address.strip("[]"), port, "upload")]:
            yield f"{netloc} was sent {arrived} bytes of image data, more than were counted"


def _asked(books: Books) -> Iterator[tuple]:
    """Each request that a server has logged: by whom, the attempt, and the request's own span."""
    for netloc, log in books.logs.items():
        for access in log:
            if access.method:  # else the connection failed before a request
                yield netloc, access, *_sender(books, access)


def _sender(books: Books, access: Access) -> tuple[ReadableSpan | None, ReadableSpan | None]:
    """The attempt that a request belongs to, and the request's own span if it has one."""
    if access.traceparent is None:
        return None, None
    span = books.by_id.get(int(access.traceparent.split("-")[2], 16))
    if span is not None and span.name.endswith(" attempt"):
        return span, None
    above = None if span is None else books.by_id.get(_parent(span))
    if above is None or not above.name.endswith(" attempt"):
        return None, None
    return above, span


def are_complete(books: Books) -> bool:
    """Whether each request was logged that its client gave up waiting for.

    All others were logged before the client knew how they ended.
    """
    logged = {id(attempt) for _, _, attempt, _ in _asked(books)}
    given_up = [
        s
        for s in books.attempts
        if (_reason(s) in ("read_timeout", "deadline_exceeded") or _verdict(s) == "cancelled")
        and _netloc(s) not in books.unread
    ]
    return all(id(attempt) in logged for attempt in given_up)


def _may_be_unseen(books: Books, span: ReadableSpan) -> bool:
    """Whether the server need not have seen the request of an attempt or a request."""
    cancelled = _verdict(span) == "cancelled"
    return cancelled or _reason(span) in NEVER_ARRIVED or _netloc(span) in books.unread


def _is_by_proxy(books: Books, wire: ReadableSpan) -> bool:
    """Whether a request was answered by a proxy that refused it."""
    attempt = books.by_id.get(_parent(wire))
    return attempt is not None and _reason(attempt) == "proxy_error"


def _arrived(books: Books, attempt: ReadableSpan, mine: list) -> Iterator[str]:
    """Whether an attempt ended as the requests of it did that its server has seen."""
    reason = _reason(attempt)
    what = f"an attempt of {attempt.attributes['glance.operation']} on {_netloc(attempt)}"
    if not mine and not _may_be_unseen(books, attempt):
        yield f"{what} met {reason!r}, and the server saw nothing of it"
    if mine:
        yield from _ended(what, attempt, mine[-1][1])
    for (_, access), (_, following) in itertools.pairwise(mine):
        status = _status(access)
        again = (access.method, access.path) == (following.method, following.path)
        # It goes on after a redirect, a stale connection, a token that expired, and to its next
        # request.
        over = status >= 400 and status != 401
        if over or (again and status in range(200, 300)):
            yield f"{what} went on after {access.path} was answered with {status}"
    asked = [request.context.span_id for request, _ in mine if request is not None]
    if len(asked) != len(set(asked)):
        yield f"{what} has fewer spans of requests than the server was asked"


def _status(access: Access) -> int:
    """The status that the client could read; 0 for none."""
    unreadable = access.fault in ("garbage_headers", "slow_headers")
    return 0 if unreadable or access.status is None else access.status


def _ended(what: str, attempt: ReadableSpan, last: Access) -> Iterator[str]:
    """Whether an attempt tells of its last answer what the server does."""
    reason, status = _reason(attempt), _status(last)
    if (status >= 400 or reason.isdecimal()) and reason != str(status):
        yield f"{what} met {reason!r}, and the server answered {status}"
    told = attempt.attributes.get("glance.request_id")
    given = None if last.fault in _WITHOUT_ID else last.request_id
    if (status >= 400 or not reason) and told != given:
        yield f"{what} has the request id {told}, the server gave {given}"
