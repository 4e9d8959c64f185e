"""Collects spans, metrics, log lines and the resources of this process."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import INVALID_SPAN_CONTEXT
from prometheus_client import CollectorRegistry, generate_latest

from traced_image import Telemetry

from .pulse import Pulse
from .records import Made, Resources, Seen, Spanned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.context import Context

_NANO = 1e9
_BEAT, _SETTLED = 0.1, 5.0
_SCOPE = "traced_image"


class Observer(SpanProcessor):
    """Keeps what telemetry says.

    Args:
        secrets: What must not be in it.
    """

    def __init__(self, *secrets: str) -> None:
        self._secrets = secrets
        self._lock = threading.Lock()
        self._open = 0
        self.spans: list[Spanned] = []
        self.leaks: set[str] = set()
        self.registry = CollectorRegistry()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self)
        self.telemetry = Telemetry(
            tracer_provider=self.provider,
            meter_provider=False,
            registry=self.registry,
            wire_spans=True,
        )
        self.log = _Log(secrets, self.leaks)
        self.pulse = Pulse()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Count a span that began."""
        with self._lock:
            self._open += 1

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span."""
        if has_any(self._secrets, span.to_json()):
            self.leaks.add(f"a span {span.name}")
        with self._lock:
            self._open -= 1
            self.spans.append(read_span(span))

    def restart(self) -> None:
        """Forget all, in a child that was forked at any moment."""
        self._lock = threading.Lock()
        self._open = 0
        self.spans = []

    def take(self) -> list[Spanned]:
        """Return the spans since the last time, and forget them."""
        with self._lock:
            taken, self.spans = self.spans, []
        return taken

    def count_calls(self) -> Counter[tuple[str, str]]:
        """The calls in the metrics, by operation and outcome."""
        counts: Counter[tuple[str, str]] = Counter()
        for labels, count in self._count("glance_client_call_duration_seconds_count"):
            counts[labels["operation"], labels["outcome"]] += count
        return counts

    def count_attempts(self) -> Counter[tuple[str, int, str, str]]:
        """The attempts in the metrics, by operation, port, verdict and reason."""
        counts: Counter[tuple[str, int, str, str]] = Counter()
        for labels, count in self._count("glance_client_attempt_duration_seconds_count"):
            port, verdict = int(labels["server_port"]), labels["verdict"]
            counts[labels["operation"], port, verdict, labels["error_type"]] += count
        return counts

    def sum_up(self, made: Iterable[Made], before: Resources, after: Resources) -> Seen:
        """Return what this process has seen."""
        if has_any(self._secrets, generate_latest(self.registry).decode()):
            self.leaks.add("the metrics")
        return Seen(
            made=tuple(made),
            spans=tuple(self.spans),
            counted=dict(self.count_calls()),  # asdict() can't copy a Counter
            attempts=dict(self.count_attempts()),
            before=before,
            after=after,
            leaks=tuple(sorted(self.leaks)),
            stalls=tuple(self.pulse.stalls),
        )

    def measure(self) -> Resources:
        """What the process holds now."""
        names = tuple(sorted(thread.name for thread in threading.enumerate()))
        return Resources(names, count_descriptors(), self._open, _resident())

    def _count(self, name: str) -> Iterable[tuple[dict[str, str], int]]:
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name == name and sample.value:
                    yield dict(sample.labels), int(sample.value)


def settle(observer: Observer, before: Resources, allowed: int = 0) -> Resources:
    """Measure what is left, after what goes by itself has had time to go.

    Args:
        observer: Measures.
        before: What there was.
        allowed: Descriptors that may be left.
    """
    end = time.monotonic() + _SETTLED
    while True:
        gc.collect()
        after = observer.measure()
        left = after.descriptors - before.descriptors
        if time.monotonic() > end or (left <= allowed and after.threads == before.threads):
            return after
        time.sleep(_BEAT)


class _Log(logging.Handler):
    def __init__(self, secrets: tuple[str, ...], leaks: set[str]) -> None:
        super().__init__()
        self._secrets, self._leaks = secrets, leaks

    def emit(self, record: logging.LogRecord) -> None:
        if has_any(self._secrets, self.format(record)):
            self._leaks.add(f"the log of {record.name}")


def has_any(secrets: Iterable[str], text: str) -> bool:
    """Whether a text has any of them in it."""
    return any(secret in text for secret in secrets)


def read_span(span: ReadableSpan) -> Spanned:
    """Keep of a span what the checks need."""
    told = dict(span.attributes or {})
    context = span.get_span_context() or INVALID_SPAN_CONTEXT
    return Spanned(
        kind=_find_kind(span),
        trace=f"{context.trace_id:032x}",
        span=f"{context.span_id:016x}",
        operation=str(told.get("glance.operation", "")),
        server=int(str(told.get("server.port") or _find_port(told))),
        started=(span.start_time or 0) / _NANO,
        ended=(span.end_time or 0) / _NANO,
        outcome=_find_outcome(told),
        reason=str(told.get("error.type", "")),
        status=int(str(told.get("http.response.status_code") or told.get("http.status_code", 0))),
        attempts=int(str(told.get("glance.call.attempts", 0))),
    )


def _find_port(told: Mapping[str, object]) -> int:
    """The port of a request, as OpenTelemetry's older conventions have it."""
    return urlsplit(str(told.get("http.url", ""))).port or 0


def _find_kind(span: ReadableSpan) -> str:
    told = span.attributes or {}
    if "glance.call.outcome" in told:
        return "call"
    if "glance.attempt.number" in told:
        return "attempt"
    return "stream" if span.name.endswith(" stream") else "request"


def _find_outcome(told: Mapping[str, object]) -> str:
    if "glance.attempt.number" in told:
        return str(told.get("glance.attempt.verdict", "success"))
    return str(told.get("glance.call.outcome", ""))


def count_descriptors() -> int:
    """The number of open descriptors of this process."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        # That of this directory itself is gone by the time that it is looked at.
        with suppress(OSError):
            each.readlink()
            count += 1
    return count


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
