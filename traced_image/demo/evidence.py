"""The evidence of a fault: what spans, metrics and the log say of it, and whether they agree.

Importing this imports OpenTelemetry's SDK and prometheus_client, which read their variables then.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http.client import HTTPConnection
from threading import Lock
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from prometheus_client.parser import text_string_to_metric_families

from ..exporter.report import find_quantile
from ..telemetry import catalogue
from ..terminal import (
    AttemptSummary,
    count_attempts,
    find_netloc,
    format_milliseconds,
    format_trace_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from ..exporter.web.server import ExporterHandle


Accusation = tuple[str, str]
"""A server, ``host:port``, and a reason."""

_TIMES = 3
_LEAST_SECONDS = 0.05
"""A server is slow whose median is so many times that of any other, and so much above it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one witness said of an episode.

    Attributes:
        failures: How many attempts failed, by server and reason.
        medians: The median of those that succeeded, by server, in seconds; None for a witness
            who knows of no durations.
        unwell: The state of each server that is not in rotation at the end.
    """

    failures: Counter[Accusation] = field(default_factory=Counter)
    medians: Mapping[str, float] | None = None
    unwell: Mapping[str, str] = field(default_factory=dict)

    @property
    def outlier(self) -> str | None:
        """The server whose latency stands out, if one's does."""
        if self.medians is None or len(self.medians) < 2:  # noqa: PLR2004 one has nobody to exceed
            return None
        *_, (next_slow, _), (slowest, server) = sorted(
            (seconds, server) for server, seconds in self.medians.items()
        )
        limit = max(next_slow * _TIMES, next_slow + _LEAST_SECONDS)
        return server if slowest >= limit else None


@dataclass(frozen=True, slots=True)
class FaultPeriod:
    """A time in which one server was broken, or none.

    Attributes:
        seconds: How long it was.
        said: What each witness said of it.
        server: The server that was broken; None if all were well.
        fault: How, in a word.
        reason: Why attempts on it fail; empty if they do not: it is slow.
    """

    seconds: float
    said: Mapping[str, Finding]
    server: str | None = None
    fault: str = ""
    reason: str = ""

    @property
    def complaints(self) -> list[str]:
        """In what the witnesses were wrong, or differ; nothing where they were right."""
        wrong = [line for name in self.said for line in self._wrong(name)]
        return wrong or list(self._differing())

    def _wrong(self, name: str) -> Iterator[str]:
        statement = self.said[name]
        expected = {(self.server, self.reason)} if self.server and self.reason else set()
        named = set(statement.failures)
        for server, reason in sorted(expected - named):
            yield f"{name} did not name {server}: {reason}"
        for server, reason in sorted(named - expected):
            yield f"{name} accused {server}: {reason}"
        if self.server and not self.reason and statement.medians is not None:
            outlier = statement.outlier
            if outlier != self.server:
                yield f"{name} showed {outlier or 'no server'} as slow, not {self.server}"
        if self.server is None:
            for server, state in sorted(statement.unwell.items()):
                yield f"{name} showed {server} as {state}, though it was well"

    def _differing(self) -> Iterator[str]:
        counts = {name: statement.failures.total() for name, statement in self.said.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            yield f"they counted differently: {told}"


_SCRAPE_SECONDS = 30.0


class SpanLog(SpanProcessor):
    """Keeps what is told at the end: each attempt in short, and one trace whole.

    Attributes:
        attempts: Those that ended, in the order in which they did.
        outcomes: How many calls ended how.
        failed: How many calls failed.
    """

    def __init__(self) -> None:
        self.attempts: list[AttemptSummary] = []
        self.outcomes: Counter[str] = Counter()
        self.failed = 0
        self._open: defaultdict[int, list[ReadableSpan]] = defaultdict(list)
        self._recovered: Sequence[ReadableSpan] = ()
        self._slowest: Sequence[ReadableSpan] = ()
        self._over = False
        self._lock = Lock()

    def shutdown(self) -> None:
        """Take no more notes: what there are can be read, though calls go on."""
        with self._lock:
            self._over = True

    def on_end(self, span: ReadableSpan) -> None:
        """Take note of a span."""
        attempt = AttemptSummary.of(span)
        outcome = (span.attributes or {}).get(catalogue.OUTCOME)
        with self._lock:
            if self._over:
                return
            if attempt is not None:
                self.attempts.append(attempt)
            self._open[format_trace_id(span)].append(span)
            if outcome is not None:
                self._call(str(outcome), self._open.pop(format_trace_id(span)))

    def _call(self, outcome: str, trace: Sequence[ReadableSpan]) -> None:
        """A call ended; its span is the last of its trace."""
        self.outcomes[outcome] += 1
        self.failed += catalogue.ERROR_TYPE in (trace[-1].attributes or {})
        if outcome == "success_after_retry":
            self._recovered = self._recovered or trace
        elif not self._slowest or format_milliseconds(trace[-1]) > format_milliseconds(
            self._slowest[-1]
        ):
            self._slowest = trace

    @property
    def telling(self) -> tuple[str, Sequence[ReadableSpan]]:
        """The trace that tells most, and what it is of; its last span is the call's."""
        if self._recovered:
            return "A call that recovered", self._recovered
        return "The slowest call", self._slowest

    def statement(self, attempts: Sequence[AttemptSummary]) -> Finding:
        """What it says of some attempts."""
        medians = {server: known.p50 for server, known in count_attempts(attempts).items()}
        return Finding(
            Counter((each.server, each.reason) for each in attempts if each.reason),
            {server: seconds for server, seconds in medians.items() if seconds is not None},
        )


class Log(logging.Handler):
    """Counts the log's lines by the server that they accuse, and tells of each line.

    Args:
        tell: Is given each line.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.failures: Counter[Accusation] = Counter()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a line."""
        # The line of a call that gave up is an error: its last attempt has a line of its own.
        if record.levelno == logging.WARNING and hasattr(record, "error_type"):
            told = vars(record)
            server = find_netloc(told["server_address"], told["server_port"])
            self.failures[server, str(told["error_type"])] += 1
        self._tell(f"{record.levelname} {record.getMessage()}")


@dataclass(frozen=True, slots=True)
class Scrape:
    """What ``/metrics`` said at one time.

    Attributes:
        failures: Attempts that failed, by server and reason.
        seconds: Attempts that succeeded, by server and bucket.
        unwell: The state of each server that is not healthy.
    """

    failures: Counter[Accusation] = field(default_factory=Counter)
    seconds: Mapping[str, Counter[float]] = field(default_factory=dict)
    unwell: Mapping[str, str] = field(default_factory=dict)

    def since(self, before: Scrape) -> Finding:
        """What it says of the time since an earlier one."""
        medians = {
            server: find_quantile(
                _group_by_bucket(counts - before.seconds.get(server, Counter())), 0.5
            )
            for server, counts in self.seconds.items()
        }
        return Finding(
            self.failures - before.failures,
            {server: seconds for server, seconds in medians.items() if seconds is not None},
            self.unwell,
        )


def scrape(page: ExporterHandle) -> Scrape:
    """Read ``/metrics`` as Prometheus does, over HTTP; the environment's proxies don't count."""
    connection = HTTPConnection(page.host, page.port, timeout=_SCRAPE_SECONDS)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    failures, seconds = _count_attempts(families[catalogue.ATTEMPT_DURATION.name])
    states = families[catalogue.SERVER_STATE.name].samples
    unwell = {
        _name_server(each.labels): each.labels["state"]
        for each in states
        if each.value and each.labels["state"] != "healthy"
    }
    return Scrape(failures, seconds, unwell)


def _count_attempts(family: Metric) -> tuple[Counter[Accusation], Mapping[str, Counter[float]]]:
    failures: Counter[Accusation] = Counter()
    seconds: defaultdict[str, Counter[float]] = defaultdict(Counter)
    for each in family.samples:
        reason = each.labels["error_type"]
        if reason and each.name.endswith("_count"):
            failures[_name_server(each.labels), reason] += int(each.value)
        elif not reason and each.name.endswith("_bucket"):
            seconds[_name_server(each.labels)][float(each.labels["le"])] += int(each.value)
    return failures, seconds


def _group_by_bucket(cumulative: Counter[float]) -> Mapping[int, int]:
    """How many are in each bucket, by its number."""
    below, counts = 0, {}
    for number, bound in enumerate((*catalogue.ATTEMPT_DURATION.buckets, float("inf"))):
        counts[number] = cumulative[bound] - below
        below = cumulative[bound]
    return counts


def _name_server(labels: Mapping[str, str]) -> str:
    return find_netloc(labels["server_address"], labels["server_port"])


class Evidence:
    """All of them, asked at the end of each episode.

    Args:
        spans: Where the service's spans go.
        log: What handles its log.
        page: What serves its metrics.
    """

    def __init__(self, spans: SpanLog, log: Log, page: ExporterHandle) -> None:
        self.spans = spans
        self._log = log
        self._page = page
        self._attempts = 0
        self._logged: Counter[Accusation] = Counter()
        self._scraped = scrape(page)

    def said(self) -> Mapping[str, Finding]:
        """What each said since they were asked last; no call must be under way."""
        attempts, logged, scraped = self.spans.attempts, self._log.failures, scrape(self._page)
        said = {
            "spans": self.spans.statement(attempts[self._attempts :]),
            "metrics": scraped.since(self._scraped),
            "log": Finding(logged - self._logged),
        }
        self._attempts, self._logged, self._scraped = len(attempts), logged.copy(), scraped
        return said
