"""The evidence of a fault: what spans, metrics and the log report, and whether they agree.

Importing this module imports OpenTelemetry's SDK and prometheus_client, which then read their
environment variables.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http.client import HTTPConnection
from threading import Lock
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from prometheus_client.parser import text_string_to_metric_families

from ..diagnosis.answer import make_lines
from ..diagnosis.exporter import combine
from ..diagnosis.exporter_report import ProcessSaw
from ..diagnosis.findings import find
from ..exporter.quantiles import find_quantile
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

    from ..exporter.web.handle import ExporterHandle


Accusation = tuple[str, str]
"""A server, ``host:port``, and the reason of its failed attempts."""

_TIMES = 3
_LEAST_SECONDS = 0.05
"""A server is slow if its median is 3 times that of each other one, and 0.05 s above it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one source of telemetry reports about a period.

    Attributes:
        failures: The number of failed attempts, by server and reason.
        medians: The median duration of successful attempts, by server, in seconds; None for a
            source without durations.
        not_healthy: The state of each server that is not healthy at the end of the period.
    """

    failures: Counter[Accusation] = field(default_factory=Counter)
    medians: Mapping[str, float] | None = None
    not_healthy: Mapping[str, str] = field(default_factory=dict)

    @property
    def outlier(self) -> str | None:
        """The server that is much slower than all others; None if there is none."""
        if self.medians is None or len(self.medians) < 2:  # noqa: PLR2004 one has no other to compare with
            return None
        *_, (next_slow, _), (slowest, server) = sorted(
            (seconds, server) for server, seconds in self.medians.items()
        )
        limit = max(next_slow * _TIMES, next_slow + _LEAST_SECONDS)
        return server if slowest >= limit else None


@dataclass(frozen=True, slots=True)
class FaultPeriod:
    """A period in which one server, or none, was broken.

    Attributes:
        seconds: Its duration in seconds.
        said: The finding of each source of telemetry: spans, metrics and log.
        server: The broken server; None if no server was broken.
        fault: The name of the fault.
        reason: The reason of failed attempts on the server; empty if it was only slow.
    """

    seconds: float
    said: Mapping[str, Finding]
    server: str | None = None
    fault: str = ""
    reason: str = ""

    @property
    def complaints(self) -> list[str]:
        """The errors of the sources, or their differences; empty if all were right."""
        wrong = [line for name in self.said for line in self._wrong(name)]
        return wrong or list(self._differing())

    def _wrong(self, name: str) -> Iterator[str]:
        statement = self.said[name]
        expected = {(self.server, self.reason)} if self.server and self.reason else set()
        named = set(statement.failures)
        for server, reason in sorted(expected - named):
            yield f"{name} did not name {server}: {reason}"
        for server, reason in sorted(named - expected):
            yield f"{name} wrongly named {server}: {reason}"
        if self.server and not self.reason and statement.medians is not None:
            outlier = statement.outlier
            if outlier != self.server:
                yield f"{name} showed {outlier or 'no server'} as slow, not {self.server}"
        if self.server is None:
            for server, state in sorted(statement.not_healthy.items()):
                yield f"{name} showed {server} as {state}, though no server was broken"

    def _differing(self) -> Iterator[str]:
        counts = {name: statement.failures.total() for name, statement in self.said.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            yield f"they counted differently: {told}"


_SCRAPE_SECONDS = 30.0


class SpanLog(SpanProcessor):
    """Keeps what the report needs: a summary of each attempt, and one whole trace.

    Attributes:
        attempts: The ended attempts, in the order of their ends.
        outcomes: The number of calls by outcome.
        failed: The number of failed calls.
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
        """Ignore all later spans, so that the report reads fixed values while calls go on."""
        with self._lock:
            self._over = True

    def on_end(self, span: ReadableSpan) -> None:
        """Record an ended span."""
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
        """Record the end of a call; its span is the last of its trace."""
        self.outcomes[outcome] += 1
        self.failed += catalogue.ERROR_TYPE in (trace[-1].attributes or {})
        # The first call that recovered shows most: a failed attempt, a wait and a success. The
        # slowest call stands in for it.
        if outcome == "success_after_retry":
            self._recovered = self._recovered or trace
        elif not self._slowest or format_milliseconds(trace[-1]) > format_milliseconds(
            self._slowest[-1]
        ):
            self._slowest = trace

    @property
    def telling(self) -> tuple[str, Sequence[ReadableSpan]]:
        """The title and the spans of the trace to show; the last span is the call's."""
        if self._recovered:
            return "A call that recovered", self._recovered
        return "The slowest call", self._slowest

    def statement(self, attempts: Sequence[AttemptSummary]) -> Finding:
        """Return what the spans report about some attempts."""
        medians = {server: known.p50 for server, known in count_attempts(attempts).items()}
        return Finding(
            Counter((each.server, each.reason) for each in attempts if each.reason),
            {server: seconds for server, seconds in medians.items() if seconds is not None},
        )


class Log(logging.Handler):
    """Counts the log's lines by the server and reason that they name, and passes each line on.

    Args:
        tell: A function that receives each line.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.failures: Counter[Accusation] = Counter()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Record a line."""
        # A call that gave up logs an error. Its last attempt has logged a warning before, which
        # counts already.
        if record.levelno == logging.WARNING and hasattr(record, "error_type"):
            told = vars(record)
            server = find_netloc(told["server_address"], told["server_port"])
            self.failures[server, str(told["error_type"])] += 1
        self._tell(f"{record.levelname} {record.getMessage()}")


@dataclass(frozen=True, slots=True)
class Scrape:
    """The values of ``/metrics`` at one time.

    Attributes:
        failures: The number of failed attempts, by server and reason.
        seconds: The number of successful attempts, by server and upper bound of their bucket.
        not_healthy: The state of each server that is not healthy.
    """

    failures: Counter[Accusation] = field(default_factory=Counter)
    seconds: Mapping[str, Counter[float]] = field(default_factory=dict)
    not_healthy: Mapping[str, str] = field(default_factory=dict)

    def since(self, before: Scrape) -> Finding:
        """Return what the metrics report about the time since an earlier scrape."""
        medians = {
            server: find_quantile(
                _group_by_bucket(counts - before.seconds.get(server, Counter())), 0.5
            )
            for server, counts in self.seconds.items()
        }
        return Finding(
            self.failures - before.failures,
            {server: seconds for server, seconds in medians.items() if seconds is not None},
            self.not_healthy,
        )


def scrape(page: ExporterHandle) -> Scrape:
    """Read ``/metrics`` over HTTP, as Prometheus does."""
    text = _read(page, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    failures, seconds = _count_attempts(families[catalogue.ATTEMPT_DURATION.name])
    states = families[catalogue.SERVER_STATE.name].samples
    not_healthy = {
        _name_server(each.labels): each.labels["state"]
        for each in states
        if each.value and each.labels["state"] != "healthy"
    }
    return Scrape(failures, seconds, not_healthy)


def _read(page: ExporterHandle, path: str) -> str:
    """Read what the exporter serves, without the environment's proxies."""
    connection = HTTPConnection(page.host, page.port, timeout=_SCRAPE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


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
    """Return the count of each bucket by its number; Prometheus's buckets are cumulative."""
    below, counts = 0, {}
    for number, bound in enumerate((*catalogue.ATTEMPT_DURATION.buckets, float("inf"))):
        counts[number] = cumulative[bound] - below
        below = cumulative[bound]
    return counts


def _name_server(labels: Mapping[str, str]) -> str:
    return find_netloc(labels["server_address"], labels["server_port"])


class Evidence:
    """The three sources of telemetry, read at the end of each period.

    Args:
        spans: The processor of the service's spans.
        log: The handler of its log.
        page: The exporter that serves its metrics.
    """

    def __init__(self, spans: SpanLog, log: Log, page: ExporterHandle) -> None:
        self.spans = spans
        self._log = log
        self._page = page
        self._attempts = 0
        self._logged: Counter[Accusation] = Counter()
        self._scraped = scrape(page)

    def said(self) -> Mapping[str, Finding]:
        """Return what each source reports since the last call of this method.

        No call of the service may be under way, or the sources would count it differently.
        """
        attempts, logged, scraped = self.spans.attempts, self._log.failures, scrape(self._page)
        said = {
            "spans": self.spans.statement(attempts[self._attempts :]),
            "metrics": scraped.since(self._scraped),
            "log": Finding(logged - self._logged),
        }
        self._attempts, self._logged, self._scraped = len(attempts), logged.copy(), scraped
        return said

    def diagnose(self) -> list[str]:
        """Return the lines that ``traced-image diagnose --exporter`` prints of the page now."""
        process = ProcessSaw(self._page.url.rstrip("/"), json.loads(_read(self._page, "/servers")))
        seen = combine([process])
        return list(make_lines(find(seen), seen))
